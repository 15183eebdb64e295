//! Ladder diagrams as text: who sent what to whom and when, one line per message.
//!
//! ```text
//! 0.000  alice → bob    INVITE  cseq=1 offer
//! 0.500  alice ⇢ bob    INVITE  cseq=1 offer      (lost)
//! 0.512  bob → alice    180     tag=b reliable
//! ```
//!
//! `⇢` marks a message that did not arrive. Requests show their CSeq number; responses their method where
//! it is not INVITE, and their To tag. Tags are renamed `a`, `b`, … in the order in which they appear,
//! so that a ladder does not depend on random numbers. It is output, and something to compare output
//! with: nothing is driven by it.

use std::{collections::VecDeque, fmt, fmt::Write};

use bytes::Bytes;

use crate::{
    message::{HeaderId, Limits, Message, Method, header},
    time::Instant,
};

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Arrived,
    Doubled,
    Lost,
    /// Nobody listens there, and the network says so.
    Refused,
}

/// One line of a [`Ladder`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// When it was sent.
    pub at: Instant,
    pub from: String,
    pub to: String,
    /// The method or the status, `-` for what is no SIP message.
    pub what: String,
    pub details: String,
    pub fate: Fate,
}

/// A record of messages, oldest first. It keeps the latest [`Ladder::LIMIT`] of them.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    steps: VecDeque<Step>,
    forgotten: usize,
    /// Tags seen, in order: the first is called `a`.
    tags: Vec<String>,
    /// Call-ID and CSeq number of the latest requests with a body: responses to them carry answers.
    offers: VecDeque<(String, u32)>,
}

impl Ladder {
    /// The most lines kept.
    pub const LIMIT: usize = 100_000;

    pub fn new() -> Self {
        Self::default()
    }

    /// Records a message sent at `at`.
    pub fn message(&mut self, at: Instant, from: &str, to: &str, bytes: &Bytes, fate: Fate) {
        let (what, details) = match Message::parse(bytes.clone(), &Limits::default()) {
            Ok(message) => self.describe(message),
            Err(_) => ("-".to_owned(), format!("{} octets", bytes.len())),
        };
        if self.steps.len() == Self::LIMIT {
            self.steps.pop_front();
            self.forgotten += 1;
        }
        self.steps.push_back(Step { at, from: from.to_owned(), to: to.to_owned(), what, details, fate });
    }

