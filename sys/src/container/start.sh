# The starter, in the container. $1 where it writes; the agent's command follows.
base=$1; shift
read -r line </proc/self/stat
IFS=' '; set -f
rest=${line##*) }
pick() { shift 19; start=$1; }
pick $rest
(umask 077; echo "$$ $start" >"$base.pid.new" && mv "$base.pid.new" "$base.pid") || exit 125
# Who ends the task leaves this before it looks for us: what it does not see
# then, it has told here.
if [ -e "$base.stop" ]; then rm -f "$base.pid" "$base.stop"; exit 125; fi
trap : TERM HUP INT
"$@"
code=$?
echo "$code" >"$base.status.new" && mv "$base.status.new" "$base.status"
exit "$code"
