//! The OpenAPI document, tried by a program that knows nothing else of us:
//! every operation gets what the document allows and what it does not, and has to
//! answer as the document says.

use std::path::PathBuf;

use tests::harness::World;

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n";

/// Streams have no end, and a drain would refuse all that comes after it.
const LEFT_OUT: [&str; 2] = ["/v1/events", "/v1/drain"];

/// What the document cannot say: a provider that exists, two options that
/// exclude each other, the longest duration.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// Where `tests/install-schemathesis` puts it.
fn schemathesis() -> Option<PathBuf> {
    let cache = std::env::var_os("AGENT_CI_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/agent-ci")))?;
    let folder = cache.join("schemathesis");
    folder
        .join("installed")
        .exists()
        .then(|| folder.join("bin/schemathesis"))
}

#[test]
fn the_gateway_answers_as_its_document_says() {
    let Some(program) = schemathesis() else {
        tests::skip!("no schemathesis: tests/install-schemathesis");
    };
    // It dispatches commands of its own invention: none of them is found.
    let world = World::builder()
        .config(CONFIG)
        .variable("PATH", "/nonexistent")
        .build();
    world.write_token();
    let _supervisor = world.start();
    let base = format!("http://{}", world.http().address());
    let token = std::fs::read_to_string(world.path("token")).expect("written");
    let mut command = world.command(program);
    command
        .arg("run")
        .arg(format!("{base}/v1/openapi.json"))
        .args(["-H", &format!("Authorization: Bearer {}", token.trim())])
        .args(LEFT_OUT.iter().flat_map(|path| ["--exclude-path", path]))
        .args(["--exclude-checks", NOT_CHECKED])
        .args(["--phases", "coverage,fuzzing", "--max-examples", "10"])
        .args(["--generation-deterministic", "--continue-on-failure"])
        .args(["--request-timeout", "30", "--no-color"]);
    // A thousand requests take as long as the machine needs.
    let tried = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&tried.stdout);
    assert!(
        tried.status.success() && said.contains("Tested: "),
        "{said}"
    );
    assert_eq!(world.http().get("/readyz").status, 200);
}
