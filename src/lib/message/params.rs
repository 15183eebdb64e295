//! Parameters after ";" in header values and URIs (RFC 3261 §25.1 generic-param, uri-parameters).
//!
//! A value that is not quoted may hold anything visible that is no delimiter, because tags and branches
//! in the field hold "=", "/", ":" and more. An empty parameter (";;") is refused.

use std::fmt;

use super::{
    Malformed, Text,
    block::{self, IN_NAME, IN_QUOTES, IN_VALUE, Walk, end_of},
    escape::eq_unescaped,
    scan::{self, Cursor, Octets, Words},
};

/// `;name=value` pairs where they stand; reading them again costs a scan, never an allocation.
///
/// Names compare without regard to case, and in a URI with %-escapes undone (RFC 3261 §19.1.4).
/// Values come as written: without the quotes of a quoted-string, but with its backslashes;
/// [`Params::text`] undoes those.
#[derive(Clone, Copy, Default)]
pub struct Params<'m> {
    text: Words<'m>,
    origin: u32,
    kind: Kind,
    /// Where the first of them lie, so that they need not be looked for again.
    marked: u8,
    /// Whether there may be more than those.
    more: bool,
    marks: [Mark; MARKS],
}

/// Where parameters stand decides what a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Header,
    /// A header in which a value may be a URI in angle brackets (RFC 8224 §4).
    Bracketed,
    /// A header that is nothing but parameters, so that the first has no ";" before it.
    List,
    Uri,
}

impl<'m> Params<'m> {
    /// No parameters.
    pub const NONE: Params<'static> = Params::unmarked(Words::NONE, 0, Kind::Header);

