//! The defaults, and every message literally.

use super::*;

fn problems(text: &str) -> Vec<String> {
    match Config::parse("config.toml", text) {
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn an_empty_file_is_the_default() {
    let config = Config::parse("config.toml", "").expect("nothing to be wrong");
    assert_eq!(config, Config::default());
    assert_eq!(config.limits.max_tasks, 1000);
    assert_eq!(config.limits.max_log_bytes, 1 << 30);
    assert_eq!(config.shutdown.on_restart, AgentsAtEnd::Keep);
    assert_eq!(config.shutdown.on_stop, AgentsAtEnd::Drain);
    assert_eq!(config.shutdown.drain_ms, 60_000);
    assert_eq!(config.shutdown.grace_ms, 5_000);
    assert_eq!(config.ledger.on_damage, OnDamage::Refuse);
    assert_eq!(config.http.listen, None);
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [limits]
        max_tasks = 7
        max_queued = 0
        max_log_bytes = "64M"
        [control]
        group = "agents"
        [env]
        base = { PATH = "/bin", EDITOR = "true" }
        strip = ["SECRET", "AWS_*"]
        [ledger]
        on_damage = "recover"
        [shutdown]
        on_restart = "drain"
        on_stop = "keep"
        drain_ms = 1000
        grace_ms = 0
        [http]
        listen = "127.0.0.1:7411"
        token_file = "/etc/token"
        [defaults]
        provider = "claude"
        model = "opus"
        timeout = "1h30m"
        idle_timeout = "10m"
        start_timeout = "90s"
        grace = "500ms"
        [retention]
        max_age = "90d"
        max_tasks = 100000
    "#;
    let config = Config::parse("config.toml", text).expect("all of it is right");
    assert_eq!((config.limits.max_tasks, config.limits.max_queued), (7, 0));
    assert_eq!(config.limits.max_log_bytes, 64 << 20);
    assert_eq!(config.control.group.as_deref(), Some("agents"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let base = vec![
        pair("LANG", "C.UTF-8"),
        pair("EDITOR", "true"),
        pair("PATH", "/bin"),
    ];
    assert_eq!(config.env.base, base);
    assert_eq!(config.env.strip, ["SECRET", "AWS_*"]);
    assert_eq!(config.ledger.on_damage, OnDamage::Recover);
    let shutdown = Shutdown {
        on_restart: AgentsAtEnd::Drain,
        on_stop: AgentsAtEnd::Keep,
        drain_ms: 1000,
        grace_ms: 0,
    };
    assert_eq!(config.shutdown, shutdown);
    let here = "127.0.0.1:7411".parse().expect("an address");
    assert_eq!(config.http.listen, Some(Listen::Address(here)));
    assert_eq!(
        config.defaults.provider.as_ref().map(ProviderName::as_str),
        Some("claude")
    );
    assert_eq!(config.defaults.timeout_ms, Some(5_400_000));
    assert_eq!(config.defaults.idle_timeout_ms, Some(600_000));
    assert_eq!(config.defaults.start_timeout_ms, Some(90_000));
    assert_eq!(config.defaults.grace_ms, Some(500));
    assert_eq!(config.retention.max_age_ms, Some(90 * 86_400_000));
    assert_eq!(config.retention.max_tasks, Some(100_000));
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let text = "[limits]\nmax_taks = 3\n\n[defaultz]\nprovider = \"exec\"\n[env]\ncolour = 1\n";
    assert_eq!(
        problems(text),
        [
            "config.toml:2: limits.max_taks: unknown key; did you mean `max_tasks`?",
            "config.toml:4: defaultz: unknown key; did you mean `defaults`?",
            "config.toml:7: env.colour: unknown key; known here: base, strip",
        ]
    );
}

#[test]
fn wrong_values_say_what_is_expected() {
    let text = r#"
[limits]
max_tasks = 0
max_queued = "many"
max_log_bytes = "2X"
[shutdown]
on_stop = "dran"
drain_ms = -1
[defaults]
timeout = "10"
idle_timeout = "0s"
provider = "Claude"
model = ""
[http]
listen = "0.0.0.0:80"
[env]
strip = ["*", "A=B", 3]
base = { X = 1 }
[control]
group = ["a"]
"#;
    assert_eq!(
        problems(text),
        [
            "config.toml:3: limits.max_tasks: expected a number from 1 to 100000, found 0",
            "config.toml:4: limits.max_queued: expected a whole number, found string",
            "config.toml:5: limits.max_log_bytes: `2X` is not a size: expected a number with a \
             unit, e.g. `512K`, `64M`, `2G`",
            "config.toml:7: shutdown.on_stop: `dran` is not one of `keep`, `drain`; did you mean \
             `drain`?",
            "config.toml:8: shutdown.drain_ms: expected a number from 0 to 31622400000, found -1",
            "config.toml:10: defaults.timeout: `10` is not a duration: expected a number with a \
             unit, e.g. `90s`, `10m`, `1h30m`, `500ms`",
            "config.toml:11: defaults.idle_timeout: zero would end every task at once; leave the \
             key out",
            "config.toml:12: defaults.provider: `Claude` is not a provider's name: the character \
             'C' is not allowed",
            "config.toml:13: defaults.model: it is empty; leave the key out",
            "config.toml:15: http.listen: 0.0.0.0:80: not a loopback address: other machines \
             could start programs here; set `token_file`",
            "config.toml:17: env.strip[2]: expected a string, found integer",
            "config.toml:17: env.strip[0]: `*` is not a variable's name, with or without a `*` at \
             its end",
            "config.toml:17: env.strip[1]: `A=B` is not a variable's name, with or without a `*` \
             at its end",
            "config.toml:18: env.base.X: expected a string, found integer",
            "config.toml:20: control.group: expected a string, found array",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    assert_eq!(problems("[limits]\nmax_tasks 3\n").len(), 1);
    let message = problems("[limits]\nmax_tasks 3\n").remove(0);
    assert!(message.starts_with("config.toml:2: "), "{message}");
    assert_eq!(
        problems("limits = 3"),
        ["config.toml:1: limits: expected a section, found integer"]
    );
}

#[test]
fn a_missing_file_counts_only_if_it_was_named() {
    let path = std::env::temp_dir().join("no-such-folder-of-this-test/config.toml");
    let usual = Config::load(&ConfigFile::Usual(path.clone())).expect("the defaults hold");
    assert_eq!(usual, Config::default());
    let error = Config::load(&ConfigFile::Named(path.clone())).expect_err("it was named");
    assert_eq!(
        error.to_string(),
        format!("cannot read the configuration file {}", path.display())
    );
}

#[test]
fn no_value_of_an_environment_is_in_debug() {
    let config = Config::parse("c", "[env]\nbase = { API_KEY = \"hush\" }\n").expect("good");
    let shown = format!("{config:?}");
    assert!(
        shown.contains("API_KEY") && !shown.contains("hush"),
        "{shown}"
    );
}

#[test]
fn a_crash_loop_has_a_number_and_a_time() {
    let limit = |text: &str| {
        let config = Config::parse("c", &format!("[limits]\n{text}"));
        config.map(|config| {
            (
                config.limits.crash_loop.tasks,
                config.limits.crash_loop.window_ms,
            )
        })
    };
    assert_eq!(limit("").expect("good"), (3, 60_000));
    let other = limit("crash_loop_tasks = 0\ncrash_loop_window = \"5m\"\n");
    assert_eq!(other.expect("good"), (0, 300_000));
    for (text, words) in [
        ("crash_loop_tasks = 33\n", "crash_loop_tasks"),
        ("crash_loop_window = \"0s\"\n", "turns the limit off"),
    ] {
        let refused = limit(text).expect_err(text).to_string();
        assert!(refused.contains(words), "{refused}");
    }
}
