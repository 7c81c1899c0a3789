//! What is said of a file that cannot be used: with line, key and help.

use super::problems;

/// The least that a file needs, in three lines.
const HEAD: &str = "name = \"p\"\ndescription = \"d\"\ncommand = [\"p\", \"{args}\"]\n";

/// What is wrong with these lines behind the head; they begin with line 4.
fn behind_head(text: &str) -> Vec<String> {
    problems(&format!("{HEAD}{text}"))
}

/// A line that tells the session id.
const TELLS: &str = "[[output.pattern]]\nstream = \"stderr\"\ncontains = \"id=\"\n\
                     means = \"session_id_follows\"\n";

/// Bug: such files were good, and could not do what they say.
#[test]
fn a_file_that_cannot_do_what_it_says_is_told_so() {
    let session = |lines: &str| {
        let head = HEAD.replace("{args}", "{session}");
        problems(&format!("{head}[session]\npattern = '[0-9a-f-]+'\n{lines}"))
    };
    let resume = "resume = [\"-r\", \"{session_id}\"]\n";
    assert_eq!(
        session(resume),
        [
            "test.toml:1: `[session]` has `resume`, and nothing says which id: a rule with `take = { \
             session_id = … }`, a pattern that means `session_id_follows`, or `choose`"
        ]
    );
    let choose = "choose = [\"-s\", \"{session_id}\"]\n";
    assert_eq!(
        session(&format!("{resume}{choose}")),
        [
            "test.toml:4: session: `choose` needs `new_id`, which says how an id is made: \
             `\"uuid_v4\"`"
        ]
    );
    let whole = format!("{resume}{choose}new_id = \"uuid_v4\"\n");
    assert_eq!(session(&whole), Vec::<String>::new());
    let ours = ["TMPDIR", "AGENT_SUPERVISOR_RUNTIME_DIR", "AGENT_TASK_t1"];
    for name in ours {
        assert_eq!(
            behind_head(&format!("[env]\nset = {{ {name} = \"x\" }}\n")),
            [format!(
                "test.toml:5: env.set.{name}: `{name}` is reserved: each task has one of its own"
            )]
        );
    }
}

#[test]
fn the_least_file_is_good() {
    assert_eq!(problems(HEAD), Vec::<String>::new());
}

#[test]
fn missing_keys_are_all_named() {
    assert_eq!(
        problems("[prompt]\n"),
        [
            "test.toml:1: the key `name` is missing",
            "test.toml:1: the key `description` is missing",
            "test.toml:1: the key `command` is missing",
            "test.toml:1: prompt: `via` says how the prompt is given: `stdin`, `argument` or `none`",
        ]
    );
}

#[test]
fn a_mistake_at_the_top_hides_nothing_of_the_sections() {
    let text = "name = \"P\"\n[process]\nleftovers = \"forget\"\n[limits]\ngrace = \"5s\"\n\
                [output]\nformat = \"xml\"\n";
    assert_eq!(
        problems(text),
        [
            "test.toml:1: name: `P` is not a provider's name: the character 'P' is not allowed; use \
             a-z, 0-9, `_` and `-`",
            "test.toml:1: the key `description` is missing",
            "test.toml:1: the key `command` is missing",
            "test.toml:3: process.leftovers: `forget` is not one of `end`, `report`",
            "test.toml:7: output.format: `xml` is not one of `opaque`, `json-lines`",
        ]
    );
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let text =
        "comand = 1\n[promt]\n[session]\npattern = 'x'\nresme = []\n[[output.rule]]\nfoo = 1\n";
    assert_eq!(
        behind_head(text),
        [
            "test.toml:4: comand: unknown key; did you mean `command`?",
            "test.toml:5: promt: unknown key; did you mean `prompt`?",
            "test.toml:8: session.resme: unknown key; did you mean `resume`?",
            "test.toml:9: output.rule[0]: the rule does nothing: give it `take`, `result` or `means`",
            "test.toml:9: output: rules read JSON: set `format = \"json-lines\"`",
            "test.toml:10: output.rule[0].foo: unknown key; known here: when, result, success, \
             means, take",
        ]
    );
}

#[test]
fn places_and_sections_have_to_fit() {
    let text = "name = \"p\"\ndescription = \"d\"\ncommand = [\"p\", \"{modle}\", \"{session}\", \
                \"{session}\"]\n[prompt]\nvia = \"argument\"\n[model]\nargs = [\"-m\"]\n";
    assert_eq!(
        problems(text),
        [
            "test.toml:1: `[model]` has words, and `command` does not say where they go: put \
             `{model}` into it",
            "test.toml:1: `command` has `{session}`, and `[session]` has no words for it",
            "test.toml:1: `[prompt]` has words, and `command` does not say where they go: put \
             `{prompt}` into it",
            "test.toml:3: command[1]: `{modle}` is not a place; known: `{argv}`, `{args}`, \
             `{model}`, `{session}`, `{prompt}`",
            "test.toml:3: command[3]: `{session}` may stand here once",
            "test.toml:6: model: `args` does not have `{model}`",
        ]
    );
    assert_eq!(
        problems("name = \"p\"\ndescription = \"d\"\ncommand = [\"{args}\", \"p\"]\n"),
        ["test.toml:1: `command` has to begin with a program or with `{argv}`"]
    );
}

