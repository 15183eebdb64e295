//! `--write-out '%{code} %{reason} %{rtt_ms}\n'`: a line of the user's own at the end, as curl has it.
//!
//! `%{name}` is replaced by its value (nothing if it is not known), `%%` is a percent sign, `\n`, `\r`, `\t` and `\\` are what
//! they are in C. An unknown name is an error before anything is sent.

use std::str::FromStr;

use super::{event::Summary, exit::ExitStatus, nearest::nearest};

/// A template whose names are all known.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    /// Index into [`VARIABLES`].
    Variable(usize),
}

impl Template {
    /// The names it knows, for help and manual.
    pub fn names() -> impl Iterator<Item = &'static str> {
        VARIABLES.iter().map(|(name, _)| *name)
    }

    pub(super) fn render(&self, status: ExitStatus, summary: &Summary) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out += text,
                Piece::Variable(index) => {
                    if let Some((_, value)) = VARIABLES.get(*index) {
                        out += &value(status, summary).unwrap_or_default();
                    }
                }
            }
        }
        out
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => match rest.next() {
                    Some('n') => plain.push('\n'),
                    Some('r') => plain.push('\r'),
                    Some('t') => plain.push('\t'),
                    Some('\\') => plain.push('\\'),
                    other => return Err(TemplateError::Escape(other.into_iter().collect())),
                },
                '%' => match rest.next() {
                    Some('%') => plain.push('%'),
                    Some('{') => {
                        let (name, after) = rest.as_str().split_once('}').ok_or(TemplateError::Open)?;
                        rest = after.chars();
                        let index = VARIABLES
                            .iter()
                            .position(|(known, _)| *known == name)
                            .ok_or_else(|| TemplateError::unknown(name))?;
                        if !plain.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        }
                        pieces.push(Piece::Variable(index));
                    }
                    _ => return Err(TemplateError::Percent),
                },
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`\\{0}` is no escape: use \\n, \\r, \\t or \\\\")]
    Escape(String),
    #[error("`%{{` without its `}}`")]
    Open,
    #[error("after `%` comes `{{name}}`, or another `%` for a percent sign")]
    Percent,
    #[error("there is no %{{{name}}}; did you mean %{{{nearest}}}?")]
    Misspelt { name: String, nearest: &'static str },
    #[error("there is no %{{{0}}}; the manual lists them")]
    Unknown(String),
}

impl TemplateError {
    fn unknown(name: &str) -> Self {
        match nearest(name, Template::names()) {
            Some(nearest) => Self::Misspelt { name: name.into(), nearest },
            None => Self::Unknown(name.into()),
        }
    }
}

type Value = fn(ExitStatus, &Summary) -> Option<String>;

/// The names are those of the result.
const VARIABLES: &[(&str, Value)] = &[
    ("answer_ms", |_, s| number(s.timings.answer_ms)),
    ("avg_ms", |_, s| number(s.ping.as_ref()?.avg_ms)),
    ("call_id", |_, s| s.call_id.clone()),
    ("calls", |_, s| text(s.calls)),
    ("cause", |_, s| text(s.cause.as_ref()?.cause)),
    ("code", |_, s| text(s.code)),
    ("codec", |_, s| s.media.as_ref()?.codec.clone()),
    ("connect_ms", |_, s| number(s.timings.connect_ms)),
    ("ended_by", |_, s| s.ended_by.map(|by| by.name().into())),
    ("exit", |status, _| text(Some(status.code()))),
    ("jitter_ms", |_, s| number(s.media.as_ref()?.jitter_ms)),
    ("level_in_dbfs", |_, s| number(s.media.as_ref()?.level_in_dbfs)),
    ("level_out_dbfs", |_, s| number(s.media.as_ref()?.level_out_dbfs)),
    ("loss_percent", |_, s| number(s.media.as_ref()?.loss_percent)),
    ("lost_percent", |_, s| number(s.ping.as_ref()?.lost_percent)),
    ("max_ms", |_, s| number(s.ping.as_ref()?.max_ms)),
    ("min_ms", |_, s| number(s.ping.as_ref()?.min_ms)),
    ("packets_duplicated", |_, s| text(s.media.as_ref()?.packets_duplicated)),
    ("packets_lost", |_, s| text(s.media.as_ref()?.packets_lost)),
    ("packets_received", |_, s| text(s.media.as_ref()?.packets_received)),
    ("packets_rejected", |_, s| text(s.media.as_ref()?.packets_rejected)),
    ("packets_reordered", |_, s| text(s.media.as_ref()?.packets_reordered)),
    ("packets_sent", |_, s| text(s.media.as_ref()?.packets_sent)),
    ("reason", |_, s| s.reason.clone()),
    ("received", |_, s| text(Some(s.ping.as_ref()?.received))),
    ("remote", |_, s| s.remote.clone()),
    ("resolve_ms", |_, s| number(s.timings.resolve_ms)),
    ("ring_ms", |_, s| number(s.timings.ring_ms)),
    ("rtt_ms", |_, s| {
        number(s.media.as_ref().and_then(|m| m.rtt_ms).or(s.ping.as_ref().and_then(|p| p.avg_ms)))
    }),
    ("sent", |_, s| text(Some(s.ping.as_ref()?.sent))),
    ("status", |status, _| Some(status.name().into())),
    ("total_ms", |_, s| number(s.timings.total_ms)),
];

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn number(value: Option<f64>) -> Option<String> {
    value.filter(|value| value.is_finite()).map(|value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::event::{MediaSummary, Ping};

    #[test]
    fn names_escapes_and_unknown_values() {
        let summary = Summary {
            code: Some(486),
            reason: Some("Busy Here".into()),
            media: Some(MediaSummary { jitter_ms: Some(1.23456), ..MediaSummary::default() }),
            ..Summary::default()
        };
        let template: Template = r"%{code} %{reason}\t%{jitter_ms} [%{rtt_ms}] 100%% %{exit} %{status}\\\n"
            .parse()
            .expect("well-formed");
        assert_eq!(template.render(ExitStatus::Busy, &summary), "486 Busy Here\t1.235 [] 100% 10 busy\\\n");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("%{coed}", "there is no %{coed}; did you mean %{code}?"),
            ("%{zzzzzzzz}", "there is no %{zzzzzzzz}; the manual lists them"),
            ("%{code", "`%{` without its `}`"),
            ("100%", "after `%` comes `{name}`, or another `%` for a percent sign"),
            ("%c", "after `%` comes `{name}`, or another `%` for a percent sign"),
            ("\\q", "`\\q` is no escape: use \\n, \\r, \\t or \\\\"),
        ] {
            assert_eq!(
                text.parse::<Template>().map_err(|error| error.to_string()),
                Err(message.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn names_are_sorted_and_those_of_the_result() {
        let names: Vec<_> = Template::names().collect();
        assert!(names.is_sorted());
        let everything = Summary {
            media: Some(MediaSummary::default()),
            ping: Some(Ping::default()),
            ..Summary::default()
        };
        let json = serde_json::to_value(&everything).expect("plain data");
        for name in names {
            let found = ["", "/timings", "/media", "/ping"]
                .iter()
                .any(|at| json.pointer(&format!("{at}/{name}")).is_some());
            assert!(found || matches!(name, "exit" | "status"), "{name} is no field of the result");
        }
    }
}
