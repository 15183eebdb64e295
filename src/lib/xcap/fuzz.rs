//! Everything this layer does to bytes from outside, in one call: what tests feed with mutations and a fuzzer with
//! its inputs.

use super::{
    Capabilities, Exchange, NodeSelector, Request, Resource, Response, Step, Tree, Url, edit,
    selector::SelectorError,
};
use crate::{
    auth::{Client, Login},
    presence::{Element, Limits, pres_rules::SubHandling},
};

/// Reads any bytes as a URL, a selector, capabilities, rules to edit, and as the answer to a request.
///
/// An answer is its status code, fields in lines, an empty line and the body.
///
/// # Panics
///
/// If a property is broken that must hold for every input: what is written reads as what was written, nothing breaks
/// out of a URL or a field, and an exchange ends.
pub fn fuzz_parse(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = text.parse::<Url>() {
        assert_eq!(url.to_string().parse(), Ok(url));
    }
    if let Ok(selector) = text.parse::<NodeSelector>() {
        assert_eq!(selector.to_string().parse(), Ok(selector.clone()));
        let Ok(root) = Resource::root("http://a/b") else { return };
        let bound = |prefix: &str| (prefix.to_owned(), text.to_string());
        let namespaces = selector.prefixes().into_iter().map(bound).collect();
        let (auid, document) = (text.to_string(), text.to_string());
        let tree = Tree::User(text.to_string());
        let url = Resource { root, auid, tree, document, node: Some(selector), namespaces }.url();
        let url = url.unwrap_or_else(|error: SelectorError| panic!("every prefix is bound: {error}"));
        assert!(url.target().bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
        assert!(url.target().starts_with("/b/"), "{url}");
    }
    // Broken documents are refused elsewhere, as all are.
    let _ = Capabilities::read(bytes);
    if let Ok(mut root) = Element::read(bytes, &Limits::default())
        && let Ok(now) = edit::handle(&mut root, "sip:bob@example.com", Some(SubHandling::Allow))
    {
        assert_eq!(now, SubHandling::Allow, "nothing gives more");
        let before = root.clone();
        assert_eq!(edit::handle(&mut root, "sip:bob@example.com", Some(SubHandling::Allow)), Ok(now));
        assert_eq!(root, before, "a second time changes nothing");
    }
    answers(&text);
}

fn answers(text: &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let (code, head) = head.split_once('\n').unwrap_or((head, ""));
    let Ok(code) = code.trim().parse() else { return };
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let response = Response { code, reason: String::new(), fields, body: body.into() };
    let Ok(url) = Resource::root("http://a/b") else { return };
    let mut auth = Client::new(vec![Login::new("bob", "zanzibar")]);
    let (mut exchange, _) = Exchange::start(&mut auth, Request::get(url));
    let mut number = 0;
    let mut random = || {
        number += 1;
        number
    };
    for _ in 0..20 {
        match exchange.answered(response.clone(), &mut random) {
            Step::Send(again) => {
                assert_eq!(again.url.host(), "a", "nobody else is asked");
                let harmless = |value: &String| !value.contains(['\r', '\n', '\0']);
                assert!(again.fields.iter().all(|(_, value)| harmless(value)), "{again:?}");
            }
            Step::Done(outcome) => {
                let _ = outcome.map_err(|refusal| refusal.to_string());
                return;
            }
        }
    }
    panic!("an exchange that never ends");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLES: [&str; 7] = [
        "https://xcap.example.com:8443/root/index?xmlns(a=b)",
        "resource-lists/list[@name=\"a/b\"][2]/x:entry[@y:uri='sip:a@b']/@uri",
        "200\nETag: \"1\"\nContent-Type: a/b\n\n<a/>",
        "401\nWWW-Authenticate: Basic realm=\"a, b\", Digest realm=\"x\", nonce=\"n\", qop=\"auth,auth-int\", algorithm=MD5\n",
        "307\nLocation: /c?d#e\n",
        "409\n\n<xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><uniqueness-failure><exists field=\"a\">\
         <alt-value>b</alt-value></exists></uniqueness-failure></xcap-error>",
        "<ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\"><rule id=\"a\"><conditions><identity><many/>\
         <one id=\"sip:bob@example.com\"/></identity></conditions><actions><sub-handling \
         xmlns=\"urn:ietf:params:xml:ns:pres-rules\">confirm</sub-handling></actions></rule></ruleset>",
    ];

    proptest! {
        #[test]
        fn mutated_input_keeps_the_rules(
            example in prop::sample::select(&EXAMPLES[..]),
            changes in prop::collection::vec(
                (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = example.as_bytes().to_vec();
            for (one, two, byte) in changes {
                let (at, from) = (one.index(bytes.len() + 1), two.index(bytes.len() + 1));
                match byte % 3 {
                    0 => bytes.insert(at, byte),
                    1 => _ = bytes.drain(at.min(from)..at.max(from).min(at.min(from) + 9)),
                    _ => {
                        let piece = bytes[from..bytes.len().min(from + 30)].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            fuzz_parse(&bytes);
        }
    }
}
