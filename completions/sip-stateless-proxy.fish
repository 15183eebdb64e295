complete -c sip-stateless-proxy -l next-hop -d 'Send requests to this URI; may be repeated' -r
complete -c sip-stateless-proxy -l route -d 'Send what matches elsewhere; may be repeated' -r
complete -c sip-stateless-proxy -l listen -d 'Where to listen [default: see --help]' -r
complete -c sip-stateless-proxy -l domain -d 'A name that leads here; may be repeated' -r
complete -c sip-stateless-proxy -l probe -d 'Ask next hops with OPTIONS [default: 10s]' -r
complete -c sip-stateless-proxy -l flow-key-file -d 'File with the secret of branches and flow tokens' -r -F
complete -c sip-stateless-proxy -l shards -d 'Threads that share the work [default: 1]' -r
complete -c sip-stateless-proxy -l metrics -d 'Answer Prometheus at this port: /metrics' -r
complete -c sip-stateless-proxy -l hep -d 'Tell a capture server of every message' -r
complete -c sip-stateless-proxy -l hep-id -d 'The number by which it knows us [default: 1]' -r
complete -c sip-stateless-proxy -l hep-password-file -d 'File with what it wants to be told in its first line' -r -F
complete -c sip-stateless-proxy -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-stateless-proxy -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-stateless-proxy -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-stateless-proxy -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-stateless-proxy -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-stateless-proxy -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-stateless-proxy -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-stateless-proxy -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-stateless-proxy -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-stateless-proxy -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-stateless-proxy -l config -d 'Read this configuration file' -r -F
complete -c sip-stateless-proxy -l record-route -d 'Stay on the path of every dialog'
complete -c sip-stateless-proxy -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-stateless-proxy -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-stateless-proxy -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-stateless-proxy -l trace -d 'Print each SIP message on standard error'
complete -c sip-stateless-proxy -l ladder -d 'Print the call flow at the end'
complete -c sip-stateless-proxy -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-stateless-proxy -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-stateless-proxy -s V -l version -d 'Print version'
