//! Message waiting: application/simple-message-summary (RFC 3842), which is text.
//!
//! Refused with the line: no `Messages-Waiting`, counts that are no numbers below 2^32, lines that are neither.

use std::fmt::Write as _;

use super::{Document, Error, Limits, Reason, tokens};

tokens! {
    /// The kind of a message (RFC 3458 §6.2).
    Class {
        Voice = "voice-message", Fax = "fax-message", Pager = "pager-message",
        Multimedia = "multimedia-message", Text = "text-message", None = "none",
    }
}

/// How many messages wait.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageSummary {
    /// Whether there are new messages.
    pub waiting: bool,
    /// Whose mailbox it is: a URI.
    pub account: Option<String>,
    /// The numbers, in order.
    pub counts: Vec<Count>,
    /// Header fields of the messages, one list for each message told of.
    pub messages: Vec<Vec<(String, String)>>,
}

/// How many messages of one kind there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The kind.
    pub class: Class,
    /// Messages not heard yet.
    pub new: u32,
    /// Messages heard.
    pub old: u32,
    /// Urgent ones among them, new and old, if told.
    pub urgent: Option<(u32, u32)>,
}

impl MessageSummary {
    /// The numbers of a kind.
    pub fn count(&self, class: &Class) -> Option<&Count> {
        self.counts.iter().find(|count| count.class == *class)
    }
}

impl Document for MessageSummary {
    const MEDIA_TYPE: &'static str = "application/simple-message-summary";

    fn read_within(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        if body.len() > limits.octets {
            let reason = Reason::TooLarge { octets: body.len(), limit: limits.octets };
            return Err(Error { line: 1, column: 1, reason });
        }
        let text = std::str::from_utf8(body).map_err(|error| {
            let good = body.get(..error.valid_up_to()).unwrap_or_default();
            let good = std::str::from_utf8(good).unwrap_or_default();
            let (line, column) = super::xml::position(good, good.len());
            Error { line, column, reason: Reason::NotUtf8 }
        })?;
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        Self::read_lines(lines.zip(1..), limits)
    }

    fn write(&self) -> String {
        let mut out = format!("Messages-Waiting: {}\r\n", if self.waiting { "yes" } else { "no" });
        if let Some(account) = &self.account {
            let _ = write!(out, "Message-Account: {}\r\n", line(account));
        }
        for Count { class, new, old, urgent } in &self.counts {
            // RFC 3458 has them in small letters, RFC 3842 shows them like this.
            let name = match class {
                Class::Voice => "Voice-Message",
                Class::Fax => "Fax-Message",
                Class::Pager => "Pager-Message",
                Class::Multimedia => "Multimedia-Message",
                Class::Text => "Text-Message",
                Class::None => "None",
                Class::Other(name) => name,
            };
            let _ = write!(out, "{}: {new}/{old}", line(name));
            if let Some((new, old)) = urgent {
                let _ = write!(out, " ({new}/{old})");
            }
            out.push_str("\r\n");
        }
        for message in self.messages.iter().filter(|message| !message.is_empty()) {
            out.push_str("\r\n");
            for (name, value) in message {
                let _ = write!(out, "{}: {}\r\n", line(name), line(value));
            }
        }
        out
    }
}

