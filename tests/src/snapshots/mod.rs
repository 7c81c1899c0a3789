//! What `agentctl` says, word for word: scripts of its calls with their whole
//! output, in `tests/snapshots/`. A script is played in a world of its own and
//! has to come out as it is written there; `WRITE_SNAPSHOTS=1` writes what came
//! out instead, for a person to look at the difference.

mod furniture;
mod plain;
mod script;
mod words;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::World;

use plain::Plain;
use script::{Line, Stdout};

pub use script::{Call, calls};
pub use words::{Verb, verbs};

/// The variable that has what came out written.
const WRITE: &str = "WRITE_SNAPSHOTS";
/// Whom `% as nobody` means.
const NOBODY: u32 = 65534;

/// The folder of the scripts.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

/// All scripts, by their names.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn all() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the scripts are there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .collect();
    names.sort();
    names
}

/// The text of a script.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn text_of(name: &str) -> String {
    let path = folder().join(format!("{name}.txt"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Plays a script and compares.
///
/// # Panics
/// When it comes out otherwise than it is written.
pub fn compare(name: &str) {
    let kept = text_of(name);
    let played = play(&kept);
    if std::env::var_os(WRITE).is_some() {
        let path = folder().join(format!("{name}.txt"));
        std::fs::write(path, &played).expect("the repository can be written");
        return;
    }
    if let Some(difference) = difference(&kept, &played) {
        panic!(
            "agentctl does not say what tests/snapshots/{name}.txt has; if the change is meant, \
             write it with `{WRITE}=1 cargo xtask test snapshots` and look at the difference\n\
             {difference}"
        );
    }
}

/// The first lines that differ, with what stands before them.
fn difference(kept: &str, played: &str) -> Option<String> {
    const BEFORE: usize = 6;
    const SHOWN: usize = 6;
    let (kept, played): (Vec<_>, Vec<_>) = (kept.lines().collect(), played.lines().collect());
    let longest = kept.len().max(played.len());
    let at = (0..longest).find(|at| kept.get(*at) != played.get(*at))?;
    let shown = |lines: &[&str], sign: &str| {
        let lines = lines.iter().skip(at).take(SHOWN);
        lines
            .map(|line| format!("{sign} {line}\n"))
            .collect::<String>()
    };
    let before: String = kept[at.saturating_sub(BEFORE)..at]
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect();
    Some(format!(
        "line {}:\n{before}{}{}",
        at + 1,
        shown(&kept, "-"),
        shown(&played, "+")
    ))
}

/// Plays a script in a new world; gives it with what came out.
fn play(script: &str) -> String {
    let world = World::new();
    furniture::put_into(&world);
    let mut player = Player {
        plain: Plain::of(&world),
        world: &world,
        supervisor: None,
        caller: Caller::Owner,
    };
    let mut played = String::new();
    for line in script::parse(script) {
        match &line {
            Line::Words(text) => played.push_str(&format!("{text}\n")),
            Line::Call(call) => {
                let said = player.call(call);
                played.push_str(&format!("{}\n{said}", call.text));
            }
            Line::Act { text, words, data } => {
                player.act(words, data);
                played.push_str(&format!("{text}\n"));
                let data = data.lines().map(|line| format!("> {line}"));
                data.for_each(|line| played.push_str(&format!("{}\n", line.trim_end())));
            }
        }
    }
    played
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Owner,
    Nobody,
}

struct Player<'world> {
    world: &'world World,
    plain: Plain,
    supervisor: Option<std::sync::Arc<crate::harness::Supervisor>>,
    caller: Caller,
}

impl Player<'_> {
    fn call(&mut self, call: &Call) -> String {
        let mut command = self.world.ctl_command(&call.words);
        if self.caller == Caller::Nobody {
            command = self.by_nobody(&call.words);
        }
        if call.stdout == Stdout::Full {
            command = self.with_full_stdout(&command);
        }
        let output = self.world.finish(command);
        let mut said = String::new();
        for (sign, text) in [('|', &output.stdout), ('!', &output.stderr)] {
            let text = self.plain.text(text);
            let all = text.lines().count();
            let shown = call.lines.unwrap_or(all);
            for line in text.lines().take(shown) {
                said.push_str(format!("{sign} {line}").trim_end());
                said.push('\n');
            }
            if shown < all {
                said.push_str(&format!("{sign} …\n"));
            }
        }
        format!("{said}= exit {}\n", output.code())
    }

    fn act(&mut self, words: &[String], data: &str) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["start"] => self.supervisor = Some(self.world.start()),
            ["kill"] => {
                let supervisor = self.supervisor.take().expect("one was started");
                supervisor.kill();
            }
            ["write", path] => {
                let path = self.world.path(path);
                let folder = path.parent().expect("it is in a folder");
                std::fs::create_dir_all(folder).expect("a folder can be made");
                std::fs::write(path, data).expect("a file can be written");
            }
            ["remove", path] => {
                std::fs::remove_file(self.world.path(path)).expect("it was there");
            }
            ["mark", task, mark] => {
                let path = self.world.path(&format!("work/{task}.{mark}"));
                crate::harness::wait_until(mark, crate::harness::GENEROUS, || path.exists());
            }
            ["bound", task] => {
                crate::harness::wait_until("a session", crate::harness::GENEROUS, || {
                    self.world.show(task)["session_id"].is_string()
                });
            }
            ["as", "nobody"] => self.caller = Caller::Nobody,
            ["as", "owner"] => self.caller = Caller::Owner,
            other => panic!("a script has no act {other:?}"),
        }
    }

    /// The same call with a stdout that takes nothing.
    fn with_full_stdout(&self, call: &Command) -> Command {
        let mut shell = self.world.command("/bin/sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >/dev/full"]);
        shell.arg(call.get_program()).args(call.get_args());
        shell
    }

    /// Another user's call, from a copy of the program that this user may run.
    /// Where the tests are no superuser the socket is closed instead.
    fn by_nobody(&self, words: &[String]) -> Command {
        let open = |path: &Path, mode: u32| {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, mode).expect("ours");
        };
        let mut command = self.world.ctl_command(words);
        if !nix::unistd::Uid::effective().is_root() {
            open(&self.world.runtime_dir(), 0);
            return command;
        }
        let copy = self.world.path("bin/agentctl");
        std::fs::copy(self.world.bins().agentctl(), &copy).expect("a copy can be made");
        open(self.world.dir(), 0o755);
        let mut other = Command::new(copy);
        other.args(words).env_clear();
        let variables = command.get_envs();
        other.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        other.current_dir(self.world.dir()).uid(NOBODY);
        command = other;
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let shown = difference("a\nb\n", "a\nc\nd\n").expect("they differ");
        assert_eq!(shown, "line 2:\n  a\n- b\n+ c\n+ d\n");
    }
}
