#!/usr/bin/env bash
# Answers calls and sends back what is heard, one call after the other:
#   answer-and-echo.sh [ADDRESS:PORT] [CALLS]
# ends after that many calls (default: never; Ctrl-C ends it). Good for "does my phone hear itself?".
set -eu
address=${1:-127.0.0.1:5060} calls=${2:-0}
answered=0
while [ "$calls" = 0 ] || [ "$answered" -lt "$calls" ]; do
  sip-call --answer --local "$address" --audio echo
  answered=$((answered + 1))
done