impl MessageSummary {
    fn read_lines<'l>(lines: impl Iterator<Item = (&'l str, usize)>, limits: &Limits) -> Result<Self, Error> {
        let mut summary = Self::default();
        let mut status = None;
        let mut in_message = false;
        let mut rows = 0;
        for (text, number) in lines {
            rows += 1;
            let refuse = |at: usize, reason: Reason| {
                let column = text.get(..at).map_or(1, |before| before.chars().count() + 1);
                Error { line: number, column, reason }
            };
            if rows > limits.elements {
                return Err(refuse(0, Reason::TooMany { what: "lines", limit: limits.elements }));
            }
            if let Some((at, control)) = text.char_indices().find(|&(_, c)| c.is_control() && c != '\t') {
                return Err(refuse(at, Reason::Character(control.into())));
            }
            if text.trim().is_empty() {
                // Before anything else, an empty line says nothing.
                in_message = status.is_some();
                if in_message && summary.messages.last().is_none_or(|message| !message.is_empty()) {
                    summary.messages.push(Vec::new());
                }
                continue;
            }
            if in_message && text.starts_with([' ', '\t']) {
                let last = summary.messages.last_mut().and_then(|message| message.last_mut());
                let Some((_, value)) = last else { return Err(refuse(0, Reason::Line)) };
                *value = format!("{value} {}", text.trim()).trim().to_owned();
                continue;
            }
            let Some((name, value)) = text.split_once(':') else { return Err(refuse(0, Reason::Line)) };
            let at = name.len() + 1 + (value.len() - value.trim_start().len());
            let (name, value) = (name.trim_end(), value.trim());
            if !is_token(name) {
                return Err(refuse(0, Reason::Line));
            }
            if in_message {
                if let Some(message) = summary.messages.last_mut() {
                    message.push((name.to_owned(), value.to_owned()));
                }
            } else if name.eq_ignore_ascii_case("Messages-Waiting") {
                let yes = value.eq_ignore_ascii_case("yes");
                if !yes && !value.eq_ignore_ascii_case("no") {
                    return Err(refuse(at, Reason::value(name, value)));
                }
                status = Some(yes);
            } else if status.is_none() {
                return Err(refuse(0, Reason::Absent("Messages-Waiting")));
            } else if name.eq_ignore_ascii_case("Message-Account") {
                summary.account = Some(value.to_owned());
            } else {
                let count = Count::read(name, value);
                summary.counts.push(count.ok_or_else(|| refuse(at, Reason::value(name, value)))?);
            }
        }
        summary.messages.retain(|message| !message.is_empty());
        let absent = Error { line: rows.max(1), column: 1, reason: Reason::Absent("Messages-Waiting") };
        summary.waiting = status.ok_or(absent)?;
        Ok(summary)
    }
}

impl Count {
    fn read(name: &str, value: &str) -> Option<Self> {
        let (all, urgent) = match value.split_once('(') {
            None => (value, None),
            Some((all, urgent)) => (all, Some(pair(urgent.strip_suffix(')')?)?)),
        };
        let (new, old) = pair(all)?;
        let class = name.to_ascii_lowercase();
        let class = match Class::from(class.as_str()) {
            Class::Other(_) => Class::Other(name.to_owned()),
            known => known,
        };
        Some(Self { class, new, old, urgent })
    }
}

/// `new/old`.
fn pair(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let text = text.trim();
        // The standard library would take a sign.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let (new, old) = text.split_once('/')?;
    Some((number(new)?, number(old)?))
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte))
}

/// What stays on one line.
fn line(text: &str) -> String {
    let kept = |character: char| !character.is_control() || character == '\t';
    text.chars().map(|character| if kept(character) { character } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_written() {
        let summary = MessageSummary::read(
            b"messages-waiting : YES\r\nMessage-Account: sip:alice@example.com\r\nVoice-Message: 4/8 (1/2)\r\n\
              X-Memo:1/0\r\n\r\nTo: <sip:alice@example.com>\r\nSubject: a\r\n b\r\n\r\nTo: <sip:bob@example.com>\r\n\r\n",
        )
        .unwrap();
        assert!(summary.waiting);
        assert_eq!(summary.count(&Class::Voice).unwrap().urgent, Some((1, 2)));
        assert_eq!(summary.counts[1].class, Class::Other("X-Memo".into()));
        assert_eq!(summary.messages.len(), 2);
        assert_eq!(summary.messages[0][1], ("Subject".into(), "a b".into()));
        assert_eq!(MessageSummary::read(summary.write().as_bytes()), Ok(summary));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (body, place, text) in [
            ("", (1, 1), "Messages-Waiting is missing"),
            ("Voice-Message: 1/0", (1, 1), "Messages-Waiting is missing"),
            ("Messages-Waiting: maybe", (1, 19), "Messages-Waiting cannot be \"maybe\""),
            ("Messages-Waiting: yes\r\nVoice-Message: x/y", (2, 16), "Voice-Message cannot be \"x/y\""),
            ("Messages-Waiting: yes\nVoice-Message: +1/0", (2, 16), "Voice-Message cannot be \"+1/0\""),
            ("Messages-Waiting: yes\nVoice-Message: 1/4294967296", (2, 16), "cannot be"),
            ("Messages-Waiting: yes\nVoice-Message: 1/2 (1/2", (2, 16), "cannot be"),
            ("Messages-Waiting: yes\nVoice-Message: 1", (2, 16), "cannot be"),
            ("Messages-Waiting: yes\nwhat", (2, 1), "not a line of a message summary"),
        ] {
            let error = MessageSummary::read(body.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.column), place, "{body}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
