# sip-stateless-proxy between peers: SIPp on both sides over each pair of transports, our own programs over all five and
# both families, phones that register and call through it, two of them in a row, next hops that come and go.

# proxy NAME PORT ARGUMENT...: on that port and those after it, by transport, over IPv4 and IPv6
proxy() {
  local name=$1 port=$2; shift 2
  in_background "$name" "$BIN/sip-stateless-proxy" --listen "$IP:$port" --listen "[::1]:$port" --json --pcap "$name.pcapng" "$@"
  wait_for 10 bound "$port" || fail "$name does not listen on $port"
}
proxy_done() { # NAME: it must still be there; ended by TERM it leaves with 0
  [ -f "$1.rc" ] && fail "$1 ended by itself with status $(cat "$1.rc")"
  reap "$1"
  status_is "$1" 0
  grep -q '"event":"forwarded"' "$1.json" || fail "$1 forwarded nothing"
}

# between CLIENT'S-TRANSPORT SERVER'S-TRANSPORT (SIPp's words): calls of SIPp to SIPp, which wants each message as it should be
between() {
  local transport; case $2 in u1) transport=udp ;; t1) transport=tcp ;; esac
  proxy proxy "$SERVER_PORT" --next-hop "sip:$IP:$LAB_SIPP;transport=$transport"
  TRANSPORT=$2 CALLS=20 sipp_uas uas-basic
  step "sipp uac-basic over $1"
  PORT=$((BASE + 6)) TRANSPORT=$1 CALLS=20 SERVICE=sipp MEDIA=$((BASE + 60)) "$LAB/sipp/run" uac-basic "$IP:$SERVER_PORT" ||
    fail "SIPp's caller was not satisfied"
  sipp_done uas-basic
  proxy_done proxy
}
row core proxy-udp-udp between u1 u1
row long proxy-udp-tcp between u1 t1
row long proxy-tcp-udp between t1 u1
row core proxy-tcp-tcp between t1 t1

# SIPp has no TLS, nor WebSocket: its calls go over three proxies, of which the first one makes of its transport MIDDLE, the second one
# has MIDDLE on both sides, and the third one makes of MIDDLE the other SIPp's.
by_way_of() { # MIDDLE CLIENT'S-TRANSPORT SERVER'S-TRANSPORT
  local transport; case $3 in u1) transport=udp ;; t1) transport=tcp ;; esac
  local middle=(--tls-cert "$LAB_RUN/tls/server.pem" --tls-key "$LAB_RUN/tls/server.key" --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test)
  local second third; second=$(port "$OURS" "$1") third=$(port "$((OURS + 12))" "$1")
  proxy third $((OURS + 12)) --listen "$1:$IP:$third" --next-hop "sip:$IP:$LAB_SIPP;transport=$transport" "${middle[@]}"
  proxy second "$OURS" --listen "$1:$IP:$second" --next-hop "sip:$IP:$third;transport=$1" "${middle[@]}"
  proxy first "$SERVER_PORT" --next-hop "sip:$IP:$second;transport=$1" "${middle[@]}"
  TRANSPORT=$3 CALLS=20 sipp_uas uas-basic
  step "sipp uac-basic over $2, $1 twice, and $3"
  PORT=$((BASE + 6)) TRANSPORT=$2 CALLS=20 SERVICE=sipp MEDIA=$((BASE + 60)) "$LAB/sipp/run" uac-basic "$IP:$SERVER_PORT" ||
    fail "SIPp's caller was not satisfied"
  sipp_done uas-basic
  local name; for name in first second third; do proxy_done $name; done
}
row core proxy-udp-tls-udp by_way_of tls u1 u1
row long proxy-udp-tls-tcp by_way_of tls u1 t1
row long proxy-tcp-tls-udp by_way_of tls t1 u1
row long proxy-tcp-tls-tcp by_way_of tls t1 t1
row long proxy-udp-ws-tcp by_way_of ws u1 t1
row long proxy-tcp-wss-udp by_way_of wss t1 u1

