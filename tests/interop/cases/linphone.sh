# Calls from and to linphone, a tone in each direction. linphone plays 700 Hz here and records what it hears.

linphone_start() { # CODECS
  SERVER=none CODECS=$1 SOURCE=$("$LAB/ua/tones" 700) peer_start linphone
}
linphone_hears() { # TONE SECONDS
  "$LAB/ua/linphone" stop
  heard "$("$LAB/ua/linphone" wav | tail -n 1)" "$1" "$2"
}
to_linphone() { # CODEC OUR-NAME
  linphone_start "$1"
  call 0 "sip:linphone@$IP:$LAB_LINPHONE" --audio tone:440 --codec "$2" --duration 6s --timeout 20s
  linphone_hears 440 4
  heard call.wav 700 4 1
}
row long linphone-answers-opus to_linphone opus opus
row long linphone-answers-pcmu to_linphone PCMU PCMU
row long linphone-answers-pcma to_linphone PCMA PCMA

from_linphone() { # CODEC BEHAVIOUR TONE
  server
  linphone_start "$1"
  peer_do linphone call "sip:$2@$IP:$SERVER_PORT"
  sleep 6
  peer_do linphone terminate
  sleep 1
  linphone_hears "$3" 4
  server_done
}
row long linphone-calls-tone from_linphone opus tone 440
row long linphone-calls-echo from_linphone PCMU echo 700
