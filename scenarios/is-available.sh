#!/usr/bin/env bash
# Is somebody there, and not on the phone? For "call me when I can be called" and for dashboards:
#   is-available.sh ADDRESS [OPTION...]
# asks once, prints one line, and exits
#   0  there, and neither busy nor in a call or meeting
#   1  there, but not to be disturbed, or not there
#   otherwise sip-subscribe-presence's status: 13 authentication or not allowed, 14 unknown, 21 unreachable ...
# Further options go to sip-subscribe-presence, such as --account work.
set -u
address=${1:?ADDRESS, such as sip:bob@example.com}
shift
why=$(sip-subscribe-presence "$address" --once --raw --timeout 20s \
  --expect status=open --expect activity!=busy --expect activity!=on-the-phone --expect activity!=meeting "$@" 2>&1 >/dev/null)
status=$?
case $status in
  0) echo "$address is available" ;;
  31) echo "$address is not available: ${why##*error: }"; exit 1 ;;
  *) echo "${why##*error: }" >&2; exit "$status" ;;
esac
