//! How resources are named: `sip:USER@HOST`, whatever scheme, port and parameters the request has, as a server answers
//! at several ports.

use std::fmt::Write as _;

use crate::message::Uri;

/// The name of what a URI leads to.
pub fn name(uri: &Uri<'_>) -> String {
    let mut name = String::with_capacity(uri.as_str().len() + 4);
    name.push_str("sip:");
    if let Some(user) = uri.user() {
        name.push_str(user);
        name.push('@');
    }
    let host = name.len();
    // Writing to a string does not fail.
    let _ = write!(name, "{}", uri.host());
    if let Some(host) = name.get_mut(host..) {
        host.make_ascii_lowercase();
    }
    name
}

/// The user part of such a name.
pub fn user(name: &str) -> &str {
    name.strip_prefix("sip:").and_then(|rest| rest.rsplit_once('@')).map_or("", |(user, _)| user)
}

/// Its host.
pub fn host(name: &str) -> &str {
    let rest = name.strip_prefix("sip:").unwrap_or(name);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// The URI of somebody who may be named by the user part alone: then at the same host as `beside`.
pub fn uri(who: &str, beside: &str) -> String {
    if who.contains(':') {
        return who.to_owned();
    }
    if who.contains('@') { format!("sip:{who}") } else { format!("sip:{who}@{}", host(beside)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::UriBuf;

    #[test]
    fn ports_and_parameters_make_no_other_resource() {
        let named = |text: &str| name(&UriBuf::parse(text).unwrap().as_uri());
        assert_eq!(named("sips:Alice@EXAMPLE.com:5071;transport=tcp"), "sip:Alice@example.com");
        assert_eq!(named("sip:a@[2001:db8::1]:5060"), "sip:a@[2001:db8::1]");
        assert_eq!(named("sip:example.com"), "sip:example.com");
        assert_eq!((user("sip:a@[::1]"), host("sip:a@[::1]"), user("sip:x")), ("a", "[::1]", ""));
        assert_eq!(uri("bob", "sip:a@h"), "sip:bob@h");
        assert_eq!((uri("bob@x", "sip:a@h"), uri("sip:b@y:1", "")), ("sip:bob@x".into(), "sip:b@y:1".into()));
    }
}
