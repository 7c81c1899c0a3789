//! What the built-in files say, and what is understood with them.

use std::path::Path;

use protocol::shim::{Field, Leftovers, ProviderError};
use protocol::vocab::Stream::{Stderr, Stdout};
use protocol::{ProviderName, SessionId};

use super::super::{Provider, Registry};
use super::reader::read;

const ID: &str = "78a1a4e7-cb1e-4e56-877b-e80c279fe668";

pub(super) fn built_in(name: &str) -> Provider {
    let registry = Registry::load(Path::new("/nonexistent/providers.d"));
    assert_eq!(registry.problems(), []);
    let name = ProviderName::new(name).expect("legal");
    Provider::clone(registry.get(&name).expect("built in"))
}

#[test]
fn exec_knows_nothing_of_its_command() {
    let exec = built_in("exec");
    assert_eq!(exec.program(), None);
    assert!(exec.takes_command() && !exec.takes_model());
    assert!(!exec.can_resume() && !exec.can_choose_session());
    assert_eq!(exec.fresh_session_id(), None);
    assert!(!exec.accepts_session_id(&SessionId::new(ID).expect("legal")));
    assert!(!exec.policy().promises_result);
    assert_eq!(exec.scan(), &protocol::shim::ScanSpec::default());
    assert_eq!((exec.stop_signal(), exec.leftovers()), (15, Leftovers::End));
}

#[test]
fn claude_resumes_and_lets_its_ids_be_chosen() {
    let claude = built_in("claude");
    assert_eq!(claude.program(), Some("claude"));
    assert!(!claude.takes_command() && claude.takes_model());
    assert!(claude.can_resume() && claude.can_choose_session());
    let fresh = claude.fresh_session_id().expect("chosen for it");
    assert!(claude.accepts_session_id(&fresh));
    assert_ne!(Some(fresh), claude.fresh_session_id());
    for id in [
        "nosuchsession",
        "78A1A4E7-CB1E-4E56-877B-E80C279FE668",
        &format!("{ID}0"),
    ] {
        assert!(
            !claude.accepts_session_id(&SessionId::new(id).expect("legal")),
            "{id}"
        );
    }
    assert_eq!(claude.term_exit(), [143]);
    let policy = claude.policy();
    assert!(policy.promises_result && policy.cumulative_cost);
    assert!(!policy.cumulative_turns && !policy.cumulative_tokens);
}

#[test]
fn a_turn_of_claude_is_understood() {
    let init = format!(r#"{{"type":"system","subtype":"init","session_id":"{ID}","model":"m-1"}}"#);
    let text = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"thinking"}]}}"#;
    let tool = r#"{"type":"assistant","message":{"content":[
        {"type":"tool_use","name":"Bash","input":{"command":"secret"}}]}}"#;
    let user = r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#;
    // `type` is not the first key.
    let result = format!(
        r#"{{"session_id":"{ID}","total_cost_usd":0.0103,"usage":{{"input_tokens":2000,
        "output_tokens":100}},"terminal_reason":"completed","is_error":false,"num_turns":2,
        "subtype":"success","result":"done","type":"result"}}"#
    );
    let lines = [&init, text, tool, user, &result].map(|line| (Stdout, line));
    let understood = read(built_in("claude").scan(), &lines);
    assert_eq!(understood.all(Field::SessionId), [ID]);
    assert_eq!(understood.all(Field::Model), ["m-1"]);
    assert_eq!(understood.all(Field::Progress), ["thinking", "Bash"]);
    assert_eq!(understood.all(Field::Turns), ["2"]);
    assert_eq!(understood.all(Field::InputTokens), ["2000"]);
    assert_eq!(understood.all(Field::OutputTokens), ["100"]);
    assert_eq!(understood.all(Field::CostUsd), ["0.0103"]);
    assert_eq!(understood.all(Field::ResultText), ["done"]);
    assert_eq!(understood.results, [true]);
    assert_eq!(understood.errors, []);
}

#[test]
fn an_unknown_session_of_claude_is_understood() {
    let unknown = format!("No conversation found with session ID: {ID}");
    let result = format!(
        r#"{{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,
        "session_id":"{ID}","total_cost_usd":0,"usage":{{"input_tokens":0,"output_tokens":0}},
        "errors":["{unknown}"]}}"#
    );
    let understood = read(
        built_in("claude").scan(),
        &[(Stderr, &unknown), (Stdout, &result)],
    );
    let twice = [
        ProviderError::SessionNotFound,
        ProviderError::SessionNotFound,
    ];
    assert_eq!(understood.errors, twice, "either stream tells it");
    assert_eq!(understood.results, [false]);
    assert_eq!(
        understood.all(Field::SessionId),
        Vec::<&str>::new(),
        "the unknown id is no news"
    );
    let once_a_rule = [unknown.as_str(), unknown.as_str()];
    assert_eq!(understood.all(Field::ErrorText), once_a_rule);
}

#[test]
fn a_failure_of_claudes_model_is_transient_and_no_success() {
    // `subtype` says success all the same.
    let result = r#"{"type":"result","subtype":"success","is_error":true,"num_turns":1,
        "terminal_reason":"api_error","result":"API Error: 500","total_cost_usd":0}"#;
    let understood = read(built_in("claude").scan(), &[(Stdout, result)]);
    assert_eq!(understood.errors, [ProviderError::Transient]);
    assert_eq!(understood.results, [false]);
    let aborted = r#"{"type":"result","subtype":"error_during_execution","is_error":true,
        "terminal_reason":"aborted_streaming","errors":["…"]}"#;
    let understood = read(built_in("claude").scan(), &[(Stdout, aborted)]);
    assert_eq!(understood.errors, []);
    assert_eq!(understood.results, [false]);
}

#[test]
fn an_agent_that_only_talks_of_an_error_has_none() {
    let text = r#"{"type":"assistant","message":{"content":[
        {"type":"text","text":"No conversation found with session ID: 1"}]}}"#;
    let result = r#"{"type":"result","is_error":false,"terminal_reason":"completed",
        "result":"No conversation found with session ID: 1"}"#;
    let understood = read(
        built_in("claude").scan(),
        &[(Stdout, text), (Stdout, result)],
    );
    assert_eq!(understood.errors, []);
    assert_eq!(understood.results, [true]);
}
