//! Where the binaries under test are.

use std::path::{Path, PathBuf};

/// Names the folder with the binaries under test; set by `xtask test`.
const BIN_DIR: &str = "AGENT_TEST_BIN_DIR";
/// Names the folder with the agent CLIs that `tests/install-clis` installed.
const CLI_DIR: &str = "AGENT_TEST_CLI_DIR";

/// The folders of our programs.
#[derive(Clone, Debug)]
pub struct Bins {
    product: PathBuf,
    helpers: PathBuf,
}

impl Bins {
    /// Finds them: the programs under test by `AGENT_TEST_BIN_DIR`, else
    /// beside the test helpers; the helpers beside the running test.
    ///
    /// # Panics
    /// When one is missing; the message says how to build it.
    #[must_use]
    pub fn locate() -> Self {
        let program = std::env::current_exe().expect("a test knows its own program");
        // Tests are in target/<profile>/deps, programs one above.
        let helpers = program
            .ancestors()
            .skip(1)
            .find(|folder| !folder.ends_with("deps"))
            .expect("a program is in a folder")
            .to_path_buf();
        let product = std::env::var_os(BIN_DIR).map_or_else(|| helpers.clone(), PathBuf::from);
        let bins = Self { product, helpers };
        for path in [bins.agentctl(), bins.supervisor(), bins.shim()] {
            assert!(
                path.exists(),
                "{} is missing: run the system tests with `cargo xtask test`",
                path.display()
            );
        }
        bins
    }

    /// Where an administrator puts them.
    #[must_use]
    pub fn installed(folder: &str) -> Self {
        Self {
            product: PathBuf::from(folder),
            helpers: PathBuf::from(folder),
        }
    }

    /// The command line.
    #[must_use]
    pub fn agentctl(&self) -> PathBuf {
        self.product.join("agentctl")
    }

    /// The daemon.
    #[must_use]
    pub fn supervisor(&self) -> PathBuf {
        self.product.join("agent-supervisor")
    }

    /// The shim, which the daemon finds beside itself.
    #[must_use]
    pub fn shim(&self) -> PathBuf {
        self.product.join("agent-shim")
    }

    /// The agent of most tests.
    #[must_use]
    pub fn fake_agent(&self) -> PathBuf {
        self.helpers.join("fake_agent")
    }

    /// The shim that speaks the bytes of a release.
    #[must_use]
    pub fn released_shim(&self) -> PathBuf {
        self.helpers.join("released_shim")
    }

    /// The stand-in for the model APIs.
    #[must_use]
    pub fn stub_model(&self) -> PathBuf {
        self.helpers.join("stub_model")
    }
}

/// The folder with the real agent CLIs, if they were installed.
#[must_use]
pub fn cli_dir() -> Option<PathBuf> {
    let named = std::env::var_os(CLI_DIR).map(PathBuf::from);
    let dir = named.or_else(|| {
        std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/agent-test-cli"))
    })?;
    dir.is_dir().then_some(dir)
}