#[test]
fn sessions_need_a_pattern_that_fits() {
    let session = |lines: &str| {
        let head = HEAD.replace("{args}", "{session}");
        problems(&format!(
            "{head}[session]\nresume = [\"-r\", \"{{session_id}}\"]\n{lines}{TELLS}"
        ))
    };
    assert_eq!(
        session(""),
        [
            "test.toml:1: `command` has `{session}`, and `[session]` has no words for it",
            "test.toml:4: session: `pattern` is missing: what does a session id look like?",
        ]
    );
    assert_eq!(
        session(
            "pattern = 'ses_[a-z]+'\nchoose = [\"-s\", \"{session_id}\"]\nnew_id = \"uuid_v4\"\n"
        ),
        [
            "test.toml:6: session.pattern: ids are chosen like `a5a5a5a5-a5a5-45a5-a5a5-a5a5a5a5a5a5`, \
          and the pattern does not match that"
        ]
    );
    assert_eq!(
        session("pattern = 'x'\nnew_id = \"uuid_v4\"\n"),
        ["test.toml:4: session: `new_id` is for ids that are chosen, and there is no `choose`"]
    );
    assert_eq!(session("pattern = 'x'\n"), Vec::<String>::new());
    assert!(session("pattern = '('\n")[1].contains("`(` is not a regular expression: "));
}

#[test]
fn rules_are_checked_path_by_path() {
    let text = r#"[output]
format = "json-lines"
promises_result = true
[[output.rule]]
when = { "a..b" = 1, x = { starts = "y" }, y = { contains = "" }, z = [1] }
take = { session = "id", sesion_id = "id", model = 3, turns = ["a", "b["] }
[[output.rule]]
success = false
means = "transiet"
[[output.pattern]]
stream = "stderr"
contains = "x"
means = "session_id_folows"
"#;
    assert_eq!(
        behind_head(text),
        [
            "test.toml:4: output: a result is promised, and no rule has `result = true`",
            "test.toml:8: output.rule[0].when.a..b: `a..b` is not a path: a key is empty or not \
             closed, e.g. `usage.input_tokens` or `content[].text`",
            "test.toml:8: output.rule[0].when.x: `starts` is not one of `equals`, `contains`, \
             `present`, `absent`, `null`, `at_least`; a path with dots is put in quotes: \"a.b\" = …",
            "test.toml:8: output.rule[0].when.y: an empty text is in everything",
            "test.toml:8: output.rule[0].when.z: expected a string, number or flag, found array",
            "test.toml:9: output.rule[0].take.model: expected a path or an array of paths, found \
             integer",
            "test.toml:9: output.rule[0].take.sesion_id: unknown field; did you mean `session_id`?",
            "test.toml:9: output.rule[0].take.session: unknown field; did you mean `session_id`?",
            "test.toml:9: output.rule[0].take.turns: `b[` is not a path: expected `.` or `[]` \
             after a key, e.g. `usage.input_tokens` or `content[].text`",
            "test.toml:10: output.rule[1]: only a rule with `result = true` has a `success`",
            "test.toml:10: output.rule[1]: `success = false` needs a `when`",
            "test.toml:10: output.rule[1]: the rule does nothing: give it `take`, `result` or \
             `means`",
            "test.toml:12: output.rule[1].means: `transiet` is not one of `session_not_found`, \
             `transient`, `missing_skill`; did you mean `transient`?",
            "test.toml:13: output.pattern[0]: a pattern needs `stream`, `contains` and `means`",
            "test.toml:16: output.pattern[0].means: `session_id_folows` is not one of \
             `session_not_found`, `transient`, `missing_skill`, `session_id_follows`, \
             `first_session_id_follows`; did you mean `session_id_follows`?",
        ]
    );
}

#[test]
fn the_rest_is_checked_too() {
    let text = r#"[process]
stop_signal = "SIGKILL"
term_exit = [300]
leftovers = "kill"
[counters]
cumulative = ["costs"]
[limits]
grace = "5"
idle_timeout = "0s"
start_timeout = "0s"
[env]
set = { "A=B" = "x" }
strip = ["*"]
allow = ["A=B"]
require = ["X_*"]
[login]
files = ["auth.json"]
"#;
    assert_eq!(
        behind_head(text),
        [
            "test.toml:5: process.stop_signal: `SIGKILL` is not one of SIGTERM, SIGINT, SIGHUP, \
             SIGQUIT, SIGUSR1, SIGUSR2",
            "test.toml:6: process.term_exit[0]: expected a whole number from 0 to 255, found \
             300",
            "test.toml:7: process.leftovers: `kill` is not one of `end`, `report`",
            "test.toml:9: counters.cumulative[0]: `costs` is not one of `turns`, `tokens`, `cost`",
            "test.toml:11: limits.grace: `5` is not a duration: expected a number with a unit, \
             e.g. `90s`, `10m`, `1h30m`, `500ms`",
            "test.toml:12: limits.idle_timeout: zero would end every task at once; leave the key \
             out",
            "test.toml:13: limits.start_timeout: zero would end every task at once; leave the key \
             out",
            "test.toml:15: env.set.A=B: `A=B` is not a variable's name",
            "test.toml:16: env.strip[0]: `*` is not a variable's name",
            "test.toml:17: env.allow[0]: `A=B` is not a variable's name",
            "test.toml:18: env.require[0]: `X_*` is not a variable's name",
            "test.toml:20: login.files[0]: `auth.json` is neither absolute nor below `~/`",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let problems = problems("name = \"p\"\ncommand = [\n");
    assert!(
        !problems.is_empty() && problems[0].starts_with("test.toml:"),
        "{problems:?}"
    );
}
