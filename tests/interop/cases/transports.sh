# Calls over TCP, TLS, WebSocket and secure WebSocket: through kamailio, and straight to the phones. The captures of the
# encrypted ones are read without any help from outside.

# address FAMILY: the loopback as an address and as a host in a URI
address() { case $1 in 4) A=$IP H=$IP ;; 6) A=$LAB_IP6 H="[$LAB_IP6]" ;; esac; }
# port_of TRANSPORT FAMILY: where the proxy speaks it; WebSockets have ports of their own on IPv4 only
port_of() {
  case $1$2 in
    tcp? | ws6) echo "$LAB_KAM" ;;
    tls? | wss6) echo $((LAB_KAM + 1)) ;;
    ws4) echo $((LAB_KAM + 8)) ;;
    wss4) echo $((LAB_KAM + 9)) ;;
  esac
}

# over WANTED-STATUS ARGUMENT...: sip-call at the address $A, with a capture that has the secrets
over() {
  local want=$1 rc; shift
  step "sip-call $*"
  "$BIN/sip-call" "$@" --local "$A" --json --timeout 30s --pcap call.pcapng --record call.wav >call.json 2>call.err
  rc=$?
  [ $rc = "$want" ] || fail "sip-call ended with status $rc, not $want: $(tail -n 2 call.err)"
}
# sharks TRANSPORT PORT FILE ARGUMENT...: tshark, told which port speaks what
sharks() {
  local as=() transport=$1 port=$2 file=$3; shift 3
  case $transport in
    tcp) as=(-d "tcp.port==$port,sip") ;;
    tls) as=(-d "tcp.port==$port,tls" -d "tls.port==$port,sip") ;;
    ws) as=(-d "tcp.port==$port,http") ;;
    wss) as=(-d "tcp.port==$port,tls" -d "tls.port==$port,http") ;;
  esac
  tshark -n -r "$file" "${as[@]}" "$@" 2>/dev/null
}
# judge_flow TRANSPORT PORT: the whole call is in the capture, in the clear, and the connection is in order
judge_flow() {
  local said faults method
  said=$(sharks "$1" "$2" call.pcapng -Y sip -T fields -e sip.Method -e sip.Status-Code | tr -s ',\t' '\n' | sed '/^$/d' | tr '\n' ' ')
  for method in INVITE ACK BYE 200; do
    case " $said" in *" $method "*) ;; *) fail "no $method in the capture, but $said" ;; esac
  done
  [ "$(sharks "$1" "$2" call.pcapng -Y 'sip && udp' | wc -l)" = 0 ] || fail "some of the call went over UDP"
  faults=$(sharks "$1" "$2" call.pcapng -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE \
    -Y '_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || udp.checksum.status == 0')
  [ -z "$faults" ] || fail "faults in the capture: $faults"
  [ "$(sharks "$1" "$2" call.pcapng -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' | wc -l)" = 1 ] || fail "not exactly one connection"
  # of the ports only those that speak SIP without anything around it are SIP's
  local ports=$2-$2; [ "$1" = tcp ] || ports=$((BASE + 190))-$((BASE + 190))
  "$LAB/check-pcap" call.pcapng --no-malformed --max-lost 0 --ports "$ports" || fail "the capture is not right"
  # check-pcap finds no streams on IPv6
  [ "$(tshark -n -r call.pcapng -o rtp.heuristic_rtp:TRUE -q -z rtp,streams 2>/dev/null | grep -cF ' 0 (0.0%) ')" = 2 ] ||
    fail "not two streams without loss"
}
registered() { kamcmd -s "unix:$LAB_RUN/kam/ctl" ul.dump | grep -q "AoR: $1"; }
proxy_up() {
  step "lab up kam"
  "$LAB/lab" up kam || { "$LAB/lab" down kam; "$LAB/lab" up kam; } || fail "kam did not start"
  echo alice-secret >password; chmod 600 password
}
ALICE="--from sip:alice@lab.test --user alice --password-file password"

