# Calls from and to baresip, a tone in each direction. baresip plays 1000 Hz and records what it hears.

baresip_hears() { # TONE SECONDS
  "$LAB/ua/baresip" stop
  heard "$("$LAB/ua/baresip" wav | grep -e '-dec.wav$' | tail -n 1)" "$1" "$2"
}
# to_baresip CODEC OUR-NAME [PAYLOAD-TYPE]: sip-call calls it
to_baresip() {
  SERVER=none CODECS=$1 CERT=none peer_start baresip
  call 0 "sip:baresip@$IP:$LAB_BARESIP" --audio tone:440 --codec "$2" --duration 5s --timeout 20s
  baresip_hears 440 4
  heard call.wav 1000 4 1
  heard call.wav 440 4 0
  rtp call.pcap --to "$(baresip_port)" --ssrcs 1 --min-packets 200 ${3:+--payload-type "$3"}
  grep -qi "$2" call.json || fail "$2 is not in the JSON"
}
baresip_port() { # the RTP port of its answer
  tshark -n -r call.pcap -d "udp.port==$SIP_PORTS,sip" -Y 'sip.Status-Code == 200 && sdp' -T fields -e sdp.media.port 2>/dev/null | head -n 1
}
row core baresip-answers-opus to_baresip opus/48000/2 opus
row core baresip-answers-pcmu to_baresip PCMU PCMU 0

# from_baresip CODEC BEHAVIOUR TONE: it calls sip-test-server
from_baresip() {
  server
  SERVER=none CODECS=$1 CERT=none peer_start baresip
  peer_do baresip dial "sip:$2@$IP:$SERVER_PORT" || fail "baresip does not dial"
  sleep 5
  peer_do baresip hangup
  baresip_hears "$3" 4
  server_done
}
row core baresip-calls-tone-opus from_baresip opus/48000/2 tone 440
row core baresip-calls-echo-opus from_baresip opus/48000/2 echo 1000
row core baresip-calls-echo-pcmu from_baresip PCMU echo 1000

# sip-call waits for the call, and baresip hangs up
answering() {
  in_background answer "$BIN/sip-call" --answer --local "$IP:$OURS" --audio tone:440 --record call.wav --pcap call.pcap --json --timeout 30s
  wait_for 10 bound "$OURS" || fail "sip-call --answer does not listen on $OURS"
  SERVER=none CODECS=$1 CERT=none peer_start baresip
  peer_do baresip dial "sip:me@$IP:$OURS" || fail "baresip does not dial"
  sleep 5
  peer_do baresip hangup
  status_is answer 0
  judge_capture call.pcap
  baresip_hears 440 4
  heard call.wav 1000 4 1
}
row core baresip-calls-sip-call  answering opus/48000/2
row long baresip-calls-sip-call-pcma answering PCMA