    /// No parameters, where they would be.
    #[inline(always)]
    pub(super) const fn none_at(at: usize) -> Params<'static> {
        Params::unmarked(Words::NONE, at as u32, Kind::Header)
    }

    /// `None`: there is no such parameter. `Some(None)`: it has no value, as in `;lr`.
    pub fn get(&self, name: &str) -> Option<Option<&'m str>> {
        self.find(name).map(|param| param.value)
    }

    /// The value, if the parameter is there and has one.
    pub fn value(&self, name: &str) -> Option<&'m str> {
        self.get(name).flatten()
    }

    /// The value as text, in which the escapes of a quoted-string are undone when it is read.
    pub fn text(&self, name: &str) -> Option<Text<'m>> {
        self.find(name)?.text()
    }

    /// The value as a number; `None` too if it is none, or does not fit.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        let value = self.value(name)?;
        if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
    }

    /// Whether there is such a parameter.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Name and value of each, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&'m str, Option<&'m str>)> + use<'m> {
        Pairs { params: *self, mark: 0, at: None }
    }

    /// The same with what else is known of each.
    #[inline]
    pub fn each(&self) -> impl Iterator<Item = Param<'m>> + use<'m> {
        Each { params: *self, at: 0, mark: 0 }
    }

    /// The first parameter of that name.
    pub fn find(&self, name: &str) -> Option<Param<'m>> {
        let marks = self.marks.get(..usize::from(self.marked)).unwrap_or_default();
        let text = self.as_str();
        for mark in marks {
            let found = text.as_bytes().get(usize::from(mark.name.0)..usize::from(mark.name.1))?;
            if self.is_name(found, name) {
                return mark.place(text).param(text, self.origin as usize);
            }
        }
        let at = marks.last().map_or(0, |mark| mark.place(text).end);
        Each { params: *self, at, mark: MARKS as u8 }.find(|param| self.is_name(param.name.as_bytes(), name))
    }

    #[inline]
    fn is_name(&self, found: &[u8], name: &str) -> bool {
        if found.len() == name.len() {
            return found.eq_ignore_ascii_case(name.as_bytes());
        }
        self.kind == Kind::Uri && found.len() > name.len() && eq_unescaped(found, name.as_bytes(), true)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }

    /// As written, from the first ";" on.
    pub fn as_str(&self) -> &'m str {
        self.text.as_str()
    }

    /// Where the parameters end, in octets from the start of the message: a further one goes there.
    pub fn end(&self) -> usize {
        self.origin as usize + self.as_str().len()
    }

    /// Takes all parameters that follow; each is checked, so that reading them later cannot fail.
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        match Self::plain(cursor.octets, cursor.at, cursor.end) {
            Some(params) => {
                cursor.at = params.end();
                Ok(params)
            }
            None => Self::read_kind(cursor, Kind::Header),
        }
    }

    /// The same without moving a cursor, if there is nothing unusual in them.
    #[inline(always)]
    fn plain(octets: Octets<'m>, start: usize, end: usize) -> Option<Self> {
        if start >= end {
            return Some(Self::none_at(start));
        }
        let octets = octets.checked(start, end);
        let mut walk = Walk::new(octets.bytes, start);
        let (at, byte) = walk.next();
        if at == start { Self::walked(octets, &mut walk, at, byte, end) } else { None }
    }

    /// The parameters from `start` on, if they are few and nothing is unusual in them: neither white space nor
    /// escapes. There `walk` came to `byte`; they end at `end` or before a comma.
    #[inline(always)]
    pub(super) fn walked(
        octets: Octets<'m>,
        walk: &mut Walk<'m>,
        start: usize,
        mut byte: u8,
        end: usize,
    ) -> Option<Self> {
        let mut params = Self::none_at(start);
        let (mut at, mut marked) = (start, 0);
        let mut unmarked = Mark::default();
        while byte == b';' && at < end {
            let mark = match params.marks.get_mut(marked) {
                Some(mark) => {
                    marked += 1;
                    mark
                }
                None => {
                    params.more = true;
                    &mut unmarked
                }
            };
            (at, byte) = walked_param(mark, walk, start, at, end)?;
        }
        let ends = at == end || at < end && byte == b',';
        if !ends || at - start > usize::from(u16::MAX) {
            return None;
        }
        params.marked = marked as u8;
        params.text = Words::Ascii(octets.ascii(start, at)?);
        Some(params)
    }

    /// The same for a field whose values may be URIs in angle brackets.
    pub(super) fn read_bracketed(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        Self::read_kind(cursor, Kind::Bracketed)
    }

    /// The same for a field that has nothing before its parameters; there must be one.
    pub(super) fn read_list(cursor: &mut Cursor<'m>) -> Result<Self, Malformed> {
        // Nothing separates the first one from what is before.
        if cursor.peek() == Some(b';') {
            return Err(Malformed::Parameter);
        }
        Self::read_kind(cursor, Kind::List)
    }

    /// The value of one parameter among those from `start` on, if nothing before it is unusual. Its name is given
    /// in lower case.
    #[inline(always)]
    pub(super) fn plain_one(
        octets: Octets<'m>,
        start: usize,
        end: usize,
        name: &[u8],
    ) -> Option<Option<&'m str>> {
        match end.checked_sub(start)? {
            0 => return Some(None),
            1..0x1_0000 => {}
            _ => return None,
        }
        let mut walk = Walk::new(octets.bytes, start);
        let (mut at, mut byte) = walk.next();
        if at != start {
            return None;
        }
        let mut mark = Mark::default();
        while byte == b';' && at < end {
            (at, byte) = walked_param(&mut mark, &mut walk, start, at, end)?;
            if at > end {
                return None;
            }
            let part = |(first, last): (u16, u16)| (start + usize::from(first), start + usize::from(last));
            let found = part(mark.name);
            if octets.bytes.get(found.0..found.1)?.eq_ignore_ascii_case(name) {
                let (first, last) = part(mark.value);
                return Some(if first == start { None } else { Some(octets.text(first, last)?) });
            }
        }
        (at == end).then_some(None)
    }

    /// The value of one parameter among those that follow; none behind it is looked at.
    pub(super) fn read_one(cursor: &mut Cursor<'m>, name: &str) -> Result<Option<&'m str>, Malformed> {
        let all = cursor.rest();
        let mut end = 0;
        while end < all.len() {
            let place = match Place::plain(all, end, all.len()) {
                Some(place) => place,
                None => match Place::next(all, end, Kind::Header) {
                    Ok(Some(place)) => place,
                    Ok(None) => break,
                    Err((at, why)) => {
                        cursor.advance(at);
                        return Err(why);
                    }
                },
            };
            if all
                .get(place.name.0..place.name.1)
                .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
            {
                let Some((start, end)) = place.value else { return Ok(None) };
                cursor.advance(start);
                return cursor.ahead(end - start).map(Some).ok_or(Malformed::Utf8);
            }
            end = place.end;
        }
        Ok(None)
    }

    #[inline(never)]
    fn read_kind(cursor: &mut Cursor<'m>, kind: Kind) -> Result<Self, Malformed> {
        let all = cursor.rest();
        let mut params = Self::unmarked(Words::NONE, cursor.position() as u32, kind);
        let mut end = 0;
        while end < all.len() || kind == Kind::List && end == 0 {
            // In a list nothing stands before the first.
            let plain = if kind == Kind::List && end == 0 { None } else { Place::plain(all, end, all.len()) };
            let place = match plain {
                Some(place) => place,
                None => match Place::next(all, end, kind) {
                    Ok(Some(place)) => place,
                    Ok(None) => break,
                    Err((at, why)) => {
                        cursor.advance(at);
                        return Err(why);
                    }
                },
            };
            params.mark(&place);
            end = place.end;
        }
        params.text = Words::Utf8(cursor.take_text(end).ok_or(Malformed::Utf8)?);
        params.more = true;
        Ok(params)
    }

    #[inline]
    fn mark(&mut self, place: &Place) {
        if let Some(mark) = self.marks.get_mut(usize::from(self.marked))
            && place.end <= usize::from(u16::MAX)
        {
            *mark = Mark::of(0, place);
            self.marked += 1;
        }
    }

    /// URI parameters, already checked, and where the first of them lie, if that is known.
    #[inline(always)]
    pub(super) fn in_uri(text: Words<'m>, found: UriMarks) -> Self {
        let mut params = Self::unmarked(text, 0, Kind::Uri);
        for (mark, found) in params.marks.iter_mut().zip(found.marks) {
            *mark = found;
        }
        params.marked = found.marked;
        params.more = found.more;
        params
    }

    /// Where the parameter at `at` lies, which no mark leads to.
    #[inline]
    fn place(&self, at: usize) -> Option<Place> {
        let text = self.as_str().as_bytes();
        if at >= text.len() {
            return None;
        }
        let plain = if self.kind == Kind::List { None } else { Place::plain(text, at, text.len()) };
        plain.or_else(|| Place::next(text, at, self.kind).ok()?)
    }

    const fn unmarked(text: Words<'m>, origin: u32, kind: Kind) -> Self {
        let more = match text {
            Words::Ascii(_) => true,
            Words::Utf8(text) => !text.is_empty(),
        };
        Self { text, origin, kind, marked: 0, more, marks: [Mark { name: (0, 0), value: (0, 0) }; MARKS] }
    }
}

