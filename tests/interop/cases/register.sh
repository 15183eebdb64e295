# Registrations at the lab's registrar, with both digests it speaks; messages between two of our programs through it;
# the registrar restarted under a registration.

# ours WANTED-STATUS NAME PROGRAM ARGUMENT...: one of our programs, its output in NAME.json and NAME.err
ours() {
  local want=$1 name=$2 rc; shift 2
  step "$*"
  "$BIN/$1" "${@:2}" --json >"$name.json" 2>"$name.err"
  rc=$?
  [ $rc = "$want" ] || fail "$1 ended with status $rc, not $want"
}
listed() { kamcmd -s "unix:$LAB_RUN/$1/ctl" ul.dump 2>/dev/null | grep -q "AoR: $2"; }
tells() { grep -q "$2" "$1.json"; }
times() { [ "$(grep -c "\"event\":\"$2\"" "$1.json")" -ge "$3" ]; }
lab_up() {
  step "lab up $1"
  "$LAB/lab" up "$1" || { "$LAB/lab" down "$1"; "$LAB/lab" up "$1"; } || fail "$1 did not start"
  for name in alice bob; do echo $name-secret >$name; chmod 600 $name; done
}
# as NAME PORT: the arguments with which NAME registers
as() { echo "sip:$1@lab.test --proxy sip:$IP:$LAB_KAM --user $1 --password-file $1 --local $IP:$2 --timeout 60s"; }

# register PIECE ALGORITHM: bind, ask, refresh, remove
register() {
  lab_up "$1"
  local alice; alice=$(as alice "$OURS")
  # the words are arguments
  # shellcheck disable=SC2086
  {
    ours 0 once sip-register $alice --expires 60s --pcap call.pcap
    listed "$1" alice || fail "the registrar does not have alice"
    tells once "\"algorithm\":\"$2\"" || fail "not answered with $2"
    field_is once.json code 200
    judge_capture call.pcap
    ours 0 query sip-register $alice --query
    tells query "\"uri\":\"sip:alice@$IP:$OURS\"" || fail "the query does not list the binding"
    ours 0 remove sip-register $alice --remove
    listed "$1" alice && fail "the registrar still has alice"
    # the registrar there says nothing of 423 and binds for longer
    ours 0 brief sip-register $alice --expires 1s
    tells brief '"expires_ms":5000' || fail "what was granted is not told"
    ours 0 all sip-register $alice --remove-all
    listed "$1" alice && fail "the registrar still has alice after all were removed"
    # refreshed in time, removed in the end
    in_background keep "$BIN/sip-register" $alice --keep --expires 5s --json --gruu --outbound
    wait_for 15 times keep registered 3 || fail "not refreshed"
    listed "$1" alice || fail "the registrar lost alice"
    tells keep '"public_gruu":"sip:alice@lab.test;gr=' || fail "no GRUU"
    reap keep
    status_is keep 0
    tells keep '"event":"unregistered"' || fail "not unregistered"
    listed "$1" alice && fail "the registrar still has alice in the end"
    echo wrong >wrong; chmod 600 wrong
    ours 13 wrong sip-register sip:alice@lab.test --proxy "sip:$IP:$LAB_KAM" --user alice --password-file wrong
  }
  return 0
}
row core register-sha register kam-sha SHA-256
row long register-md5 register kam MD5

# Each registers in turn, and the other one writes.
messages() {
  lab_up kam
  local from to round=0
  for pair in "alice bob" "bob alice"; do
    # shellcheck disable=SC2086
    set -- $pair
    from=$1 to=$2 round=$((round + 1))
    # shellcheck disable=SC2046
    in_background "$to$round" "$BIN/sip-register" $(as "$to" "$OURS") --answer --json --pcap "$to.pcap"
    wait_for 8 times "$to$round" registered 1 || fail "$to did not register"
    # shellcheck disable=SC2046
    ours 0 "$from-writes" sip-message "sip:$to@lab.test" "Grüße an $to" --from "sip:$from@lab.test" --proxy "sip:$IP:$LAB_KAM" \
      --user "$from" --password-file "$from" --local "$IP:$SERVER_PORT" --timeout 20s
    wait_for 5 tells "$to$round" "\"text\":\"Grüße an $to\"" || fail "$to has no message"
    ours 0 "$from-asks" sip-options "sip:$to@lab.test" --from "sip:$from@lab.test" --proxy "sip:$IP:$LAB_KAM" --count 3 \
      --interval 100ms --user "$from" --password-file "$from" --local "$IP:$SERVER_PORT" --timeout 20s
    field_is "$from-asks.json" ping.received 3
    reap "$to$round"
    status_is "$to$round" 0
    judge_capture "$to.pcap"
  done
  # nobody is there any more
  ours 12 nobody sip-message sip:alice@lab.test hello --from sip:bob@lab.test --proxy "sip:$IP:$LAB_KAM" --user bob \
    --password-file bob --timeout 20s
}
row core register-messages messages

# over PROTOCOL OFFSET [v6]: of the registrar's port; bob registers and answers on that connection, alice writes, asks and calls over the same transport.
over() {
  lab_up kam-sha
  local ip=$IP uri; [ "${3:-}" = v6 ] && ip=::1
  uri=$ip; [ $ip = ::1 ] && uri='[::1]'
  local way="--proxy sip:$uri:$((LAB_KAM + $2));transport=$1 --local $uri --tls-ca $LAB_RUN/tls/ca.pem --tls-name lab.test --timeout 40s"
  # the words are arguments
  # shellcheck disable=SC2086
  {
    in_background bob "$BIN/sip-register" sip:bob@lab.test $way --user bob --password-file bob --answer=tone \
      --rtp-ports "$MEDIA-$((MEDIA + 19))" --pcap bob.pcapng --json -v
    wait_for 8 times bob registered 1 || fail "bob did not register"
    tells bob '"algorithm":"SHA-256"' || fail "not with SHA-256"
    way="$way --from sip:alice@lab.test --user alice --password-file alice"
    ours 0 writes sip-message sip:bob@lab.test "over $1" $way
    tells bob "\"text\":\"over $1\"" || fail "bob has no message"
    ours 0 asks sip-options sip:bob@lab.test $way --count 2 --interval 50ms
    step "sip-call over $1"
    "$BIN/sip-call" sip:bob@lab.test $way --json --audio tone:700 --duration 3s --record call.wav >call.json 2>call.err || fail "sip-call: $?"
    heard call.wav 440 2 1
    reap bob
    status_is bob 0
    tells bob '"event":"unregistered"' || fail "not unregistered"
  }
  return 0
}
row core register-tcp  over tcp 0
row core register-tls  over tls 1
row long register-wss  over wss 9
row long register-ws   over ws 8
row long register-udp6 over udp 0 v6
row long register-tcp6 over tcp 0 v6
row long register-tls6 over tls 1 v6
row long register-ws6  over ws 0 v6
row long register-wss6 over wss 1 v6

# a call to what sip-register answers
called() {
  lab_up kam
  # shellcheck disable=SC2046
  in_background bob "$BIN/sip-register" $(as bob "$SERVER_PORT") --answer=tone --rtp-ports "$MEDIA-$((MEDIA + 19))" --json
  wait_for 8 times bob registered 1 || fail "bob did not register"
  call 0 sip:bob@lab.test --proxy "sip:$IP:$LAB_KAM" --from sip:alice@lab.test --user alice --password-file alice \
    --audio tone:700 --duration 3s --timeout 20s
  heard call.wav 440 2 1
  reap bob
  status_is bob 0
}
row long register-called called

# Real phones call what sip-register answers, and write to it; and they are written to. All of it over one transport.
phone() { # baresip|linphone udp|tcp|tls
  local port=$LAB_KAM trust=; [ "$2" = tls ] && port=$((LAB_KAM + 1)) trust="--tls-ca $LAB_RUN/tls/ca.pem --tls-name lab.test"
  local way="--proxy sip:$IP:$port;transport=$2 --timeout 60s $trust" capture=bob.pcapng; [ "$2" = udp ] && capture=bob.pcap
  lab_up kam
  # the words are arguments
  # shellcheck disable=SC2086
  in_background bob "$BIN/sip-register" sip:bob@lab.test $way --user bob --password-file bob --local "$IP:$SERVER_PORT" --answer=tone \
    --rtp-ports "$MEDIA-$((MEDIA + 19))" --json --pcap "$capture"
  wait_for 8 times bob registered 1 || fail "bob did not register"
  TRANSPORT=$2 SERVER=$IP:$port peer_start "$1"
  wait_for 8 listed kam "$1" || fail "$1 did not register"
  # shellcheck disable=SC2086
  ours 0 writes sip-message "sip:$1@lab.test" "hello $1" --from sip:alice@lab.test $way --user alice --password-file alice
  if [ "$1" = linphone ]; then
    peer_do linphone chat sip:bob@lab.test "hello bob" >chat.out
  else
    # of its contacts alice is the current one, bob the next
    peer_do baresip contact_next
    peer_do baresip message "hello bob"
  fi
  wait_for 5 tells bob '"text":"hello bob"' || fail "bob has no message"
  if [ "$1" = linphone ]; then
    peer_do linphone call sip:bob@lab.test
  else
    peer_do baresip dial sip:bob@lab.test || fail "baresip does not dial"
  fi
  sleep 5
  if [ "$1" = linphone ]; then peer_do linphone terminate; else peer_do baresip hangup; fi
  sleep 1
  "$LAB/ua/$1" stop
  heard "$("$LAB/ua/$1" wav | { [ "$1" = linphone ] && cat || grep -e '-dec.wav$'; } | tail -n 1)" 440 3
  tells bob '"event":"ended"' || fail "the end of the call is not told"
  reap bob
  status_is bob 0
  if [ "$2" = udp ]; then
    judge_capture bob.pcap
  else
    tells bob ';transport='"$2" || fail "not bound over $2"
    [ "$(tshark -n -r bob.pcapng -Y 'sip && udp' 2>/dev/null | wc -l)" = 0 ] || fail "some of it went over UDP"
  fi
}
row core register-baresip-calls phone baresip udp
row long register-baresip-calls-tcp phone baresip tcp
row core register-baresip-calls-tls phone baresip tls
row long register-linphone-calls phone linphone udp
row long register-linphone-calls-tcp phone linphone tcp
row long register-linphone-calls-tls phone linphone tls

# The connection to the registrar is cut between two requests, and then in the middle of one.
connection_cut() {
  lab_up kam
  local relay=$((BASE + 17)) way="--from sip:alice@lab.test --user alice --password-file alice --proxy sip:$IP:$LAB_KAM --timeout 10s"
  spawn relay "$HERE/relay" "$relay" "$LAB_KAM"
  wait_for 5 tcp_open "$IP" "$relay" || fail "no relay"
  in_background bob "$BIN/sip-register" sip:bob@lab.test --proxy "sip:$IP:$relay;transport=tcp" --local "$IP" --user bob \
    --password-file bob --answer --expires 60s --json --timeout 100s -v
  wait_for 8 times bob registered 1 || fail "bob did not register"
  # the words are arguments
  # shellcheck disable=SC2086
  {
    ours 0 first sip-message sip:bob@lab.test first $way
    step "the connection is cut between two requests"
    kill -USR1 "$(cat "$LAB_RUN/pid/relay")" || fail "the relay is gone"
    wait_for 5 times bob flow-lost 1 || fail "that the connection is gone is not said"
    wait_for 5 times bob registered 2 || fail "not registered again"
    ours 0 second sip-message sip:bob@lab.test second $way
    step "the connection is cut in the middle of a message"
    kill -USR2 "$(cat "$LAB_RUN/pid/relay")" || fail "the relay is gone"
    "$BIN/sip-message" sip:bob@lab.test "cut off" $way --json >cut.json 2>cut.err
    wait_for 5 times bob flow-lost 2 || fail "that the connection is gone is not said"
    wait_for 5 times bob registered 3 || fail "not registered again"
    tells bob '"text":"cut off"' && fail "half a message was taken for a whole one"
    ours 0 third sip-message sip:bob@lab.test third $way
  }
  tells bob '"text":"second"' && tells bob '"text":"third"' || fail "messages are missing"
  reap bob
  status_is bob 0
}
row core register-cut connection_cut

# Nothing but a name server: NAPTR and SRV lead to the proxy, over TLS, and that to the tone.
by_dns() {
  lab_up kam
  step "lab up dns"
  "$LAB/lab" up dns || fail "named did not start"
  guest kam
  in_background tone "$BIN/sip-register" sip:3333@lab.test --dns "$IP:$LAB_DNS" --tls-ca "$LAB_RUN/tls/ca.pem" --user 3333 \
    --password-file 3333 --answer=tone --rtp-ports "$MEDIA-$((MEDIA + 19))" --json -v
  wait_for 8 times tone registered 1 || fail "3333 did not register"
  step "sip-call sip:3333@lab.test"
  SSL_CERT_FILE=$LAB_RUN/tls/ca.pem "$BIN/sip-call" sip:3333@lab.test --dns "$IP:$LAB_DNS" --audio none --duration 3s --record call.wav \
    --json --pcap call.pcapng -v >call.json 2>call.err || fail "sip-call: $?"
  heard call.wav 440 2 1
  grep -q NAPTR call.err || fail "the choice is not explained"
  reap tone
  status_is tone 0
}
row core call-by-dns by_dns
# guest PIECE: somebody of the name 3333 may register there
guest() {
  sqlite3 "$LAB_RUN/$1/lab.db" "INSERT INTO subscriber (username, domain, password) VALUES ('3333', 'lab.test', '3333-secret')" ||
    fail "no user 3333"
  echo 3333-secret >3333; chmod 600 3333
}

# The registrar forgets everything while it is down. The refresh says that it is gone, the retry that it is back.
restarted() { # TRANSPORT
  lab_up kam
  in_background keep "$BIN/sip-register" sip:alice@lab.test --proxy "sip:$IP:$LAB_KAM;transport=$1" --user alice --password-file alice \
    --local "$IP:$OURS" --keep --expires 10s --json --timeout 110s
  wait_for 8 times keep registered 1 || fail "not registered"
  step "lab down kam"
  "$LAB/lab" down kam
  # the connection ends at once, a socket is only found dead by the refresh
  [ "$1" = udp ] || wait_for 3 times keep flow-lost 1 || fail "that the connection is gone was not said"
  wait_for 15 times keep registration-failed 1 || fail "that the registrar is gone was not said"
  step "lab up kam"
  "$LAB/lab" up kam || fail "kam did not start again"
  local before; before=$(grep -c '"event":"registered"' keep.json)
  wait_for 70 times keep registered $((before + 1)) || fail "not registered again"
  listed kam alice || fail "the registrar does not have alice"
  reap keep
  status_is keep 0
}
row long register-restarted restarted udp
row long register-restarted-tcp restarted tcp
slow register-restarted
slow register-restarted-tcp

# --- behind an address translator ----------------------------------------------------------------------------------
# The whole case in a network of its own, in which the lab has the address 192.0.2.1 and nat plays the translator.
public() {
  [ -n "${IN_NETWORK:-}" ] || exec unshare -Urn env IN_NETWORK=1 "$HERE/case" "$NAME"
  ip link set lo up && ip addr add 192.0.2.1/32 dev lo || fail "no network of our own"
  IP=192.0.2.1; export LAB_IP=$IP
}
# Our address is found to be another one, which is bound instead; then calls and messages find their way in.
register_behind_nat() {
  public
  lab_up kam
  in_background bob "$HERE/nat" "$BIN/sip-register" sip:bob@lab.test --proxy "sip:$IP:$LAB_KAM" --user bob --password-file bob \
    --answer --expires 60s --json --timeout 60s
  wait_for 8 times bob registered 1 || fail "bob did not register"
  tells bob '"event":"register-again".*10.9.8.7:[0-9]* is seen as 198.51.100.7:' || fail "the translation was not noticed"
  times bob register-again 2 && fail "registered more than once more"
  tells bob '"contact":"sip:bob@198.51.100.7:' || fail "another address is bound"
  [ "$(kamcmd -s "unix:$LAB_RUN/kam/ctl" ul.dump | grep -c 'Address: sip:bob@')" = 1 ] || fail "the old address is bound as well"
  ours 0 writes sip-message sip:bob@lab.test "into the other network" --from sip:alice@lab.test --proxy "sip:$IP:$LAB_KAM" \
    --user alice --password-file alice --local "$IP" --timeout 10s
  tells bob '"text":"into the other network"' || fail "bob has no message"
  reap bob
  status_is bob 0
  tells bob '"event":"unregistered"' || fail "not unregistered"
}
row long register-behind-nat register_behind_nat

# With a name server and nothing else, through the translator and a proxy, to somebody who sends back what comes, to where
# it comes from.
call_behind_nat() {
  public
  lab_up kam
  step "lab up dns"
  "$LAB/lab" up dns || fail "named did not start"
  guest kam
  spawn tone sipp -sf "$LAB/sipp/uas-basic.xml" -i "$IP" -p "$LAB_SIPP" -mi "$IP" -mp "$MEDIA" -rtp_echo -m 1 -nostdin
  ours 0 binds sip-register sip:3333@lab.test --contact "sip:3333@$IP:$LAB_SIPP" --proxy "sip:$IP:$LAB_KAM" --user 3333 \
    --password-file 3333 --local "$IP" --timeout 10s
  step "sip-call sip:3333@lab.test from behind a translator"
  SSL_CERT_FILE=$LAB_RUN/tls/ca.pem "$HERE/nat" "$BIN/sip-call" sip:3333@lab.test --dns "$IP:$LAB_DNS" --audio tone:440 \
    --duration 4s --record call.wav --json --pcap call.pcapng -v --timeout 30s >call.json 2>call.err || fail "sip-call: $?"
  tells call '"local":"10.9.8.7:' || fail "not from inside"
  heard call.wav 440 2 1
}
row long call-behind-nat call_behind_nat
