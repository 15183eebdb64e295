//! What the reader takes and what it refuses, and that what is written reads as it was.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Element, Error> {
    Element::read(text.as_bytes(), &Limits::default())
}

#[test]
fn prefixes_do_not_matter() {
    let one =
        read("<a xmlns='urn:a' xmlns:b='urn:b' b:x='1' y='2'><b:c/>\n <d>t&amp;&#x74;</d></a>").unwrap();
    let two = read(
        "\u{FEFF}\r\n<?xml version='1.0' encoding='utf-8'?><!-- c --><q:a y='2' xmlns:q='urn:a' p:x='1' xmlns:p='urn:b'>\
         <c xmlns='urn:b'></c><q:d><![CDATA[t&]]>t</q:d></q:a><?x y?>\n",
    )
    .unwrap();
    assert_eq!(one, two);
    assert_eq!(one.attribute_in("urn:b", "x"), Some("1"));
    assert_eq!(one.child("urn:a", "d").unwrap().text(), "t&t");
    assert_eq!(one.child("urn:a", "d").unwrap().place(), (2, 2));
}

#[test]
fn namespaces_end_with_their_elements() {
    let root = read("<a xmlns='urn:a'><b xmlns=''><c/></b><d xmlns:p='urn:p'><p:e/></d><f/></a>").unwrap();
    let names: Vec<String> = root.elements().map(|element| element.name.to_string()).collect();
    assert_eq!(names, ["b", "{urn:a}d", "{urn:a}f"]);
    assert_eq!(read("<a><b xmlns:p='urn:p'/><p:c/></a>").unwrap_err().reason, Reason::Prefix("p".into()));
}

#[test]
fn values_are_normalized() {
    let root = read("<a b='1\r\n2\t3&#10;4&quot;'>x\r\ny\rz</a>").unwrap();
    assert_eq!(root.attribute("b"), Some("1 2 3\n4\""));
    assert_eq!(root.text(), "x\ny\nz");
    assert_eq!(read(&root.write()).unwrap(), root);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let table = [
        ("", 1, 1, "there is no element"),
        (" \n ", 2, 2, "there is no element"),
        ("<a>", 1, 4, "the end tag is \"\" where \"a\" ends"),
        ("<a>\n <b></a>", 2, 5, "the end tag is \"a\" where \"b\" ends"),
        ("</a>", 1, 1, "the end tag is \"a\""),
        ("<a/><b/>", 1, 5, "outside the one element"),
        ("<a/>x", 1, 5, "outside the one element"),
        ("x<a/>", 1, 1, "outside the one element"),
        ("<a/>&amp;", 1, 5, "outside the one element"),
        ("<![CDATA[x]]><a/>", 1, 1, "outside the one element"),
        ("<!DOCTYPE a><a/>", 1, 1, "a document type declaration is refused"),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", 1, 1, "a document type declaration is refused"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", 1, 1, "a document type declaration is refused"),
        ("<!DOCTYPE", 1, 1, ""),
        ("<a>\n&b;</a>", 2, 1, "the entity \"b\" is not known"),
        ("<a b='&c;'/>", 1, 1, "the entity \"c\" is not known"),
        ("<a>&b</a>", 1, 4, "without \";\""),
        ("<a>&#0;</a>", 1, 4, ""),
        ("<a>&#xFFFE;</a>", 1, 4, "the character U+FFFE is not allowed"),
        ("<a>&#x110000;</a>", 1, 4, "a reference to no character"),
        ("<a>é\u{1}</a>", 1, 5, "the character U+0001 is not allowed"),
        ("<a>]]></a>", 1, 4, "stands in text"),
        ("<a b='<'/>", 1, 1, "\"<\" stands in an attribute"),
        ("<a b='1' b='2'/>", 1, 10, "an attribute stands twice"),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", 1, 1, "an attribute stands twice"),
        ("<a b=1/>", 1, 6, "an attribute without quotes"),
        ("<a b/>", 1, 5, "an attribute without \"=\""),
        ("<a b='1/>", 1, 1, ""),
        ("<p:a/>", 1, 1, "the prefix \"p\" is not declared"),
        ("<a p:b='1'/>", 1, 1, "the prefix \"p\" is not declared"),
        ("<a xmlns:p=''/>", 1, 1, "without a prefix or a name"),
        ("<a xmlns:xml='u'/>", 1, 1, "reserved"),
        ("<a xmlns:xmlns='u'/>", 1, 1, "reserved"),
        ("<1/>", 1, 1, "not a name"),
        ("<a:b:c xmlns:a='u'/>", 1, 1, "not a name"),
        ("<a><!-- -- --></a>", 1, 9, "\"--\" stands in a comment"),
        ("<a><!-- </a>", 1, 4, "a comment does not end"),
        ("<a><![CDATA[ </a>", 1, 4, "a CDATA section does not end"),
        ("<a><?b </a>", 1, 4, "a processing instruction does not end"),
        ("<a><?xml version='1.0'?></a>", 1, 4, "after the beginning"),
        ("<?xml version='2.0'?><a/>", 1, 1, "the version of XML is not 1.0"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", 1, 1, "the encoding is ISO-8859-1"),
        ("<?xml version='1.0' encoding='us-ascii'?><a>é</a>", 1, 1, "the encoding is us-ascii"),
        ("<a", 1, 1, "a tag does not end"),
    ];
    for (text, line, column, reason) in table {
        let error = read(text).expect_err(text);
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    }
}

