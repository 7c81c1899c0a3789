//! The providers that there are: the built-in ones, and the user's own.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::ProviderName;
use protocol::control::Surroundings;
use protocol::shim::ScanFormat;
use protocol::view::ProviderView;

use super::{Provider, parse};
use crate::document::{MAX_DOCUMENT_BYTES, nearest};

/// The built-in files' texts.
pub(super) const BUILT_IN: [&str; 8] = [
    include_str!("../../providers/exec.toml"),
    include_str!("../../providers/claude.toml"),
    include_str!("../../providers/codex.toml"),
    include_str!("../../providers/cursor.toml"),
    include_str!("../../providers/gemini.toml"),
    include_str!("../../providers/kimi.toml"),
    include_str!("../../providers/opencode.toml"),
    include_str!("../../providers/qwen.toml"),
];

/// Most files that are read from the folder: far more than there are agents,
/// and few enough to read at every start.
const MOST_FILES: usize = 1_000;

/// All providers, as their files were when they were read.
#[derive(Debug, Default)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
    problems: Vec<ProviderProblem>,
}

#[derive(Debug)]
enum Entry {
    Good(Good),
    /// The user's own file of this name cannot be used. A built-in of the same
    /// name is not used instead: it is not what the user meant.
    Broken(ProviderProblem),
}

#[derive(Debug)]
struct Good {
    provider: Arc<Provider>,
    source: Source,
    text: String,
}

/// Where a provider comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Embedded in the program.
    BuiltIn,
    /// The user's own file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderProblem {
    /// The file.
    pub file: String,
    /// At least one sentence, each with line and key where there is one.
    pub problems: Vec<String>,
}

impl fmt::Display for ProviderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "provider file {} is not used: {}",
            self.file,
            self.problems.join("; ")
        )
    }
}

/// Why there is no such provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No file has this name.
    #[error("there is no provider `{name}`; {help}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest one, or all of them.
        help: String,
    },
    /// Its file has problems.
    #[error("{0}")]
    Broken(ProviderProblem),
}

impl Registry {
    /// Reads the built-in files and those of `providers_dir`, which need not
    /// exist. Files with problems are left out; see [`Registry::problems`].
    #[must_use]
    pub fn load(providers_dir: &Path) -> Self {
        let mut registry = Self::default();
        for text in BUILT_IN {
            let name = parse::declared_name(text).unwrap_or_default();
            registry.add(&format!("{name}.toml"), Source::BuiltIn, text.to_owned());
        }
        let files = match toml_files(providers_dir) {
            Ok(files) => files,
            Err(error) => {
                registry.problems.push(ProviderProblem {
                    file: providers_dir.display().to_string(),
                    problems: vec![format!("cannot read the folder: {error}")],
                });
                return registry;
            }
        };
        for path in files {
            match read_bounded(&path) {
                Ok(text) => {
                    registry.add(
                        &path.display().to_string(),
                        Source::File(path.clone()),
                        text,
                    );
                }
                Err(error) => {
                    let problems = vec![format!("cannot read it: {error}")];
                    registry.refuse(&path.display().to_string(), None, problems);
                }
            }
        }
        registry
    }

    /// What is wrong with the user's own files.
    #[must_use]
    pub fn problems(&self) -> &[ProviderProblem] {
        &self.problems
    }

    /// The names that files of the user's own stand for.
    pub(super) fn names_of_files(&self) -> impl Iterator<Item = &str> {
        let own = self.entries.iter().filter(|(_, entry)| match entry {
            Entry::Good(good) => matches!(good.source, Source::File(_)),
            Entry::Broken(_) => true,
        });
        own.map(|(name, _)| name.as_str())
    }

    /// The provider of this name.
    ///
    /// # Errors
    /// [`LookupError`], in words for the caller.
    pub fn get(&self, name: &ProviderName) -> Result<&Arc<Provider>, LookupError> {
        self.good(name.as_str()).map(|good| &good.provider)
    }

    /// All good ones by name, without their texts. `path_var` is where their
    /// programs are looked for.
    #[must_use]
    pub fn views(&self, path_var: Option<&str>) -> Vec<ProviderView> {
        let view = |entry: &Entry| match entry {
            Entry::Good(good) => Some(good.view(path_var)),
            Entry::Broken(_) => None,
        };
        self.entries.values().filter_map(view).collect()
    }

