//! Layer by layer, and every message literally.

use super::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn input<'a>(base: Base<'a>, task: &'a TaskId) -> EnvironmentInput<'a> {
    EnvironmentInput {
        base,
        strip: &[],
        provider_strip: &[],
        provider_allow: None,
        provider_add: &[],
        provider_require: &[],
        requested: &[],
        marker: Marker {
            task,
            nonce: "00ff",
        },
        state_dir: "/s",
        runtime_dir: "/r",
    }
}

fn task() -> TaskId {
    TaskId::new("t-1").expect("legal")
}

/// What every agent gets.
const OURS: [(&str, &str); 3] = [
    ("AGENT_SUPERVISOR_RUNTIME_DIR", "/r"),
    ("AGENT_SUPERVISOR_STATE_DIR", "/s"),
    ("AGENT_TASK_t_2d1", "00ff"),
];

fn with_ours(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = pairs(list);
    all.extend(pairs(&OURS));
    all.sort();
    all
}

#[test]
fn a_list_of_what_is_allowed_keeps_everything_else_out() {
    let task = task();
    let client = pairs(&[
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("HOME", "/h"),
        ("LC_ALL", "C"),
        ("PATH", "/bin"),
        ("WORDY_KEY", "k"),
        ("WORDY_KEYS", "no"),
        ("X_1", "x"),
        ("X_2", "stripped"),
    ]);
    let (allow, strip) = (
        ["WORDY_KEY".to_owned(), "X_*".to_owned()],
        ["X_2".to_owned()],
    );
    let requested = pairs(&[("ASKED", "for")]);
    let composed = compose(&EnvironmentInput {
        provider_allow: Some(&allow),
        provider_strip: &strip,
        requested: &requested,
        ..input(Base::Client(&client), &task)
    });
    let expected = with_ours(&[
        ("ASKED", "for"),
        ("HOME", "/h"),
        ("LC_ALL", "C"),
        ("PATH", "/bin"),
        ("WORDY_KEY", "k"),
        ("X_1", "x"),
    ]);
    assert_eq!(composed, Ok(expected));
}

#[test]
fn later_layers_win() {
    let task = task();
    let client = pairs(&[
        ("A", "client"),
        ("B", "client"),
        ("C", "client"),
        ("PATH", "/bin"),
    ]);
    let provider_add = pairs(&[("B", "provider"), ("C", "provider")]);
    let requested = pairs(&[("C", "first"), ("C", "asked"), ("EMPTY", "")]);
    let composed = compose(&EnvironmentInput {
        provider_add: &provider_add,
        requested: &requested,
        ..input(Base::Client(&client), &task)
    });
    let expected = [
        ("A", "client"),
        ("B", "provider"),
        ("C", "asked"),
        ("EMPTY", ""),
        ("PATH", "/bin"),
    ];
    assert_eq!(composed, Ok(with_ours(&expected)));
}

#[test]
fn strips_take_from_the_base_alone() {
    let task = task();
    let client = pairs(&[
        ("AWS_KEY", "x"),
        ("CLAUDECODE", "1"),
        ("TOKEN", "x"),
        ("TOKENS", "kept"),
        ("=odd", "x"),
        ("", "x"),
    ]);
    let strip = ["AWS_*".to_owned(), "TOKEN".to_owned()];
    let provider_strip = ["CLAUDECODE".to_owned()];
    let requested = pairs(&[("TOKEN", "asked")]);
    let composed = compose(&EnvironmentInput {
        strip: &strip,
        provider_strip: &provider_strip,
        requested: &requested,
        ..input(Base::Client(&client), &task)
    });
    assert_eq!(
        composed,
        Ok(with_ours(&[("TOKEN", "asked"), ("TOKENS", "kept")]))
    );
}

