# The leader of a task in a container: it runs the exec client, never believes
# it, and asks the container by new execs until there is a status or nobody.
engine=$1 name=$2 out=$3 entry=$4 base=$5 start=$6 look=$7
shift 7
stop=
trap 'stop=TERM' TERM HUP INT
say() { printf '%s\n' "$1" >"$out.new" && mv "$out.new" "$out"; exit 0; }
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
    answer=$("$engine" exec "$name" sh -c "$look" sh "$entry" "$mode" "$base" 2>/dev/null)
    case $answer in
        *"status "*) say "status ${answer##*status }" ;;
        *gone*) say 'gone' ;;
        *alive*) [ "$mode" = TERM ] && asked=1 ;;
        *) case $("$engine" container inspect -f '{{.State.Running}}' "$name" 2>/dev/null) in
               false) say 'stopped' ;;
           esac ;;
    esac
    sleep 0.3
done
