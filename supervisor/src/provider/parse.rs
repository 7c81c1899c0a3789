//! From a provider file's text to a [`Provider`].

use protocol::ProviderName;
use protocol::limits::MAX_TEXT_FIELD;
use protocol::shim::Leftovers;
use protocol::vocab::SignalName;
use regex_lite::Regex;
use toml::de::DeTable;

use super::{
    Cumulative, LimitRules, NewId, Place, ProcessRules, Prompt, PromptVia, Provider, Session,
    Template, Word, output, surroundings,
};
use crate::document::{self, Problem, Section, Value};

/// SIGTERM.
const DEFAULT_STOP_SIGNAL: i32 = 15;

const PLACES: [(&str, Place); 5] = [
    ("{argv}", Place::Argv),
    ("{args}", Place::Args),
    ("{model}", Place::Model),
    ("{session}", Place::Session),
    ("{prompt}", Place::Prompt),
];

/// Reads a file's text.
pub(super) fn provider(file: &str, text: &str) -> Result<Provider, Vec<Problem>> {
    let found = document::read(file, text, |top| {
        let name = name(top);
        let description = required_text(top, "description");
        let tested = top.text("tested").map(|tested| tested.value);
        let command = command(top);
        let prompt = prompt(&mut top.section("prompt"));
        let model = model(&mut top.section("model"));
        let session = session(&mut top.section("session"));
        let env = surroundings::env(&mut top.section("env"));
        let login = surroundings::login(&mut top.section("login"));
        let process = process(&mut top.section("process"));
        let limits = limits(&mut top.section("limits"));
        let cumulative = counters(&mut top.section("counters"));
        let scan = output::scan(&mut top.section("output"));
        // Only now: all sections were asked for, and each has said what is wrong with it.
        let provider = Provider {
            name: name?,
            description: description?,
            tested,
            command: command?,
            prompt,
            model,
            session,
            env,
            login,
            process,
            limits,
            cumulative,
            scan,
        };
        check_places(top, &provider);
        Some(provider)
    })?;
    // `None` goes with a problem always; this keeps the function total.
    found.ok_or_else(Vec::new)
}

/// The name that a file declares, even if the rest of it is wrong.
pub(super) fn declared_name(text: &str) -> Option<String> {
    let (table, _) = DeTable::parse_recoverable(text);
    table
        .get_ref()
        .get("name")?
        .get_ref()
        .as_str()
        .map(str::to_owned)
}

fn name(top: &mut Section<'_>) -> Option<ProviderName> {
    let name = required_text(top, "name")?;
    match ProviderName::new(name.clone()) {
        Ok(name) => Some(name),
        Err(error) => {
            let what =
                format!("`{name}` is not a provider's name: {error}; use a-z, 0-9, `_` and `-`");
            if let Some(value) = top.text("name") {
                top.complain_about(&value, &what);
            }
            None
        }
    }
}

fn required_text(top: &mut Section<'_>, key: &'static str) -> Option<String> {
    let Some(text) = top.text(key) else {
        top.complain(&format!("the key `{key}` is missing"));
        return None;
    };
    if text.value.is_empty() || text.value.len() > MAX_TEXT_FIELD {
        top.complain_about(
            &text,
            &format!("expected 1 to {MAX_TEXT_FIELD} bytes of text"),
        );
        return None;
    }
    Some(text.value)
}

fn command(top: &mut Section<'_>) -> Option<Vec<Word>> {
    let Some(words) = top.words("command") else {
        top.complain("the key `command` is missing");
        return None;
    };
    let mut command = Vec::new();
    for word in words {
        let place = PLACES.iter().find(|(text, _)| *text == word.value);
        match place {
            Some((_, place)) if command.contains(&Word::Place(*place)) => {
                top.complain_about(&word, &format!("`{}` may stand here once", word.value));
            }
            Some((_, place)) => command.push(Word::Place(*place)),
            None if looks_like_place(&word.value) => {
                let what = format!("`{}` is not a place; {}", word.value, known_places());
                top.complain_about(&word, &what);
            }
            None => command.push(Word::Literal(word.value)),
        }
    }
    match command.first() {
        Some(Word::Literal(_) | Word::Place(Place::Argv)) => Some(command),
        Some(Word::Place(_)) | None => {
            top.complain("`command` has to begin with a program or with `{argv}`");
            None
        }
    }
}

