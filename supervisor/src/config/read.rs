//! From the file's text to the configuration.

use std::path::{Path, PathBuf};

use lifecycle::crash_loop::{Limit as CrashLoopLimit, MOST_TASKS as MOST_TASKS_OF_A_LOOP};
use protocol::ProviderName;

use super::{
    AgentsAtEnd, Config, Control, Defaults, Env, Http, Ledger, Limits, Listen, OnDamage, Retention,
    Shutdown,
};
use crate::document::{self, Problem, Section, Value};

/// Most tasks that can be allowed. Each has two processes, and the default
/// `kernel.pid_max` of small machines is 32768.
const MOST_TASKS: u64 = 100_000;

/// Longest time in milliseconds that can be configured: a year. Beyond it a
/// limit is a typing error.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

pub(super) fn config(file: &str, text: &str) -> Result<Config, Vec<Problem>> {
    document::read(file, text, |top| Config {
        limits: limits(&mut top.section("limits")),
        control: control(&mut top.section("control")),
        env: env(&mut top.section("env")),
        ledger: ledger(&mut top.section("ledger")),
        shutdown: shutdown(&mut top.section("shutdown")),
        http: http(&mut top.section("http")),
        defaults: defaults(&mut top.section("defaults")),
        retention: retention(&mut top.section("retention")),
    })
}

fn limits(section: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    Limits {
        max_tasks: section
            .number("max_tasks", 1..=MOST_TASKS)
            .unwrap_or(default.max_tasks),
        max_queued: section
            .number("max_queued", 0..=MOST_TASKS)
            .unwrap_or(default.max_queued),
        max_log_bytes: section
            .size_bytes("max_log_bytes")
            .unwrap_or(default.max_log_bytes),
        crash_loop: CrashLoopLimit {
            tasks: section
                .number("crash_loop_tasks", 0..=MOST_TASKS_OF_A_LOOP)
                .unwrap_or(default.crash_loop.tasks),
            window_ms: window_ms(section, "crash_loop_window")
                .unwrap_or(default.crash_loop.window_ms),
        },
    }
}

fn window_ms(section: &mut Section<'_>, key: &'static str) -> Option<u64> {
    let window = section.duration_ms(key)?;
    if window.value == 0 {
        let what = "no task ends within no time; `crash_loop_tasks = 0` turns the limit off";
        section.complain_about(&window, what);
    }
    Some(window.value)
}

fn control(section: &mut Section<'_>) -> Control {
    Control {
        group: section
            .text("group")
            .and_then(|group| not_empty(section, group)),
    }
}

fn env(section: &mut Section<'_>) -> Env {
    let mut env = Env::default();
    for (name, value) in section.pairs("base").unwrap_or_default() {
        if !is_variable_name(&name) {
            section.complain_about(
                &value,
                "a variable's name is not empty and has no `=` in it",
            );
        }
        env.base.retain(|(earlier, _)| *earlier != name);
        env.base.push((name, value.value));
    }
    for name in section.words("strip").unwrap_or_default() {
        let stem = name.value.strip_suffix('*').unwrap_or(&name.value);
        if stem.is_empty() || stem.contains(['*', '=']) {
            let what = format!(
                "`{}` is not a variable's name, with or without a `*` at its end",
                name.value
            );
            section.complain_about(&name, &what);
        }
        env.strip.push(name.value);
    }
    env
}

fn ledger(section: &mut Section<'_>) -> Ledger {
    let words = [("refuse", OnDamage::Refuse), ("recover", OnDamage::Recover)];
    Ledger {
        on_damage: section.choice("on_damage", &words).unwrap_or_default(),
    }
}

fn shutdown(section: &mut Section<'_>) -> Shutdown {
    let default = Shutdown::default();
    let words = [("keep", AgentsAtEnd::Keep), ("drain", AgentsAtEnd::Drain)];
    Shutdown {
        on_restart: section
            .choice("on_restart", &words)
            .unwrap_or(default.on_restart),
        on_stop: section.choice("on_stop", &words).unwrap_or(default.on_stop),
        drain_ms: section
            .number("drain_ms", 0..=LONGEST_MS)
            .unwrap_or(default.drain_ms),
        grace_ms: section
            .number("grace_ms", 0..=LONGEST_MS)
            .unwrap_or(default.grace_ms),
    }
}

fn http(section: &mut Section<'_>) -> Http {
    let listen = section.text("listen");
    let place = listen.as_ref().and_then(|listen| place(section, listen));
    let token_file = section.text("token_file").map(|file| {
        if !file.value.starts_with('/') {
            section.complain_about(&file, "expected an absolute path");
        }
        PathBuf::from(file.value)
    });
    if let (Some(listen), Some(Listen::Address(address))) = (&listen, &place)
        && token_file.is_none()
    {
        let who = if address.ip().is_loopback() {
            "every user and every web page on this machine"
        } else {
            "not a loopback address: other machines"
        };
        let what = format!("{address}: {who} could start programs here; set `token_file`");
        section.complain_about(listen, &what);
    }
    Http {
        listen: place,
        token_file,
    }
}

fn place(section: &Section<'_>, text: &Value<String>) -> Option<Listen> {
    let place = match text.value.strip_prefix("unix:") {
        Some(path) => socket_file(Path::new(path)),
        None => text.value.parse().ok().map(Listen::Address),
    };
    if place.is_none() {
        let what = format!(
            "`{}` is not an address with a port or a socket's path, e.g. `127.0.0.1:7411`, \
             `[::1]:7411` or `unix:/run/agents/http.sock`",
            text.value
        );
        section.complain_about(text, &what);
    }
    place
}

fn socket_file(path: &Path) -> Option<Listen> {
    let folder = path.parent().filter(|_| path.is_absolute())?;
    Some(Listen::Socket {
        folder: folder.to_owned(),
        name: path.file_name()?.to_str()?.to_owned(),
    })
}

fn defaults(section: &mut Section<'_>) -> Defaults {
    Defaults {
        provider: section
            .text("provider")
            .and_then(|name| provider_name(section, &name)),
        model: section
            .text("model")
            .and_then(|model| not_empty(section, model)),
        timeout_ms: section.limit_ms("timeout"),
        idle_timeout_ms: section.limit_ms("idle_timeout"),
        start_timeout_ms: section.limit_ms("start_timeout"),
        grace_ms: section.duration_ms("grace").map(|grace| grace.value),
    }
}

fn retention(section: &mut Section<'_>) -> Retention {
    Retention {
        max_age_ms: section.duration_ms("max_age").map(|age| age.value),
        max_tasks: section.number("max_tasks", 0..=u64::MAX),
    }
}

fn provider_name(section: &Section<'_>, name: &Value<String>) -> Option<ProviderName> {
    match ProviderName::new(name.value.clone()) {
        Ok(name) => Some(name),
        Err(error) => {
            let what = format!("`{}` is not a provider's name: {error}", name.value);
            section.complain_about(name, &what);
            None
        }
    }
}

fn not_empty(section: &Section<'_>, text: Value<String>) -> Option<String> {
    if text.value.is_empty() {
        section.complain_about(&text, "it is empty; leave the key out");
        return None;
    }
    Some(text.value)
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}
