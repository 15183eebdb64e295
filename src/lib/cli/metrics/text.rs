//! The text format of Prometheus, version 0.0.4: families of samples, each with its HELP and TYPE.

use std::fmt::{self, Display, Write};

/// What HTTP calls the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of figure a family has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Grows only, and from zero at the start; its name ends in `_total`.
    Counter,
    Gauge,
}

/// A page, family by family.
#[derive(Clone, Debug, Default)]
pub struct Text(String);

/// A family that has begun: its samples follow.
#[derive(Debug)]
pub struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

impl Text {
    /// Begins a family; each once.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = Escaped { text: help, quotes: false };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }

    /// A family of one sample without a label.
    pub fn one(&mut self, kind: Kind, name: &'static str, help: &str, value: impl Display) {
        self.family(kind, name, help).sample(&[], value);
    }

    /// A family of counters that differ in one label.
    pub fn counters<V: Display>(
        &mut self,
        name: &'static str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (impl AsRef<str>, V)>,
    ) {
        let mut family = self.family(Kind::Counter, name, help);
        for (value, count) in samples {
            family.sample(&[(label, value.as_ref())], count);
        }
    }

    pub fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// A line with these labels, whose values may be anything.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}", self.name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", Escaped { text, quotes: true });
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

/// Backslash and line feed with a backslash before them, and in label values the quotation mark.
struct Escaped<'t> {
    text: &'t str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written() {
        let mut text = Text::default();
        text.one(Kind::Gauge, "a_bytes", "What it \"is\".\nAnd \\ more", 1.5);
        text.counters("b_total", "Two.", "status", [("200", 7_u64), ("404", 0)]);
        let mut family = text.family(Kind::Gauge, "c", "Three.");
        family.sample(&[("name", "a\"b\\c\nd\u{e9}"), ("other", "")], 1);
        let expected = "# HELP a_bytes What it \"is\".\\nAnd \\\\ more\n# TYPE a_bytes gauge\na_bytes 1.5\n\
                        # HELP b_total Two.\n# TYPE b_total counter\nb_total{status=\"200\"} 7\nb_total{status=\"404\"} 0\n\
                        # HELP c Three.\n# TYPE c gauge\nc{name=\"a\\\"b\\\\c\\nd\u{e9}\",other=\"\"} 1\n";
        assert_eq!(text.finish(), expected);
    }
}
