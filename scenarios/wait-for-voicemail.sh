#!/usr/bin/env bash
# Waits until somebody leaves a message, and says how many there are:
#   wait-for-voicemail.sh MAILBOX [TIME] [OPTION...]
# MAILBOX is an address or an account of the configuration file (sip-settings shows them); TIME is how long to wait
# (default 1h); further options go to sip-subscribe-mwi, such as --proxy. Messages that are there already count too.
# Exit status: 0 there is a new message, 3 there was none in that time, otherwise sip-subscribe-mwi's: 13
# authentication, 16 no such service, 21 unreachable ...
set -u
mailbox=${1:?MAILBOX, such as sip:alice@example.com or an account} time=${2:-1h}
shift $(($# < 2 ? $# : 2))
case $mailbox in *:*) set -- "$mailbox" "$@" ;; *) set -- --account "$mailbox" "$@" ;; esac
told=$(sip-subscribe-mwi --expect 'voice-new>=1' --timeout "$time" --json "$@")
status=$?
[ "$status" = 0 ] || exit "$status"
# A field of the last notification.
number() { sed -n "s/.*\"event\":\"notified\".*\"class\":\"voice\"[^}]*\"$1\":\([0-9]*\).*/\1/p" <<<"$told" | tail -n 1; }
echo "$(number new) new, $(number old) old"