fn known_places() -> String {
    format!(
        "known: {}",
        PLACES.map(|(text, _)| format!("`{text}`")).join(", ")
    )
}

/// `{word}`: meant as a place, even if it is none.
fn looks_like_place(word: &str) -> bool {
    let inner = word
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| {
        !inner.is_empty() && inner.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    })
}

/// Every section with words needs its place in the command, and every place
/// its section.
fn check_places(top: &Section<'_>, provider: &Provider) {
    let session_words = provider
        .session
        .as_ref()
        .is_some_and(|s| !(s.resume.is_empty() && s.choose.is_empty()));
    let uses = [
        ("model", "{model}", Place::Model, !provider.model.is_empty()),
        ("session", "{session}", Place::Session, session_words),
        (
            "prompt",
            "{prompt}",
            Place::Prompt,
            !provider.prompt.args.is_empty(),
        ),
    ];
    if provider.can_resume() && !provider.can_choose_session() && !provider.scan.tells_session() {
        top.complain(
            "`[session]` has `resume`, and nothing says which id: a rule with `take = { session_id \
             = … }`, a pattern that means `session_id_follows`, or `choose`",
        );
    }
    for (section, place_text, place, has_words) in uses {
        match (has_words, provider.has(place)) {
            (true, false) => top.complain(&format!(
                "`[{section}]` has words, and `command` does not say where they go: put \
                 `{place_text}` into it"
            )),
            (false, true) => top.complain(&format!(
                "`command` has `{place_text}`, and `[{section}]` has no words for it"
            )),
            (true, true) | (false, false) => {}
        }
    }
}

fn prompt(section: &mut Section<'_>) -> Prompt {
    let words = [
        ("stdin", PromptVia::Stdin),
        ("argument", PromptVia::Argument),
        ("none", PromptVia::Nowhere),
    ];
    let via = section.choice("via", &words);
    if via.is_none() && section.is_there() {
        section.complain("`via` says how the prompt is given: `stdin`, `argument` or `none`");
    }
    let via = via.unwrap_or_default();
    let args = templates(section, "args", "{prompt}");
    let mentions = args.iter().any(|word| word.after.is_some());
    let required = section.flag("required").unwrap_or(false);
    match via {
        PromptVia::Argument if args.is_empty() => {
            return Prompt {
                via,
                args: vec![whole_value()],
                required,
            };
        }
        PromptVia::Argument if !mentions => section.complain("`args` does not have `{prompt}`"),
        PromptVia::Stdin if mentions => {
            section.complain("the prompt goes to stdin: `args` must not have `{prompt}`");
        }
        PromptVia::Nowhere if required || !args.is_empty() => {
            section.complain("with `via = \"none\"` there is nothing else to say");
        }
        PromptVia::Argument | PromptVia::Stdin | PromptVia::Nowhere => {}
    }
    Prompt {
        via,
        args,
        required,
    }
}

fn model(section: &mut Section<'_>) -> Vec<Template> {
    let args = templates(section, "args", "{model}");
    if section.is_there() && !args.iter().any(|word| word.after.is_some()) {
        section.complain("`args` does not have `{model}`");
    }
    args
}

