# sip-call against SIPp as the answering side. The header of each lab scenario says what a correct UA does.

# uas SCENARIO STATUS ARGUMENT...: the call ends with that status, and SIPp is content
uas() {
  local scenario=$1 status=$2; shift 2
  echo alice-secret >password; chmod 600 password
  case " $* " in *' --timeout '*) ;; *) set -- "$@" --timeout 20s ;; esac
  # the SIPp side waits as long as the longest scenario may last
  TIMEOUT=100 RECV_TIMEOUT=60000 sipp_uas "$scenario"
  call "$status" "sip:sipp@$IP:$LAB_SIPP" --audio tone:700 "$@"
  sipp_done "$scenario"
}
sent() { rtp call.pcap --to "$MEDIA" "$@"; }

# --- in make interop-core ---
slow uas-ringing-long
row core uas-ringing-long    ringing_long
ringing_long() { # longer than timer B: a provisional response stops it
  uas uas-ringing-long 0 --ring-timeout 60s --timeout 80s
}
slow uas-silent
row core uas-silent          silent
silent() { # RFC 3261 §17.1.1.2: seven copies, then our own timeout after 64·T1
  TIMEOUT=60 sipp_uas uas-silent
  call 23 "sip:sipp@$IP:$LAB_SIPP" --audio none --timeout 60s
  local took; took=$(field call.json timings.total_ms)
  [ "${took%.*}" -ge 32000 ] && [ "${took%.*}" -le 33500 ] || fail "gave up after $took ms, not 32 s"
  count 7 call.pcap 'sip.Method == "INVITE"'
}
row core uas-basic           basic
basic() {
  uas uas-basic 0 --duration 3s
  sent --min-packets 120 --ssrcs 1 --payload-type 0 --wav sent.wav
  heard sent.wav 700 2.5
  # SIPp sends our own packets back to us
  heard call.wav 700 2 1
  field_is call.json code 200
}
row core uas-early-media     early_media
early_media() { # the RTP session goes on through the 200: one source from the first packet to the last
  uas uas-early-media 0
  sent --ssrcs 1
  heard call.wav 440 4.5 1
}
row core uas-auth-md5        uas uas-auth-md5 0 --user alice --password-file password
row core uas-486             uas uas-486 10
row core uas-600             uas uas-600 10
row core uas-603             uas uas-603 11
row core uas-cancel          uas uas-cancel 12 --ring-timeout 2s
row core uas-cancel-race     uas uas-cancel-race 12 --ring-timeout 2s
row core uas-lost-invite     lost_invite
lost_invite() { # the same branch and CSeq, or it would be another transaction
  uas uas-lost-invite 0
  count 3 call.pcap 'sip.Method == "INVITE"'
  different 1 call.pcap 'sip.Method == "INVITE"' sip.Via.branch
}
row core uas-lost-200        lost_200
lost_200() {
  uas uas-lost-200 0
  count 3 call.pcap 'sip.Method == "ACK"'
}
row core uas-bye-soon        uas uas-bye-soon 0
row core uas-redirect        redirect
redirect() { # not followed: SIPp waits in vain for a second INVITE, which is right
  sipp_uas uas-redirect
  call 18 "sip:sipp@$IP:$LAB_SIPP" --audio none --timeout 20s
  field_is call.json code 302
  count 1 call.pcap 'sip.Method == "INVITE"'
  count 1 call.pcap 'sip.Method == "ACK"'
}
row core uas-hold            held_by_the_peer
held_by_the_peer() { # held and inactive for 3 s: nothing may be sent, and then it goes on
  uas uas-hold 0
  sent --pause 2.5 --ssrcs 1
}
row core uas-tone            tone
tone() {
  uas uas-tone 0
  heard call.wav 440 7 1
  sent --wav sent.wav --payload-type 0 --ssrcs 1
  heard sent.wav 700 7
}

# --- in make interop ---
slow uas-100-only
row long uas-100-only        uas uas-100-only 12 --ring-timeout 60s --timeout 90s
row long uas-404             uas uas-404 14
row long uas-480             nobody_home
nobody_home() { # its Retry-After: 0 is 1*DIGIT (RFC 3261 §25.1), but Wireshark calls it malformed
  MALFORMED=expected
  uas uas-480 12
}
row long uas-488             uas uas-488 15
row long uas-500             uas uas-500 17
row long uas-606             uas uas-606 15
row long uas-auth-noqop      uas uas-auth-noqop 0 --user alice --password-file password
row long uas-auth-sha256     uas uas-auth-sha256 0 --user alice --password-file password
row long uas-auth-stale      uas uas-auth-stale 0 --user alice --password-file password
row long uas-auth-unknown    uas uas-auth-unknown 13 --user alice --password-file password
row long uas-auth-wrong      uas uas-auth-wrong 13 --user alice --password-file password
row long uas-no-credentials  no_credentials
no_credentials() { # without a password there is nothing to try: 13, and one INVITE
  sipp_uas uas-auth-md5
  call 13 "sip:sipp@$IP:$LAB_SIPP" --audio none --timeout 20s
  count 1 call.pcap 'sip.Method == "INVITE"'
}
row long uas-bad-responses   bad_responses
bad_responses() { # its good answer comes after 500 ms, when our INVITE is rightly repeated, which SIPp does not expect: sooner
  MALFORMED=expected
  cp -rs "$LAB"/. lab-here && rm lab-here/sipp/uas-bad-responses.xml || fail "no copy of the lab"
  sed '/<pause milliseconds="500"/s/500/200/' "$LAB/sipp/uas-bad-responses.xml" >lab-here/sipp/uas-bad-responses.xml
  LAB=$PWD/lab-here
  uas uas-bad-responses 0 --duration 2s
}
# SIPp sends two messages in a row 1 ms apart and takes what comes in between for a fault, but we acknowledge within 0.1 ms:
# what comes in between is passed over, and so it need not come again.
at_once() {
  local name=$1
  cp -rs "$LAB"/. lab-here && rm "lab-here/sipp/$name.xml" || fail "no copy of the lab"
  sed 's/<recv request="ACK"[^>]*>/<recv request="ACK" optional="true">/' "$LAB/sipp/$name.xml" >"lab-here/sipp/$name.xml"
  grep -q 'sipp options' "lab-here/sipp/$name.xml" || sed -i '2i <!-- sipp options: -nr -->' "lab-here/sipp/$name.xml"
  sed -i '/sipp options:/s/ -->/ -default_behaviors all,-abortunexp -->/' "lab-here/sipp/$name.xml"
  LAB=$PWD/lab-here
  uas "$@"
}
row long uas-bye-before-ack  at_once uas-bye-before-ack 0
row long uas-fork-early      uas uas-fork-early 0 --duration 2s
row long uas-fork-two-200    fork_two_200
fork_two_200() {
  at_once uas-fork-two-200 0 --duration 3s
  count 2 call.pcap 'sip.Method == "ACK"'
}
row long uas-odd-but-legal   odd_but_legal
odd_but_legal() { # folded header lines are legal (§7.3.1), but Wireshark misses their colon
  MALFORMED=expected
  uas uas-odd-but-legal 0
}
row long uas-unknown-1xx-2xx uas uas-unknown-1xx-2xx 0 --duration 2s
