//! Reading: one pass over the events of quick-xml, which are checked for what it lets through.

use std::{collections::HashSet, sync::Arc};

use quick_xml::{
    Reader,
    errors::{Error as XmlError, IllFormedError, SyntaxError},
    events::{BytesDecl, BytesRef, BytesStart, Event, attributes::AttrError},
};

use super::{Element, Limits, Name, Node, WHITE, XML};
use crate::presence::{Error, Reason};

/// Reads one document.
pub(super) fn document(document: &[u8], limits: &Limits) -> Result<Element, Error> {
    let limit = limits.octets.min(u32::MAX as usize);
    if document.len() > limit {
        let reason = Reason::TooLarge { octets: document.len(), limit };
        return Err(Error { line: 1, column: 1, reason });
    }
    let text = utf8(document)?;
    // Some send an empty line before the XML declaration.
    let start = text.len() - text.trim_start_matches(WHITE).len();
    let refuse = |(at, reason): (usize, Reason)| {
        let (line, column) = position(text, at);
        Error { line, column, reason }
    };
    allowed_characters(text).map_err(refuse)?;
    let mut builder = Builder {
        text,
        start,
        limits,
        open: Vec::new(),
        root: None,
        scope: Vec::new(),
        names: HashSet::new(),
        elements: 0,
        counted: Place { at: 0, line: 1, column: 1 },
    };
    builder.run().map_err(refuse)
}

/// Line and column, from 1, of an octet of a text.
pub(in crate::presence) fn position(text: &str, at: usize) -> (usize, usize) {
    let mut place = Place { at: 0, line: 1, column: 1 };
    place.advance(text, at);
    (place.line as usize, place.column as usize)
}

type Refused = (usize, Reason);

/// The text of a document in UTF-8, without its byte order mark.
fn utf8(document: &[u8]) -> Result<&str, Error> {
    let refuse = |line, column, reason| Error { line, column, reason };
    let other = match document {
        [0, 0, 0xFE, 0xFF, ..] | [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0, b'<', ..] | [b'<', 0, 0, 0, ..] => {
            "UTF-32"
        }
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, b'<', ..] | [b'<', 0, ..] => "UTF-16",
        // What `<?xm` is in EBCDIC.
        [0x4C, 0x6F, 0xA7, 0x94, ..] => "EBCDIC",
        _ => "",
    };
    if !other.is_empty() {
        return Err(refuse(1, 1, Reason::Encoding(other.to_owned())));
    }
    let document = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    std::str::from_utf8(document).map_err(|error| {
        let good = document.get(..error.valid_up_to()).unwrap_or_default();
        let good = std::str::from_utf8(good).unwrap_or_default();
        let (line, column) = position(good, good.len());
        refuse(line, column, Reason::NotUtf8)
    })
}

/// XML 1.0 §2.2.
fn allowed(character: char) -> bool {
    !matches!(character, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}')
}

fn allowed_characters(text: &str) -> Result<(), Refused> {
    match text.char_indices().find(|&(_, character)| !allowed(character)) {
        Some((at, character)) => Err((at, Reason::Character(character.into()))),
        None => Ok(()),
    }
}

/// Counts lines as it goes, so that every element can know where it is.
struct Place {
    at: usize,
    line: u32,
    column: u32,
}

impl Place {
    fn advance(&mut self, text: &str, to: usize) {
        for character in text.get(self.at..to).unwrap_or_default().chars() {
            if character == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.at = self.at.max(to);
    }
}

struct Builder<'t> {
    text: &'t str,
    /// Where the document begins in the text.
    start: usize,
    limits: &'t Limits,
    /// The elements that are not closed yet, with how many declarations there were before each.
    open: Vec<(Element, usize)>,
    root: Option<Element>,
    /// Declarations in scope; later ones hide earlier ones.
    scope: Vec<(Box<str>, Arc<str>)>,
    /// Every namespace seen, once.
    names: HashSet<Arc<str>>,
    elements: usize,
    counted: Place,
}

