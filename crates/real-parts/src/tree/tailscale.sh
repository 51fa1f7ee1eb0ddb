#!/bin/sh
# A stub of tailscale for tests. It is not the real one, and knows neither a daemon nor a network: it prints what files
# of its own say.

set -eu
state=/var/lib/tailscale-stub
{ printf '%s\n' "$*" >>"$state/calls"; } 2>/dev/null || :

# What a file says, and its exit code if it has one.
tell() {
    cat "$state/$1.json"
    if [ -e "$state/$1.exit" ]; then
        exit "$(cat "$state/$1.exit")"
    fi
}

# The first of the addresses that are quoted and like $1.
address() {
    grep --only-matching --extended-regexp "\"$1\"" "$state/status.json" | head --lines=1 | tr --delete '"'
}

case "$*" in
"status --json" | "status --json --peers=false") tell status ;;
"serve status --json") tell serve ;;
"ip -4") address '100\.[0-9.]+' ;;
"ip -6") address 'fd7a:115c:a1e0:[0-9a-f:]+' ;;
"version") echo '0.0.0-stub' ;;
"serve --bg "[0-9]*)
    web='"machine.example.ts.net:443": {"Handlers": {"/": {"Proxy": "http://127.0.0.1:'$3'"}}}'
    printf '{"TCP": {"443": {"HTTPS": true}}, "Web": {%s}}\n' "$web" >"$state/serve.json"
    ;;
"serve reset") echo '{}' >"$state/serve.json" ;;
*)
    echo "this is a stub of tailscale, which does not know: tailscale $*" >&2
    exit 64
    ;;
esac
