# The scripts of scenarios/, as a user would run them, against sip-test-server.

script() { # NAME ARGUMENT...
  step "scenarios/$*"
  PATH=$BIN:$PATH bash "$ROOT/scenarios/$1" "${@:2}"
}
row core scenario-call-and-record   call_and_record
call_and_record() {
  server
  script call-and-record.sh "sip:tone@$IP:$SERVER_PORT" 3s said || fail "status $?"
  heard said.wav 440 2.5 1
  judge_capture said.pcap
  server_done
}
row core scenario-answer-and-echo   answer_and_echo
answer_and_echo() {
  in_background echo env PATH="$BIN:$PATH" bash "$ROOT/scenarios/answer-and-echo.sh" "$IP:$OURS" 1
  wait_for 10 bound "$OURS" || fail "nothing listens on $OURS"
  step "sip-call sip:echo@$IP:$OURS"
  "$BIN/sip-call" "sip:echo@$IP:$OURS" --audio tone:440 --duration 3s --timeout 20s --record call.wav --pcap call.pcap --json >call.json 2>call.err ||
    fail "sip-call: $?"
  heard call.wav 440 2 1
  status_is echo 0 10
}
row core scenario-check-pbx-answers check_pbx
check_pbx() {
  server
  script check-pbx-answers.sh "sip:tone@$IP:$SERVER_PORT" || fail "a server that answers was not found good: $?"
  script check-pbx-answers.sh "sip:busy@$IP:$SERVER_PORT" && fail "a busy server was found good"
  script check-pbx-answers.sh "sip:silence@$IP:$SERVER_PORT" && fail "a server without a voice was found good"
  script check-pbx-answers.sh "sip:tone@$IP:$OURS"
  [ $? = 21 ] || fail "a dead port is not unreachable at once"
  server_done
}
row core scenario-statuses          statuses
statuses() {
  server
  script check-statuses.sh "$IP:$SERVER_PORT" || fail "status $?"
  server_done
}