impl<'t> Builder<'t> {
    fn run(&mut self) -> Result<Element, Refused> {
        let text = self.text;
        let mut reader = Reader::from_str(text.get(self.start..).unwrap_or_default());
        reader.config_mut().check_comments = true;
        loop {
            let at = self.start + offset(reader.buffer_position());
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = self.start + offset(reader.error_position());
                    return Err((at, malformed(error)));
                }
            };
            match event {
                Event::Start(tag) => self.open(at, &tag)?,
                Event::Empty(tag) => {
                    self.open(at, &tag)?;
                    self.close();
                }
                Event::End(_) => self.close(),
                Event::Text(characters) => {
                    if let Some(inside) = characters.find("]]>") {
                        return Err((at + inside, Reason::Malformed("\"]]>\" stands in text")));
                    }
                    self.characters(at, &characters.xml10_content())?;
                }
                Event::CData(characters) => {
                    if self.open.is_empty() {
                        return Err((at, OUTSIDE));
                    }
                    self.characters(at, &characters.xml10_content())?;
                }
                Event::GeneralRef(reference) => {
                    let mut buffer = [0; 4];
                    let character = referenced(&reference).map_err(|reason| (at, reason))?;
                    if self.open.is_empty() {
                        return Err((at, OUTSIDE));
                    }
                    self.characters(at, character.encode_utf8(&mut buffer))?;
                }
                Event::Decl(declaration) => {
                    if at != self.start {
                        return Err((at, Reason::Malformed("an XML declaration after the beginning")));
                    }
                    self.declaration(&declaration).map_err(|reason| (at, reason))?;
                }
                Event::PI(instruction) => {
                    if instruction.target().eq_ignore_ascii_case("xml") || !is_name(instruction.target()) {
                        return Err((
                            at,
                            Reason::Malformed("a processing instruction without a proper name"),
                        ));
                    }
                }
                Event::Comment(_) => {}
                Event::DocType(_) => return Err((at, Reason::DocType)),
                Event::Eof => break,
            }
        }
        if let Some((element, _)) = self.open.last() {
            let reason = Reason::EndTag { expected: element.name.local.to_string(), found: String::new() };
            return Err((text.len(), reason));
        }
        self.root.take().ok_or((text.len(), Reason::Malformed("there is no element")))
    }

    fn open(&mut self, at: usize, tag: &BytesStart<'_>) -> Result<(), Refused> {
        if self.open.is_empty() && self.root.is_some() {
            return Err((at, OUTSIDE));
        }
        if self.open.len() >= self.limits.depth {
            let reason = Reason::TooMany { what: "elements inside each other", limit: self.limits.depth };
            return Err((at, reason));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err((at, Reason::TooMany { what: "elements", limit: self.limits.elements }));
        }
        let before = self.scope.len();
        let (prefixes, plain) = self.attributes(at, tag)?;
        let mut element = Element::named(Name::new("", ""));
        element.prefixes = prefixes;
        element.name = self.resolve(at, tag.name().into_inner(), true)?;
        for (name, value) in plain {
            let name = self.resolve(at, name, false)?;
            if element.attributes.iter().any(|(other, _)| *other == name) {
                return Err((at, Reason::Malformed("an attribute stands twice")));
            }
            element.attributes.push((name, value));
        }
        self.counted.advance(self.text, at);
        element.place = (self.counted.line, self.counted.column);
        self.open.push((element, before));
        Ok(())
    }

    /// The attributes of a tag: the declarations among them are now in scope.
    #[expect(clippy::type_complexity)]
    fn attributes<'b>(
        &mut self,
        at: usize,
        tag: &'b BytesStart<'_>,
    ) -> Result<(Vec<(Box<str>, Arc<str>)>, Vec<(&'b str, String)>), Refused> {
        let (mut prefixes, mut plain) = (Vec::new(), Vec::new());
        for (count, attribute) in tag.attributes().enumerate() {
            if count >= self.limits.attributes {
                let reason =
                    Reason::TooMany { what: "attributes of one element", limit: self.limits.attributes };
                return Err((at, reason));
            }
            let attribute = attribute.map_err(|error| attribute_error(at, &error))?;
            let name = attribute.key.into_inner();
            let value = value(&attribute.value).map_err(|reason| (at, reason))?;
            let prefix = match name.split_once(':') {
                None if name == "xmlns" => "",
                Some(("xmlns", prefix)) => prefix,
                _ => {
                    plain.push((name, value));
                    continue;
                }
            };
            self.declare(prefix, &value).map_err(|reason| (at, reason))?;
            if let Some((_, namespace)) = self.scope.last() {
                prefixes.push((prefix.into(), namespace.clone()));
            }
        }
        Ok((prefixes, plain))
    }

    fn declare(&mut self, prefix: &str, namespace: &str) -> Result<(), Reason> {
        if prefix == "xmlns" || (prefix == "xml") != (namespace == XML) || namespace == XMLNS {
            return Err(Reason::Malformed("a reserved prefix or namespace is declared"));
        }
        if !prefix.is_empty() && (namespace.is_empty() || !is_name(prefix)) {
            return Err(Reason::Malformed("a declaration of a namespace without a prefix or a name"));
        }
        if self.scope.len() >= self.limits.namespaces {
            return Err(Reason::TooMany { what: "namespaces", limit: self.limits.namespaces });
        }
        let namespace = self.once(namespace);
        self.scope.push((prefix.into(), namespace));
        Ok(())
    }

    /// The namespace, kept once for all its names.
    fn once(&mut self, namespace: &str) -> Arc<str> {
        if let Some(known) = self.names.get(namespace) {
            return known.clone();
        }
        let new: Arc<str> = namespace.into();
        self.names.insert(new.clone());
        new
    }

    fn resolve(&mut self, at: usize, name: &str, is_element: bool) -> Result<Name, Refused> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if !is_name(local) || (name.contains(':') && !is_name(prefix)) {
            return Err((at, Reason::Malformed("not a name")));
        }
        if prefix.is_empty() && !is_element {
            return Ok(Name { namespace: self.once(""), local: local.into() });
        }
        let mut bindings = self.scope.iter().rev();
        let namespace = match bindings.find(|(declared, _)| **declared == *prefix) {
            Some((_, namespace)) => namespace.clone(),
            None if prefix.is_empty() => self.once(""),
            None if prefix == "xml" => self.once(XML),
            None => return Err((at, Reason::Prefix(prefix.to_owned()))),
        };
        Ok(Name { namespace, local: local.into() })
    }

    fn characters(&mut self, at: usize, characters: &str) -> Result<(), Refused> {
        let Some((element, _)) = self.open.last_mut() else {
            let blank = characters.trim_matches(WHITE).is_empty();
            return if blank { Ok(()) } else { Err((at, OUTSIDE)) };
        };
        match element.children.last_mut() {
            Some(Node::Text(before)) => before.push_str(characters),
            _ => element.children.push(Node::Text(characters.to_owned())),
        }
        Ok(())
    }

    fn close(&mut self) {
        // quick-xml has compared the names.
        let Some((mut element, scope)) = self.open.pop() else { return };
        self.scope.truncate(scope);
        drop_white_space(&mut element);
        match self.open.last_mut() {
            Some((parent, _)) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn declaration(&self, declaration: &BytesDecl<'_>) -> Result<(), Reason> {
        let version = declaration.version().map_err(malformed)?;
        if !version.starts_with("1.") {
            return Err(Reason::Malformed("the version of XML is not 1.0"));
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("utf8") => {
                Ok(())
            }
            // ASCII is a part of UTF-8.
            Some(Ok(name)) if name.eq_ignore_ascii_case("us-ascii") && self.text.is_ascii() => Ok(()),
            Some(Ok(name)) => Err(Reason::Encoding(name.chars().take(40).collect())),
            Some(Err(_)) => Err(Reason::Malformed("the XML declaration")),
        }
    }
}

/// White space between elements is how a document is laid out, not what it says.
fn drop_white_space(element: &mut Element) {
    let blank = |node: &Node| matches!(node, Node::Text(text) if text.trim_matches(WHITE).is_empty());
    let mixed = element.children.iter().any(|node| matches!(node, Node::Text(_)) && !blank(node));
    if !mixed && element.children.len() > 1 {
        element.children.retain(|node| !blank(node));
    }
}

/// The value of an attribute (XML 1.0 §3.3.3): references resolved, white space made spaces.
fn value(raw: &str) -> Result<String, Reason> {
    if raw.contains('<') {
        return Err(Reason::Malformed("\"<\" stands in an attribute"));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\r', '\n', '\t']) {
        let (before, special) = rest.split_at(at);
        value.push_str(before);
        if let Some(reference) = special.strip_prefix('&') {
            let (reference, after) =
                reference.split_once(';').ok_or(Reason::Malformed("a reference without \";\""))?;
            value.push(referenced(&BytesRef::new(reference))?);
            rest = after;
        } else {
            value.push(' ');
            rest = special.strip_prefix("\r\n").or_else(|| special.get(1..)).unwrap_or_default();
        }
    }
    value.push_str(rest);
    Ok(value)
}

/// The character that a reference stands for.
fn referenced(reference: &BytesRef<'_>) -> Result<char, Reason> {
    let known = match &**reference {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        name if !name.starts_with('#') => return Err(Reason::Entity(name.chars().take(40).collect())),
        _ => match reference.resolve_char_ref() {
            Ok(Some(character)) if allowed(character) => character,
            Ok(Some(character)) => return Err(Reason::Character(character.into())),
            _ => return Err(Reason::Malformed("a reference to no character")),
        },
    };
    Ok(known)
}

/// A name without a colon (Namespaces in XML §3).
pub(in crate::presence) fn is_name(name: &str) -> bool {
    let start = |character: char| {
        matches!(character, 'a'..='z' | 'A'..='Z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}'
            | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
            | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
    };
    let later = |character: char| {
        start(character)
            || matches!(character, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}'
                | '\u{203F}'..='\u{2040}')
    };
    let mut characters = name.chars();
    characters.next().is_some_and(start) && characters.all(later)
}

fn malformed(error: XmlError) -> Reason {
    match error {
        XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            Reason::EndTag { expected, found }
        }
        XmlError::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
            Reason::EndTag { expected: String::new(), found }
        }
        XmlError::IllFormed(IllFormedError::MissingEndTag(expected)) => {
            Reason::EndTag { expected, found: String::new() }
        }
        // Whatever is wrong with it, it is one.
        XmlError::Syntax(SyntaxError::UnclosedDoctype)
        | XmlError::IllFormed(IllFormedError::MissingDoctypeName) => Reason::DocType,
        XmlError::IllFormed(IllFormedError::MissingDeclVersion(_) | IllFormedError::UnknownVersion) => {
            Reason::Malformed("the version of XML is not 1.0")
        }
        XmlError::IllFormed(IllFormedError::DoubleHyphenInComment) => {
            Reason::Malformed("\"--\" stands in a comment")
        }
        XmlError::IllFormed(IllFormedError::UnclosedReference) => {
            Reason::Malformed("a reference without \";\"")
        }
        XmlError::Syntax(SyntaxError::UnclosedComment) => Reason::Malformed("a comment does not end"),
        XmlError::Syntax(SyntaxError::UnclosedCData) => Reason::Malformed("a CDATA section does not end"),
        XmlError::Syntax(SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl) => {
            Reason::Malformed("a processing instruction does not end")
        }
        XmlError::Syntax(SyntaxError::InvalidBangMarkup) => {
            Reason::Malformed("\"<!\" begins nothing that is known")
        }
        XmlError::Syntax(_) => Reason::Malformed("a tag does not end"),
        _ => Reason::Malformed("not XML"),
    }
}

fn attribute_error(at: usize, error: &AttrError) -> Refused {
    let (inside, what) = match *error {
        AttrError::ExpectedEq(inside) => (inside, "an attribute without \"=\""),
        AttrError::ExpectedValue(inside) => (inside, "an attribute without a value"),
        AttrError::UnquotedValue(inside) => (inside, "an attribute without quotes"),
        AttrError::ExpectedQuote(inside, _) => (inside, "an attribute without a closing quote"),
        AttrError::Duplicated(inside, _) => (inside, "an attribute stands twice"),
    };
    (at + 1 + inside, Reason::Malformed(what))
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

const OUTSIDE: Reason = Reason::Malformed("something stands outside the one element of a document");
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
