complete -c sip-tls-check -l warn-days -d 'Warn if it expires within N days [default: 14]' -r
complete -c sip-tls-check -l step-timeout -d 'How long each step may take [default: 5s]' -r
complete -c sip-tls-check -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-tls-check -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-tls-check -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-tls-check -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-tls-check -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-tls-check -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-tls-check -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-tls-check -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-tls-check -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-tls-check -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-tls-check -l config -d 'Read this configuration file' -r -F
complete -c sip-tls-check -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-tls-check -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-tls-check -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-tls-check -l ladder -d 'Print the call flow at the end'
complete -c sip-tls-check -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-tls-check -l trace -d 'Print each SIP message on standard error'
complete -c sip-tls-check -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-tls-check -s V -l version -d 'Print version'
