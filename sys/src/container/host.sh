# The leader of a task in a container: it runs the exec client, never believes
# it, and asks the container by new execs until there is a status or nobody.
engine=$1 name=$2 out=$3 entry=$4 base=$5 start=$6 look=$7
shift 7
stop= nl='
'
trap 'stop=TERM' TERM HUP INT
say() { printf '%s\n' "$1" >"$out.new" && mv "$out.new" "$out"; exit 0; }
# An engine that hangs is asked again.
if command -v timeout >/dev/null; then
    ask() { timeout -k 1 30 "$engine" "$@"; }
else
    ask() { "$engine" "$@"; }
fi
flags=
while [ "$1" != -- ]; do flags="$flags -e $1"; shift; done
shift
# shellcheck disable=SC2086 -- names of variables have no blanks
"$engine" exec -i $flags "$name" sh -c "$start" sh "$base" "$@" <&0 &
client=$!
while kill -0 "$client" 2>/dev/null && [ -z "$stop" ]; do wait "$client"; done
asked=
while :; do
    if [ -n "$stop" ] && [ -z "$asked" ]; then mode=TERM; else mode=look; fi
    answer=$(ask exec "$name" sh -c "$look" sh "$entry" "$mode" "$base" 2>/dev/null)
    case $answer in
        *"status "*) say "status ${answer##*status }" ;;
        *gone*) say 'gone' ;;
        *alive*) [ "$mode" = TERM ] && asked=1 ;;
        *) state=$(ask container inspect -f '{{.State.Status}}' "$name" 2>&1)
           # A container that is paused, or about to stop, has its processes still.
           for none in exited stopped dead created configured initialized; do
               case $nl$state$nl in *"$nl$none$nl"*) say "stopped $none" ;; esac
           done
           case $state in *[Nn]'o such container'*) say 'removed' ;; esac ;;
    esac
    sleep 0.3
done
