complete -c sip-message -l count -d 'End after this many messages came' -r
complete -c sip-message -l file -d 'Send the content of FILE; a dash is standard input' -r -F
complete -c sip-message -l type -d 'Content type [default: text/plain;charset=utf-8]' -r
complete -c sip-message -s H -l header -d 'Add a header to the request; may be repeated' -r
complete -c sip-message -l account -d 'An account of the configuration file' -r
complete -c sip-message -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-message -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-message -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-message -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-message -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-message -l proxy -d 'Send requests by way of this server' -r
complete -c sip-message -l local -d 'Our address and port [default: what the route says]' -r
complete -c sip-message -l transport -d 'udp, tcp, tls, ws or wss [default: by the address]' -r
complete -c sip-message -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-message -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-message -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-message -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-message -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-message -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-message -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-message -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-message -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-message -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-message -l config -d 'Read this configuration file' -r -F
complete -c sip-message -l listen -d 'Wait for messages and print them'
complete -c sip-message -l cpim -d 'Wrap it in message/cpim (RFC 3862)'
complete -c sip-message -l imdn -d 'Ask to be told when it is delivered (RFC 5438)'
complete -c sip-message -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-message -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-message -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-message -l trace -d 'Print each SIP message on standard error'
complete -c sip-message -l ladder -d 'Print the call flow at the end'
complete -c sip-message -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-message -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-message -s V -l version -d 'Print version'
