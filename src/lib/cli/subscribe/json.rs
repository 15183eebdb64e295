//! Parts of documents as data: what several kinds of documents have.

use serde_json::{Value, json};

use crate::presence::{Note, Timestamp};

pub(super) fn notes(notes: &[Note]) -> Value {
    let notes = notes.iter().map(|note| json!({ "text": note.text, "language": note.language }));
    Value::Array(notes.collect())
}

pub(super) fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::String(time.to_string()))
}

/// Texts of notes in a row, on one line however they were laid out.
pub(super) fn said(notes: &[Note]) -> String {
    let line = |note: &Note| note.text.split_whitespace().collect::<Vec<_>>().join(" ");
    joined(notes.iter().map(line), "; ")
}

/// What is not empty, with something between.
pub(super) fn joined<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, between: &str) -> String {
    let mut out = String::new();
    for text in texts {
        let text = text.as_ref();
        if !text.is_empty() {
            if !out.is_empty() {
                out.push_str(between);
            }
            out.push_str(text);
        }
    }
    out
}
