//! Which conversation a new task takes part in (R6, R7), and the operator's
//! word on one.

use lifecycle::session::{SessionAnswer, SessionQuestion, choose, operator_change};
use lifecycle::{EventBody, SessionPlan, SessionRow};
use protocol::control::{ErrorBody, ErrorCode, SessionAct, SessionChoice};
use protocol::shim::Usage;
use protocol::vocab::SessionState;
use protocol::{Key, ProviderName, SessionId};

use crate::support::*;

/// Whether a quarantine counts.
#[derive(Clone, Copy)]
enum Quarantine {
    Respected,
    Overridden,
}

fn in_state(state: SessionState) -> SessionRow {
    let quarantined = state == SessionState::Quarantined;
    SessionRow {
        state,
        quarantine_reason: quarantined.then(|| "user".to_string()),
        ..row("s-1", Usage::default())
    }
}

/// A provider that can resume and lets the caller choose ids.
fn ask(
    choice: &SessionChoice,
    known: Option<&SessionRow>,
    quarantine: Quarantine,
) -> Result<SessionAnswer, ErrorBody> {
    choose(&SessionQuestion {
        choice,
        key: &key(),
        provider: &provider(),
        can_resume: true,
        fresh_id: Some(session("new")),
        newest: known,
        named: known,
        override_quarantine: match quarantine {
            Quarantine::Respected => false,
            Quarantine::Overridden => true,
        },
        other_user: None,
    })
}

/// The same of a resumable session whose files are another user's.
fn ask_of_another(
    choice: &SessionChoice,
    quarantine: Quarantine,
) -> Result<SessionAnswer, ErrorBody> {
    let known = in_state(SessionState::Resumable);
    choose(&SessionQuestion {
        choice,
        key: &key(),
        provider: &provider(),
        can_resume: true,
        fresh_id: Some(session("new")),
        newest: Some(&known),
        named: Some(&known),
        override_quarantine: match quarantine {
            Quarantine::Respected => false,
            Quarantine::Overridden => true,
        },
        other_user: Some("alice before, bob now".to_string()),
    })
}

#[test]
fn a_session_of_another_user_is_not_resumed() {
    use Quarantine::{Overridden, Respected};
    let answer = ask_of_another(&SessionChoice::Auto, Respected).expect("never refused");
    assert_eq!(answer.plan, fresh());
    let warning = answer.warning.expect("a warning");
    for words in ["alice before, bob now", "starting fresh, resume=<none>"] {
        assert!(warning.contains(words), "{warning}");
    }
    let named = SessionChoice::Resume(session("s-1"));
    let refused = ask_of_another(&named, Respected).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::SessionRefused);
    assert!(refused.hint.is_some_and(|hint| hint.contains("--as")));
    for choice in [SessionChoice::Auto, named] {
        let answer = ask_of_another(&choice, Overridden).expect("at one's own risk");
        assert_eq!(answer.plan.resumed(), Some(&session("s-1")));
    }
}

fn fresh() -> SessionPlan {
    SessionPlan::Chosen(session("new"))
}

#[test]
fn the_newest_is_resumed_only_if_it_ended_well() {
    use Quarantine::{Overridden, Respected};
    use SessionState::{Live, Quarantined, Resumable};
    let auto = SessionChoice::Auto;
    for (state, quarantine, resumes) in [
        (Resumable, Respected, true),
        (Resumable, Overridden, true),
        (Quarantined, Respected, false),
        (Quarantined, Overridden, true),
        (Live, Respected, false),
        // Nothing overrides R7.
        (Live, Overridden, false),
    ] {
        let known = in_state(state);
        let answer = ask(&auto, Some(&known), quarantine).expect("never refused");
        let plan = if resumes {
            SessionPlan::Resume(known)
        } else {
            fresh()
        };
        assert_eq!(answer.plan, plan);
        assert_eq!(answer.warning.is_none(), resumes, "{state}");
    }
}

#[test]
fn a_session_that_is_not_resumed_is_told_with_the_way_out() {
    let known = in_state(SessionState::Quarantined);
    let answer = ask(&SessionChoice::Auto, Some(&known), Quarantine::Respected);
    let warning = answer.expect("never refused").warning.expect("told");
    for part in [
        "s-1",
        "(user)",
        "resume=<none>",
        "sessions release forge:dev:1",
    ] {
        assert!(warning.contains(part), "{warning}");
    }
}

