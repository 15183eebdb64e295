# sip-xcap with the XCAP server in the lab's kamailio: documents and elements, edits, wrong passwords; watchers that wait
# until sip-subscribe-winfo decides about them; a list that was put there by sip-xcap.

# The lab's kamailio speaks no XCAP, so a copy of the lab gets a configuration that does.
xcap_lab() {
  step "lab up kam, with XCAP"
  cp -r "$LAB" "$W/lab-xcap" || fail "no copy of the lab"
  LAB=$W/lab-xcap
  chmod -R u+w "$LAB"
  cat >xhttp.cfg <<'CFG'
	if ($hu =~ "^/xcap-root/") {
		if (!www_authenticate("lab.test", "subscriber")) {
			www_challenge("lab.test", "1");
			exit;
		}
		$xcapuri(u=>data) = $hu;
		$var(uri) = $xcapuri(u=>xuid);
		if ($xcapuri(u=>auid) == "xcap-caps") {
			xhttp_reply("200", "OK", "application/xcap-caps+xml", "<?xml version='1.0'?><xcap-caps xmlns='urn:ietf:params:xml:ns:xcap-caps'><auids><auid>pres-rules</auid><auid>resource-lists</auid><auid>rls-services</auid></auids><namespaces/></xcap-caps>");
			exit;
		}
		if ($au != $(var(uri){uri.user})) {
			xhttp_reply("403", "Forbidden", "", "");
			exit;
		}
		switch ($rm) {
			case "GET": xcaps_get("$var(uri)", "$hu"); exit;
			case "PUT": xcaps_put("$var(uri)", "$hu", "$rb"); break;
			case "DELETE": xcaps_del("$var(uri)", "$hu"); break;
			default: xhttp_reply("405", "Method Not Allowed", "", ""); exit;
		}
		if ($xcapuri(u=>auid) == "pres-rules") pres_refresh_watchers("$var(uri)", "presence", 0);
		exit;
	}
CFG
  # rls wants to know how many rows it changed, which db_sqlite cannot tell: kamailio would crash.
  mkdir dbtext && cp /usr/share/kamailio/dbtext/kamailio/{rls_presentity,rls_watchers,version} dbtext || fail "no tables for db_text"
  local cfg=$LAB/kamailio/kamailio.cfg
  sed -i -e '/^loadmodule "db_sqlite.so"/a loadmodule "db_text.so"' \
    -e "/^modparam(\"rls\", \"db_mode\"/a modparam(\"rls\", \"db_url\", \"text://$W/dbtext\")\nmodparam(\"rls\", \"rlpres_db_url\", \"text://$W/dbtext\")\nmodparam(\"rls\", \"xcap_db_url\", \"sqlite:///@LAB_K_DIR@/lab.db\")" \
    -e '/^modparam("xcap_server", "db_url"/a modparam("xcap_server", "buf_size", 65536)' \
    -e '/^event_route\[xhttp:request\]/,$ { /^\txhttp_reply("404"/ { e cat xhttp.cfg
} }' "$cfg"
  grep -q xcaps_put "$cfg" || fail "the configuration has no XCAP"
  LAB_KAM_DEFINES="$*" "$LAB/lab" up kam || { "$LAB/lab" down kam; LAB_KAM_DEFINES="$*" "$LAB/lab" up kam; } || fail "kam did not start"
  for name in alice bob carol dave; do echo $name-secret >$name; chmod 600 $name; done
  ROOT_URL=http://$IP:$LAB_KAM/xcap-root
}
# as NAME: who asks
as() { echo "--from sip:$1@lab.test --user $1 --password-file ${PASSWORD:-$1} --timeout 40s"; }
# xcap WANTED-STATUS NAME ARGUMENT...: sip-xcap as alice, its output in NAME.out and NAME.err
xcap() {
  local want=$1 name=$2 rc; shift 2
  step "sip-xcap $*"
  # the words are arguments
  # shellcheck disable=SC2046
  "$BIN/sip-xcap" $(as "${WHO:-alice}") --xcap-root "${AT:-$ROOT_URL}" "$@" >"$name.out" 2>"$name.err"
  rc=$?
  [ $rc = "$want" ] || fail "sip-xcap ended with status $rc, not $want: $(cat "$name.err")"
}
has() { grep -qF -- "$2" "$1" || fail "no $2 in $1: $(cat "$1")"; }
tells() { grep -q "$2" "$1.json"; }