# proxied TRANSPORT FAMILY PEER PEER'S-TRANSPORT: through kamailio to a phone that is registered there
proxied() {
  local port tone=1000; port=$(port_of "$1" "$2")
  address "$2"
  proxy_up
  if [ "$3" = linphone ]; then
    tone=700
    TRANSPORT=$4 CODECS=PCMU SOURCE=$("$LAB/ua/tones" 700) peer_start linphone
  else
    TRANSPORT=$4 CODECS=PCMU FAMILY=$2 peer_start baresip
  fi
  wait_for 8 registered "$3" || fail "$3 did not register"
  # the words of ALICE are flags
  # shellcheck disable=SC2086
  over 0 "sip:$3@lab.test" --proxy "sip:$H:$port" --transport "$1" $ALICE --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test \
    --audio tone:440 --codec pcmu --duration 5s -v
  grep -q "connected from" call.err || fail "-v does not tell of the connection"
  case $1 in tls | wss) grep -q "TLS 1\.[23].*lab.test" call.err || fail "-v does not tell of TLS" ;; esac
  judge_flow "$1" "$port"
  heard call.wav "$tone" 3 1
  [ "$(sharks "$1" "$port" call.pcapng -Y 'sip.Status-Code == 407' | wc -l)" -ge 1 ] || fail "there was no challenge"
}
row core proxied-tls-linphone proxied tls 4 linphone udp
row core proxied-wss-baresip proxied wss 4 baresip tcp
row long proxied-tcp-baresip proxied tcp 4 baresip udp
row long proxied-tcp-linphone proxied tcp 4 linphone tls
row long proxied-tls-baresip proxied tls 4 baresip tls
row long proxied-ws-baresip proxied ws 4 baresip udp
row long proxied-ws-linphone proxied ws 4 linphone tcp
row long proxied-wss-linphone proxied wss 4 linphone udp
row long proxied-tcp6-baresip proxied tcp 6 baresip tcp
row long proxied-tls6-baresip proxied tls 6 baresip udp
row long proxied-ws6-baresip proxied ws 6 baresip udp
row long proxied-wss6-baresip proxied wss 6 baresip tcp

# straight TRANSPORT FAMILY PEER: no proxy in between
straight() {
  local port tone=1000
  address "$2"
  if [ "$3" = linphone ]; then
    tone=700 port=$LAB_LINPHONE
    SERVER=none TRANSPORT=$1 FAMILY=$2 CODECS=PCMU SOURCE=$("$LAB/ua/tones" 700) peer_start linphone
  else
    port=$LAB_BARESIP
    SERVER=none TRANSPORT=$1 FAMILY=$2 CODECS=PCMU peer_start baresip
  fi
  [ "$1" = tls ] && port=$((port + 1))
  over 0 "sip:$3@$H:$port;transport=$1" --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test --audio tone:440 --codec pcmu --duration 5s
  judge_flow "$1" "$port"
  heard call.wav "$tone" 3 1
}
row long straight-tcp-baresip straight tcp 4 baresip
row long straight-tls-baresip straight tls 4 baresip
row long straight-tcp6-baresip straight tcp 6 baresip
row long straight-tls6-baresip straight tls 6 baresip
row long straight-tcp-linphone straight tcp 4 linphone

# who shows a wrong certificate is not called, and it is said why
not_believed() {
  address 4
  proxy_up
  local trust="--tls-ca $LAB_RUN/tls/ca.pem --tls-name lab.test --audio none"
  # refused PORT WORD...: all of them must be said
  refused() {
    local port=$1 word; shift
    # shellcheck disable=SC2086
    over 22 sip:bob@lab.test --proxy "sip:$H:$port;transport=tls" $ALICE $trust
    for word; do grep -q -- "$word" call.err || fail "$word is not said: $(cat call.err)"; done
    field_is call.json exit 22
  }
  refused $((LAB_KAM + 2)) "asks for a client certificate" "--tls-cert"
  refused $((LAB_KAM + 3)) expired "SIP lab CA"
  refused $((LAB_KAM + 4)) lab.test other.example
  refused $((LAB_KAM + 5)) "Rogue CA" "--tls-ca"
  # without a flag the name is that of the target
  over 22 sip:bob@lab.test --proxy "sip:$H:$((LAB_KAM + 4));transport=tls" --tls-ca "$LAB_RUN/tls/ca.pem" --audio none
  # a client that the proxy does not know
  trust="$trust --tls-cert $LAB_RUN/tls/rogue-client-both.pem"
  refused $((LAB_KAM + 2)) "does not accept our certificate"
  # TLS where there is none, and none where there is TLS
  refused "$LAB_KAM" "TLS with $IP:$LAB_KAM"
}
row core tls-not-believed not_believed

