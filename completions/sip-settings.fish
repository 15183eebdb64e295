complete -c sip-settings -l write-out -d 'Print only this at the end, such as \'%{code}\\n\'' -r
complete -c sip-settings -l timeout -d 'End the whole run after this time (exit 3)' -r
complete -c sip-settings -l config -d 'Read this configuration file' -r -F
complete -c sip-settings -l json -d 'Print JSON Lines: an object per event and a result'
complete -c sip-settings -s v -l verbose -d 'Explain decisions; -vv and -vvv tell more'
complete -c sip-settings -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sip-settings -s V -l version -d 'Print version'
