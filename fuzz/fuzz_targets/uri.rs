//! URIs and addresses: normal forms, comparison, owned twins. The first line end parts two URIs to compare.
#![no_main]

use sipkit::message::{AddressBuf, Host, NameAddr, Uri, UriBuf};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, other) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(uri) = Uri::parse(text) {
        alone(uri, text);
        if let Ok(other) = Uri::parse(other) {
            compare(uri, other);
        }
    }
    if let Ok(address) = NameAddr::parse(text) {
        let owned = AddressBuf::from(address);
        assert_eq!(AddressBuf::parse(&owned.to_string()).as_ref(), Ok(&owned));
        let written = address.to_string();
        let again = NameAddr::parse(&written).expect("what is written can be read");
        assert_eq!(again.to_string(), written);
        assert_eq!(again.tag(), address.tag());
    }
    if let Some(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()), Some(host));
    }
});

fn alone(uri: Uri<'_>, text: &str) {
    assert_eq!(uri.as_str(), text);
    let owned = UriBuf::from(uri);
    assert_eq!(owned.as_uri().host(), uri.host());
    assert_eq!(UriBuf::parse(&owned.to_string()).as_ref(), Ok(&owned));
    for (name, value) in uri.params().iter() {
        assert!(uri.params().has(name), "{name}");
        assert!(value.is_none_or(|value| text.contains(value)));
    }
    assert!(text.starts_with(uri.without_headers()));
    let normal = uri.normal();
    assert!(uri.equivalent(&uri) && uri.equivalent(&normal.as_uri()) && normal.as_uri().equivalent(&uri));
    assert_eq!(normal.as_uri().normal(), normal);
    if uri.is_sip()
        && let Ok(marked) = uri_with(&owned)
    {
        assert!(marked.as_uri().params().has("fuzz"));
        assert_eq!(marked.as_uri().headers().count(), uri.headers().count());
    }
}

fn uri_with(uri: &UriBuf) -> Result<UriBuf, sipkit::message::UriError> {
    uri.with_param("fuzz", Some("a b;c"))
}

fn compare(uri: Uri<'_>, other: Uri<'_>) {
    let equivalent = uri.equivalent(&other);
    assert_eq!(equivalent, other.equivalent(&uri), "comparing is symmetric");
    assert!(equivalent || uri.normal() != other.normal(), "the same normal form means equivalent");
}