/// An iterator over parameters: first those that are marked, then what follows.
struct Each<'m> {
    params: Params<'m>,
    /// Where the next parameter is to be looked for.
    at: usize,
    /// How many marks are used up.
    mark: u8,
}

impl<'m> Iterator for Each<'m> {
    type Item = Param<'m>;

    #[inline]
    fn next(&mut self) -> Option<Param<'m>> {
        let params = &self.params;
        let place = if self.mark < params.marked {
            let mark = params.marks.get(usize::from(self.mark))?;
            self.mark += 1;
            mark.place(params.as_str())
        } else {
            params.place(self.at)?
        };
        self.at = place.end;
        place.param(params.as_str(), params.origin as usize)
    }
}

/// An iterator over names and values, which does no more than it must.
struct Pairs<'m> {
    params: Params<'m>,
    /// How many marks are used up.
    mark: u8,
    /// Where the next parameter is to be looked for, once the marks are used up.
    at: Option<usize>,
}

impl<'m> Iterator for Pairs<'m> {
    type Item = (&'m str, Option<&'m str>);

    #[inline]
    fn next(&mut self) -> Option<(&'m str, Option<&'m str>)> {
        let Self { params, mark, .. } = self;
        if *mark < params.marked {
            let Mark { name, value } = *params.marks.get(usize::from(*mark))?;
            *mark += 1;
            let name = params.text.part(name)?;
            return Some((name, if value.0 == 0 { None } else { Some(params.text.part(value)?) }));
        }
        if params.more { self.next_unmarked() } else { None }
    }
}

