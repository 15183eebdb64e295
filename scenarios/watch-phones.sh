#!/usr/bin/env bash
# The lamps of an office phone: who is on the phone, a line whenever that changes:
#   watch-phones.sh TIME ADDRESS...
# TIME is how long to watch (0: until it is ended). Options for sip-subscribe-dialog come from SIP_OPTIONS, such as
# SIP_OPTIONS='--account work'. Exit status 0 when it is over, otherwise that of the first watch that failed.
set -u
time=${1:?TIME, such as 10m or 0}
shift
[ $# -gt 0 ] || { echo "ADDRESS..., such as sip:bob@example.com" >&2; exit 2; }
watches=()
trap 'kill "${watches[@]}" 2>/dev/null' EXIT
trap 'exit 0' TERM INT
# lamp ADDRESS: reads what is told of it
lamp() {
  local event state before=
  while read -r event; do
    case $event in
      '{"event":"notified"'*'"state":"confirmed"'*) state="on the phone" ;;
      '{"event":"notified"'*'"state":"early"'*) state="ringing" ;;
      '{"event":"notified"'*'"state":"active"'*) state="free" ;;
      '{"event":"subscription-failed"'*) state="unknown" ;;
      *) continue ;;
    esac
    [ "$state" = "$before" ] || printf '%(%T)T  %-32s %s\n' -1 "$1" "$state"
    before=$state
  done
}
for address; do
  # The words are options.
  # shellcheck disable=SC2086
  timeout -s INT "$time" sip-subscribe-dialog "$address" --json ${SIP_OPTIONS:-} > >(lamp "$address") &
  watches+=($!)
done
for watch in "${watches[@]}"; do
  wait "$watch"
  status=$?
  # 124: the time is over, as was asked for.
  [ "$status" = 0 ] || [ "$status" = 124 ] || exit "$status"
done
