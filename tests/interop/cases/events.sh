# What the lab's kamailio knows, watched by our programs while others change it: presence, watchers, waiting messages and
# dialogs, over UDP, TCP and TLS; what our programs publish there, seen by ours and by others; what runs out; a restart of
# the server under a subscription. And the same at our own server.

# watch WANTED-STATUS NAME PROGRAM ARGUMENT...: one of our programs, its output in NAME.json and NAME.err
watch() {
  local want=$1 name=$2 rc try; shift 2
  for try in 1 2 3; do
    step "$*"
    "$BIN/$1" "${@:2}" --json >"$name.json" 2>"$name.err"
    rc=$?
    # Two processes of this server may write at once, and its database takes one of them ("database is locked").
    [ $rc = 17 ] && [ "$want" != 17 ] && grep -q 'answered 500' "$name.err" || break
    sleep 1
  done
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

# etag NAME: the entity-tag that NAME was given last
etag() { sed -n 's/.*"event":"published".*"etag":"\([^"]*\)".*/\1/p' "$1.json" | tail -n 1; }
# did NAME OPERATION: that was the last thing it published
did() {
  [ "$(sed -n 's/.*"event":"published".*"operation":"\([a-z]*\)".*/\1/p' "$1.json" | tail -n 1)" = "$2" ] || fail "$1 did not $2"
}
# shown NAME PATTERN: the last notification of NAME has it
shown() { grep '"event":"notified"' "$1.json" | tail -n 1 | grep -q "$2"; }
will_show() { wait_for "${3:-5}" shown "$1" "$2" || fail "$1 does not show $2"; }

# typed NAME PROGRAM ARGUMENT...: in the background; it reads the lines that are written to descriptor 9
typed() {
  local name=$1 program=$2; shift 2
  [ -p lines ] || mkfifo lines
  exec 9<>lines
  # the arguments are those of the shell in between
  # shellcheck disable=SC2016
  in_background "$name" bash -c 'exec "$@" <lines' - "$BIN/$program" "$@"
}

# published TRANSPORT: a publication from the first PUBLISH to its removal; ours and SIPp see it
published() {
  lab_up
  local alice bob; alice=$(as alice "$1") bob=$(as bob "$1")
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background watcher "$BIN/sip-subscribe-presence" $bob --json sip:alice@lab.test
    wait_for 10 times watcher notified 1 || fail "no NOTIFY"
    # SIPp waits for a state with a note
    KEYS="user=carol target=alice" PORT=$((BASE + 3)) "$LAB/sipp/run" -b uac-subscribe-presence "$IP:$LAB_KAM"
    sleep 1
    watch 0 first sip-publish-presence $alice --note one --activity meeting --pcap publish.pcap
    did first initial
    judge_capture publish.pcap
    will_show watcher '"activities":\["meeting"\].*"status":"open"'
    TIMEOUT=10 "$LAB/sipp/run" -w uac-subscribe-presence || fail "SIPp does not see it"
    watch 0 second sip-publish-presence $alice --etag "$(etag first)" --status closed --note two
    did second modify
    will_show watcher '"text":"two".*"status":"closed"'
    watch 0 gone sip-publish-presence $alice --etag "$(etag second)" --remove
    tells gone '"event":"unpublished"' || fail "it was not removed"
    over() { ! shown watcher '"text":"two"'; }
    wait_for 5 over || fail "what was removed is still shown"
    watch 16 again sip-publish-presence $alice --etag "$(etag second)" --remove
    field_is again.json code 412
    # by lines, and refreshed
    step "sip-publish-presence --commands"
    { sleep 1; echo mood happy; sleep 1; echo note three; sleep 1; echo refresh; sleep 1; } |
      "$BIN/sip-publish-presence" $alice --commands --json >lines.json 2>lines.err || fail "sip-publish-presence: $?"
    [ "$(sed -n 's/.*"operation":"\([a-z]*\)".*/\1/p' lines.json | xargs)" = "initial modify modify refresh" ] ||
      fail "what was typed is not what was published"
    tells watcher '"moods":\["happy"\]' && tells watcher '"text":"three"' || fail "what was typed is not shown"
    # by itself, until it is told to stop
    in_background auto "$BIN/sip-publish-presence" $alice --auto 500ms --json
    wait_for 10 times auto published 5 || fail "nothing changes by itself"
    reap auto
    status_is auto 0
    tells auto '"event":"unpublished"' || fail "it was not removed in the end"
    reap watcher
    status_is watcher 0
  }
  return 0
}
# published_mwi TRANSPORT: waiting messages, likewise
published_mwi() {
  lab_up
  local alice; alice=$(as alice "$1")
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background mailbox "$BIN/sip-subscribe-mwi" $alice --expect 'voice-new>=3' --expect fax-new=1 --json
    wait_for 10 times mailbox notified 1 || fail "no NOTIFY"
    watch 0 first sip-publish-mwi $alice --voice '3/1(1/0)' --fax 1/0
    status_is mailbox 0 10
    watch 0 second sip-publish-mwi $alice --voice 0/4 --etag "$(etag first)"
    did second modify
    watch 0 read sip-subscribe-mwi $alice --once --expect waiting=no --expect voice-old=4
    watch 0 gone sip-publish-mwi $alice --etag "$(etag second)" --remove
  }
  return 0
}
# with_linphone TRANSPORT: linphone sees ours, and ours sees linphone's
with_linphone() {
  lab_up
  local alice bob; alice=$(as alice "$1") bob=$(as bob "$1")
  # With a GRUU as its Contact the server could not reach it: its own domain has no address.
  TRANSPORT=$1 PUBLISH=1 FRIENDS=sip:alice@lab.test CONFIG_EXTRA=supported=replaces peer_start linphone
  # the words are arguments
  # shellcheck disable=SC2086
  {
    watch 0 theirs sip-subscribe-presence $bob --expect status=open sip:linphone@lab.test
    typed ours sip-publish-presence $alice --commands --json
    echo open >&9
    wait_for 8 said_by_linphone Online || fail "linphone does not see that alice is there"
    echo closed >&9
    wait_for 8 said_by_linphone Offline || fail "linphone does not see that alice is not there"
    echo quit >&9
    status_is ours 0
  }
  "$LAB/ua/linphone" stop
}
# said_by_linphone WORD: what it said last of alice
said_by_linphone() { "$LAB/ua/linphone" log | grep 'Friend .*alice.* is ' | tail -n 1 | grep -q "is $1"; }
# runs_out: what nobody refreshes ends, and a subscription that is refreshed does not
runs_out() {
  lab_up
  local alice bob; alice=$(as alice udp) bob=$(as bob udp)
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background watcher "$BIN/sip-subscribe-presence" ${bob/40s/100s} --expires 7s --expect note=later --json sip:alice@lab.test
    wait_for 10 times watcher notified 1 || fail "no NOTIFY"
    watch 0 brief sip-publish-presence $alice --note soon --expires 6s
    will_show watcher '"text":"soon"'
    over() { ! shown watcher '"text":"soon"'; }
    wait_for 20 over || fail "what ran out is still shown"
    # refreshed twice and more by now
    sleep 10
    [ -f watcher.rc ] && fail "the watcher ended"
    watch 0 kept sip-publish-presence $alice --note later
    status_is watcher 0 5
    grep -q '"event":"\(subscribe-again\|fork-ended\)"' watcher.json && fail "a subscription that is refreshed ended"
    [ "$(grep -o '"event":"notified".*"fork":[0-9]*' watcher.json | grep -o '"fork":[0-9]*' | sort -u | wc -l)" = 1 ] ||
      fail "there was more than one subscription"
  }
  return 0
}
# dialogs TRANSPORT: a phone is called by another one while we watch it
dialogs() {
  lab_up
  local bob; bob=$(as bob "$1")
  SOURCE=$("$LAB/ua/tones" 700) peer_start linphone
  peer_start baresip
  registered() { kamcmd -s "unix:$LAB_RUN/kam/ctl" ul.dump | grep -q "AoR: $1"; }
  wait_for 8 registered linphone && wait_for 8 registered baresip || fail "the phones did not register"
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background ringing "$BIN/sip-subscribe-dialog" $bob --expect state=early --json sip:linphone@lab.test
    in_background talking "$BIN/sip-subscribe-dialog" $bob --expect 'state[baresip]=confirmed' --expect direction=recipient --json sip:linphone@lab.test
    wait_for 10 times talking notified 1 || fail "no NOTIFY"
    peer_do baresip dial sip:linphone@lab.test
    status_is talking 0 15
    in_background over "$BIN/sip-subscribe-dialog" $bob --expect confirmed=0 --json sip:linphone@lab.test
    wait_for 5 times over notified 1 || fail "no NOTIFY"
    [ -f over.rc ] && fail "there is no call any more, or nobody says so"
    peer_do baresip hangup
    status_is over 0 15
    status_is ringing 0
  }
  "$LAB/ua/linphone" stop
}
# at_ours TRANSPORT: our own server, which is started anew under a publication and a subscription
at_ours() {
  local port=$((SERVER_PORT + 4)) at
  at="--local $IP --timeout 60s --json sip:alice@$IP:$port;transport=$1"
  [ "$1" = tls ] && at="--tls-ca $LAB_RUN/tls/ca.pem --tls-name lab.test $at"
  serve() {
    server --listen "$1:$IP:$port" --min-expires 5s --event mwi=2/1 --watcher carol=block --tls-cert "$LAB_RUN/tls/server-both.pem"
  }
  serve "$1"
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background watcher "$BIN/sip-subscribe-presence" --expires 6s --expect note=after $at
    wait_for 10 times watcher notified 1 || fail "no NOTIFY"
    typed ours sip-publish-presence --commands --activity meeting $at
    will_show watcher '"activities":\["meeting"\]'
    watch 0 mwi sip-subscribe-mwi --once --expect voice-new=2 ${at/--json/}
    watch 13 carol sip-subscribe-presence --from "sip:carol@$IP" --once ${at/--json/}
    # at once, as who finds nobody waits
    reap server
    status_is server 0
    serve "$1"
    echo note before >&9
    wait_for 10 times ours published 2 || fail "the new server was told nothing"
    did ours initial
    tells ours '"event":"publish-again"' || fail "that it had forgotten everything is not told"
    # the subscription finds out when it is refreshed
    will_show watcher '"text":"before"' 20
    echo note after >&9
    status_is watcher 0 5
    echo quit >&9
    status_is ours 0 5
  }
  server_done
}

for transport in udp tcp tls; do
  row core "presence-$transport" seen $transport
  row long "events-$transport" others $transport
  row long "published-mwi-$transport" published_mwi $transport
  row long "presence-linphone-$transport" with_linphone $transport
  row long "dialogs-$transport" dialogs $transport
done
# One transport of each in the short set.
row core published-udp published udp
row core presence-server-tls at_ours tls
for transport in tcp tls; do row long "published-$transport" published $transport; done
for transport in udp tcp; do row long "presence-server-$transport" at_ours $transport; done
row long presence-restart restarted
slow presence-restart
row long presence-expiry runs_out
slow presence-expiry
