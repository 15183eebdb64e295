//! `sip-publish-mwi`: its flags, its manual, and message waiting as it is published (RFC 3842).

use clap::Parser;

use super::{Flags, State, flags, run};
use crate::{
    cli::{
        Context, Failure, Program, args,
        generate::{Example, Manual, Section},
    },
    phone::events::{counted, kind_of_message},
    presence::{
        Document,
        mwi::{Class, Count, MessageSummary},
    },
    ua::{call::Body, package},
};

/// Publish how many messages wait, to test who shows it
///
/// Brings a message summary to the server of ADDRESS in a PUBLISH (RFC 3903), which not all voice mail systems take from
/// outside; sip-test-server does. It holds as long as the server grants; with --keep it is refreshed until the run ends,
/// and then removed.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-publish-mwi", version, max_term_width = 100)]
pub struct Args {
    /// Whose messages [default: --from or the account's]
    #[arg(value_name = "ADDRESS")]
    pub address: Option<String>,

    #[command(flatten)]
    pub state: Said,
    #[command(flatten)]
    pub file: flags::File,
    #[command(flatten)]
    pub flags: Flags,
}

/// How many messages wait.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "State")]
pub struct Said {
    /// Voice messages, such as 3/1 or 3/1(1/0)
    ///
    /// New ones and old ones; in parentheses the urgent ones among them.
    #[arg(long, value_name = "NEW/OLD")]
    pub voice: Option<String>,

    /// Fax messages
    #[arg(long, value_name = "NEW/OLD")]
    pub fax: Option<String>,

    /// Pager messages
    #[arg(long, value_name = "NEW/OLD")]
    #[arg(hide_short_help = true)]
    pub pager: Option<String>,

    /// Multimedia messages
    #[arg(long, value_name = "NEW/OLD")]
    #[arg(hide_short_help = true)]
    pub multimedia: Option<String>,

    /// Text messages
    #[arg(long, value_name = "NEW/OLD")]
    pub text: Option<String>,

    /// The mailbox [default: ADDRESS]
    #[arg(long, value_name = "URI")]
    #[arg(hide_short_help = true)]
    pub mailbox: Option<String>,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] [ADDRESS]"],
        sections: &[Section {
            title: "COMMANDS",
            text: "With --keep at a terminal, and with --commands, each line changes the state, and it is published anew:",
            terms: &[
                ("voice NEW/OLD|none", "Voice messages; likewise fax, pager, multimedia and text."),
                ("show", "Prints the document."),
                ("refresh", "Refreshes it now."),
                ("quit", "Removes it and ends, as Ctrl-C and Ctrl-D do."),
            ],
        }],
        examples: &[
            Example {
                about: "Three new voice messages and an old one for alice, at a server on this machine",
                command: "sip-publish-mwi sip:alice@127.0.0.1:5070 --voice 3/1",
            },
            Example {
                about: "The same until Ctrl-C, one of them urgent, and a fax",
                command: "sip-publish-mwi sip:alice@127.0.0.1:5070 --voice '3/1(1/0)' --fax 1/0 --keep",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.flags.common
    }
}

/// Publishes it.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let state = Mailbox::new(&args)?;
    run::publish(package::MESSAGE_SUMMARY, args.address.as_deref(), state, args.flags, cx).await
}

/// The summary that is published.
struct Mailbox {
    summary: MessageSummary,
    /// The document as it was read, until it is changed.
    as_read: Option<Vec<u8>>,
}

