# What the interop cases share: where things are, each case's ports and folder, starting and judging peers.
# Sourced by run and case; the cases themselves are the tables in cases/*.sh.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
LAB=${LAB:-$ROOT/../shared/lab}
BIN=${BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/debug}
INTEROP_WORK=${INTEROP_WORK:-${CARGO_TARGET_DIR:-$ROOT/target}/interop}
INTEROP_PORT=${INTEROP_PORT:-20000}
CASE_LIMIT=${CASE_LIMIT:-120}
IP=127.0.0.1

# Cases that run at a time have different slots, each with its 200 ports. All of them together end below 32768, where the
# kernel takes the ports of those who ask for any.
SLOTS=60

# --- the table of cases -----------------------------------------------------------------------------------------
declare -A CASE_SET=() CASE_PLAY=() CASE_FILE=() CASE_SLOW=()
CASE_ORDER=()
# row SET NAME FUNCTION ARGUMENT...   SET is core or long
row() { CASE_ORDER+=("$2"); CASE_SET[$2]=$1; CASE_PLAY[$2]="${*:3}"; CASE_FILE[$2]=${BASH_SOURCE[1]}; }
slow() { CASE_SLOW[$1]=1; } # started first, so that the others play beside it
registry() { local f; for f in "$HERE"/cases/*.sh; do . "$f"; done; }
# play NAME: its file once more, because the files may use the same names for their functions
play() {
  . "${CASE_FILE[$1]}"
  # the words of the table's row are the command
  # shellcheck disable=SC2086
  set -- ${CASE_PLAY[$1]}
  "$@"
}

# --- what must be there -----------------------------------------------------------------------------------------
need_lab() {
  mkdir -p "$INTEROP_WORK" && INTEROP_WORK=$(cd "$INTEROP_WORK" && pwd) || exit 2
  [ -r "$LAB/env.sh" ] || { echo "no interop lab at $LAB: say where it is with LAB=path" >&2; exit 2; }
  LAB=$(cd "$LAB" && pwd)
}
need_programs() {
  local program
  for program in sip-call sip-dns sip-message sip-options sip-publish-{mwi,presence} sip-register sip-stateless-proxy \
    sip-subscribe-{dialog,mwi,presence,rls,winfo} sip-test-server sip-xcap; do
    [ -x "$BIN/$program" ] || { echo "no $BIN/$program: build first (cargo build), or say BIN=folder" >&2; exit 2; }
  done
  BIN=$(cd "$BIN" && pwd)
  for program in sipp baresip tshark sox python3 ss; do
    command -v "$program" >/dev/null || { echo "$program is missing: make deps-interop installs it" >&2; exit 2; }
  done
}
# The tones that peers play, and the certificates they insist on, are made once and linked into each case's lab folder.
make_common() {
  local LAB_RUN=$INTEROP_WORK/.lab; export LAB_RUN
  local hz
  for hz in 1000 440 700; do "$LAB/ua/tones" $hz >/dev/null || exit 1; done
  [ -f "$LAB_RUN/wav/440.ulaw" ] || sox -n -t raw -r 8000 -c 1 -e mu-law "$LAB_RUN/wav/440.ulaw" synth 10 sine 440 gain -6
  "$LAB/tls/make-certs" || exit 1
}

# --- one case ---------------------------------------------------------------------------------------------------
# begin NAME: folder, ports, and the promise that everything started here ends with the case.
begin() {
  NAME=$1
  BASE=$((INTEROP_PORT + 200 * ${INTEROP_SLOT:-0}))
  W=$INTEROP_WORK/$NAME
  rm -rf "$W"; mkdir -p "$W/lab"
  echo "$BASE" >"$W/base"
  exec >"$W/case.log" 2>&1
  # The lab's own layout does not fit into 200 ports, so each one is given.
  export LAB_PORT=$BASE LAB_RUN=$W/lab LAB_DNS=$((BASE + 198)) LAB_TURN=$((BASE + 199))
  export LAB_SIPP=$((BASE + 2)) LAB_BARESIP=$((BASE + 4)) LAB_LINPHONE=$((BASE + 8)) LAB_KAM=$((BASE + 10)) LAB_KAM_SHA=$((BASE + 10))
  export MEDIA=$((BASE + 20)) LAB_RTP_BARESIP=$((BASE + 80)) LAB_RTP_LINPHONE=$((BASE + 80))
  OURS=$((BASE + 0)) SERVER_PORT=$((BASE + 1)) SIP_PORTS=$BASE-$((BASE + 19))
  # kamailio's control socket must fit into 108 bytes
  [ ${#LAB_RUN} -le 70 ] || { SHORT=$(mktemp -d "${TMPDIR:-/tmp}/lab.XXXXXX"); LAB_RUN=$SHORT; ln -sfn "$SHORT" "$W/lab-run"; }
  ln -sfn "$INTEROP_WORK/.lab/wav" "$LAB_RUN/wav"; ln -sfn "$INTEROP_WORK/.lab/tls" "$LAB_RUN/tls"
  . "$LAB/env.sh"
  export XDG_CONFIG_HOME=$W/config
  cd "$W" || exit 1
  trap finish EXIT
  trap 'exit 143' TERM INT
}
finish() {
  local rc=$? f
  trap - EXIT
  for f in "$LAB_RUN"/pid/*; do [ -f "$f" ] && reap "${f##*/}"; done
  [ -n "${SHORT:-}" ] && cp -r "$SHORT/log" "$W/" 2>/dev/null
  [ -n "${SHORT:-}" ] && rm -rf "$SHORT"
  exit $rc
}
fail() { echo "FAIL: $*"; exit 1; }
step() { echo "--- $*"; }

