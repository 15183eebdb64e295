//! The operations of RFC 5261 appendix A on what is kept of a document, and selectors that are none.

use super::*;
use crate::presence::Limits;

fn read(text: &str) -> Element {
    Element::read(text.as_bytes(), &Limits::default()).unwrap()
}

fn patches(diff: &Element) -> Result<Vec<Patch>, Error> {
    diff.elements().filter_map(|element| Patch::from_element(element, &diff.prefixes).transpose()).collect()
}

/// The document after the operations; they are also written and read again.
fn patched(document: &str, diff: &str) -> Result<Element, Unpatched> {
    let patches = patches(&read(diff)).unwrap();
    let mut written = Element::new("urn:d", "diff");
    written.prefixes.push(("d".into(), "urn:d".into()));
    let written = written.with_children(patches.iter().map(|patch| patch.to_element("urn:d"))).write();
    assert_eq!(super::tests::patches(&read(&written)).unwrap(), patches, "{written}");
    let mut root = read(document);
    apply_all(&mut root, &patches, &Limits::default()).map(|()| root)
}

#[test]
fn documents_are_patched() {
    let note = "<doc><note>This is a sample document</note></doc>";
    let foo = "<doc><foo id='ert4773'>text</foo><foo/></doc>";
    let pidf = "<p xmlns='urn:x' xmlns:y='urn:y'><e a='foo'/><e a='bar'><y:child/></e><n>Sample</n></p>";
    let table = [
        (
            note,
            "<add sel='doc'><foo id='ert4773'>new</foo></add>",
            "<doc><note>This is a sample document</note><foo id='ert4773'>new</foo></doc>",
        ),
        (
            foo,
            "<add sel=\"doc/foo[@id='ert4773']\" type='@user'>Bob</add>",
            "<doc><foo id='ert4773' user='Bob'>text</foo><foo/></doc>",
        ),
        (
            foo,
            "<add sel='doc/foo[2]' pos='before'><bar/></add>",
            "<doc><foo id='ert4773'>text</foo><bar/><foo/></doc>",
        ),
        (
            foo,
            "<add sel='/doc/foo[1]' pos='after'><bar/></add>",
            "<doc><foo id='ert4773'>text</foo><bar/><foo/></doc>",
        ),
        (
            foo,
            "<add sel='*' pos='prepend'><bar/></add>",
            "<doc><bar/><foo id='ert4773'>text</foo><foo/></doc>",
        ),
        (foo, "<replace sel=\"id('ert4773')\"><bar/></replace>", "<doc><bar/><foo/></doc>"),
        (
            foo,
            "<replace sel=\"doc/foo[.='text']/@id\">x</replace>",
            "<doc><foo id='x'>text</foo><foo/></doc>",
        ),
        (
            foo,
            "<replace sel='doc/foo[1]/text()[1]'>&lt;</replace>",
            "<doc><foo id='ert4773'>&lt;</foo><foo/></doc>",
        ),
        (foo, "<remove sel=\"doc/foo[@id='ert4773']\" ws='after'/>", "<doc><foo/></doc>"),
        (foo, "<remove sel='doc/foo[1]/@id'/>", "<doc><foo>text</foo><foo/></doc>"),
        (foo, "<remove sel='doc/foo[1]/text()'/>", "<doc><foo id='ert4773'/><foo/></doc>"),
        (
            note,
            "<replace sel=\"doc[note='This is a sample document']/note\"><x/></replace>",
            "<doc><x/></doc>",
        ),
        (note, "<replace sel='doc'><x/></replace>", "<x/>"),
        (note, "<add sel='doc/note'>!</add><remove sel='doc/note/text()[1]'/>", "<doc><note/></doc>"),
        (
            pidf,
            "<add xmlns:q='urn:x' sel=\"q:p/q:e[@a='foo']\"><c xmlns='urn:x'/></add>",
            "<p xmlns='urn:x' xmlns:y='urn:y'><e a='foo'><c/></e><e a='bar'><y:child/></e><n>Sample</n></p>",
        ),
        (
            pidf,
            "<remove xmlns:z='urn:y' xmlns:q='urn:x' sel=\"*/q:e[@a='bar']/z:child\" ws='both'/>",
            "<p xmlns='urn:x'><e a='foo'/><e a='bar'/><n>Sample</n></p>",
        ),
    ];
    for (document, operations, expected) in table {
        assert_eq!(
            patched(document, &format!("<diff>{operations}</diff>")),
            Ok(read(expected)),
            "{operations}"
        );
    }
    // RFC 5261 §4.2.2: a name without a prefix is in the default namespace.
    let diff =
        "<d:diff xmlns:d='urn:d' xmlns='urn:x'><d:replace sel='p/n/text()'>Patched</d:replace></d:diff>";
    assert_eq!(patched(pidf, diff).unwrap().child("urn:x", "n").unwrap().text(), "Patched");
}

