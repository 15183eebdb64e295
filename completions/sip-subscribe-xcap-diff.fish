complete -c sip-subscribe-xcap-diff -l document -d 'A document or collection to watch; may be repeated' -r
complete -c sip-subscribe-xcap-diff -l diff-processing -d 'How changes are told [default: no-patching]' -r -f -a "no-patching\t'That a document changed, and its tag'
xcap-patching\t'Each single change'
aggregate\t'Changes, several in one if the server likes'"
complete -c sip-subscribe-xcap-diff -l poll -d 'Ask again and again at this interval instead' -r
complete -c sip-subscribe-xcap-diff -l expect -d 'End as soon as this holds, such as status=open' -r
complete -c sip-subscribe-xcap-diff -l count -d 'End after this many notifications' -r
complete -c sip-subscribe-xcap-diff -l expires -d 'How long to subscribe at a time' -r
complete -c sip-subscribe-xcap-diff -l event -d 'Subscribe to this event package instead' -r
complete -c sip-subscribe-xcap-diff -l accept -d 'Accept these types of documents instead; may be repeated' -r
complete -c sip-subscribe-xcap-diff -s H -l header -d 'Add a header to the request; may be repeated' -r
complete -c sip-subscribe-xcap-diff -l account -d 'An account of the configuration file' -r
complete -c sip-subscribe-xcap-diff -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-subscribe-xcap-diff -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-subscribe-xcap-diff -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-subscribe-xcap-diff -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-subscribe-xcap-diff -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-subscribe-xcap-diff -l proxy -d 'Send requests by way of this server' -r
complete -c sip-subscribe-xcap-diff -l local -d 'Our address and port [default: what the route says]' -r
complete -c sip-subscribe-xcap-diff -l transport -d 'udp, tcp, tls, ws or wss [default: by the address]' -r
complete -c sip-subscribe-xcap-diff -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-subscribe-xcap-diff -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-subscribe-xcap-diff -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-subscribe-xcap-diff -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-subscribe-xcap-diff -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-subscribe-xcap-diff -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-subscribe-xcap-diff -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-subscribe-xcap-diff -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-subscribe-xcap-diff -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-subscribe-xcap-diff -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-subscribe-xcap-diff -l config -d 'Read this configuration file' -r -F
complete -c sip-subscribe-xcap-diff -l once -d 'Ask for the state once, print it, and end'
complete -c sip-subscribe-xcap-diff -l watch -d 'Print each change until the run ends (the default)'
complete -c sip-subscribe-xcap-diff -l raw -d 'Print documents as they come, and nothing else'
complete -c sip-subscribe-xcap-diff -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-subscribe-xcap-diff -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-subscribe-xcap-diff -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-subscribe-xcap-diff -l trace -d 'Print each SIP message on standard error'
complete -c sip-subscribe-xcap-diff -l ladder -d 'Print the call flow at the end'
complete -c sip-subscribe-xcap-diff -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-subscribe-xcap-diff -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-subscribe-xcap-diff -s V -l version -d 'Print version'