#[test]
fn other_encodings_are_refused() {
    let utf16: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked: Vec<u8> = "\u{FEFF}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [utf16, marked] {
        let error = Element::read(&bytes, &Limits::default()).unwrap_err();
        assert_eq!(error.reason, Reason::Encoding("UTF-16".into()));
    }
    let error = Element::read(b"<a>\nab\xE9</a>", &Limits::default()).unwrap_err();
    assert_eq!((error.line, error.column, error.reason), (2, 3, Reason::NotUtf8));
}

#[test]
fn limits_hold() {
    let limits = Limits { octets: 200, depth: 4, elements: 6, attributes: 3, namespaces: 2 };
    let at_most =
        |text: &str| Element::read(text.as_bytes(), &limits).map(drop).map_err(|error| error.reason);
    assert_eq!(at_most("<a><b><c><d/></c></b></a>"), Ok(()));
    let too_many = |what, limit| Err(Reason::TooMany { what, limit });
    assert_eq!(at_most("<a><b><c><d><e/></d></c></b></a>"), too_many("elements inside each other", 4));
    assert_eq!(at_most("<a><b/><b/><b/><b/><b/></a>"), Ok(()));
    assert_eq!(at_most("<a><b/><b/><b/><b/><b/><b/></a>"), too_many("elements", 6));
    assert_eq!(at_most("<a b='' c='' d='' e=''/>"), too_many("attributes of one element", 3));
    assert_eq!(at_most("<a xmlns:b='b'><c xmlns:d='d'/><c xmlns:d='d'/></a>"), Ok(()));
    assert_eq!(at_most("<a xmlns:b='b'><c xmlns:d='d' xmlns:e='e'/></a>"), too_many("namespaces", 2));
    assert_eq!(at_most(&" ".repeat(201)), Err(Reason::TooLarge { octets: 201, limit: 200 }));
}

#[test]
fn namespaces_are_declared_where_they_are_needed() {
    let foreign =
        Element::new("urn:b", "c").with_child(Element::new("", "d").with_child(Element::new("urn:a", "e")));
    let mut root = Element::new("urn:a", "a").with_child(foreign);
    root.attributes.push((Name::new("urn:a", "own"), "1".into()));
    assert_eq!(read(&root.write()).unwrap(), root, "{}", root.write());
    let many = (0..60).map(|number| Element::new(&format!("urn:{number}"), "x"));
    let root = Element::new("urn:a", "a").with_children(many);
    assert_eq!(read(&root.write()).unwrap(), root, "{}", root.write());
}

fn name() -> impl Strategy<Value = Name> {
    (prop_oneof![Just(""), Just("urn:a"), Just("urn:b"), Just("urn:ietf:params:xml:ns:pidf")], "[a-c]{1,2}")
        .prop_map(|(namespace, local)| Name::new(namespace, &local))
}

fn element() -> impl Strategy<Value = Element> {
    let attributes = prop::collection::btree_map(name(), ".{0,6}", 0..3);
    let leaf = (name(), attributes, "\\PC{0,8}").prop_map(|(name, attributes, text)| {
        let mut element = Element::named(name);
        element.attributes = attributes.into_iter().map(|(name, value)| (name, clean(&value))).collect();
        element.with_text(&clean(&text))
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (name(), prop::collection::vec(inner, 0..4))
            .prop_map(|(name, children)| Element::named(name).with_children(children))
    })
}

/// Without what XML cannot say.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|&c| matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
        .collect()
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(element in element()) {
        prop_assert_eq!(read(&element.write()), Ok(element));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[<>a&;'\"= /!\\[\\]?-]{0,40}") {
        let _ = read(&text);
    }
}
