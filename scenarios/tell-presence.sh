#!/usr/bin/env bash
# Publishes what somebody does, and checks that who watches is told so, and is told when it is over:
#   tell-presence.sh ADDRESS ACTIVITY [OPTION...]
# ADDRESS is an address or an account of the configuration file. Both ends are here and have the same options, such as
# --proxy. For "does the presence server work?"; ACTIVITY is a word of RFC 4480, such as meeting or on-the-phone.
# One line for each step; exit status 0 if all was seen within 10 s, 1 if not, otherwise that of the program that failed.
set -u
address=${1:?ADDRESS, such as sip:alice@example.com or an account} activity=${2:?ACTIVITY, such as meeting}
shift 2
folder=$(mktemp -d)
ended() { kill "$publisher" 2>/dev/null; wait "$publisher" 2>/dev/null; rm -rf "$folder"; }
publisher=
trap ended EXIT
case $address in *:*) who=("$address") ;; *) who=(--account "$address") ;; esac
# watch EXPECTATION: waits until it holds
watch() {
  local account=()
  [ "${who[0]}" = --account ] && account=("${who[@]}")
  sip-subscribe-presence "$target" "${account[@]}" --expect "$1" --timeout 10s "${@:2}" >/dev/null 2>"$folder/why"
}
told() {
  case $1 in
    0) echo "OK: $2" ;;
    3) echo "NOT OK: $3"; exit 1 ;;
    *) cat "$folder/why" >&2; exit "$1" ;;
  esac
}
sip-publish-presence "${who[@]}" --activity "$activity" --keep --json "$@" >"$folder/published" 2>"$folder/why" &
publisher=$!
for _ in $(seq 100); do
  grep -q '"event":"published"' "$folder/published" && break
  kill -0 "$publisher" 2>/dev/null || { cat "$folder/why" >&2; wait "$publisher"; exit; }
  sleep 0.1
done
target=$(sed -n 's/.*"event":"published".*"target":"\([^"]*\)".*/\1/p' "$folder/published" | head -n 1)
[ -n "$target" ] || { echo "NOT OK: nothing was published within 10 s"; exit 1; }
watch "activity=$activity" "$@"
told $? "a watcher sees $activity" "a watcher does not see $activity"
kill "$publisher"; wait "$publisher"
watch "activity!=$activity" "$@"
told $? "and that it is over" "a watcher still sees $activity"
