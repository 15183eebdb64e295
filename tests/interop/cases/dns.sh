# The lab's zone, asked with sip-dns, and calls that have to find their way with nothing but --dns.

# lab_dns: a name server and its sinks, on this case's own ports (the sinks' numbers derive from LAB_PORT)
lab_dns() {
  LAB_PORT=$((BASE - 200))
  . "$LAB/env.sh"
  step "lab up dns"
  "$LAB/lab" up dns || fail "named did not start"
  K4=127.0.0.1:$LAB_KAM K6="[::1]:$LAB_KAM"
  S4=127.0.0.1:$((LAB_KAM + 1)) S6="[::1]:$((LAB_KAM + 1))"
}
ask() { "$BIN/sip-dns" --json --dns "$IP:$LAB_DNS" "$@" >dns.json 2>dns.err; }
# leads URI TARGET...: these targets, in this order
leads() {
  local uri=$1; shift
  step "$uri"
  ask "$uri" || fail "sip-dns $uri ended with status $?: $(cat dns.err)"
  "$HERE/targets" dns.json >got
  printf '%s\n' "$@" >wanted
  cmp -s got wanted || fail "$uri leads to $(tr '\n' ';' <got) and not to $(tr '\n' ';' <wanted)"
}
# refused URI WORDS: name resolution fails and says why
refused() {
  step "$1 leads nowhere"
  ask "$1"; local rc=$?
  [ $rc = 20 ] || fail "sip-dns $1 ended with status $rc, not 20"
  grep -q "$2" dns.err || fail "sip-dns $1 does not say “$2”: $(cat dns.err)"
}
# share PERCENT PORT: within 6 percentage points
share() {
  local got; got=$("$HERE/targets" -f shares.json "$2")
  echo "port $2 came first in $got % of the lookups, $1 % are wanted"
  awk -v got="$got" -v want="$1" 'BEGIN { exit !(got - want <= 6 && want - got <= 6) }' || fail "$got % is too far from $1 %"
}

dns_order() {
  lab_dns
  # NAPTR says the order of the transports; of a host with both families the one with a route comes first
  leads sip:lab.test "TLS $S6" "TLS $S4" "TCP $K6" "TCP $K4" "UDP $K6" "UDP $K4"
  leads sips:lab.test "TLS $S6" "TLS $S4"
  leads sip:udp.lab.test "UDP $K6" "UDP $K4"
  leads sip:tcp.lab.test "TCP $K6" "TCP $K4"
  leads sip:tls.lab.test "TLS $S6" "TLS $S4"
  leads sip:ws.lab.test "WS [::1]:$((LAB_KAM + 8))" "WS $IP:$((LAB_KAM + 8))"
  leads sip:sctp.lab.test "UDP $K6" "UDP $K4"
  leads sip:outer.lab.test "UDP $K6" "UDP $K4"
  # no NAPTR: SRV of every transport
  leads sip:srvonly.lab.test "UDP $K6" "UDP $K4" "TCP $K6" "TCP $K4" "TLS $S6" "TLS $S4"
  leads "sip:srvonly.lab.test;transport=tcp" "TCP $K6" "TCP $K4"
  leads sips:srvonly.lab.test "TLS $S6" "TLS $S4"
  leads sip:tcpsrv.lab.test "TCP $K6" "TCP $K4"
  # an explicit port: addresses and nothing else
  leads sip:aonly.lab.test:5099 "UDP [::1]:5099" "UDP 127.0.0.1:5099"
  leads sip:trap.lab.test:5099 "UDP 127.0.0.1:5099"
  leads "sip:trap.lab.test:5099;transport=tcp" "TCP 127.0.0.1:5099"
  leads "sip:nobody.invalid;maddr=trap.lab.test;transport=udp" "UDP [::1]:$LAB_DEAD" "UDP 127.0.0.1:$LAB_DEAD"
  leads sip:127.0.0.1 "UDP 127.0.0.1:5060"
  leads "sips:[::1]" "TLS [::1]:5061"
  leads sip:alias.lab.test "UDP 127.0.0.1:5060"
  # priorities, hosts without an address, families, several addresses
  leads "sip:dead1.lab.test;transport=udp" "UDP 127.0.0.1:$LAB_DEAD" "UDP $K4"
  leads "sip:nxhost.lab.test" "UDP $K4"
  leads "sip:v6.lab.test;transport=udp" "UDP $K6"
  leads "sip:dual.lab.test;transport=udp" "UDP [::1]:$LAB_SINK_A" "UDP 127.0.0.1:$LAB_SINK_A"
  ask "sip:deep.lab.test" || fail "sip:deep.lab.test"
  [ "$("$HERE/targets" dns.json | sort | tr '\n' ' ')" = "TCP 127.0.0.1:$LAB_KAM TCP 127.0.0.77:$LAB_KAM TCP 127.0.0.78:$LAB_KAM " ] ||
    fail "sip:deep.lab.test leads to $("$HERE/targets" dns.json)"
  # forty records: truncated over UDP
  ask sip:big.lab.test || fail "sip:big.lab.test"
  [ "$("$HERE/targets" dns.json | sed -n 1p)" = "UDP $K4" ] || fail "sip:big.lab.test begins with $("$HERE/targets" dns.json | sed -n 1p)"
  refused sip:none.lab.test "does not offer SIP"
  refused sip:nothere.lab.test "no such name, says DNS server"
  refused sip:empty.lab.test "no record of that kind, says DNS server"
  refused sip:servfail.test "SERVFAIL"
  step "a thousand lookups"
  "$BIN/sip-dns" --json --dns "$IP:$LAB_DNS" --count 1000 sip:weights.lab.test >shares.json || fail "the lookups failed"
  share 70 "$LAB_SINK_A"; share 20 "$LAB_SINK_B"; share 10 "$LAB_SINK_C"; share 0 "$LAB_SINK_D"
  step "a dead DNS server before the live one"
  local begun took; begun=$(date +%s%N)
  "$BIN/sip-dns" --json --dns "$IP:$LAB_DEAD" --dns "$IP:$LAB_DNS" sip:udp.lab.test >dead.json || fail "the second server was not asked"
  took=$((($(date +%s%N) - begun) / 1000000))
  echo "took $took ms"
  [ $took -le 1500 ] || fail "the second server was asked after $took ms"
}
row core dns-order dns_order