impl<'m> Pairs<'m> {
    #[inline(never)]
    fn next_unmarked(&mut self) -> Option<(&'m str, Option<&'m str>)> {
        let text = self.params.as_str();
        let at = match self.at {
            Some(at) => at,
            None => {
                let last = usize::from(self.params.marked).checked_sub(1);
                last.and_then(|last| self.params.marks.get(last)).map_or(0, |mark| mark.place(text).end)
            }
        };
        if at >= text.len() {
            return None;
        }
        let place = self.params.place(at)?;
        self.at = Some(place.end);
        let value = match place.value {
            Some((start, end)) => Some(text.get(start..end)?),
            None => None,
        };
        Some((text.get(place.name.0..place.name.1)?, value))
    }
}

/// Most values have no more parameters than this.
const MARKS: usize = 4;

/// Where the first parameters of a URI lie, and whether there are more than those.
#[derive(Clone, Copy)]
pub(super) struct UriMarks {
    pub(super) marks: [Mark; 2],
    pub(super) marked: u8,
    pub(super) more: bool,
}

impl UriMarks {
    /// Nothing is known.
    pub(super) const UNKNOWN: Self =
        Self { marks: [Mark { name: (0, 0), value: (0, 0) }; 2], marked: 0, more: true };

    /// One more; without a value that is at 0.
    #[inline(always)]
    pub(super) fn push(&mut self, name: (u16, u16), value: (u16, u16)) {
        match self.marks.get_mut(usize::from(self.marked)) {
            Some(mark) => {
                *mark = Mark { name, value };
                self.marked += 1;
            }
            None => self.more = true,
        }
    }
}

/// A [`Place`] in little room. A value never lies at 0: that stands for none.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    name: (u16, u16),
    value: (u16, u16),
}

impl Mark {
    /// `origin`: where the parameters begin.
    #[inline(always)]
    fn of(origin: usize, place: &Place) -> Self {
        let short = |(start, end): (usize, usize)| ((start - origin) as u16, (end - origin) as u16);
        Self { name: short(place.name), value: place.value.map_or((0, 0), short) }
    }

    #[inline]
    fn place(self, text: &str) -> Place {
        let name = (usize::from(self.name.0), usize::from(self.name.1));
        let (start, end) = (usize::from(self.value.0), usize::from(self.value.1));
        if start == 0 {
            return Place { name, value: None, quoted: false, end: name.1 };
        }
        let quoted = text.as_bytes().get(start - 1) == Some(&b'"');
        Place { name, value: Some((start, end)), quoted, end: end + usize::from(quoted) }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'m> {
    /// As written.
    pub name: &'m str,
    /// Without quotes; `None` without a "=".
    pub value: Option<&'m str>,
    /// Whether the value stood in quotes.
    pub quoted: bool,
    /// Octets from the start of the message (or URI) where name and value lie, without the ";".
    pub span: scan::Span,
}

impl<'m> Param<'m> {
    /// The value as text, in which the escapes of a quoted-string are undone when it is read.
    pub fn text(&self) -> Option<Text<'m>> {
        let value = self.value?.as_bytes();
        Some(if self.quoted { Text::quoted(value) } else { Text::plain(value) })
    }
}

