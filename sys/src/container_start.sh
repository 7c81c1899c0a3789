base=$1; shift
read -r line </proc/self/stat
IFS=' '; set -f
rest=${line##*) }
pick() { shift 19; start=$1; }
pick $rest
(umask 077; echo "$$ $start" >"$base.pid.new" && mv "$base.pid.new" "$base.pid") || exit 125
trap : TERM HUP INT
"$@"
code=$?
echo "$code" >"$base.status.new" && mv "$base.status.new" "$base.status"
exit "$code"
