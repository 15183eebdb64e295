complete -c sip-publish-presence -l status -d 'open or closed [default: open]' -r
complete -c sip-publish-presence -l activity -d 'What we do, such as meeting or on-the-phone' -r
complete -c sip-publish-presence -l mood -d 'How we feel, such as happy' -r
complete -c sip-publish-presence -l place -d 'Where we are, such as office' -r
complete -c sip-publish-presence -l note -d 'A few words for people to read' -r
complete -c sip-publish-presence -l contact -d 'Where we are reached' -r
complete -c sip-publish-presence -l file -d 'Publish this document; a dash is standard input' -r -F
complete -c sip-publish-presence -l auto -d 'Change it at random at this interval; keeps it' -r
complete -c sip-publish-presence -l expires -d 'How long to publish at a time [default: 1h]' -r
complete -c sip-publish-presence -l etag -d 'Go on with what is published under this entity-tag' -r
complete -c sip-publish-presence -s H -l header -d 'Add a header to the request; may be repeated' -r
complete -c sip-publish-presence -l account -d 'An account of the configuration file' -r
complete -c sip-publish-presence -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-publish-presence -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-publish-presence -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-publish-presence -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-publish-presence -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-publish-presence -l proxy -d 'Send requests by way of this server' -r
complete -c sip-publish-presence -l local -d 'Our address and port [default: what the route says]' -r
complete -c sip-publish-presence -l transport -d 'udp, tcp, tls, ws or wss [default: by the address]' -r
complete -c sip-publish-presence -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-publish-presence -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-publish-presence -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-publish-presence -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-publish-presence -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-publish-presence -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-publish-presence -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-publish-presence -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-publish-presence -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-publish-presence -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-publish-presence -l config -d 'Read this configuration file' -r -F
complete -c sip-publish-presence -l keep -d 'Refresh until the run ends, then remove'
complete -c sip-publish-presence -l commands -d 'Change it as lines on standard input say; keeps it'
complete -c sip-publish-presence -l remove -d 'Remove what is published under --etag'
complete -c sip-publish-presence -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-publish-presence -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-publish-presence -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-publish-presence -l trace -d 'Print each SIP message on standard error'
complete -c sip-publish-presence -l ladder -d 'Print the call flow at the end'
complete -c sip-publish-presence -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-publish-presence -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-publish-presence -s V -l version -d 'Print version'
