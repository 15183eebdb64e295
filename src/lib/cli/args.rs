//! Flag groups that programs share, each defined once; a program flattens those it needs.
//!
//! The doc comments are the help texts: `-h` shows their first line, `--help` and the manual all of it.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueHint};

use super::{
    capture::CapturePath,
    generate::Generate,
    value::{Audio, Codec, DtmfScript, HeaderLine, LocalAddress, PortRange, parse_duration},
    write_out::Template,
};

/// What every program has.
#[derive(Args, Clone, Debug)]
pub struct Common {
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub capture: Capture,

    /// End the whole run after this time (exit 3)
    ///
    /// The deadline holds in every state. The run ends as with Ctrl-C, within two seconds more.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Time")]
    pub timeout: Option<Duration>,

    /// Read this configuration file
    ///
    /// Without it: $XDG_CONFIG_HOME/sipkit/config.toml, by default below ~/.config, if it is there.
    #[arg(long, value_name = "FILE", env = "SIPKIT_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    #[arg(hide_short_help = true)]
    pub config: Option<PathBuf>,

    /// Print a manual page, a completion script, or the JSON Schema of --json
    #[arg(long, value_name = "KIND", hide = true, exclusive = true)]
    pub generate: Option<Generate>,
}

/// How results and diagnostics are written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print JSON Lines: one object per event, the last is the result
    #[arg(long)]
    pub json: bool,

    /// Print only this at the end, such as '%{code} %{reason}\n'
    ///
    /// %{name} stands for a field of the result, nothing if it is not known; \n, \t, \\ and %% are a line break, a
    /// tab, a backslash and a percent sign. The manual lists the names.
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    pub write_out: Option<Template>,

    /// Print each SIP message as sent and received, on standard error
    #[arg(long)]
    pub trace: bool,

    /// Explain decisions; -vv: state changes too, -vvv: everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Capture files.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Capture")]
pub struct Capture {
    /// Write all packets to FILE (.pcap or .pcapng)
    ///
    /// SIP, RTP and RTCP as sent and received, with made-up IP headers; root is not needed.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pcap: Option<CapturePath>,

    /// Leave RTP and RTCP out of it
    #[arg(long, requires = "pcap")]
    #[arg(hide_short_help = true)]
    pub pcap_no_rtp: bool,
}

/// Who we are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct Identity {
    /// Account of the configuration file
    #[arg(long, value_name = "NAME", env = "SIPKIT_ACCOUNT", hide_env_values = true)]
    pub account: Option<String>,

    /// Our own address, such as sip:alice@example.com
    ///
    /// Without it and without an account: the login name at the local address of the route.
    #[arg(long, value_name = "URI", env = "SIPKIT_FROM", hide_env_values = true)]
    pub from: Option<String>,

    /// User name for authentication [default: the user of --from]
    #[arg(long, value_name = "NAME", env = "SIPKIT_USER", hide_env_values = true)]
    pub user: Option<String>,

    /// File whose first line is the password (- is standard input)
    ///
    /// Without it: SIPKIT_PASSWORD, the account's password, or a prompt. There is no flag for the password itself:
    /// other users could see it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Name shown to the peer beside our address
    #[arg(long, value_name = "TEXT")]
    #[arg(hide_short_help = true)]
    pub display_name: Option<String>,
}

/// Which way requests go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Route")]
pub struct Route {
    /// Send requests there first, such as sip:proxy.example.com
    #[arg(long, value_name = "URI", env = "SIPKIT_PROXY", hide_env_values = true)]
    pub proxy: Option<String>,

    /// Our IP address and port [default: by the route, any port]
    #[arg(long, value_name = "IP[:PORT]", env = "SIPKIT_LOCAL", hide_env_values = true)]
    pub local: Option<LocalAddress>,
}

/// Limits of a call.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Time")]
pub struct CallTimes {
    /// Give up if nobody answers in this time (exit 12) [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub ring_timeout: Option<Duration>,

    /// Hang up this long after the answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}

/// What is added to requests.
#[derive(Args, Clone, Debug)]
pub struct Headers {
    /// Add a header to the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'", help_heading = "Request")]
    pub headers: Vec<HeaderLine>,
}

/// The audio of a call.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Media")]
pub struct Media {
    /// device, device:NAME, none, tone:HZ, echo or file:IN.wav
    ///
    /// The default is the sound card, or silence with a warning if there is none. Only a device asked for by name
    /// must be there (exit 24).
    #[arg(long, value_name = "SOURCE")]
    pub audio: Option<Audio>,

    /// Record the call: left what is sent, right what is received
    #[arg(long, value_name = "OUT.wav", value_hint = ValueHint::FilePath)]
    pub record: Option<PathBuf>,

    /// Codecs to offer or accept, best first
    #[arg(long, value_name = "NAME,…", value_enum, ignore_case = true, value_delimiter = ',')]
    pub codec: Vec<Codec>,

    /// Send digits after the answer; w2 waits 2 s: 'w2 123#'
    #[arg(long, value_name = "DIGITS")]
    pub dtmf: Option<DtmfScript>,

    #[command(flatten)]
    pub ports: RtpPorts,
}

/// Where media is received.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Media")]
pub struct RtpPorts {
    /// UDP ports for RTP and RTCP [default: any free pair]
    #[arg(long, value_name = "FIRST-LAST")]
    #[arg(hide_short_help = true)]
    pub rtp_ports: Option<PortRange>,
}