# alice's certificate opens the port that wants one
mutual() {
  address 4
  proxy_up
  sipp_uas uas-basic
  # shellcheck disable=SC2086
  over 0 "sip:sipp@$IP:$LAB_SIPP" --proxy "sip:$H:$((LAB_KAM + 2));transport=tls" $ALICE --tls-ca "$LAB_RUN/tls/ca.pem" \
    --tls-name lab.test --tls-cert "$LAB_RUN/tls/client.pem" --tls-key "$LAB_RUN/tls/client.key" --audio tone:700 --duration 2s
  sipp_done uas-basic
  judge_flow tls $((LAB_KAM + 2))
}
row core tls-mutual mutual

# called TRANSPORT PEER: a phone calls our server, straight
called() {
  local port=$SERVER_PORT
  address 4
  in_background server "$BIN/sip-test-server" --listen "$1:$A:$port" --tls-cert "$LAB_RUN/tls/server-both.pem" --json --ladder \
    --pcap server.pcapng
  listens() { ss -Hlnt | grep -q ":$port "; }
  wait_for 10 listens || fail "sip-test-server does not listen on $port"
  SERVER=none TRANSPORT=$1 CODECS=PCMU SOURCE=$("$LAB/ua/tones" 700) peer_start "$2"
  case $2 in
    baresip) peer_do baresip dial "sip:tone@$A:$port;transport=$1"; sleep 5; peer_do baresip hangup ;;
    linphone) peer_do linphone call "sip:tone@$A:$port;transport=$1"; sleep 6; peer_do linphone terminate ;;
  esac
  sleep 1
  "$LAB/ua/$2" stop
  [ -f server.rc ] && fail "sip-test-server ended by itself with status $(cat server.rc)"
  reap server
  status_is server 0
  mv server.pcapng call.pcapng
  judge_flow "$1" "$port"
  grep -q "BYE ─" server.err || grep -q "─ BYE" server.err || fail "no BYE in the ladder"
  heard "$("$LAB/ua/$2" wav | grep -v -e -enc.wav | tail -n 1)" 440 3
}
row long called-tcp-baresip called tcp baresip
row core called-tls-baresip called tls baresip
row long called-tls-linphone called tls linphone

# each version of TLS with the library that most peers are made of, on either side
versions() {
  address 4
  local version port=$((BASE + 15)) ours=$SERVER_PORT
  in_background server "$BIN/sip-test-server" --listen "tls:$A:$ours" --tls-cert "$LAB_RUN/tls/server-both.pem" --json
  tells() { ss -Hlnt | grep -q ":$1 "; }
  wait_for 10 tells "$ours" || fail "sip-test-server does not listen on $ours"
  for version in 1_2 1_3; do
    step "openssl s_server -tls$version"
    spawn "openssl$version" openssl s_server -accept "$A:$port" -cert "$LAB_RUN/tls/server-both.pem" -key "$LAB_RUN/tls/server-both.pem" \
      -"tls$version" -quiet
    wait_for 5 tells "$port" || fail "openssl does not listen"
    "$BIN/sip-tls-check" "sip:$A:$port" --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test --json --timeout 20s >"check$version.json" ||
      fail "sip-tls-check: $?"
    grep -q "TLS ${version/_/.}\|\"${version/_/.}\"" "check$version.json" || fail "$version is not said"
    # it answers nothing, but takes the connection
    "$BIN/sip-options" "sip:x@$A:$port;transport=tls" --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test --timeout 2s -v 2>"options$version.err"
    grep -q "TLS ${version/_/.}" "options$version.err" || fail "-v does not say $version: $(cat "options$version.err")"
    reap "openssl$version"
    step "openssl s_client -tls$version"
    printf 'OPTIONS sip:x@%s SIP/2.0\r\nVia: SIP/2.0/TLS %s:9;branch=z9hG4bK%s\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n' \
      "$A" "$A" "$version" "$version" >request
    { cat request; sleep 1; } | openssl s_client -connect "$A:$ours" -CAfile "$LAB_RUN/tls/ca.pem" -verify_return_error -"tls$version" -quiet -no_ign_eof \
      >"answer$version" 2>"client$version.err"
    grep -q '^SIP/2.0 200' "answer$version" || fail "no answer over TLS $version"
  done
  # nothing older
  printf '' | openssl s_client -connect "$A:$ours" -tls1_1 -cipher ALL:@SECLEVEL=0 >old.out 2>&1 && fail "TLS 1.1 is taken"
  reap server
  status_is server 0
}
row core tls-versions versions