#[test]
fn what_is_ours_or_the_service_managers_is_never_inherited() {
    let task = task();
    let client = pairs(&[
        ("NOTIFY_SOCKET", "x"),
        ("LISTEN_FDS", "1"),
        ("LISTEN_ADDRESS", "kept"),
        ("WATCHDOG_USEC", "1"),
        ("INVOCATION_ID", "x"),
        ("JOURNAL_STREAM", "1:2"),
        ("AGENT_TASK_outer", "ff"),
        ("AGENT_HOOKS", "x"),
        ("AGENT_HOOKS_SOCKET", "x"),
        ("AGENT_SUPERVISOR_RUNTIME_DIR", "/outer"),
        ("AGENT_SUPERVISOR_LOG", "debug"),
        ("TMPDIR", "/long"),
        ("PWD", "/there"),
    ]);
    let composed = compose(&input(Base::Client(&client), &task));
    assert_eq!(composed, Ok(with_ours(&[("LISTEN_ADDRESS", "kept")])));
}

#[test]
fn a_system_service_starts_from_its_own_base() {
    let task = task();
    let account = pairs(&[("HOME", "/var/agents"), ("SHELL", "/bin/sh")]);
    let configured = pairs(&[("PATH", "/bin"), ("SHELL", "/bin/bash")]);
    let base = Base::System {
        account: &account,
        configured: &configured,
    };
    let expected = [
        ("HOME", "/var/agents"),
        ("PATH", "/bin"),
        ("SHELL", "/bin/bash"),
    ];
    assert_eq!(compose(&input(base, &task)), Ok(with_ours(&expected)));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let task = task();
    let refused = |requested: &[(&str, &str)]| {
        let requested = pairs(requested);
        let base = Base::Client(&[]);
        let input = EnvironmentInput {
            requested: &requested,
            ..input(base, &task)
        };
        compose(&input).expect_err("refused").to_string()
    };
    assert_eq!(refused(&[("A=B", "x")]), "\"A=B\" is not a variable's name");
    assert_eq!(refused(&[("", "x")]), "\"\" is not a variable's name");
    assert_eq!(
        refused(&[("A", "x\0")]),
        "the value of variable A has a NUL byte in it"
    );
    assert_eq!(
        refused(&[("AGENT_TASK_other", "x")]),
        "variable AGENT_TASK_other is reserved for the supervisor"
    );
    assert_eq!(
        refused(&[("BIG", &"x".repeat(MAX_ARG_BYTES))]),
        "variable BIG has 131076 bytes, and one may have 131071"
    );
    let many: Vec<(String, String)> = (0..20)
        .map(|number| (format!("V{number}"), "x".repeat(120_000)))
        .collect();
    let error = compose(&input(Base::Client(&many), &task)).expect_err("too large");
    assert!(matches!(error, EnvironmentError::TooLarge { bytes } if bytes > MAX_ENV_BYTES));
}

#[test]
fn what_the_provider_needs_has_to_be_there() {
    let task = task();
    let require = ["API_KEY".to_owned()];
    let with = |client: &[(String, String)]| {
        compose(&EnvironmentInput {
            provider_require: &require,
            ..input(Base::Client(client), &task)
        })
    };
    assert!(with(&pairs(&[("API_KEY", "k")])).is_ok());
    let message = "the provider needs the variable API_KEY: set it, or give it with --env";
    for client in [pairs(&[]), pairs(&[("API_KEY", "")])] {
        assert_eq!(
            with(&client).map_err(|error| error.to_string()),
            Err(message.to_owned())
        );
    }
}

#[test]
fn another_users_agent_has_its_account_and_nothing_of_the_caller() {
    let configured = pairs(&[
        ("HOME", "/var/agents"),
        ("PATH", "/opt"),
        ("KEY", "admin's"),
    ]);
    let account = pairs(&[("HOME", "/home/bob"), ("USER", "bob")]);
    let strip = ["KEY".to_owned()];
    let task = task();
    let base = Base::OtherUser {
        configured: &configured,
        account: &account,
    };
    let environment = compose(&EnvironmentInput {
        strip: &strip,
        ..input(base, &task)
    })
    .expect("composed");
    let value = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("HOME"), Some("/home/bob"));
    assert_eq!(value("USER"), Some("bob"));
    assert_eq!(value("PATH"), Some("/opt"));
    assert_eq!(value("KEY"), None);
}
