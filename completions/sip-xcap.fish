complete -c sip-xcap -l xcap-root -d 'The XCAP root: an http or https URL' -r
complete -c sip-xcap -l auid -d 'Application usage [default: pres-rules]' -r
complete -c sip-xcap -l document -d 'Name of the document [default: index]' -r
complete -c sip-xcap -l node -d 'The part, such as \'resource-lists/list[@name="a"]\'' -r
complete -c sip-xcap -l namespace -d 'Bind a prefix of the selector; may be repeated' -r
complete -c sip-xcap -l xui -d 'Whose document [default: our address]' -r
complete -c sip-xcap -l file -d 'What to put; a single dash is standard input' -r -F
complete -c sip-xcap -l content-type -d 'Media type of a document [default: by the usage]' -r
complete -c sip-xcap -l if-match -d 'Only if the document has this entity tag; \'*\': any' -r
complete -c sip-xcap -l if-none-match -d 'Only if it has not; \'*\': only if it is not there' -r
complete -c sip-xcap -l list -d 'The list of resource-lists [default: the only one]' -r
complete -c sip-xcap -l package -d 'Event package of a new service [default: presence]' -r
complete -c sip-xcap -l answer-timeout -d 'How long an exchange may take (exit 23) [default: 15s]' -r
complete -c sip-xcap -l account -d 'An account of the configuration file' -r
complete -c sip-xcap -l from -d 'Our address, such as sip:alice@example.com' -r
complete -c sip-xcap -l user -d 'Name for authentication [default: as in --from]' -r
complete -c sip-xcap -l password-file -d 'File with the password in its first line' -r -F
complete -c sip-xcap -l auth-alg -d 'Answer challenges with this digest algorithm only' -r -f -a "MD5\t''
MD5-sess\t''
SHA-256\t''
SHA-256-sess\t''
SHA-512-256\t''
SHA-512-256-sess\t''"
complete -c sip-xcap -l dns -d 'Ask this DNS server [default: the system\'s]' -r
complete -c sip-xcap -l tls-ca -d 'Trust the authorities in FILE instead of the system\'s' -r -F
complete -c sip-xcap -l tls-cert -d 'Our certificate, for peers that ask for one' -r -F
complete -c sip-xcap -l tls-key -d 'Its private key [default: in the same file]' -r -F
complete -c sip-xcap -l tls-name -d 'The name that the peer\'s certificate must have' -r
complete -c sip-xcap -l tls-min -d 'The least version to accept: 1.2 or 1.3 [default: 1.2]' -r
complete -c sip-xcap -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-xcap -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-xcap -l config -d 'Read this configuration file' -r -F
complete -c sip-xcap -l display-name -d 'Name shown to the peer beside our address' -r
complete -c sip-xcap -l global -d 'The document of all users'
complete -c sip-xcap -l raw -d 'Print documents as they came'
complete -c sip-xcap -l dry-run -d 'Print the request and send nothing'
complete -c sip-xcap -l tls-insecure -d 'Accept any certificate, with a warning each time'
complete -c sip-xcap -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-xcap -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-xcap -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-xcap -s V -l version -d 'Print version'