#[test]
fn without_a_session_or_by_wish_it_starts_fresh_without_a_word() {
    let known = in_state(SessionState::Resumable);
    for (choice, known) in [
        (SessionChoice::Auto, None),
        (SessionChoice::Fresh, None),
        (SessionChoice::Fresh, Some(&known)),
    ] {
        let answer = ask(&choice, known, Quarantine::Respected).expect("never refused");
        let plan = fresh();
        assert_eq!(
            answer,
            SessionAnswer {
                plan,
                warning: None
            }
        );
    }
}

fn refusal(
    choice: &SessionChoice,
    known: Option<&SessionRow>,
    quarantine: Quarantine,
) -> ErrorBody {
    ask(choice, known, quarantine).expect_err("a wish that cannot be met")
}

#[test]
fn exactly_this_one_is_refused_where_it_may_not_be() {
    let wish = SessionChoice::Resume(session("s-1"));
    let good = in_state(SessionState::Resumable);
    let answer = ask(&wish, Some(&good), Quarantine::Respected).expect("it may be");
    assert_eq!(answer.plan, SessionPlan::Resume(good.clone()));

    let unknown = refusal(&wish, None, Quarantine::Overridden);
    assert_eq!(unknown.code, ErrorCode::NotFound);

    let quarantined = in_state(SessionState::Quarantined);
    let refused = refusal(&wish, Some(&quarantined), Quarantine::Respected);
    assert_eq!(refused.code, ErrorCode::SessionRefused);
    let hint = refused.hint.expect("the way out");
    assert!(hint.contains("sessions release"), "{hint}");
    assert!(ask(&wish, Some(&quarantined), Quarantine::Overridden).is_ok());

    let live = in_state(SessionState::Live);
    let other_key = SessionRow {
        key: Key::new("other").expect("a legal key"),
        ..good.clone()
    };
    let other_provider = SessionRow {
        provider: ProviderName::new("other").expect("a legal name"),
        ..good
    };
    for row in [live, other_key, other_provider] {
        let refused = refusal(&wish, Some(&row), Quarantine::Overridden);
        assert_eq!(refused.code, ErrorCode::SessionRefused, "{row:?}");
    }
}

#[test]
fn a_chosen_id_must_be_new_and_the_provider_must_take_it() {
    let wish = SessionChoice::Chosen(session("mine"));
    let answer = ask(&wish, None, Quarantine::Respected).expect("it is new");
    assert_eq!(answer.plan, SessionPlan::Chosen(session("mine")));
    let known = in_state(SessionState::Resumable);
    let refused = refusal(&wish, Some(&known), Quarantine::Overridden);
    assert_eq!(refused.code, ErrorCode::SessionRefused);
}

fn of_a_simple_provider(choice: &SessionChoice) -> Result<SessionAnswer, ErrorBody> {
    let known = in_state(SessionState::Resumable);
    choose(&SessionQuestion {
        choice,
        key: &key(),
        provider: &provider(),
        can_resume: false,
        fresh_id: None,
        newest: Some(&known),
        named: Some(&known),
        override_quarantine: false,
        other_user: None,
    })
}

#[test]
fn a_provider_without_sessions_starts_fresh_and_refuses_the_rest() {
    for choice in [SessionChoice::Auto, SessionChoice::Fresh] {
        let answer = of_a_simple_provider(&choice).expect("never refused");
        assert_eq!(answer.plan, SessionPlan::Fresh);
    }
    let id: SessionId = session("s-1");
    for choice in [SessionChoice::Chosen(id.clone()), SessionChoice::Resume(id)] {
        let refused = of_a_simple_provider(&choice).expect_err("it cannot");
        assert_eq!(refused.code, ErrorCode::Usage);
    }
}

#[test]
fn the_operators_word() {
    use SessionAct::{Quarantine as Forbid, Release};
    use SessionState::{Live, Quarantined, Resumable};
    let released = EventBody::SessionReleased {
        key: key(),
        provider: provider(),
        session_id: session("s-1"),
        by: person(),
    };
    let forbidden = quarantined("s-1", "operator (uid 1000)", None);
    for (state, act, event) in [
        (Quarantined, Release, Some(released.clone())),
        // It becomes the newest of its key again.
        (Resumable, Release, Some(released)),
        (Resumable, Forbid, Some(forbidden)),
        (Quarantined, Forbid, None),
    ] {
        let change = operator_change(&in_state(state), act, person());
        assert_eq!(change, Ok(event), "{state}");
    }
    for act in [Release, Forbid] {
        let refused = operator_change(&in_state(Live), act, person()).expect_err("in use");
        assert_eq!(refused.code, ErrorCode::Conflict);
    }
}
