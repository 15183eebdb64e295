#!/usr/bin/env bash
# Does the PBX answer this number, and does it say something? For cron and for monitoring:
#   check-pbx-answers.sh TARGET [--user NAME --password-file FILE ...]
# calls TARGET, listens for 5 s, hangs up, prints one line, and exits
#   0  answered, and the voice was louder than -60 dBFS
#   1  answered, but nothing was heard
#   otherwise sip-call's status: 10 busy, 12 not answered, 13 authentication, 21 unreachable, 23 no response ...
set -u
target=${1:?TARGET, such as sip:4711@pbx.example}
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sip-call "$target" --audio none --duration 5s --ring-timeout 20s --timeout 60s \
  --record "$folder/heard.wav" --write-out '%{code} %{reason}\n' "$@" >"$folder/outcome" 2>"$folder/why"
status=$?
if [ "$status" != 0 ]; then
  echo "NOT OK: $target: $(tail -n 1 "$folder/outcome") $(tail -n 1 "$folder/why")"
  exit "$status"
fi
# The right channel is what we heard: the loudest of its 16-bit samples decides.
loudest=$(tail -c +45 "$folder/heard.wav" | od -An -v -t d2 -w4 |
  awk '{ v = $2 < 0 ? -$2 : $2; if (v > max) max = v } END { print max + 0 }')
if [ "$loudest" -lt 33 ]; then
  echo "NOT OK: $target answered, but nothing was heard"
  exit 1
fi
echo "OK: $target answered and was heard"
