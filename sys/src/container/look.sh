# In the container. $1 the marker's entry, $2 what to do, $3 where the starter writes:
#   look  says `status N`, `alive` or `gone`
#   TERM  the same, and asks whoever is alive to end
#   end   ends all; says `empty`, or who is left
#   who   says `empty`, or who is left
#   list  says who carries any task's marker
exec 2>/dev/null
entry=$1 mode=$2 base=$3 wiped=' ' nl='
'
# All of them, each sent the signal $1 at once, if one is named. Until nobody new is there:
# who forks and ends is gone when its turn comes, and its child has no name in the list.
# Who has no environment is in the middle of an exec, or has wiped it: it is looked at again
# for a while. Where there is always somebody new (other looks, a build), ten rounds of
# newcomers among whom nobody carries it are as good.
marked() {
    found= known=$wiped sure= rounds_left=10 waits=5
    while [ -z "$found$sure" ] && [ "$rounds_left" -gt 0 ]; do
        new= bare= rounds_left=$((rounds_left - 1))
        for dir in /proc/[0-9]*; do
            case $known in *" $dir "*) continue ;; esac
            its=$(tr '\0' '\n' <"$dir/environ")
            case "$nl$its$nl" in
            "$nl$nl")
                if read -r line <"$dir/stat"; then
                    case ${line##*) } in [ZX]*) ;; *) bare="$bare$dir "; continue ;; esac
                fi ;;
            *"$nl$entry$nl"*)
                found="$found ${dir#/proc/}"
                [ -z "$1" ] || kill "-$1" "${dir#/proc/}" ;;
            esac
            known="$known$dir " new=1
        done
        if [ -n "$new" ]; then :
        elif [ -z "$bare" ]; then sure=1
        elif [ "$waits" -gt 0 ]; then waits=$((waits - 1)); sleep 0.02
        else wiped="$wiped$bare" known="$known$bare"; fi
    done
    [ -z "$found" ] || seen=1
}
# $1 a process, $2 what is said before its pid, start time and name.
name() {
    read -r line <"/proc/$1/stat" || return 0
    comm=${line#*\(}; comm=${comm%)*}
    pid=$1 word=$2
    set -f; set -- ${line##*) }; set +f
    shift 19
    echo "$word $pid $1 $comm"
}
say_who() { [ -n "$found" ] || echo empty; for pid in $found; do name "$pid" left; done; }
case $mode in
look | TERM)
    # The processes first: whoever ends between the two looks has written it.
    marked
    if [ -f "$base.status" ]; then read -r code <"$base.status"; echo "status $code"; exit; fi
    if [ -z "$found" ]; then echo gone; exit; fi
    if [ "$mode" = TERM ]; then kill -TERM $found; kill -CONT $found; fi
    echo alive; exit ;;
who)
    marked; say_who; exit ;;
list)
    known=' ' new=1 rounds_left=10
    while [ -n "$new" ] && [ "$rounds_left" -gt 0 ]; do
        new= rounds_left=$((rounds_left - 1))
        for dir in /proc/[0-9]*; do
            case $known in *" $dir "*) continue ;; esac
            known="$known$dir " new=1
            its=$(tr '\0' '\n' <"$dir/environ" | grep '^AGENT_TASK_[A-Za-z0-9_]*=[0-9a-f]*$')
            its=${its%%[!A-Za-z0-9_=]*}
            [ -z "$its" ] || name "${dir#/proc/}" "carrier $its"
        done
    done
    echo listed; exit ;;
esac
# A starter that comes after our look finds this.
(umask 077; : >"$base.stop")
marked
if [ -n "$found" ]; then
    kill -TERM $found; kill -CONT $found
    tries=0
    while [ -n "$found" ] && [ "$tries" -lt 5 ]; do sleep 0.1; marked; tries=$((tries + 1)); done
fi
rounds=0 clear=0
while [ "$clear" -lt 2 ] && [ "$rounds" -lt 100 ]; do
    marked KILL
    if [ -z "$found" ]; then clear=$((clear + 1)); else clear=0; sleep 0.05; fi
    rounds=$((rounds + 1))
done
[ "$clear" -ge 2 ] || { say_who; exit; }
# A starter that was not seen may still come: it takes the word away itself.
if [ -n "$seen" ] || [ -f "$base.pid" ]; then rm -f "$base.pid" "$base.status" "$base.stop"; fi
echo empty