documents() {
  xcap_lab
  xcap 0 caps caps
  has caps.out rls-services
  xcap 14 none resource-lists list
  xcap 0 add resource-lists add sip:bob@lab.test --list friends
  xcap 0 add resource-lists add sip:carol@lab.test --list friends
  xcap 0 add resource-lists add sip:dave@lab.test
  xcap 0 list resource-lists list --json
  [ "$(grep -c '"kind":"entry"' list.out)" = 3 ] || fail "not three entries: $(cat list.out)"
  xcap 0 remove resource-lists remove sip:dave@lab.test
  xcap 14 remove resource-lists remove sip:dave@lab.test
  # an element, put, read and removed
  local of="--auid resource-lists" bob='resource-lists/list[@name="friends"]/entry[@uri="sip:bob@lab.test"]'
  # shellcheck disable=SC2086
  {
    xcap 0 element get $of --node "$bob" --raw
    has element.out 'uri="sip:bob@lab.test"'
    echo '<entry uri="sip:bob@lab.test"><display-name>Bob</display-name></entry>' >bob.xml
    xcap 0 element put $of --node "$bob" --file bob.xml
    xcap 0 list resource-lists list
    has list.out Bob
    xcap 0 element delete $of --node "$bob"
    xcap 14 element get $of --node "$bob"
    # conditions
    xcap 0 whole get $of --json
    local etag; etag=$(sed -n 's/.*"etag":"\\"\([^"\\]*\)\\"".*/\1/p' whole.out)
    [ -n "$etag" ] || fail "no entity tag: $(cat whole.out)"
    xcap 0 whole get $of --if-none-match "$etag"
    has whole.out 304
    xcap 16 whole delete $of --if-match other
    xcap 0 whole delete $of --if-match "$etag"
    xcap 14 whole get $of
  }
  # the other usages
  xcap 0 rules pres-rules allow sip:bob@lab.test
  xcap 0 rules pres-rules block sip:carol@lab.test
  xcap 0 rules pres-rules list
  has rules.out allow; has rules.out block
  xcap 0 rules pres-rules remove sip:carol@lab.test
  xcap 0 rules delete --auid pres-rules
  xcap 0 services rls-services add sip:mates-list@lab.test --list friends
  xcap 0 services rls-services list
  has services.out sip:mates-list@lab.test
  xcap 0 services rls-services remove sip:mates-list@lab.test
  # who may not
  echo guess >wrong; chmod 600 wrong
  PASSWORD=wrong xcap 13 refused pres-rules list
  xcap 13 refused pres-rules list --xui sip:bob@lab.test
  # over TLS, by the certificate's own name, and not by another
  AT=https://$IP:$((LAB_KAM + 1))/xcap-root xcap 0 secure caps --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test
  AT=https://$IP:$((LAB_KAM + 1))/xcap-root xcap 22 secure caps --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name other.test
  AT=https://$IP:$((LAB_KAM + 5))/xcap-root xcap 22 secure caps --tls-ca "$LAB_RUN/tls/ca.pem" --tls-name lab.test
}

# decided allow|block: bob waits until alice has decided
decided() {
  xcap_lab WITH_PRES_RULES
  local proxy="--proxy sip:$IP:$LAB_KAM"
  # the words are arguments
  # shellcheck disable=SC2046,SC2086
  {
    in_background publisher "$BIN/sip-publish-presence" $(as alice) $proxy --keep --note hello --json
    in_background watcher "$BIN/sip-subscribe-presence" $(as bob) $proxy --json sip:alice@lab.test
    wait_for 10 tells watcher '"state":"pending"' || fail "bob does not wait: $(cat watcher.json)"
    step "alice decides: $1"
    in_background decider "$BIN/sip-subscribe-winfo" $(as alice) $proxy --json --xcap-root "$ROOT_URL" "--$1" 'bob@lab.test'
    wait_for 10 tells decider '"event":"decided"' || fail "alice decides nothing: $(cat decider.json)"
    has decider.json '"status":"pending"'
    has decider.json "\"handling\":\"$1\",\"changed\":true"
    # This server tells watchers at once, but not those who watch the watchers.
    case $1 in
      allow)
        wait_for 10 tells watcher hello || fail "bob sees nothing: $(cat watcher.json)"
        step "sip-subscribe-winfo --once"
        "$BIN/sip-subscribe-winfo" $(as alice) $proxy --once --expect 'status[bob]=active' || fail "bob is not active"
        reap watcher
        status_is watcher 0 ;;
      block) status_is watcher 11 10 ;;
    esac
    reap decider
    status_is decider 0
    xcap 0 rules pres-rules list
    has rules.out "sip:bob@lab.test"
    has rules.out "$1"
    reap publisher
    status_is publisher 0
  }
}
# listed TRANSPORT: a list of three that sip-xcap makes, and its members' states
listed() {
  xcap_lab
  # The server looks at one document of services only, and the lab has one already.
  sqlite3 "$LAB_RUN/kam/lab.db" "DELETE FROM xcap" || fail "the lab's own list is in the way"
  local name proxy="--proxy sip:$IP:$LAB_KAM;transport=$1"
  [ "$1" = tls ] && proxy="--proxy sip:$IP:$((LAB_KAM + 1));transport=tls --tls-ca $LAB_RUN/tls/ca.pem --tls-name lab.test"
  for name in bob carol dave; do xcap 0 add resource-lists add "sip:$name@lab.test" --list mates; done
  xcap 0 add rls-services add sip:mates-list@lab.test --list mates
  # the words are arguments
  # shellcheck disable=SC2046,SC2086
  {
    in_background bob "$BIN/sip-publish-presence" $(as bob) $proxy --keep --note early --json
    in_background list "$BIN/sip-subscribe-rls" $(as alice) $proxy --json --expect 'status[bob]=open' \
      --expect 'status[carol]=open' --expect 'note[carol]=late' --expect resources=3 sip:mates-list@lab.test
    wait_for 10 tells list '"event":"notified"' || fail "no NOTIFY"
    in_background carol "$BIN/sip-publish-presence" $(as carol) $proxy --keep --note late --json
    status_is list 0 30
    for name in bob carol; do reap $name; status_is $name 0; done
  }
}
row long xcap-documents documents
for transport in udp tcp tls; do row long "xcap-list-$transport" listed $transport; done
row long xcap-allow decided allow
row long xcap-block decided block