# calls of our own over any transport to any other one, IPv4 and IPv6
ours_between() {
  local from to host target by listen=() count=0
  for to in udp tcp tls ws wss; do listen+=(--listen "$to:$IP:$(port "$SERVER_PORT" $to)"); done
  in_background server "$BIN/sip-test-server" "${listen[@]}" --tls-cert "$LAB_RUN/tls/server.pem" --tls-key "$LAB_RUN/tls/server.key" --json
  local proxies=()
  for host in "$IP" "[::1]"; do for from in tls ws wss; do proxies+=(--listen "$from:$host:$(port "$OURS" $from)"); done; done
  proxy proxy "$OURS" "${proxies[@]}" --tls-cert "$LAB_RUN/tls/server.pem" --tls-key "$LAB_RUN/tls/server.key" \
    --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test
  wait_for 10 bound "$SERVER_PORT" || fail "sip-test-server does not listen"
  for host in "$IP" "[::1]"; do
    for from in udp tcp tls ws wss; do
      for to in udp tcp tls ws wss; do
        target="sip:tone@$IP:$(port "$SERVER_PORT" $to);transport=$to"
        by=(--proxy "sip:$host:$(port "$OURS" $from);transport=$from" --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test --timeout 15s)
        if [ "$host" = "$IP" ]; then
          "$BIN/sip-call" "$target" "${by[@]}" --audio tone:700 --duration 300ms >call.out 2>&1
        else
          # sound does not get from one family to the other without a relay, but messages do
          "$BIN/sip-message" "$target" "over $from to $to" "${by[@]}" >call.out 2>&1
        fi || fail "from $host over $from to $to: status $?: $(tail -n 2 call.out)"
        count=$((count + 1))
      done
    done
  done
  [ $count = 50 ] || fail "$count calls and messages, not 50"
  [ "$(grep -c '"event":"ended".*"by":"remote"' server.json)" = 25 ] || fail "not every call was ended by its caller"
  proxy_done proxy
  reap server
  status_is server 0
}
# port FIRST TRANSPORT: ports of the case that nobody else has
port() { case $2 in udp | tcp) echo "$1" ;; tls) echo $(($1 + 100)) ;; ws) echo $(($1 + 102)) ;; wss) echo $(($1 + 104)) ;; esac; }
row long proxy-all-transports ours_between

# phones register at kamailio through the proxy, and call each other and us through it
phones() {
  step "lab up kam"
  "$LAB/lab" up kam || { "$LAB/lab" down kam; "$LAB/lab" up kam; } || fail "kam did not start"
  echo alice-secret >password; chmod 600 password
  proxy proxy "$SERVER_PORT" --next-hop "sip:$IP:$LAB_KAM"
  SERVER=$IP:$SERVER_PORT TRANSPORT=$1 CODECS=PCMU peer_start baresip
  SERVER=$IP:$SERVER_PORT TRANSPORT=$2 CODECS=PCMU SOURCE=$("$LAB/ua/tones" 700) peer_start linphone
  local peer
  for peer in baresip linphone; do wait_for 8 registered $peer || fail "$peer did not register through the proxy"; done
  call 0 sip:baresip@lab.test --proxy "sip:$IP:$SERVER_PORT" --from sip:alice@lab.test --user alice --password-file password \
    --audio tone:440 --codec pcmu --duration 4s --timeout 20s
  heard call.wav 1000 3 1
  call 0 sip:linphone@lab.test --proxy "sip:$IP:$SERVER_PORT;transport=tcp" --from sip:alice@lab.test --user alice \
    --password-file password --audio tone:440 --codec pcmu --duration 4s --timeout 20s
  heard call.wav 700 3 1
  step "baresip calls linphone"
  peer_do baresip baresip dial sip:linphone@lab.test
  wait_for 10 grep -qi 'call.*established' "$LAB_RUN/log/baresip.log" || fail "baresip's call to linphone was not answered"
  sleep 2
  peer_do baresip baresip hangup
  proxy_done proxy
}
registered() { kamcmd -s "unix:$LAB_RUN/kam/ctl" ul.dump | grep -q "AoR: $1"; }
row long proxy-phones phones udp tcp
row long proxy-phones-tcp phones tcp udp

