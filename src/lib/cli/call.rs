//! `sip-call`: its flags and its manual.

use clap::Parser;

use super::{
    Failure, Program,
    account::{Account, CallTimes, Media},
    args,
    config::Config,
    generate::{Example, Manual, Section},
};

/// Place a SIP call, or wait for one
///
/// Calls TARGET and carries audio both ways until somebody hangs up. With --answer it waits for a call and answers it.
/// Neither an account nor a configuration file is needed. At a terminal a live view shows the call and keys act on it:
/// digits send DTMF, space holds, m mutes, q hangs up, ? lists them.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-call", version, max_term_width = 100)]
#[command(override_usage = "sip-call [OPTIONS] TARGET\n       sip-call [OPTIONS] --answer")]
pub struct Args {
    /// Whom to call: sip:bob@example.com, or bob@192.0.2.1:5060
    #[arg(value_name = "TARGET", required_unless_present = "answer", conflicts_with = "answer")]
    pub target: Option<String>,

    /// Wait for a call and answer it
    ///
    /// Listens at --local: port 5060 if it names none, and without --local all addresses of this machine. Over UDP and
    /// TCP, or over what --transport names; tls (port 5061) and wss want --tls-cert.
    #[arg(long)]
    pub answer: bool,

    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub route: args::Route,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub headers: args::Headers,
    #[command(flatten)]
    pub media: args::Media,
    #[command(flatten)]
    pub times: args::CallTimes,
    #[command(flatten)]
    pub common: args::Common,
}

/// What the flags and the configuration say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub account: Account,
    pub media: Media,
    pub times: CallTimes,
}

impl Args {
    /// Asks for a password at the terminal if a user is named and no password is found.
    pub fn settings(&self, config: &Config) -> Result<Settings, Failure> {
        Ok(Settings {
            account: Account::resolve(&self.identity, &self.route, config)?,
            media: Media::resolve(&self.media, config),
            times: CallTimes::resolve(&self.times, config),
        })
    }
}

pub use super::place::run;

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET", "[OPTIONS] --answer"],
        sections: &[Section {
            title: "KEYS",
            text: "At a terminal, while the call is shown:",
            terms: &[
                ("0-9 * # A-D", "Send the digit as DTMF (RFC 4733)."),
                ("space", "Hold the call, or resume it."),
                ("m", "Mute the microphone, or unmute it."),
                ("q", "Hang up."),
                ("?", "List the keys."),
                (
                    "Ctrl-C",
                    "End gracefully: before the answer the call is cancelled (exit 130), after it hung up (exit 0). A \
                     second one leaves at once.",
                ),
            ],
        }],
        examples: &[
            Example { about: "Call a phone", command: "sip-call sip:bob@192.0.2.1" },
            Example {
                about: "Without a sound card: send a tone, record both sides, hang up after 5 seconds",
                command: "sip-call --audio tone:440 --record a.wav --duration 5s echo@127.0.0.1:5070",
            },
            Example {
                about: "Check that a server answers, and print the SIP code",
                command: "sip-call --audio none --write-out '%{code}\\n' hangup@127.0.0.1:5070",
            },
            Example {
                about: "Enter a code, with a capture for Wireshark",
                command: "sip-call --dtmf 'w1 1234#' --pcap a.pcapng hangup@127.0.0.1:5070",
            },
            Example {
                about: "Show the flow of messages as a ladder",
                command: "sip-call --audio none --ladder hangup@127.0.0.1:5070",
            },
            Example {
                about: "Call from an account of the configuration file",
                command: "sip-call --account work bob@example.com",
            },
            Example {
                about: "Answer the next call and echo it, with results a script can read",
                command: "sip-call --answer --local 127.0.0.1:5080 --audio echo --json --timeout 2m",
            },
        ],
    };
    const LIVE: bool = true;

    fn common(&self) -> &args::Common {
        &self.common
    }
}
