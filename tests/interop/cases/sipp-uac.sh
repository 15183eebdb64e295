# SIPp as the calling side against sip-test-server. The user part chooses the server's behaviour.

# uac SCENARIO BEHAVIOUR [SERVER-ARGUMENT...]: SIPp is content, and the server is still there
uac() {
  server "${@:3}"
  sipp_uac "$1" "$2"
  server_done
}
sent() { rtp server.pcap --to "$MEDIA" "$@"; }

# --- in make interop-core ---
slow uac-no-ack
row core uac-no-ack          no_ack
no_ack() { # RFC 3261 §13.3.1.4: 2xx again and again for 64·T1, then BYE
  TIMEOUT=60 uac uac-no-ack silence
  count 11 server.pcap 'sip.Status-Code == 200 && sip.CSeq.method == "INVITE"'
}
row core uac-basic           basic
basic() {
  server --calls 1
  sipp_uac uac-basic tone
  status_is server 0 10
  judge_capture server.pcap
  sent --ssrcs 1 --payload-type 0 --wav sent.wav
  heard sent.wav 440 2.5
}
row core uac-bye-soon        uac uac-bye-soon tone
row core uac-cancel          uac uac-cancel ring
row core uac-options         uac uac-options echo
row core uac-message         uac uac-message echo
row core uac-lost-ack        lost_ack
lost_ack() {
  uac uac-lost-ack silence
  count 3 server.pcap 'sip.Status-Code == 200 && sip.CSeq.method == "INVITE"'
}
row core uac-require-unknown uac uac-require-unknown echo
row core uac-stray           uac uac-stray echo
row core uac-unknown-codec   uac uac-unknown-codec echo
row core uac-unknown-method  uac uac-unknown-method echo
row core uac-bad-content     uac uac-bad-content echo
row core uac-hold            held
held() { # held for 1.5 s: nothing may be sent, and then it goes on
  uac uac-hold tone
  sent --pause 1.2 --ssrcs 1
}
row core uac-replayed        replayed
replayed() { # our own scenario: every request comes twice, and the INVITE once more when all is over
  server
  own_sipp replayed tone
  server_done
  # one call, not two or three: one To tag in all answers that have one
  different 1 server.pcap 'sip.Status-Code >= 180 && sip.CSeq.method == "INVITE"' sip.to.tag
}
row core uac-tone            tone
tone() { # echo sends back what it heard
  uac uac-tone echo
  sent --ssrcs 1 --payload-type 0 --wav sent.wav
  heard sent.wav 440 7
}
row core uac-late-offer      uac uac-late-offer tone

# own_sipp NAME SERVICE: plays scenarios/sipp/NAME.xml as sipp/run would play one of the lab's
own_sipp() { play_sipp "$1" "$ROOT/scenarios/sipp/$1.xml" "$2"; }
play_sipp() { # NAME FILE SERVICE
  step "sipp $2 → sip:$3@$IP:$SERVER_PORT"
  mkdir -p "$LAB_RUN/sipp/$1" && (cd "$LAB_RUN/sipp/$1" &&
    sipp "$IP:$SERVER_PORT" -sf "$2" -i "$IP" -p "$LAB_SIPP" -s "$3" -m 1 -mi "$IP" -mp "$MEDIA" -nr -nostdin \
      -timeout 30 -timeout_error -recv_timeout 8000 -trace_err -error_file err -trace_msg -message_file msg >screen 2>&1) ||
    fail "SIPp's scenario $1 was not satisfied"
}

# --- in make interop ---
row long uac-info            info
info() { # a method we do not have gets 405 (§8.2.1), where the lab expects a UA that has it; the call goes on
  sed 's/response="415"/response="405"/' "$LAB/sipp/uac-info.xml" >info.xml
  server
  play_sipp info "$PWD/info.xml" tone
  server_done
}
row long uac-reinvite-late   uac uac-reinvite-late tone
row long uac-basic-ipv6      ipv6
ipv6() {
  in_background server "$BIN/sip-test-server" --listen "[::1]:$SERVER_PORT" --json --pcap server.pcap
  wait_for 10 bound "$SERVER_PORT" || fail "sip-test-server does not listen on [::1]:$SERVER_PORT"
  step "sipp uac-basic over IPv6"
  FAMILY=6 SERVICE=tone "$LAB/sipp/run" uac-basic "[::1]:$SERVER_PORT" || fail "SIPp's scenario uac-basic was not satisfied"
  server_done
  sent --wav sent.wav --ssrcs 1
  heard sent.wav 440 2.5
}
row long uac-challenged      challenged
challenged() { # a caller without credentials is challenged and not let in
  echo alice-secret >password; chmod 600 password
  server --user alice --password-file password --auth-alg SHA-256
  call 13 "sip:tone@$IP:$SERVER_PORT" --audio none --timeout 20s
  call 0 "sip:tone@$IP:$SERVER_PORT" --audio none --user alice --password-file password --duration 1s --timeout 20s
  server_done
}
