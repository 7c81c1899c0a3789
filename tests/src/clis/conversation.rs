//! One conversation: fresh, resumed, an API that fails, and an id that the CLI
//! does not know.

use serde_json::{Value, json};

use super::failures::why_of;
use super::seen::path_of;
use super::{Cost, KEY, Scene};
use crate::harness::StubRequest;
use crate::scenarios::assert_ended;

/// The whole of it.
pub fn conversation(scene: &Scene<'_>) {
    let diagnosis = scene.diagnosis();
    assert_eq!(diagnosis["state"], "ok", "{diagnosis:#}");
    scene.version();
    let (first, session) = fresh(scene);
    resumed(scene, &first, &session);
    api_failure(scene, &session);
    unknown_to_the_cli(scene, &session);
    scene.world.check();
}

fn text(task: &Value) -> &str {
    task["result"]["text"].as_str().unwrap_or_default()
}

/// A success with its figures. Gives the row and the session.
fn fresh(scene: &Scene<'_>) -> (Value, String) {
    let task = scene.ended(&scene.run("hello ALPHA").detached());
    assert_ended(&task, "success", "completed", "observed");
    assert!(text(&task).ends_with("hello ALPHA"), "{task:#}");
    assert!(task["resumed"].is_null());
    let session = task["session_id"].as_str().expect("a session").to_string();
    let resumable = ("resumable".to_string(), None);
    assert_eq!(scene.session_of(&task), resumable);
    let tokens = scene.kit.output_tokens;
    assert_eq!(task["output_tokens"], json!(tokens), "{task:#}");
    assert!(task["input_tokens"].as_u64() > Some(0), "{task:#}");
    let costs = match scene.kit.cost {
        Cost::Said => task["cost_usd"].as_f64() > Some(0.0),
        Cost::Unsaid => task["cost_usd"].is_null(),
    };
    assert!(costs, "{task:#}");
    scene.fields(&task);
    scene.saw("fresh", &task);
    (task, session)
}

/// The same conversation: the first turn is in the request, and the figures
/// are those of this task alone.
fn resumed(scene: &Scene<'_>, first: &Value, session: &str) {
    let before = scene.stub.requests().len();
    let task = scene.ended(&scene.run("hello BETA").detached());
    assert_ended(&task, "success", "completed", "observed");
    assert_eq!(task["session_id"], json!(session));
    assert_eq!(task["resumed"], json!(session));
    assert!(text(&task).ends_with("hello BETA"), "{task:#}");
    let carries = |request: &StubRequest| {
        let body = request.body();
        body.contains("ALPHA") && body.contains("BETA")
    };
    let sent = scene.stub.requests().split_off(before);
    assert!(sent.iter().any(carries), "the first turn is missing");
    for figure in ["output_tokens", "turns"] {
        assert_eq!(task[figure], first[figure], "{figure} of {task:#}");
    }
    scene.resumes(&task);
    scene.saw("resumed: the first turn is in the request", &task);
    if let (Some(then), Some(now)) = (first["cost_usd"].as_f64(), task["cost_usd"].as_f64()) {
        assert!(now > 0.0 && now < 1.5 * then, "{now} after {then}");
    }
}

/// A failure, and not one of the session: it is kept, and the hint says how it
/// is given back.
fn api_failure(scene: &Scene<'_>, session: &str) {
    let status = scene.kit.failures[0];
    let task = scene.ended(&scene.run(&format!("FAIL {status}")).detached());
    assert_ended(&task, "failure", "failed", "observed");
    assert_eq!(task["session_id"], json!(session));
    let reason = Some(why_of(status).to_string());
    assert_eq!(scene.session_of(&task), ("quarantined".to_string(), reason));
    scene.saw(&format!("resumed, and the API answers {status}"), &task);
    let refused = scene.run("hello").option("--resume", session);
    let error = refused.try_detached().expect_code(4).error();
    let hint = error["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("agentctl sessions release"), "{error:#}");
}

/// Given back by the operator, but gone where the CLI keeps it.
fn unknown_to_the_cli(scene: &Scene<'_>, session: &str) {
    let _released = scene.world.ctl(&["sessions", "release", KEY]).ok();
    scene.furnish("elsewhere");
    let home = format!("HOME={}", scene.world.path("elsewhere").display());
    let run = scene.run("hello GAMMA").option("--env", &home);
    let run = run.option("--on-not-found", "fail");
    let task = scene.ended(&run.option("--resume", session).detached());
    assert_ended(&task, "failure", "session_not_found", "observed");
    assert_eq!(task["resumed"], json!(session));
    assert_eq!(task["session_id"], json!(session));
    assert!(task["agent_pid"].is_null() && !task["finished_at"].is_null());
    let (state, reason) = scene.session_of(&task);
    assert_eq!(state, "quarantined");
    assert_eq!(reason.as_deref(), Some("session_not_found"));
    scene.saw("resumed with an id that it does not know", &task);
}

impl Scene<'_> {
    /// The version that the CLI tells is the one that its file was tested with.
    fn version(&self) {
        let mut command = self.world.command(self.kit.name);
        command.arg("--version").env("PATH", &self.path);
        let told = self.world.finish(command).ok().stdout;
        let shown = self.world.ctl(&["providers", "show", self.kit.name]).ok();
        let tested = shown.stdout.lines().find_map(|line| {
            let version = line.strip_prefix("tested = \"")?;
            version.strip_suffix('"')
        });
        let tested = tested.expect("its file has a version");
        let words = told.split(|c: char| c.is_whitespace() || c == '(');
        assert!(
            words.into_iter().any(|word| word == tested),
            "{tested} is not in {told}"
        );
        self.seen.fact(format!("version {tested}"));
    }

    /// Where the id and the last words of its answer stand in its output.
    fn fields(&self, task: &Value) {
        let id = task["id"].as_str().expect("an id");
        let session = task["session_id"].as_str().expect("a session");
        let log = self.world.ctl(&["logs", "--raw", id]).ok().stdout;
        let lines: Vec<Value> = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let at = lines.iter().enumerate();
        let mut found = at.filter_map(|(at, line)| Some((at, path_of(line, session)?)));
        let (at, path) = found.next().expect("the id is in its output");
        let kind = lines[at]["type"].as_str().unwrap_or("?");
        let chosen = if task["argv"].to_string().contains(session) {
            "chosen by the supervisor, and "
        } else {
            ""
        };
        self.seen.fact(format!(
            "session id: {chosen}`{path}` of JSON line {} of stdout (`type` is `{kind}`)",
            at + 1
        ));
        let last = lines.last().expect("it prints JSON");
        let kind = last["type"].as_str().unwrap_or("?");
        let text = text(task);
        let whole = lines.iter().rev().find_map(|line| path_of(line, text));
        let place = whole.map_or("in pieces".to_string(), |path| format!("in `{path}`"));
        self.seen.fact(format!(
            "its text stands {place}; the last line has `type` `{kind}`"
        ));
    }

    /// The words by which it is resumed.
    fn resumes(&self, task: &Value) {
        let session = task["session_id"].as_str().expect("a session");
        let argv = task["argv"].as_array().expect("words").clone();
        let at = argv.iter().position(|word| word == session);
        let at = at.expect("the id is one of its words");
        let option = argv[at - 1].as_str().expect("a word");
        self.seen.fact(format!("resumed by `{option} ID`"));
    }
}
