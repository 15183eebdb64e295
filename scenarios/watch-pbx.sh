#!/usr/bin/env bash
# Watches a PBX: asks it with OPTIONS again and again, and says when it goes away, comes back, or is slow:
#   watch-pbx.sh TARGET [SECONDS] [TIMES] [OPTION...]
# asks every SECONDS (default 60), TIMES in all (default 0: until it is ended). Further options go to sip-options, such
# as --warn 200ms --crit 2s or --proxy. A line where the state changes; with the exit status of a monitoring plug-in at
# the end, that of the last answer: 0 OK, 1 warning, 2 critical, 3 unknown.
# For a monitoring system that does the repeating itself the one line below is all it takes.
set -u
target=${1:?TARGET, such as sip:pbx.example} seconds=${2:-60} times=${3:-0}
shift $(($# < 3 ? $# : 3))
state=none asked=0
while :; do
  line=$(sip-options "$target" --monitoring --count 3 --interval 200ms --timeout 10s "$@" 2>/dev/null)
  status=$?
  if [ "$status" != "$state" ]; then
    echo "$(date '+%F %T') $target: ${line%%|*}"
    state=$status
  fi
  asked=$((asked + 1))
  [ "$asked" = "$times" ] && exit "$status"
  sleep "$seconds"
done
