complete -c sip-call -l account -d 'An account of the configuration file' -r
complete -c sip-call -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-call -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-call -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-call -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-call -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-call -l proxy -d 'Send requests by way of this server' -r
complete -c sip-call -l local -d 'Our address and port [default: what the route says]' -r
complete -c sip-call -l transport -d 'udp, tcp, tls, ws or wss [default: by the address]' -r
complete -c sip-call -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-call -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-call -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-call -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-call -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-call -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-call -s H -l header -d 'Add a header to the request; may be repeated' -r
complete -c sip-call -l audio -d 'device, none, tone:HZ, echo or file:IN.wav' -r
complete -c sip-call -l record -d 'Record both sides: left ours, right the peer\'s' -r -F
complete -c sip-call -l codec -d 'Codecs to use, best first, such as opus,pcmu' -r -f -a "opus\t''
pcmu\t''
pcma\t''"
complete -c sip-call -l dtmf -d 'Send digits after the answer: \'w2 123#\' waits 2 s' -r
complete -c sip-call -l rtp-ports -d 'UDP ports for RTP and RTCP [default: any free pair]' -r
complete -c sip-call -l ring-timeout -d 'Give up if nobody answers (exit 12) [default: 60s]' -r
complete -c sip-call -l duration -d 'Hang up this long after the answer' -r
complete -c sip-call -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-call -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-call -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-call -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-call -l config -d 'Read this configuration file' -r -F
complete -c sip-call -l answer -d 'Wait for a call and answer it'
complete -c sip-call -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-call -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-call -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-call -l trace -d 'Print each SIP message on standard error'
complete -c sip-call -l ladder -d 'Print the call flow at the end'
complete -c sip-call -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-call -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-call -s V -l version -d 'Print version'
