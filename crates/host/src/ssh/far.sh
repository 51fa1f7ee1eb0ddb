# Runs one command at the far end of a connection. Stdin holds, in this order: a line with the five words that `read`
# takes, the text for `begin`, the command's own stdin, and a line with a dot; then it stays open for as long as
# somebody waits. Streams: 3 and 4 are the connection's own stdout and stderr, 5 are the events that `watch` reads.
# It needs what every Debian has: a POSIX sh, coreutils and setsid.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The first process of the command's own session and group, which becomes the command.
begin='
exec 2>&4 4>&-
echo "group $$" >&5
look() (
    case $1 in
    */*) set -- "$1" "" ;;
    *) set -- "$1" "$PATH:" ;;
    esac
    IFS=: found=missing
    set -f
    for dir in ${2:-:}; do
        file=${2:+${dir:-.}/}$1
        if [ -f "$file" ] && [ -x "$file" ]; then exit 0; fi
        if [ -e "$file" ]; then found=denied; fi
    done
    echo "$found" >&5
    exit 1
)
text=$(head -c "$1")
if [ ${#text} -ne "$1" ]; then exit 1; fi
eval "$text"
look "$1" || exit 1
echo begun >&5
exec "$@" 5>&-
'

# A command never sees the end of a stdin that was cut off: nobody closes it before the command is killed.
feed() {
    head -c "$1" && read -r mark && [ "$mark" = . ] && exec >/dev/null
    cat >/dev/null
    echo gone >&5
    exec sleep infinity
}

# Only setsid tells a signal from an exit code: it complains of one.
start() {
    if [ "$environment" = clean ]; then set -- -i; fi
    complaint=$(env "$@" setsid -f -w /bin/sh -c "$begin" sh "$text" 2>&1 >&3 3>&-)
    echo "end $? ${complaint:+signal}" >&5
}

# A command that is late before it has a group is stopped when it has one.
stop() {
    kill -s TERM -- "-$group"
    { sleep 2; kill -s KILL -- "-$group"; } &
}

watch() {
    trap '' PIPE
    group= begun= how=
    while read -r event code signal; do
        case $event in
        group)
            group=$code
            if [ -n "$how" ]; then stop; fi
            ;;
        begun) begun=yes ;;
        missing | denied | nowhere) how=${how:-$event} ;;
        late | gone)
            how=${how:-$event}
            if [ -n "$group" ]; then stop; fi
            ;;
        end)
            if [ -z "$how" ] && [ -n "$begun" ]; then how="${signal:-exit} $code"; fi
            break
            ;;
        esac
    done
    if [ -n "$group" ]; then kill -s KILL -- "-$group"; fi
    printf '\036%s end\n' "$nonce" >&3
    printf '\036%s %s\n' "$nonce" "${how:-broken}" >&4
    kill -s KILL 0
}

read -r nonce environment limit text input
for tool in cat env head setsid sleep; do
    command -v "$tool" >/dev/null || { echo "there is no $tool on the machine" >&2; exit 1; }
done
printf '\036%s begin\n' "$nonce"
printf '\036%s begin\n' "$nonce" >&2
exec 3>&1 4>&2 2>/dev/null
{
    { sleep "$limit"; echo late >&5; } >/dev/null 3>&- 4>&- &
    feed $((text + input)) 3>&- 4>&- | start
} 5>&1 | watch