    /// Whether it says what `expected` says. Space between words does not matter, nor do empty lines; a
    /// time of `*` is any.
    ///
    /// # Errors
    ///
    /// The first line that differs, with both ladders to print.
    pub fn compare(&self, expected: &str) -> Result<(), Mismatch> {
        let wanted: Vec<Vec<&str>> = expected
            .lines()
            .map(|line| line.split_whitespace().collect())
            .filter(|line: &Vec<&str>| !line.is_empty())
            .collect();
        let text = self.to_string();
        let found: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let same = |(found, wanted): (&Vec<&str>, &Vec<&str>)| {
            let mut words = found.iter().zip(wanted).enumerate();
            found.len() == wanted.len() && words.all(|(at, (a, b))| a == b || at == 0 && *b == "*")
        };
        let agreeing = found.iter().zip(&wanted).take_while(|pair| same(*pair)).count();
        if agreeing == found.len() && agreeing == wanted.len() {
            return Ok(());
        }
        Err(Mismatch { line: agreeing + 1, expected: expected.to_owned(), found: text })
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter()
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn describe(&mut self, message: Message) -> (String, String) {
        match message.into_request() {
            Ok(request) => {
                let mut details = String::new();
                let number = request.cseq().map_or(0, |cseq| cseq.number);
                let _ = write!(details, "cseq={number}");
                if !request.body().is_empty() {
                    let what = if request.method() == Method::Ack { "answer" } else { "offer" };
                    self.say_body(&request, what, &mut details);
                    self.offers.push_back((request.call_id().unwrap_or_default().to_owned(), number));
                    if self.offers.len() > OFFERS {
                        self.offers.pop_front();
                    }
                }
                (request.method().as_str().to_owned(), details)
            }
            Err(message) => {
                let mut words = Vec::new();
                let cseq = message.cseq().ok();
                if let Some(cseq) = cseq.filter(|cseq| cseq.method != Method::Invite) {
                    words.push(cseq.method.as_str().to_owned());
                }
                if let Some(tag) = message.to().ok().and_then(|to| to.tag()) {
                    words.push(format!("tag={}", self.letters(tag)));
                }
                if message
                    .each::<header::Require>()
                    .flatten()
                    .any(|option| option.eq_ignore_ascii_case("100rel"))
                {
                    words.push("reliable".to_owned());
                }
                if !message.body().is_empty() {
                    let request = (
                        message.call_id().unwrap_or_default().to_owned(),
                        cseq.map_or(0, |cseq| cseq.number),
                    );
                    let mut body = String::new();
                    let what = if self.offers.contains(&request) { "answer" } else { "offer" };
                    self.say_body(&message, what, &mut body);
                    words.push(body.trim_start().to_owned());
                }
                let status = message.into_response().map_or(0, |response| response.status());
                (status.to_string(), words.join(" "))
            }
        }
    }

    /// What the body is: `what` if it is SDP.
    fn say_body(&self, message: &Message, what: &str, details: &mut String) {
        let kind = message.raw(HeaderId::ContentType).next().map_or(&b""[..], |row| row.value);
        let is_sdp = kind.get(..SDP.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(SDP));
        let _ = write!(details, " {}", if is_sdp { what } else { "body" });
    }

    fn letters(&mut self, tag: &str) -> String {
        let known = self.tags.iter().position(|known| known == tag);
        let mut number = known.unwrap_or_else(|| {
            self.tags.push(tag.to_owned());
            self.tags.len() - 1
        });
        let mut letters = String::new();
        loop {
            letters.insert(0, char::from(b'a' + (number % 26) as u8));
            if number < 26 {
                return letters;
            }
            number = number / 26 - 1;
        }
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |step: &Step| step.from.chars().count() + step.to.chars().count() + 3;
        let width = self.steps.iter().map(width).max().unwrap_or_default();
        if self.forgotten > 0 {
            writeln!(f, "… {} earlier messages", self.forgotten)?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{}", step.line(width)))
    }
}

impl Step {
    /// The line, with the two names padded to `width` characters.
    pub fn line(&self, width: usize) -> String {
        let arrow = if matches!(self.fate, Fate::Lost | Fate::Refused) { '⇢' } else { '→' };
        let mark = match self.fate {
            Fate::Arrived => "",
            Fate::Doubled => "(twice)",
            Fate::Lost => "(lost)",
            Fate::Refused => "(refused)",
        };
        let (millis, who) = (self.at.as_micros() / 1_000, format!("{} {arrow} {}", self.from, self.to));
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let line =
            format!("{seconds}.{millis:03}  {who:<width$}  {:<8}{:<22}  {mark}", self.what, self.details);
        line.trim_end().to_owned()
    }
}

/// A ladder that is not the expected one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the ladders differ in line {line}\n--- expected\n{expected}\n--- found\n{found}")]
pub struct Mismatch {
    /// Counted from 1, empty lines left out.
    pub line: usize,
    pub expected: String,
    pub found: String,
}

const SDP: &[u8] = b"application/sdp";
/// How many requests with a body may be under way before their answers are taken for offers.
const OFFERS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.replace('\n', "\r\n"))
    }

    fn ladder() -> Ladder {
        let invite = bytes(
            "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=x1\n\
             To: <sip:bob@example.com>\nCall-ID: c\nCSeq: 1 INVITE\nContent-Type: application/sdp\n\
             Content-Length: 3\n\nv=0",
        );
        let answer = |status: u16, method: &str, more: &str| {
            bytes(&format!(
                "SIP/2.0 {status} X\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=x1\n\
                 To: <sip:bob@example.com>;tag=q9\nCall-ID: c\nCSeq: 1 {method}\n{more}"
            ))
        };
        let mut ladder = Ladder::new();
        ladder.message(Instant::ZERO, "alice", "bob", &invite, Fate::Lost);
        ladder.message(Instant::from_millis(500), "alice", "bob", &invite, Fate::Doubled);
        let ringing = answer(180, "INVITE", "Require: 100rel\nContent-Length: 0\n\n");
        ladder.message(Instant::from_millis(512), "bob", "alice", &ringing, Fate::Arrived);
        let ok = answer(200, "INVITE", "Content-Type: application/sdp\nContent-Length: 3\n\nv=0");
        ladder.message(Instant::from_millis(1_600), "bob", "alice", &ok, Fate::Arrived);
        ladder.message(
            Instant::from_millis(1_700),
            "bob",
            "alice",
            &answer(200, "BYE", "Content-Length: 0\n\n"),
            Fate::Refused,
        );
        ladder.message(Instant::from_millis(61_000), "bob", "alice", &bytes("what?"), Fate::Arrived);
        ladder
    }

    #[test]
    fn it_reads_like_a_ladder() {
        let expected = "\
0.000   alice ⇢ bob  INVITE  cseq=1 offer            (lost)
0.500   alice → bob  INVITE  cseq=1 offer            (twice)
0.512   bob → alice  180     tag=a reliable
1.600   bob → alice  200     tag=a answer
1.700   bob ⇢ alice  200     BYE tag=a               (refused)
61.000  bob → alice  -       5 octets
";
        assert_eq!(ladder().compare(expected), Ok(()));
        assert!(ladder().to_string().contains("0.512  bob → alice  180     tag=a reliable\n"));
    }

    #[test]
    fn differences_are_found() {
        let ladder = ladder();
        let text = ladder.to_string();
        assert_eq!(ladder.compare(&text), Ok(()));
        assert_eq!(ladder.compare(&text.replacen("0.512", "*", 1)), Ok(()));
        let line = |expected: &str| ladder.compare(expected).map_err(|mismatch| mismatch.line);
        assert_eq!(line(&text.replacen("0.512", "0.513", 1)), Err(3));
        assert_eq!(line(&text.replacen("(lost)", "", 1)), Err(1));
        assert_eq!(line(&format!("{text}\n9.000 a → b BYE")), Err(7));
        assert_eq!(line(""), Err(1));
    }

    #[test]
    fn tags_become_letters() {
        let mut ladder = Ladder::new();
        let letters: Vec<String> = (0..703).map(|number| ladder.letters(&number.to_string())).collect();
        assert_eq!(
            [&letters[0], &letters[25], &letters[26], &letters[701], &letters[702]],
            ["a", "z", "aa", "zz", "aaa"]
        );
        assert_eq!(ladder.letters("26"), "aa");
    }
}
