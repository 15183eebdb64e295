complete -c sip-register -l answer -d 'Take calls and messages meanwhile; implies --keep' -r
complete -c sip-register -l expires -d 'How long to bind [default: 1h]' -r
complete -c sip-register -l contact -d 'Bind this address instead of ours; may be repeated' -r
complete -c sip-register -l q -d 'Preference, from 0 to 1' -r
complete -c sip-register -l registrar -d 'The registrar [default: the domain of the address]' -r
complete -c sip-register -s H -l header -d 'Add a header to the request; may be repeated' -r
complete -c sip-register -l account -d 'An account of the configuration file' -r
complete -c sip-register -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-register -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-register -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-register -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-register -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-register -l proxy -d 'Send requests by way of this server' -r
complete -c sip-register -l local -d 'Our address and port [default: what the route says]' -r
complete -c sip-register -l transport -d 'udp, tcp, tls, ws or wss [default: by the address]' -r
complete -c sip-register -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-register -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-register -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-register -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-register -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-register -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-register -l rtp-ports -d 'UDP ports for RTP and RTCP [default: any free pair]' -r
complete -c sip-register -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-register -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-register -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-register -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-register -l config -d 'Read this configuration file' -r -F
complete -c sip-register -l keep -d 'Refresh until the run ends, then remove'
complete -c sip-register -l query -d 'Show what is bound'
complete -c sip-register -l remove -d 'Remove --contact, or what is bound to this machine'
complete -c sip-register -l remove-all -d 'Remove all bindings'
complete -c sip-register -l outbound -d 'Use connections both ways (RFC 5626)'
complete -c sip-register -l gruu -d 'Ask for addresses of this very device (RFC 5627)'
complete -c sip-register -l no-nat -d 'Bind our own address even if a NAT shows another one'
complete -c sip-register -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-register -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-register -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-register -l trace -d 'Print each SIP message on standard error'
complete -c sip-register -l ladder -d 'Print the call flow at the end'
complete -c sip-register -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-register -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-register -s V -l version -d 'Print version'
