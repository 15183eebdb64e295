#!/usr/bin/env bash
# Shows the exit statuses that a script can rely on, against a sip-test-server that plays the other side:
#   sip-test-server --listen 127.0.0.1:5070 &
#   check-statuses.sh 127.0.0.1:5070
# Exit status 0 if each call ended as the table says.
set -u
server=${1:-127.0.0.1:5070} wrong=0
while read -r user expected meaning; do
  sip-call "sip:$user@$server" --audio none --duration 1s --ring-timeout 2s --timeout 20s >/dev/null 2>&1 </dev/null
  status=$?
  if [ "$status" = "$expected" ]; then verdict=ok; else verdict="WRONG, not $expected" wrong=1; fi
  printf '%-12s %3s  %-28s %s\n' "$user" "$status" "$meaning" "$verdict"
done <<'TABLE'
tone         0   answered, talked, hung up
hangup       0   the other side hung up
busy        10   busy
decline     11   declined
ring        12   not answered in 2 s
status-404  14   not found
status-488  15   not acceptable
status-402  16   another 4xx
status-500  17   server failure
redirect    18   redirected, not followed
status-699  19   another 6xx
TABLE
exit $wrong
