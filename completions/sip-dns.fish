complete -c sip-dns -l transport -d 'Only for this transport: udp, tcp, tls, ws or wss' -r -f -a "udp\t''
tcp\t''
tls\t''
ws\t''
wss\t''"
complete -c sip-dns -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-dns -l count -d 'Look it up N times, and count which target comes first' -r
complete -c sip-dns -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-dns -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-dns -l config -d 'Read this configuration file' -r -F
complete -c sip-dns -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-dns -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-dns -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-dns -s V -l version -d 'Print version'