#[test]
fn what_finds_nothing_or_too_much_changes_nothing() {
    let document = "<doc><foo a='1'/><foo a='2'>x</foo></doc>";
    for operation in [
        "<remove sel='doc/foo'/>",
        "<remove sel='doc/bar'/>",
        "<remove sel='foo'/>",
        "<remove sel='doc/foo[3]'/>",
        "<remove sel='doc/foo[1]/@b'/>",
        "<remove sel='doc/foo[1]/text()'/>",
        "<remove sel='doc'/>",
        "<add sel='doc' pos='after'><x/></add>",
        "<add sel='doc/foo[1]' type='@a'>2</add>",
        "<add sel='doc/foo[1]/@a'>2</add>",
        "<replace sel='doc/foo[1]'>x</replace>",
        "<replace sel='doc/foo[1]'><x/><x/></replace>",
        "<replace sel='doc/foo[1]/@a'><x/></replace>",
        "<replace sel=\"doc/foo[@a='1'][2]\"><x/></replace>",
        "<replace sel=\"id('1')\"><x/></replace>",
    ] {
        let diff = format!("<diff><add sel='doc'><new/></add>{operation}</diff>");
        assert!(patched(document, &diff).is_err(), "{operation}");
    }
}

#[test]
fn documents_do_not_grow_without_end() {
    let limits = Limits { elements: 10, ..Limits::default() };
    let patches = patches(&read("<diff><add sel='a'><b/><b/><b/><b/></add></diff>")).unwrap();
    let mut root = read("<a/>");
    assert_eq!(apply_all(&mut root, &patches, &limits), Ok(()));
    assert_eq!(apply_all(&mut root, &patches, &limits), Ok(()));
    assert_eq!(apply_all(&mut root, &patches, &limits), Err(Unpatched::TooLarge));
    assert_eq!(root.elements().count(), 8);
}

#[test]
fn what_is_no_selector_is_refused_with_its_place() {
    for selector in [
        "",
        "/",
        "a//b",
        "a/",
        "@a",
        "text()",
        "a/@b/c",
        "a[",
        "a]",
        "a[0]",
        "a[-1]",
        "a[@b]",
        "a[@b=c]",
        "a[@b='c]",
        "p:a",
        "a/text()[0",
        "a/text()x",
        "a/comment()",
        "a/processing-instruction('x')",
        "a/namespace::p",
        "id(x)",
        "a[b='1' and c='2']",
        "a/../b",
        "a|b",
        "1",
        "a[1][1][1][1][1]",
    ] {
        let diff = read(&format!("<diff>\n <remove sel=\"{selector}\"/></diff>"));
        let error = patches(&diff).expect_err(selector);
        assert_eq!((error.line, error.column), (2, 2), "{selector}: {error}");
    }
    for operation in
        ["<add sel='a' pos='x'/>", "<add sel='a' type='x'/>", "<add sel='a' type='@1'/>", "<remove/>"]
    {
        assert!(patches(&read(&format!("<diff>{operation}</diff>"))).is_err(), "{operation}");
    }
}