# two in a row, the second one shares calls between two servers, of which one goes away
in_a_row() {
  local one=$((BASE + 12)) other=$((BASE + 14)) n
  in_background one "$BIN/sip-test-server" --listen "$IP:$one" --json
  in_background other "$BIN/sip-test-server" --listen "$IP:$other" --json
  proxy second "$OURS" --next-hop "sip:$IP:$one" --next-hop "sip:$IP:$other" --record-route --probe 1s
  proxy first "$SERVER_PORT" --next-hop "sip:$IP:$OURS" --record-route
  wait_for 10 bound $one && wait_for 10 bound $other || fail "the servers do not listen"
  for n in $(seq 12); do
    "$BIN/sip-call" sip:tone@pbx.example --proxy "sip:$IP:$SERVER_PORT" --audio tone:700 --duration 100ms --timeout 15s 2>call.err ||
      fail "call $n: status $?: $(cat call.err)"
  done
  local answered=0 server share
  for server in one other; do
    share=$(grep -c '"event":"answered"' $server.json)
    [ "$share" -ge 1 ] || fail "$server was never called"
    answered=$((answered + share))
  done
  [ $answered = 12 ] || fail "$answered calls were answered, not 12"
  reap one
  wait_for 50 grep -q 'does not answer' second.err || fail "that a server is gone is not noticed"
  for n in $(seq 6); do
    "$BIN/sip-call" sip:tone@pbx.example --proxy "sip:$IP:$SERVER_PORT" --audio tone:700 --duration 100ms --timeout 15s 2>call.err ||
      fail "call $n to the one that is left: status $?: $(cat call.err)"
  done
  proxy_done first
  proxy_done second
}
row long proxy-in-a-row in_a_row
slow proxy-in-a-row

# hang_up PORT: SIGHUP to the proxy there, not to who notes its status
hang_up() { kill -HUP "$(pgrep -f "^$BIN/sip-stateless-proxy --listen $IP:$1 ")" || fail "no proxy to tell"; }
# routes by domain and pattern, read again while calls go on
reloaded() {
  local config=$W/proxy.toml
  server
  printf '[proxy]\nroute = ["a.example=sip:%s:%s", "/^sip:[0-9]+@/=sip:%s:%s"]\n' "$IP" "$SERVER_PORT" "$IP" "$((BASE + 15))" >"$config"
  proxy proxy "$OURS" --config "$config"
  "$BIN/sip-options" sip:a.example --proxy "sip:$IP:$OURS" --timeout 5s || fail "the route by domain: $?"
  "$BIN/sip-options" sip:123@b.example --proxy "sip:$IP:$OURS" --timeout 2s && fail "a route to nobody was answered"
  printf '[proxy]\nroute = ["/^sip:[0-9]+@/=sip:%s:%s"]\n' "$IP" "$SERVER_PORT" >"$config"
  hang_up "$OURS"
  wait_for 5 grep -q 'read again' proxy.err || fail "the configuration is not read again: $(cat proxy.err)"
  "$BIN/sip-options" sip:123@b.example --proxy "sip:$IP:$OURS" --timeout 5s || fail "the route by pattern: $?"
  printf '[proxy]\nroute = ["nonsense"]\n' >"$config"
  hang_up "$OURS"
  wait_for 5 grep -q 'stays as it was' proxy.err || fail "a mistake in the configuration is not told"
  "$BIN/sip-options" sip:123@b.example --proxy "sip:$IP:$OURS" --timeout 5s || fail "after the mistake: $?"
  proxy_done proxy
  server_done
}
row core proxy-reloaded reloaded