impl Mailbox {
    fn new(args: &Args) -> Result<Self, Failure> {
        let said = &args.state;
        let mut mailbox = match &args.file.file {
            None => Self { summary: MessageSummary::default(), as_read: None },
            Some(path) => {
                let content = flags::read(path)?;
                let summary = MessageSummary::read(&content)
                    .map_err(|why| Failure::usage(format_args!("{}: {why}", path.display())))?;
                Self { summary, as_read: Some(content) }
            }
        };
        let counts = [
            ("voice", &said.voice),
            ("fax", &said.fax),
            ("pager", &said.pager),
            ("multimedia", &said.multimedia),
            ("text", &said.text),
        ];
        for (name, text) in counts {
            if let Some(text) = text {
                mailbox
                    .take(name, text)
                    .map_err(|wrong| Failure::usage(format_args!("--{name}: {wrong}")))?;
            }
        }
        if said.mailbox.is_some() {
            mailbox.as_read = None;
            mailbox.summary.account.clone_from(&said.mailbox);
        }
        Ok(mailbox)
    }

    fn set(&mut self, class: Class, count: Option<Count>) {
        self.as_read = None;
        let counts = &mut self.summary.counts;
        match (counts.iter().position(|known| known.class == class), count) {
            (Some(at), Some(count)) => counts[at] = count,
            (Some(at), None) => drop(counts.remove(at)),
            (None, Some(count)) => counts.push(count),
            (None, None) => {}
        }
        self.summary.waiting = counts.iter().any(|count| count.new > 0);
    }
}

impl State for Mailbox {
    const HELP: &'static str = "voice NEW/OLD · fax NEW/OLD · pager, multimedia, text · none takes away · show · \
                                refresh · quit";

    fn body(&self, entity: &str) -> Body {
        let bytes = match &self.as_read {
            Some(content) => content.clone().into(),
            None => {
                let account = self.summary.account.clone().or_else(|| Some(entity.to_owned()));
                MessageSummary { account, ..self.summary.clone() }.write().into()
            }
        };
        Body { kind: MessageSummary::MEDIA_TYPE.into(), bytes }
    }

    fn describe(&self) -> String {
        let mut all = vec![if self.summary.waiting { "waiting" } else { "nothing waiting" }.to_owned()];
        all.extend(
            self.summary.counts.iter().map(|Count { class, new, old, .. }| format!("{class} {new}/{old}")),
        );
        all.join(", ")
    }

    fn take(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let Some(class) = kind_of_message(word) else {
            return Err(format!("`{word}` is no command: {}", Self::HELP));
        };
        if matches!(rest, "" | "none") {
            self.set(class, None);
            return Ok(());
        }
        let count = counted(class.clone(), rest)
            .ok_or_else(|| format!("`{rest}` are no numbers: write NEW/OLD, such as 3/1 or 3/1(1/0)"))?;
        self.set(class, Some(count));
        Ok(())
    }

    fn change(&mut self, random: u64) {
        let number = |shift: u32| u32::try_from((random >> shift) % 10).unwrap_or_default();
        self.set(
            Class::Voice,
            Some(Count { class: Class::Voice, new: number(0), old: number(8), urgent: None }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_lines_make_a_summary() {
        let parse = |flags: &str| Args::try_parse_from(format!("test {flags}").split_whitespace()).unwrap();
        let mut mailbox = Mailbox::new(&parse("--voice 3/1(1/0) --fax 0/2")).unwrap();
        let body = |mailbox: &Mailbox| String::from_utf8(mailbox.body("sip:a@h").bytes.to_vec()).unwrap();
        assert_eq!(
            body(&mailbox),
            "Messages-Waiting: yes\r\nMessage-Account: sip:a@h\r\nVoice-Message: 3/1 (1/0)\r\nFax-Message: 0/2\r\n"
        );
        mailbox.take("voice", "0/4").unwrap();
        mailbox.take("fax", "none").unwrap();
        assert_eq!(mailbox.describe(), "nothing waiting, voice-message 0/4");
        assert!(mailbox.take("voice", "many").is_err() && mailbox.take("mail", "1/1").is_err());
        assert!(Mailbox::new(&parse("--text 1")).is_err_and(|why| why.to_string().contains("NEW/OLD")));
        mailbox.change(u64::MAX);
        MessageSummary::read(&mailbox.body("sip:a@h").bytes).unwrap();
    }
}