    /// One, with its file's text.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub fn show(&self, name: &str, path_var: Option<&str>) -> Result<ProviderView, LookupError> {
        let good = self.good(name)?;
        Ok(ProviderView {
            text: Some(good.text.clone()),
            ..good.view(path_var)
        })
    }

    /// What the provider of this name lacks to be run.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub fn lacks(&self, name: &str, around: &Surroundings) -> Result<Vec<String>, LookupError> {
        Ok(self.good(name)?.provider.lacks(around))
    }

    /// How the output of the provider of this name is to be read.
    ///
    /// # Errors
    /// As [`Registry::get`].
    pub fn output(&self, name: &str) -> Result<ScanFormat, LookupError> {
        Ok(self.good(name)?.provider.scan().format)
    }

    fn good(&self, name: &str) -> Result<&Good, LookupError> {
        match self.entries.get(name) {
            Some(Entry::Good(good)) => Ok(good),
            Some(Entry::Broken(problem)) => Err(LookupError::Broken(problem.clone())),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> LookupError {
        let known = self.entries.keys().map(String::as_str);
        let help = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        LookupError::Unknown {
            name: name.to_owned(),
            help,
        }
    }

    fn add(&mut self, file: &str, source: Source, text: String) {
        let provider = match parse::provider(file, &text) {
            Ok(provider) => provider,
            Err(problems) => {
                let name = parse::declared_name(&text);
                let problems = problems.iter().map(ToString::to_string).collect();
                return self.refuse(file, name, problems);
            }
        };
        let name = provider.name().as_str().to_owned();
        if let Some(Entry::Good(Good {
            source: Source::File(other),
            ..
        })) = self.entries.get(&name)
        {
            let taken = format!("the name `{name}` is taken by {} already", other.display());
            return self.refuse(file, Some(name), vec![taken]);
        }
        // A second good file does not mend a broken one of the same name.
        if let Some(Entry::Broken(_)) = self.entries.get(&name) {
            let broken = format!("another file of the name `{name}` has problems");
            return self.refuse(file, Some(name), vec![broken]);
        }
        let good = Good {
            provider: Arc::new(provider),
            source,
            text,
        };
        self.entries.insert(name, Entry::Good(good));
    }

    /// Takes a file out of service, and with it the name that it declares, or
    /// else the one of the file.
    fn refuse(&mut self, file: &str, declared: Option<String>, problems: Vec<String>) {
        let problem = ProviderProblem {
            file: file.to_owned(),
            problems,
        };
        let stem = Path::new(file)
            .file_stem()
            .and_then(|stem| stem.to_str())
            .map(str::to_owned);
        if let Some(name) = declared.or(stem) {
            self.entries.insert(name, Entry::Broken(problem.clone()));
        }
        self.problems.push(problem);
    }
}

impl Good {
    fn view(&self, path_var: Option<&str>) -> ProviderView {
        let provider = &self.provider;
        let command = provider.program();
        ProviderView {
            name: provider.name().clone(),
            source: self.source.to_string(),
            description: provider.description().to_owned(),
            command: command.map(str::to_owned),
            found: command.and_then(|command| find_program(command, path_var)),
            resumes: provider.can_resume(),
            chooses_session: provider.can_choose_session(),
            tested: provider.tested.is_some(),
            text: None,
        }
    }
}

/// What is wrong with a provider file's text; nothing if it is good.
#[must_use]
pub fn check(file: &str, text: &str) -> Vec<String> {
    match parse::provider(file, text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// The `*.toml` files of the folder by name; none if there is no folder.
pub(super) fn toml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    if files.len() > MOST_FILES {
        return Err(io::Error::other(format!(
            "it has more than {MOST_FILES} provider files"
        )));
    }
    files.sort();
    Ok(files)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_DOCUMENT_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(io::Error::other(format!(
            "it is larger than {MAX_DOCUMENT_BYTES} bytes"
        )));
    }
    Ok(text)
}

/// Where `program` is found: itself, if it is a path.
pub(super) fn find_program(program: &str, path_var: Option<&str>) -> Option<String> {
    if program.contains('/') {
        return is_executable(Path::new(program)).then(|| program.to_owned());
    }
    path_var?
        .split(':')
        .map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(program))
        .find(|path| is_executable(path))
        .map(|path| path.display().to_string())
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
