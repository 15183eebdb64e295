complete -c sip-options -l count -d 'How many requests to send [default: 1]' -r
complete -c sip-options -l interval -d 'Time from one request to the next [default: 1s]' -r
complete -c sip-options -l warn -d 'Warn if the mean round trip is longer' -r
complete -c sip-options -l crit -d 'Critical if the mean round trip is longer' -r
complete -c sip-options -s H -l header -d 'Add a header to the request; may be repeated' -r
complete -c sip-options -l account -d 'An account of the configuration file' -r
complete -c sip-options -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-options -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-options -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-options -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-options -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-options -l proxy -d 'Send requests by way of this server' -r
complete -c sip-options -l local -d 'Our address and port [default: what the route says]' -r
complete -c sip-options -l transport -d 'udp, tcp, tls, ws or wss [default: by the address]' -r
complete -c sip-options -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-options -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-options -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-options -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-options -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-options -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-options -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-options -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-options -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-options -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-options -l config -d 'Read this configuration file' -r -F
complete -c sip-options -l monitoring -d 'Say it as a monitoring plug-in: a line, and 0, 1, 2 or 3'
complete -c sip-options -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-options -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-options -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-options -l trace -d 'Print each SIP message on standard error'
complete -c sip-options -l ladder -d 'Print the call flow at the end'
complete -c sip-options -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-options -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-options -s V -l version -d 'Print version'