# figures for Prometheus, asked for with curl while calls go on, and every message told to who listens as Homer does
watched() {
  local page=http://127.0.0.1:$((BASE + 21))/metrics sent
  server
  in_background homer python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", int(sys.argv[1])))
while True: print(s.recv(65535)[:4].decode(), flush=True)' $((BASE + 22))
  proxy proxy "$OURS" --next-hop "sip:$IP:$SERVER_PORT" --record-route --metrics $((BASE + 21)) --hep "127.0.0.1:$((BASE + 22))"
  "$BIN/sip-call" "sip:tone@pbx.example" --proxy "sip:$IP:$OURS" --audio none --duration 100ms --timeout 15s || fail "the call: $?"
  curl -sSf "$page" >page.txt || fail "no page: $?"
  grep -q '^sipkit_proxy_requests_total 3$' page.txt || fail "not three requests: $(grep requests_total page.txt)"
  grep -q "^sipkit_proxy_next_hop_up{next_hop=\"sip:$IP:$SERVER_PORT\"} 1$" page.txt || fail "no next hop on the page"
  sent=$(sed -n 's/^sipkit_hep_messages_total{outcome="sent"} //p' page.txt)
  wait_for 5 eval '[ "$(grep -c HEP3 homer.json)" -ge '"$sent"' ]' || fail "$sent were told, $(grep -c HEP3 homer.json) came"
  [ "$sent" -ge 8 ] || fail "only $sent messages were told"
  curl -sI "$page" | grep -q '^HTTP/1.1 200' || fail "HEAD is not answered"
  curl -s -o /dev/null -w '%{http_code}' "${page%metrics}else" | grep -qx 404 || fail "another page is not 404"
  curl -s -o /dev/null -w '%{http_code}' -X POST "$page" | grep -qx 405 || fail "POST is not 405"
  proxy_done proxy
  reap homer
}
row core proxy-watched watched

# A spiral: to kamailio through the proxy, and what kamailio makes of it through the same proxy again, with another Request-URI
# (RFC 3261 section 6). It is no loop, and goes on: to the one who is meant now.
spiral() {
  step "lab up kam"
  "$LAB/lab" up kam || { "$LAB/lab" down kam; "$LAB/lab" up kam; } || fail "kam did not start"
  echo alice-secret >password; chmod 600 password
  in_background server "$BIN/sip-test-server" --listen "$IP:$((BASE + 16))" --json
  proxy proxy "$SERVER_PORT" --route "lab.test=sip:$IP:$LAB_KAM" --route "/^sip:tone@/=sip:$IP:$((BASE + 16))" --record-route
  wait_for 10 bound $((BASE + 16)) || fail "sip-test-server does not listen"
  echo carol-secret >carol; chmod 600 carol
  "$BIN/sip-register" sip:carol@lab.test --proxy "sip:$IP:$LAB_KAM" --user carol --password-file carol \
    --contact "sip:tone@$IP:$SERVER_PORT" --expires 60s --timeout 10s || fail "no binding for carol: $?"
  call 0 sip:carol@lab.test --proxy "sip:$IP:$SERVER_PORT" --from sip:alice@lab.test --user alice --password-file password \
    --audio tone:440 --codec pcmu --duration 2s --timeout 15s
  heard call.wav 440 1 1
  grep -q '"event":"answered"' server.json || fail "the server was not called"
  # the proxy took the INVITE of kamailio as well, with its own Via below kamailio's
  count 1 proxy.pcapng "sip.Method == INVITE && sip.r-uri contains \"tone@\" && udp.dstport == $SERVER_PORT"
  count 0 proxy.pcapng 'sip.Status-Code == 482'
  proxy_done proxy
  reap server
  status_is server 0
}
row long proxy-spiral spiral

# Loops (RFC 5393): one that is forged of what the proxy sent, and one that is real, of two proxies that mean each other.
loops() {
  local hop=$((BASE + 14)) sent
  proxy proxy "$SERVER_PORT" --next-hop "sip:$IP:$hop"
  "$HERE/loops" "$SERVER_PORT" "$hop" || fail "the proxy did not tell loops from spirals"
  proxy_done proxy
  proxy first "$OURS" --next-hop "sip:$IP:$((BASE + 12))"
  proxy second $((BASE + 12)) --next-hop "sip:$IP:$OURS"
  "$BIN/sip-options" sip:nobody@pbx.example --proxy "sip:$IP:$OURS" --timeout 8s --json >options.json && fail "a loop answered with success"
  grep -q '"code":482' options.json || fail "the loop did not end with 482: $(tail -n 1 options.json)"
  reap second
  proxy_done first
  # from us, to the second one, and back
  sent=$(tshark -n -r first.pcapng -d "udp.port==$SIP_PORTS,sip" -Y 'sip.Method == OPTIONS' 2>/dev/null | wc -l)
  [ "$sent" -le 4 ] || fail "$sent requests went round before somebody saw the loop"
}
row core proxy-loops loops