# found URI: the call reaches the proxy, whatever it thinks of the caller
found() {
  local begun took
  step "sip-call $1"
  begun=$(date +%s%N)
  "$BIN/sip-call" --dns "$IP:$LAB_DNS" --json -v --audio none --local "$IP:$OURS" --timeout 20s "$1" >call.json 2>call.err
  took=$((($(date +%s%N) - begun) / 1000000))
  echo "status $(field call.json code) from $(field call.json remote) after $took ms"
  case $(field call.json code) in 4?? | 6??) ;; *) fail "$1: $(tail -n 3 call.err)" ;; esac
  [ $took -le 2000 ] || fail "$1 took $took ms"
}
dns_failover() {
  lab_dns
  step "lab up kam-sha"
  "$LAB/lab" up kam-sha || fail "kam-sha did not start"
  local name
  for name in udp srvonly dead1 busy1 nxhost flip; do found "sip:nobody@$name.lab.test"; done
  step "flip.lab.test, TTL 1, points elsewhere"
  "$LAB/dns/flip" "$LAB_SINK_503" || fail "the zone cannot be changed"
  "$BIN/sip-call" --dns "$IP:$LAB_DNS" --json --audio none --local "$IP:$OURS" --timeout 20s sip:nobody@flip.lab.test >call.json 2>call.err
  field_is call.json code 503
  step "every target refuses"
  "$BIN/sip-call" --dns "$IP:$LAB_DNS" --json --audio none --local "$IP:$OURS" --timeout 20s sip:nobody@alldead.lab.test >call.json 2>call.err
  [ $? = 21 ] || fail "status $(field call.json exit) and not 21"
  step "the service is refused although there is an address"
  "$BIN/sip-call" --dns "$IP:$LAB_DNS" --json --audio none --local "$IP:$OURS" --timeout 20s sip:nobody@none.lab.test >call.json 2>call.err
  [ $? = 20 ] || fail "status $(field call.json exit) and not 20"
}
row core dns-failover dns_failover
