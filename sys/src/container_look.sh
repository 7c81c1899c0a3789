# $1 the marker's entry, $2 look, TERM or end, $3 where the starter writes.
entry=$1 mode=$2 base=$3
marked() {
    found=
    for dir in /proc/[0-9]*; do
        if tr '\0' '\n' <"$dir/environ" 2>/dev/null | grep -qxF -e "$entry"; then
            found="$found ${dir#/proc/}"
        fi
    done
}
# The status first: whoever wrote it may still be seen below.
if [ "$mode" != end ]; then
    marked
    if [ -f "$base.status" ]; then read -r code <"$base.status"; echo "status $code"; exit; fi
    if [ -z "$found" ]; then echo gone; exit; fi
    if [ "$mode" = TERM ]; then kill -TERM $found 2>/dev/null; kill -CONT $found 2>/dev/null; fi
    echo alive; exit
fi
marked
if [ -n "$found" ]; then
    kill -TERM $found 2>/dev/null; kill -CONT $found 2>/dev/null
    tries=0
    while [ -n "$found" ] && [ "$tries" -lt 5 ]; do sleep 0.1; marked; tries=$((tries + 1)); done
fi
rounds=0 clear=0
while [ "$clear" -lt 2 ] && [ "$rounds" -lt 200 ]; do
    marked
    if [ -z "$found" ]; then clear=$((clear + 1)); else
        clear=0; kill -KILL $found 2>/dev/null; sleep 0.05; fi
    rounds=$((rounds + 1))
done
if [ "$clear" -ge 2 ]; then rm -f "$base.pid" "$base.status"; echo empty; else echo "left$found"; fi
