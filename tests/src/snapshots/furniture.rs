//! What every script finds in its world: an agent without a conversation, and
//! a provider with one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::World;

/// `agent WORDS…`, for provider `exec`.
const AGENT: &str = r#"#!/bin/sh
case "$1" in
say) shift; echo "$*" ;;
fail) echo "something broke" >&2; exit "$2" ;;
die) kill -"$2" $$ ;;
stay) : >"$2.up"; exec sleep 600 ;;
leave) setsid leftover "$2" >/dev/null 2>&1 </dev/null & ;;
esac
"#;

/// What `agent leave` leaves behind.
const LEFTOVER: &str = r#"#!/bin/sh
mkfifo "$1.fifo"
exec 3<>"$1.fifo"
: >"$1.up"
read -r nothing <&3
"#;

/// The program of provider `chat`. Its conversations are `s-1`, `s-2`, …
const CHAT: &str = r#"#!/bin/sh
read -r word rest
id=$1
if [ -z "$id" ]; then
    n=$(($(cat chats 2>/dev/null || echo 0) + 1))
    echo $n >chats
    id=s-$n
fi
if [ "$word" = forgotten ]; then
    echo "no such chat" >&2
    exit 1
fi
echo "{\"type\":\"begin\",\"id\":\"$id\",\"model\":\"m-1\"}"
end() {
    echo "{\"type\":\"end\",\"ok\":$1,\"text\":\"$2\",\"turns\":1,\"in\":20,\"out\":5,\"cost\":0.25}"
}
case "$word" in
say) end true "$rest" ;;
fail) end false "$rest"; exit 1 ;;
unskilled) echo "no such skill: $rest" >&2; exit 1 ;;
overloaded) echo "overloaded" >&2; exit 1 ;;
stay) : >"$rest.up"; exec sleep 600 ;;
esac
"#;

/// The file of provider `chat`.
const FILE: &str = r#"name = "chat"
description = "Conversations of the tests"
tested = "1"
command = ["chat", "{session}", "{args}"]

[prompt]
via = "stdin"
required = true

[session]
pattern = 's-[0-9]+'
resume = ["{session_id}"]

[output]
format = "json-lines"
promises_result = true

[[output.rule]]
when = { type = "begin" }
take = { session_id = "id", model = "model" }

[[output.rule]]
when = { type = "end" }
result = true
success = { ok = true }
[output.rule.take]
result_text = "text"
turns = "turns"
input_tokens = "in"
output_tokens = "out"
cost_usd = "cost"

[[output.pattern]]
stream = "stderr"
contains = "no such chat"
means = "session_not_found"

[[output.pattern]]
stream = "stderr"
contains = "no such skill"
means = "missing_skill"

[[output.pattern]]
stream = "stderr"
contains = "overloaded"
means = "transient"
"#;

pub(super) fn put_into(world: &World) {
    for (name, text) in [("agent", AGENT), ("leftover", LEFTOVER), ("chat", CHAT)] {
        let path = world.path(&format!("bin/{name}"));
        fs::write(&path, text).expect("a program can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    fs::create_dir_all(world.providers_dir()).expect("a folder can be made");
    fs::write(world.providers_dir().join("chat.toml"), FILE).expect("a file can be written");
}
