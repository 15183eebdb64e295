#!/usr/bin/env bash
# Sends a message and checks that it arrives as it was sent, with both ends here: one account is registered and waits,
# the other one writes to it.
#   send-and-check.sh TO FROM [OPTION...]
# TO and FROM are accounts of the configuration file (sip-settings shows them) or addresses; further options go to both,
# such as --proxy. One line, and exit status 0 if the text arrived, 1 if another one or none did, otherwise that of
# sip-message or sip-register.
set -u
to=${1:?TO, whose messages are waited for} from=${2:?FROM, who writes}
shift 2
# What each end is told about itself.
who() { case $1 in *:*) echo "--from $1" ;; *) echo "--account $1" ;; esac; }
folder=$(mktemp -d)
text="check $(date +%s) $$: äöü ✓"
# the words are arguments
# shellcheck disable=SC2046
sip-register $(who "$to") --answer --json --timeout 60s "$@" >"$folder/events" 2>"$folder/why" &
phone=$!
trap 'kill "$phone" 2>/dev/null; wait "$phone" 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
  grep -q '"event":"registered"' "$folder/events" && break
  kill -0 "$phone" 2>/dev/null || { cat "$folder/why" >&2; wait "$phone"; exit; }
  sleep 0.1
done
aor=$(sed -n 's/.*"event":"registered".*"aor":"\([^"]*\)".*/\1/p' "$folder/events" | head -n 1)
[ -n "$aor" ] || { echo "NOT OK: $to did not register within 10 s"; exit 1; }
# shellcheck disable=SC2046
sip-message "$aor" "$text" $(who "$from") --timeout 30s --write-out '%{code} %{reason}\n' "$@" >"$folder/outcome"
status=$?
[ "$status" = 0 ] || { echo "NOT OK: $aor: $(cat "$folder/outcome")"; exit "$status"; }
for _ in $(seq 50); do
  if grep -qF "\"text\":\"$text\"" "$folder/events"; then
    echo "OK: $aor has the message"
    exit 0
  fi
  sleep 0.1
done
echo "NOT OK: $(cat "$folder/outcome"), but $aor does not have the message"
exit 1
