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
row core scenario-register-and-wait register_and_wait
register_and_wait() {
  server
  # nobody comes
  script register-and-wait.sh "sip:alice@$IP:$SERVER_PORT" 2s --local "$IP" >nobody
  [ $? = 3 ] || fail "that nobody came is not said by status 3"
  grep -q '^registered as sip:alice@' nobody || fail "nothing is said of the registration: $(cat nobody)"
  in_background wait env PATH="$BIN:$PATH" bash "$ROOT/scenarios/register-and-wait.sh" "sip:alice@$IP:$SERVER_PORT" 20s --local "$IP:$OURS"
  wait_for 8 grep -q registered wait.json || fail "not registered"
  "$BIN/sip-message" "sip:alice@$IP:$OURS" "is anybody there?" --timeout 10s || fail "sip-message: $?"
  status_is wait 0
  grep -q 'written to by .*: is anybody there?$' wait.json || fail "the message is not told: $(cat wait.json)"
  in_background called env PATH="$BIN:$PATH" bash "$ROOT/scenarios/register-and-wait.sh" "sip:alice@$IP:$SERVER_PORT" 20s --local "$IP:$OURS"
  wait_for 8 grep -q registered called.json || fail "not registered"
  "$BIN/sip-call" "sip:alice@$IP:$OURS" --audio tone:440 --duration 1s --timeout 10s --record call.wav || fail "sip-call: $?"
  status_is called 0
  grep -q '^called by ' called.json || fail "the call is not told: $(cat called.json)"
  server_done
}
row core scenario-send-and-check    send_and_check
send_and_check() {
  step "lab up kam"
  "$LAB/lab" up kam || fail "kam did not start"
  local name
  mkdir -p "$XDG_CONFIG_HOME/sipkit"
  for name in alice bob; do
    printf '[account.%s]\nfrom = "sip:%s@lab.test"\nuser = "%s"\npassword = "%s-secret"\nproxy = "sip:%s:%s"\n' \
      $name $name $name $name "$IP" "$LAB_KAM"
  done >"$XDG_CONFIG_HOME/sipkit/config.toml"
  chmod 600 "$XDG_CONFIG_HOME/sipkit/config.toml"
  script send-and-check.sh alice bob || fail "status $?"
  script send-and-check.sh alice alice || fail "to itself: status $?"
  # nobody else may write as bob
  sed -i 's/bob-secret/wrong/' "$XDG_CONFIG_HOME/sipkit/config.toml"
  script send-and-check.sh alice bob
  [ $? = 13 ] || fail "a wrong password is not told by status 13"
}
row core scenario-watch-pbx         watch_pbx
watch_pbx() {
  server
  script watch-pbx.sh "sip:$IP:$SERVER_PORT" 0 2 --local "$IP" >good || fail "a server that answers was not found good: $?"
  [ "$(wc -l <good)" = 2 ] && grep -q 'SIP OK' good || fail "not one line where the state changed: $(cat good)"
  script watch-pbx.sh "sip:$IP:$SERVER_PORT" 0 1 --warn 1us || [ $? = 1 ] || fail "a slow server is no warning"
  # goes away and comes back under the watch
  in_background watch env PATH="$BIN:$PATH" bash "$ROOT/scenarios/watch-pbx.sh" "sip:$IP:$SERVER_PORT" 1 8 --local "$IP"
  wait_for 5 grep -q 'SIP OK' watch.json || fail "not watched"
  server_done
  wait_for 5 grep -q 'SIP CRITICAL' watch.json || fail "that it is gone is not said"
  server
  wait_for 25 ended watch || fail "does not end"
  status_is watch 0
  [ "$(grep -c 'SIP OK' watch.json)" = 2 ] || fail "that it is back is not said: $(cat watch.json)"
  server_done
}
row core scenario-is-available      is_available
is_available() {
  server --event presence:bob=open,on-the-phone --event presence:carol=open,lunch --watcher eve=block
  local at=$IP:$SERVER_PORT
  script is-available.sh "sip:carol@$at" --local "$IP" || fail "carol is there, but: $?"
  local user
  for user in bob nobody; do
    script is-available.sh "sip:$user@$at" --local "$IP"
    [ $? = 1 ] || fail "$user is not available, but that is not said"
  done
  script is-available.sh "sip:carol@$at" --local "$IP" --from "sip:eve@$IP"
  [ $? = 13 ] || fail "that eve may not watch is not told by status 13"
  server_done
}
row core scenario-voicemail         voicemail
voicemail() {
  server
  local mailbox=sip:alice@$IP:$SERVER_PORT
  script wait-for-voicemail.sh "$mailbox" 1s --local "$IP" && fail "there is no message"
  in_background waits env PATH="$BIN:$PATH" bash "$ROOT/scenarios/wait-for-voicemail.sh" "$mailbox" 20s --local "$IP"
  sleep 1
  step "sip-publish-mwi $mailbox"
  "$BIN/sip-publish-mwi" "$mailbox" --voice 2/1 --local "$IP" || fail "sip-publish-mwi: $?"
  status_is waits 0
  grep -qx '2 new, 1 old' waits.json || fail "how many there are is not said: $(cat waits.json)"
  server_done
}
row core scenario-tell-presence     tell_presence
tell_presence() {
  server
  script tell-presence.sh "sip:alice@$IP:$SERVER_PORT" meeting --local "$IP" || fail "status $?"
  server_done
  script tell-presence.sh "sip:alice@$IP:$SERVER_PORT" meeting --local "$IP"
  [ $? = 21 ] || fail "that nobody is there is not told by status 21"
  # through a proxy that wants passwords, as accounts
  step "lab up kam"
  "$LAB/lab" up kam || fail "kam did not start"
  mkdir -p "$XDG_CONFIG_HOME/sipkit"
  printf '[account.alice]\nfrom = "sip:alice@lab.test"\nuser = "alice"\npassword = "alice-secret"\nproxy = "sip:%s:%s"\n' \
    "$IP" "$LAB_KAM" >"$XDG_CONFIG_HOME/sipkit/config.toml"
  chmod 600 "$XDG_CONFIG_HOME/sipkit/config.toml"
  script tell-presence.sh alice on-the-phone || fail "through the proxy: status $?"
}
row core scenario-watch-phones      watch_phones
watch_phones() {
  server
  in_background lamps env PATH="$BIN:$PATH" SIP_OPTIONS="--local $IP" bash "$ROOT/scenarios/watch-phones.sh" 8s \
    "sip:tone@$IP:$SERVER_PORT" "sip:echo@$IP:$SERVER_PORT"
  wait_for 5 grep -q 'tone.* free' lamps.json || fail "the lamp is not off"
  "$BIN/sip-call" "sip:tone@$IP:$SERVER_PORT" --local "$IP" --audio none --duration 1s --timeout 10s || fail "sip-call: $?"
  status_is lamps 0 10
  [ "$(sed -n 's/.*sip:tone@[^ ]* *//p' lamps.json | xargs)" = "free ringing on the phone free" ] ||
    [ "$(sed -n 's/.*sip:tone@[^ ]* *//p' lamps.json | xargs)" = "free on the phone free" ] || fail "the lamp is wrong: $(cat lamps.json)"
  [ "$(sed -n 's/.*sip:echo@[^ ]* *//p' lamps.json | xargs)" = free ] || fail "the other lamp is wrong: $(cat lamps.json)"
  server_done
}
