#!/usr/bin/env bash
# Registers and waits until somebody calls or writes, says who it was, and leaves:
#   register-and-wait.sh ADDRESS [TIME] [OPTION...]
# TIME is how long to wait (default 60s); further options go to sip-register, such as --account work or --user and
# --password-file. Calls are answered with an echo.
# Exit status: 0 somebody called or wrote, 3 nobody in that time, otherwise sip-register's: 13 authentication, 21 unreachable ...
set -u
address=${1:?ADDRESS, such as sip:alice@example.com} time=${2:-60s}
shift $(($# < 2 ? $# : 2))
folder=$(mktemp -d)
mkfifo "$folder/events"
sip-register "$address" --answer --json --timeout "$time" "$@" >"$folder/events" &
phone=$!
trap 'kill "$phone" 2>/dev/null; rm -rf "$folder"' EXIT
# A word of a flat line of JSON.
word() { sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" <<<"$1"; }
came=
while read -r event; do
  case $event in
    '{"event":"registered"'*) [ -n "${said:-}" ] || echo "registered as $(word "$event" contact); waiting"; said=1 ;;
    '{"event":"incoming"'*) echo "called by $(word "$event" from)"; came=1 ;;
    # A call is waited for to its end.
    '{"event":"ended"'*) kill "$phone" 2>/dev/null ;;
    '{"event":"request"'*'"method":"MESSAGE"'*) echo "written to by $(word "$event" from): $(word "$event" text)"; came=1
      kill "$phone" 2>/dev/null ;;
  esac
done <"$folder/events"
wait "$phone"
status=$?
[ -n "$came" ] && exit 0
exit "$status"