impl fmt::Display for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.value {
            Some(value) if self.quoted => write!(f, "=\"{value}\""),
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

/// Writes them back with the optional white space left out.
impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each().try_for_each(|param| write!(f, ";{param}"))
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The parameter that begins with the ";" at `at`, which is put into `mark` in octets from `origin` on; gives what
/// follows it, and where. White space, escapes and brackets are too unusual.
#[inline(always)]
fn walked_param(
    mark: &mut Mark,
    walk: &mut Walk<'_>,
    origin: usize,
    at: usize,
    end: usize,
) -> Option<(usize, u8)> {
    let short = |at: usize| at.wrapping_sub(origin) as u16;
    let (name_end, byte) = walk.next_but(IN_NAME);
    if name_end == at + 1 {
        return None;
    }
    mark.name = (short(at + 1), short(name_end));
    if byte != b'=' {
        mark.value = (0, 0);
        return Some((name_end, byte));
    }
    let start = name_end + 1;
    let (value_end, byte) = walk.next_but(IN_VALUE);
    if value_end > start {
        mark.value = (short(start), short(value_end));
        return Some((value_end, byte));
    }
    let (quote, last) = walk.next_but(IN_QUOTES);
    if byte != b'"' || last != b'"' || quote > end {
        return None;
    }
    let (after, byte) = walk.next();
    mark.value = (short(start + 1), short(quote));
    (after == quote + 1).then_some((after, byte))
}

/// Where one parameter lies in a text.
struct Place {
    name: (usize, usize),
    /// Without quotes.
    value: Option<(usize, usize)>,
    quoted: bool,
    /// After the value, its closing quote included.
    end: usize,
}

impl Place {
    /// The parameter that begins right at `from`, if it is `;name`, `;name=value` or `;name="value"` without
    /// brackets, escapes or white space: nearly all are. They end at `limit`, or before an octet that is part of
    /// no name or value.
    #[inline(always)]
    fn plain(text: &[u8], from: usize, limit: usize) -> Option<Self> {
        if text.get(from) != Some(&b';') {
            return None;
        }
        let name = (from + 1, end_of::<block::Name>(text, from + 1));
        if name.0 == name.1 {
            return None;
        }
        match text.get(name.1) {
            Some(b'=') => {
                let start = name.1 + 1;
                let end = end_of::<block::Value>(text, start);
                if start < end {
                    return Some(Self { name, value: Some((start, end)), quoted: false, end });
                }
                if text.get(start) != Some(&b'"') {
                    return None;
                }
                let end = end_of::<block::Quoted>(text.get(..limit)?, start + 1);
                (text.get(end) == Some(&b'"')).then_some(Self {
                    name,
                    value: Some((start + 1, end)),
                    quoted: true,
                    end: end + 1,
                })
            }
            next => {
                let ends = name.1 >= limit || matches!(next, Some(b';' | b','));
                ends.then_some(Self { name, value: None, quoted: false, end: name.1 })
            }
        }
    }