# --- peers ------------------------------------------------------------------------------------------------------
# sipp_uas SCENARIO [OPTION...]: a SIPp server on $LAB_SIPP; its start, and nothing else, may be tried twice.
sipp_uas() {
  local try
  for try in 1 2; do
    step "sipp $1 on $LAB_SIPP"
    "$LAB/sipp/run" -b "$@"
    [ ! -f "$LAB_RUN/sipp/$1/rc" ] && ss -Hlnut | grep -q ":$LAB_SIPP " && return 0
    reap "sipp-$1"; sleep 1
  done
  fail "sipp $1 did not start"
}
sipp_done() { # SCENARIO: its verdict
  TIMEOUT=${2:-10} "$LAB/sipp/run" -w "$1" || fail "SIPp's scenario $1 was not satisfied"
}
# sipp_uac SCENARIO SERVICE: plays a lab scenario against our server
sipp_uac() {
  step "sipp $1 → sip:$2@$IP:$SERVER_PORT"
  SERVICE=$2 "$LAB/sipp/run" "$1" "$IP:$SERVER_PORT" || fail "SIPp's scenario $1 was not satisfied"
}
peer_start() { # baresip|linphone: the start may be tried twice
  local peer=$1
  step "$peer starts"
  "$LAB/ua/$peer" start && return 0
  "$LAB/ua/$peer" stop; sleep 1
  "$LAB/ua/$peer" start || fail "$peer did not start"
}
peer_do() { "$LAB/ua/$1" do "$@"; }

# --- our programs -----------------------------------------------------------------------------------------------
# call WANTED-STATUS ARGUMENT...: sip-call with a capture and a recording
call() {
  local want=$1 rc; shift
  step "sip-call $*"
  "$BIN/sip-call" "$@" --local "$IP:$OURS" --json --pcap call.pcap --record call.wav >call.json 2>call.err
  rc=$?
  [ $rc = "$want" ] || fail "sip-call ended with status $rc, not $want"
  judge_capture call.pcap
  [ "$(grep -c '"event":"result"' call.json)" = 1 ] && tail -n 1 call.json | grep -q '"event":"result"' ||
    fail "the JSON does not end with exactly one result"
}
# in_background NAME PROGRAM ARGUMENT...: keeps stdout in NAME.json, stderr in NAME.err, the status in NAME.rc
in_background() {
  local name=$1; shift
  step "$* (in the background)"
  rm -f "$name.rc"
  spawn "$name" "$HERE/note-status" "$PWD/$name" "$@"
}
bound() { ss -Hlnu | grep -q ":$1 "; }
# server ARGUMENT...: sip-test-server with a capture
server() {
  in_background server "$BIN/sip-test-server" --listen "$IP:$SERVER_PORT" --json --pcap server.pcap "$@"
  wait_for 10 bound "$SERVER_PORT" || fail "sip-test-server does not listen on $SERVER_PORT"
}
# server_done: it must still be there; ended by TERM it leaves with 0
server_done() {
  [ -f server.rc ] && fail "sip-test-server ended by itself with status $(cat server.rc)"
  reap server
  status_is server 0
  judge_capture server.pcap
}
ended() { [ -f "$1.rc" ]; }
# status_is NAME WANTED [SECONDS]
status_is() {
  wait_for "${3:-5}" ended "$1" || fail "$1 did not end"
  [ "$(cat "$1.rc")" = "$2" ] || fail "$1 ended with status $(cat "$1.rc"), not $2"
}
# field FILE NAME: one field of the result, such as code; dots go deeper
field() { "$HERE/field" "$1" "$2"; }
field_is() { local got; got=$(field "$1" "$2"); [ "$got" = "$3" ] || fail "$2 in $1 is $got, not $3"; }

