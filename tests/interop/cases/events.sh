# What the lab's kamailio knows, watched by our programs while others change it: presence, watchers, waiting messages and
# dialogs, over UDP, TCP and TLS; a restart of the server under a subscription.

# watch WANTED-STATUS NAME PROGRAM ARGUMENT...: one of our programs, its output in NAME.json and NAME.err
watch() {
  local want=$1 name=$2 rc; shift 2
  step "$*"
  "$BIN/$1" "${@:2}" --json >"$name.json" 2>"$name.err"
  rc=$?
  [ $rc = "$want" ] || fail "$1 ended with status $rc, not $want"
}
tells() { grep -q "$2" "$1.json"; }
times() { [ "$(grep -c "\"event\":\"$2\"" "$1.json")" -ge "$3" ]; }
lab_up() {
  step "lab up kam"
  "$LAB/lab" up kam || { "$LAB/lab" down kam; "$LAB/lab" up kam; } || fail "kam did not start"
  for name in alice bob; do echo $name-secret >$name; chmod 600 $name; done
}
# as NAME TRANSPORT: the arguments with which NAME watches
as() {
  local port=$LAB_KAM tls=
  [ "$2" = tls ] && port=$((LAB_KAM + 1)) tls="--tls-ca $LAB_RUN/tls/ca.pem --tls-name lab.test"
  echo "--from sip:$1@lab.test --user $1 --password-file $1 --proxy sip:$IP:$port;transport=$2 $tls --timeout 40s"
}
# inject KIND ARGUMENT...: somebody else publishes; SIPp takes a repeated 407 amiss, so it may be tried again
inject() {
  local try
  for try in 1 2 3; do
    step "inject-$*"
    PORT=$((BASE + 3)) "$LAB/inject-$1" "${@:2}" && return 0
  done
  fail "inject-$*"
}

# seen TRANSPORT: presence as it is and as it changes
seen() {
  lab_up
  local bob; bob=$(as bob "$1")
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background changes "$BIN/sip-subscribe-presence" $bob --expect status=open --pcap watch.pcap --json sip:alice@lab.test
    wait_for 10 times changes notified 1 || fail "no NOTIFY"
    # Of several publications the server shows the first one only, so there is one.
    inject presence alice open hello
    status_is changes 0 10
    judge_capture watch.pcap
    watch 0 once sip-subscribe-presence $bob --once --expect status=open --expect note=hello sip:alice@lab.test
    watch 31 unmet sip-subscribe-presence $bob --once --expect activity=meeting sip:alice@lab.test
  }
  return 0
}
# others TRANSPORT: waiting messages, watchers, dialogs
others() {
  lab_up
  local alice bob; alice=$(as alice "$1") bob=$(as bob "$1")
  inject mwi alice 3 1
  # the words are arguments
  # shellcheck disable=SC2086
  {
    watch 0 mwi sip-subscribe-mwi $alice --once --expect 'voice-new>=3' --expect voice-old=1
    in_background watcher "$BIN/sip-subscribe-presence" $bob --json sip:alice@lab.test
    wait_for 10 times watcher notified 1 || fail "no subscription"
    watch 0 winfo sip-subscribe-winfo $alice --expect 'status[bob]=active'
    reap watcher
    status_is watcher 0
    watch 0 dialog sip-subscribe-dialog $bob --once sip:alice@lab.test
    watch 16 reg sip-subscribe-reg $alice --once
    grep -q 'it does not know reg, but .*presence' reg.err || fail "what the server knows is not told"
  }
  return 0
}
# restarted: the server goes away and comes back under a subscription
restarted() {
  lab_up
  local bob; bob=$(as bob udp)
  # the words are arguments
  # shellcheck disable=SC2086
  in_background watcher "$BIN/sip-subscribe-presence" ${bob/40s/100s} --expires 8s --expect note=after --json sip:alice@lab.test
  wait_for 10 times watcher notified 1 || fail "no subscription"
  "$LAB/lab" restart kam || fail "kam did not come back"
  inject presence alice open after
  status_is watcher 0 90
}
for transport in udp tcp tls; do
  row core "presence-$transport" seen $transport
  row long "events-$transport" others $transport
done
row long presence-restart restarted
slow presence-restart