    /// The next `;name[=value]`; `None` when no ";" follows. An error comes with the octet that is wrong.
    #[cold]
    fn next(text: &[u8], from: usize, kind: Kind) -> Result<Option<Self>, (usize, Malformed)> {
        let mut at = skip_ws(text, from);
        if kind != Kind::List || from > 0 {
            if text.get(at) != Some(&b';') {
                return Ok(None);
            }
            at = skip_ws(text, at + 1);
        }
        let name = (at, end_of::<block::Name>(text, at));
        if name.0 == name.1 {
            return Err((at, Malformed::Parameter));
        }
        at = skip_ws(text, name.1);
        if text.get(at) != Some(&b'=') {
            return Ok(Some(Self { name, value: None, quoted: false, end: name.1 }));
        }
        at = skip_ws(text, at + 1);
        let (value, quoted) = match text.get(at) {
            Some(b'"') => {
                let length = scan::closing_quote(&text[at + 1..]).ok_or((at, Malformed::Quote))?;
                ((at + 1, at + 1 + length), true)
            }
            Some(b'<') if kind == Kind::Bracketed => {
                let length = memchr::memchr(b'>', &text[at..]).ok_or((at, Malformed::Angle))?;
                ((at, at + length + 1), false)
            }
            _ => ((at, end_of::<block::Value>(text, at)), false),
        };
        Ok(Some(Self { name, value: Some(value), quoted, end: value.1 + usize::from(quoted) }))
    }

    #[inline]
    fn param<'m>(&self, text: &'m str, origin: usize) -> Option<Param<'m>> {
        Some(Param {
            name: text.get(self.name.0..self.name.1)?,
            value: match self.value {
                Some((start, end)) => Some(text.get(start..end)?),
                None => None,
            },
            quoted: self.quoted,
            span: scan::Span::new(origin + self.name.0, origin + self.end),
        })
    }
}

/// Where white space ends; mostly there is none.
#[inline]
fn skip_ws(text: &[u8], mut at: usize) -> usize {
    while text.get(at).copied().is_some_and(scan::is_ws) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Params<'_>, Malformed> {
        let mut cursor = Cursor::new(text.as_bytes());
        let params = Params::read(&mut cursor)?;
        cursor.finish()?;
        Ok(params)
    }

    #[test]
    fn names_values_flags_and_white_space() {
        let params = read(";lr ; A =\r\n b;q=\"x;\\\"y\" ;empty=").unwrap();
        assert_eq!(params.get("LR"), Some(None));
        assert_eq!(params.value("a"), Some("b"));
        assert_eq!(params.value("q"), Some("x;\\\"y"));
        assert_eq!(params.value("empty"), Some(""));
        assert_eq!(params.get("none"), None);
        assert_eq!(params.to_string(), ";lr;A=b;q=\"x;\\\"y\";empty=");
        assert_eq!(params.iter().count(), 4);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn separators_without_a_parameter_are_refused() {
        for text in [";;a", ";", ";a;", ";=b", "; ;", ";,"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read(";a=\"b").unwrap_err(), Malformed::Quote);
    }

    #[test]
    fn errors_point_at_the_octet() {
        for (text, at) in [(";a;;b", 3), (";a; ", 4), (";a=1;x=\"y", 7), ("; =b", 2)] {
            let text = format!("{}{text}", " ".repeat(100));
            let mut cursor = Cursor::within(Octets::new(text.as_bytes()), scan::Span::new(100, text.len()));
            assert!(Params::read(&mut cursor).is_err());
            assert_eq!(cursor.position(), 100 + at, "{text}");
        }
    }

    #[test]
    fn values_as_text_as_numbers_and_in_brackets() {
        let params = read(";text=\"a \\\"b\\\"\";n=0007;big=99999;word=x").unwrap();
        assert_eq!(params.text("text").unwrap(), "a \"b\"");
        assert_eq!(params.text("word").unwrap(), "x");
        assert_eq!((params.number::<u16>("n"), params.number::<u16>("big")), (Some(7), None));
        assert_eq!((params.number::<u16>("word"), params.number::<u16>("none")), (None, None));
        let text = ";info=<https://a/b;c>;alg=ES256";
        assert_eq!(read(text).unwrap_err(), Malformed::Trailing);
        let params = Params::read_bracketed(&mut Cursor::new(text.as_bytes())).unwrap();
        assert_eq!((params.value("info"), params.value("alg")), (Some("<https://a/b;c>"), Some("ES256")));
        assert_eq!(params.to_string(), text);
        assert!(Params::read_bracketed(&mut Cursor::new(b";info=<x")).is_err());
    }
}
