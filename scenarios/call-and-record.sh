#!/usr/bin/env bash
# Calls somebody, talks for a while, and keeps what was said and what was on the wire:
#   call-and-record.sh TARGET [DURATION] [NAME]
# writes NAME.wav (left: us, right: the other side), NAME.pcap and NAME.json. A sound card is not needed: we send a tone.
# The exit status is sip-call's own: 0 talked, 10 busy, 12 not answered ... (see sip-call --help).
set -eu
target=${1:?TARGET, such as sip:bob@192.0.2.1} duration=${2:-10s} name=${3:-call}
exec sip-call "$target" --audio tone:440 --duration "$duration" --ring-timeout 30s \
  --record "$name.wav" --pcap "$name.pcap" --json >"$name.json"
