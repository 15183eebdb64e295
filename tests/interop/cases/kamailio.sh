# Calls through the lab's proxies, which challenge every request of a local user.

# through PIECE [ALGORITHM]: alice calls a SIPp server behind the proxy
through() {
  step "lab up $1"
  "$LAB/lab" up "$1" || { "$LAB/lab" down "$1"; "$LAB/lab" up "$1"; } || fail "$1 did not start"
  echo alice-secret >password; chmod 600 password
  sipp_uas uas-basic
  call 0 "sip:sipp@$IP:$LAB_SIPP" --proxy "sip:$IP:$LAB_KAM" --from sip:alice@lab.test --user alice --password-file password \
    --audio tone:700 --duration 2s --timeout 20s
  sipp_done uas-basic
  # one challenge, however often a slow proxy repeats it
  different 1 call.pcap 'sip.Status-Code == 407' sip.CSeq.seq
  different 2 call.pcap 'sip.Method == "INVITE"' sip.CSeq.seq
  [ "$(tshark -n -r call.pcap -d "udp.port==$SIP_PORTS,sip" -Y 'sip.Method == "INVITE" && sip.auth.digest.response' -T fields \
    -e sip.auth.algorithm 2>/dev/null | head -n 1)" = "${2:-}" ] || fail "the challenge was not answered with ${2:-MD5}"
}
row core kam-sha through kam-sha SHA-256
# its challenge names no algorithm, which means MD5, and so the answer names none either (RFC 7616 §3.4)
row long kam-md5 through kam

# the callee is a real phone, registered at the same proxy
registered() {
  kamcmd -s "unix:$LAB_RUN/$1/ctl" ul.dump | grep -q "AoR: $2"
}
kam_sha_linphone() {
  step "lab up kam-sha"
  "$LAB/lab" up kam-sha || fail "kam-sha did not start"
  SERVER=$IP:$LAB_KAM_SHA CODECS=opus SOURCE=$("$LAB/ua/tones" 700) peer_start linphone
  wait_for 8 registered kam-sha linphone || fail "linphone did not register"
  echo alice-secret >password; chmod 600 password
  call 0 sip:linphone@lab.test --proxy "sip:$IP:$LAB_KAM_SHA" --from sip:alice@lab.test --user alice --password-file password \
    --audio tone:440 --duration 6s --timeout 20s
  "$LAB/ua/linphone" stop
  heard "$("$LAB/ua/linphone" wav | tail -n 1)" 440 4
  heard call.wav 700 4 1
}
row long kam-sha-linphone kam_sha_linphone