# --- judging ----------------------------------------------------------------------------------------------------
judge_capture() { # MALFORMED=expected when the peer sends what is malformed, or so thinks Wireshark: ours must not be
  [ -s "$1" ] || fail "no capture $1"
  local strict=--no-malformed; [ "${MALFORMED:-}" = expected ] && strict=
  "$LAB/check-pcap" "$1" $strict --ports "$SIP_PORTS" "${@:2}" || fail "the capture $1 is not right"
  [ -n "$strict" ] || count 0 "$1" "_ws.malformed && (udp.srcport == $OURS || udp.srcport == $SERVER_PORT)"
}
# heard FILE TONE SECONDS [CHANNEL]: that tone, without gaps
heard() {
  "$LAB/check-audio" "$1" --tone "$2" --min-seconds "$3" --max-gap 60 ${4:+--channel "$4"} ${GLITCH:+--max-glitch "$GLITCH"} ||
    fail "no clean $2 Hz in $1"
}
# rtp FILE ARGUMENT...: what our own or the peer's packets carry, see tests/interop/rtp
rtp() { "$HERE/rtp" "$1" --sip-ports "$SIP_PORTS" "${@:2}" || fail "the RTP in $1 is not right"; }
# count WANTED FILE FILTER: packets in a capture
count() {
  local n; n=$(tshark -n -r "$2" -d "udp.port==$SIP_PORTS,sip" -Y "$3" 2>/dev/null | wc -l)
  [ "$n" = "$1" ] || fail "$n packets match $3 in $2, not $1"
}
# different WANTED FILE FILTER FIELD: values that this field has in them, copies of a packet apart
different() {
  local n; n=$(tshark -n -r "$2" -d "udp.port==$SIP_PORTS,sip" -Y "$3" -T fields -e "$4" 2>/dev/null | sort -u | wc -l)
  [ "$n" = "$1" ] || fail "$4 has $n values where $3 in $2, not $1"
}

# --- telling what went wrong ------------------------------------------------------------------------------------
show() { [ -s "$1" ] && { echo "  ==== ${1#"$INTEROP_WORK"/}"; tail -n "${2:-60}" "$1" | cut -c1-400 | sed 's/^/  /'; }; }
tell() { # NAME: both sides' logs and the captures of a failed case
  local w=$INTEROP_WORK/$1 f
  show "$w/case.log" 60
  for f in "$w"/*.err "$w"/*.json; do show "$f" 60; done
  for f in "$w"/lab/log/*.log "$w"/log/*.log "$w"/lab/sipp/*/err; do show "$f" 40; done
  for f in "$w"/lab/sipp/*/msg; do show "$f" 120; done
  for f in "$w"/*.pcap; do
    [ -s "$f" ] || continue
    echo "  ==== $f"
    tshark -n -r "$f" -d "udp.port==$(($(cat "$w/base" 2>/dev/null || echo 0)))-$(($(cat "$w/base" 2>/dev/null || echo 0) + 19)),sip" \
      -Y sip 2>/dev/null | head -n 60 | cut -c1-200 | sed 's/^/  /'
    tshark -n -r "$f" -o rtp.heuristic_rtp:TRUE -q -z rtp,streams 2>/dev/null | cut -c1-160 | sed 's/^/  /'
  done
}
