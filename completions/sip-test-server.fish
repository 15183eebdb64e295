complete -c sip-test-server -l listen -d 'Where to listen [default: 127.0.0.1:5070]' -r
complete -c sip-test-server -l calls -d 'End after this many calls' -r
complete -c sip-test-server -l min-expires -d 'Refuse to keep anything for less [default: 60s]' -r
complete -c sip-test-server -l event -d 'A state, such as mwi=3/1 or presence:alice=busy' -r
complete -c sip-test-server -l list -d 'Users watched as one, such as friends=alice,bob' -r
complete -c sip-test-server -l watcher -d 'Who may watch, such as bob=block [default: all]' -r
complete -c sip-test-server -l user -d 'Challenge requests from outside for this user' -r
complete -c sip-test-server -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-test-server -l auth-alg -d 'Algorithms, in this order [default: SHA-256]' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-test-server -l auth-qop -d 'auth, auth-int or both [default: auth]' -r -f -a "auth\t'The request line'
auth-int\t'The body as well'"
complete -c sip-test-server -l nonce-lifetime -d 'How long a nonce is good [default: 5m]' -r
complete -c sip-test-server -l realm -d 'Realm of the challenge [default: sipkit]' -r
complete -c sip-test-server -l tls-cert -d 'Our certificate, which listening over tls and wss needs' -r -F
complete -c sip-test-server -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-test-server -l tls-ca -d 'Want a certificate of these authorities from clients' -r -F
complete -c sip-test-server -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-test-server -l rtp-ports -d 'UDP ports for RTP and RTCP [default: any free pair]' -r
complete -c sip-test-server -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-test-server -l pcap -d 'Write all packets to FILE (.pcap or .pcapng)' -r -F
complete -c sip-test-server -l pcap-mode -d 'How to write what is encrypted: wire, plain or both' -r -f -a "wire\t'As on the wire; in pcapng with the secrets'
plain\t'As it was before it was encrypted, each message in a UDP packet'
both\t'Both, on two interfaces (pcapng only)'"
complete -c sip-test-server -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-test-server -l config -d 'Read this configuration file' -r -F
complete -c sip-test-server -l userhash -d 'Ask for user names to be hashed (RFC 7616)'
complete -c sip-test-server -l no-media -d 'Answer calls, but neither send nor receive media'
complete -c sip-test-server -s q -l quiet -d 'Do not report each call and request'
complete -c sip-test-server -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-test-server -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-test-server -l trace -d 'Print each SIP message on standard error'
complete -c sip-test-server -l ladder -d 'Print the call flow at the end'
complete -c sip-test-server -l pcap-no-rtp -d 'Leave RTP and RTCP out of it'
complete -c sip-test-server -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-test-server -s V -l version -d 'Print version'