fn session(section: &mut Section<'_>) -> Option<Session> {
    let pattern = section.text("pattern");
    let resume = templates(section, "resume", "{session_id}");
    let choose = templates(section, "choose", "{session_id}");
    let new_id = section.choice("new_id", &[("uuid_v4", NewId::UuidV4)]);
    if !section.is_there() {
        return None;
    }
    for (key, args) in [("resume", &resume), ("choose", &choose)] {
        if !args.is_empty() && !args.iter().any(|word| word.after.is_some()) {
            section.complain(&format!("`{key}` does not have `{{session_id}}`"));
        }
    }
    if new_id.is_some() && choose.is_empty() {
        section.complain("`new_id` is for ids that are chosen, and there is no `choose`");
    }
    if new_id.is_none() && !choose.is_empty() {
        section.complain("`choose` needs `new_id`, which says how an id is made: `\"uuid_v4\"`");
    }
    let Some(pattern) = pattern else {
        section.complain("`pattern` is missing: what does a session id look like?");
        return None;
    };
    let regex = whole_match(section, &pattern)?;
    let session = Session {
        pattern: regex,
        pattern_text: pattern.value.clone(),
        resume,
        choose,
        new_id: new_id.unwrap_or_default(),
    };
    let sample = session.new_id.make([0xa5; 16]);
    if !session.choose.is_empty() && !session.pattern.is_match(&sample) {
        let what = format!("ids are chosen like `{sample}`, and the pattern does not match that");
        section.complain_about(&pattern, &what);
    }
    Some(session)
}

fn whole_match(section: &Section<'_>, pattern: &Value<String>) -> Option<Regex> {
    match Regex::new(&format!("^(?:{})$", pattern.value)) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let what = format!("`{}` is not a regular expression: {error}", pattern.value);
            section.complain_about(pattern, &what);
            None
        }
    }
}

fn process(section: &mut Section<'_>) -> ProcessRules {
    let stop_signal = section
        .text("stop_signal")
        .and_then(|name| stop_signal(section, &name));
    let term_exit = section.numbers("term_exit", 0..=255).unwrap_or_default();
    let words = [("end", Leftovers::End), ("report", Leftovers::Report)];
    ProcessRules {
        stop_signal: stop_signal.unwrap_or(DEFAULT_STOP_SIGNAL),
        term_exit: term_exit
            .into_iter()
            .filter_map(|code| i32::try_from(code).ok())
            .collect(),
        leftovers: section
            .choice("leftovers", &words)
            .unwrap_or(Leftovers::End),
    }
}

fn stop_signal(section: &Section<'_>, name: &Value<String>) -> Option<i32> {
    let asks_to_end = [
        "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2",
    ];
    if asks_to_end.contains(&name.value.as_str()) {
        return SignalName::parse(&name.value);
    }
    let what = format!("`{}` is not one of {}", name.value, asks_to_end.join(", "));
    section.complain_about(name, &what);
    None
}

fn limits(section: &mut Section<'_>) -> LimitRules {
    LimitRules {
        idle_timeout_ms: section.limit_ms("idle_timeout"),
        start_timeout_ms: section.limit_ms("start_timeout"),
        grace_ms: section.duration_ms("grace").map(|limit| limit.value),
    }
}

fn counters(section: &mut Section<'_>) -> Cumulative {
    let mut cumulative = Cumulative::default();
    for word in section.words("cumulative").unwrap_or_default() {
        match word.value.as_str() {
            "turns" => cumulative.turns = true,
            "tokens" => cumulative.tokens = true,
            "cost" => cumulative.cost = true,
            other => {
                let what = format!("`{other}` is not one of `turns`, `tokens`, `cost`");
                section.complain_about(&word, &what);
            }
        }
    }
    cumulative
}

/// The words of `key`; `value` stands in them for the value.
fn templates(section: &mut Section<'_>, key: &'static str, value: &str) -> Vec<Template> {
    let mut templates = Vec::new();
    for word in section.words(key).unwrap_or_default() {
        match word.value.split_once(value) {
            Some((before, after)) => templates.push(Template {
                before: before.to_owned(),
                after: Some(after.to_owned()),
            }),
            None => {
                if looks_like_place(&word.value) {
                    let what = format!("`{}` is not known here; known: `{value}`", word.value);
                    section.complain_about(&word, &what);
                }
                templates.push(Template::literal(&word.value));
            }
        }
    }
    templates
}

fn whole_value() -> Template {
    Template {
        before: String::new(),
        after: Some(String::new()),
    }
}
