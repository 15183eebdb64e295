//! `sip-call`: its flags and its manual.

use clap::Parser;

use super::{
    Program, args,
    generate::{Example, Manual, Section},
};

/// Place a SIP call, or wait for one
///
/// Calls TARGET and carries audio both ways until somebody hangs up. With --answer it waits for a call and answers it.
/// Neither an account nor a configuration file is needed. At a terminal a live view shows the call and keys act on it:
/// digits send DTMF, space holds, m mutes, q hangs up, ? lists them.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-call", version, max_term_width = 100)]
pub struct Args {
    /// Whom to call: sip:bob@example.com, or bob@192.0.2.1:5060
    #[arg(value_name = "TARGET", required_unless_present_any = ["answer", "generate"], conflicts_with = "answer")]
    pub target: Option<String>,

    /// Wait for a call and answer it
    ///
    /// Listens at --local: port 5060 if it names none, and without --local all addresses of this machine.
    #[arg(long)]
    pub answer: bool,

    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub route: args::Route,
    #[command(flatten)]
    pub headers: args::Headers,
    #[command(flatten)]
    pub media: args::Media,
    #[command(flatten)]
    pub times: args::CallTimes,
    #[command(flatten)]
    pub common: args::Common,
}

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
                about: "Call without a sound card: send a tone, record both sides, hang up after 5 seconds",
                command: "sip-call --audio tone:440 --record call.wav --duration 5s sip:echo@127.0.0.1:5070",
            },
            Example {
                about: "Check that a server answers, and print the SIP code",
                command: "sip-call --audio none --duration 1s --write-out '%{code} %{reason}\\n' sip:echo@127.0.0.1:5070",
            },
            Example {
                about: "Enter a conference code, with a capture for Wireshark",
                command: "sip-call --audio none --dtmf 'w1 1234#' --duration 4s --pcap call.pcapng sip:echo@127.0.0.1:5070",
            },
            Example {
                about: "Call through a proxy that asks for a password",
                command: "sip-call --from sip:alice@example.com --password-file secret --proxy sip:192.0.2.1 sip:bob@example.com",
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
