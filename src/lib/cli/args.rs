//! Flag groups that programs share, each defined once; a program flattens those it needs.
//!
//! The doc comments are the help texts: `-h` shows their first line, `--help` and the manual all of it.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

#[cfg(feature = "dns")]
use super::value::DnsServer;
use super::{
    capture::{CaptureMode, CapturePath},
    value::{Audio, Codec, DigestAlgorithm, DtmfScript, HeaderLine, LocalAddress, PortRange, parse_duration},
    write_out::Template,
};
use crate::transport::Protocol;
#[cfg(feature = "tls")]
use crate::transport::tls::Version;

/// What every program has.
#[derive(Args, Clone, Debug)]
pub struct Common {
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub capture: Capture,
    #[command(flatten)]
    pub run: Run,
}

/// What a program has that carries no SIP: everything but traces and captures.
#[derive(Clone, Debug)]
pub struct WithoutTraffic(pub Common);

impl Args for WithoutTraffic {
    fn augment_args(command: Command) -> Command {
        Run::augment_args(Report::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Run::augment_args_for_update(Report::augment_args_for_update(command))
    }
}

impl FromArgMatches for WithoutTraffic {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Common {
            output: Output { report: Report::from_arg_matches(matches)?, trace: false, ladder: false },
            capture: Capture { pcap: None, pcap_no_rtp: false, pcap_mode: None },
            run: Run::from_arg_matches(matches)?,
        }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The run as a whole.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// End the whole run after this time (exit 3)
    ///
    /// The deadline holds in every state. The run ends as with Ctrl-C, within two seconds more.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Time")]
    pub timeout: Option<Duration>,

    /// Read this configuration file
    ///
    /// Without it: $XDG_CONFIG_HOME/sipkit/config.toml, by default below ~/.config, if it is there.
    #[arg(long, value_name = "FILE", env = "SIPKIT_CONFIG", hide_env = true, value_hint = ValueHint::FilePath)]
    #[arg(hide_short_help = true, help_heading = "Configuration")]
    pub config: Option<PathBuf>,
}

/// How results and diagnostics are written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    #[command(flatten)]
    pub report: Report,

    /// Print each SIP message on standard error
    #[arg(long)]
    pub trace: bool,

    /// Print the call flow at the end
    ///
    /// On standard error: a line for each SIP message, with the time since the first, its direction and a few words.
    #[arg(long)]
    pub ladder: bool,
}

/// How results are written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct Report {
    /// Print JSON Lines: an object per event and a result
    #[arg(long)]
    pub json: bool,

    /// Print only this at the end, such as '%{code}\n'
    ///
    /// %{name} stands for a field of the result, nothing if it is not known; \n, \t, \\ and %% are a line break, a
    /// tab, a backslash and a percent sign. The manual lists the names.
    #[arg(long, value_name = "TEXT", conflicts_with = "json")]
    #[arg(hide_short_help = true)]
    pub write_out: Option<Template>,

    /// Explain decisions; -vv and -vvv tell more
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

    /// How to write what is encrypted: wire, plain or both
    ///
    /// With wire packets stand there as sent, and a .pcapng file has the TLS secrets as well, so that Wireshark shows
    /// what is inside: whoever has the file can read the messages. With plain there are the messages without TLS or
    /// WebSocket around them, each in a UDP packet; both has the two on two interfaces (.pcapng only). The default is
    /// wire for .pcapng, and plain for .pcap, which has no place for secrets. The variable SSLKEYLOGFILE names a file
    /// to write the secrets to in any case.
    #[arg(long, value_name = "MODE", value_enum, hide_possible_values = true, requires = "pcap")]
    #[arg(hide_short_help = true)]
    pub pcap_mode: Option<CaptureMode>,
}

/// Who we are.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct Identity {
    /// An account of the configuration file
    #[arg(long, value_name = "NAME", env = "SIPKIT_ACCOUNT", hide_env = true)]
    pub account: Option<String>,

    /// Our address, such as sip:alice@example.com
    ///
    /// Without it and without an account: the login name at the local address of the route.
    #[arg(long, value_name = "URI", env = "SIPKIT_FROM", hide_env = true)]
    pub from: Option<String>,

    /// Name for authentication [default: as in --from]
    #[arg(long, value_name = "NAME", env = "SIPKIT_USER", hide_env = true)]
    #[arg(hide_short_help = true)]
    pub user: Option<String>,

    /// File with the password in its first line
    ///
    /// A single dash is standard input. Without it: SIPKIT_PASSWORD, the account's password, or a prompt. There is no
    /// flag for the password itself: other users could see it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,

    /// Answer challenges with this digest algorithm only
    ///
    /// MD5, SHA-256, SHA-512-256, or one of them with -sess. Without it the strongest one asked for is used.
    #[arg(long, value_name = "NAME", value_enum, hide_possible_values = true, ignore_case = true)]
    #[arg(hide_short_help = true)]
    pub auth_alg: Option<DigestAlgorithm>,

    /// Name shown to the peer beside our address
    #[arg(long, value_name = "TEXT")]
    #[arg(hide_short_help = true)]
    pub display_name: Option<String>,
}

/// Which way requests go.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Route")]
pub struct Route {
    /// Send requests by way of this server
    #[arg(long, value_name = "URI", env = "SIPKIT_PROXY", hide_env = true)]
    pub proxy: Option<String>,

    /// Our address and port [default: what the route says]
    #[arg(long, value_name = "IP[:PORT]", env = "SIPKIT_LOCAL", hide_env = true)]
    pub local: Option<LocalAddress>,

    /// udp, tcp, tls, ws or wss [default: by the address]
    ///
    /// For the first hop. If its address names another one itself (;transport=tcp) that is a mistake; it counts more than
    /// what the configuration file says. Without either, the DNS chooses.
    #[arg(long, value_name = "NAME", env = "SIPKIT_TRANSPORT", hide_env = true)]
    pub transport: Option<Protocol>,

    #[command(flatten)]
    pub dns: Dns,
}

/// Who knows names.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Route")]
pub struct Dns {
    /// Ask this DNS server [default: the system's]
    ///
    /// May be repeated: the first one is preferred, and the next is asked when it is silent. The hosts file still counts.
    #[cfg(feature = "dns")]
    #[arg(long, value_name = "IP[:PORT]", env = "SIPKIT_DNS", hide_env = true, value_delimiter = ',')]
    pub dns: Vec<DnsServer>,
}

/// How TLS is spoken, and with whom.
#[cfg(feature = "tls")]
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct Tls {
    /// Trust the authorities in FILE instead of the system's
    ///
    /// PEM; may be repeated.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "SIPKIT_TLS_CA", hide_env = true)]
    pub tls_ca: Vec<PathBuf>,

    /// Our certificate, for peers that ask for one
    ///
    /// PEM: our own certificate first, then those of the authorities above it, without the root.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "SIPKIT_TLS_CERT", hide_env = true)]
    #[arg(hide_short_help = true)]
    pub tls_cert: Option<PathBuf>,

    /// Its private key [default: in the same file]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "SIPKIT_TLS_KEY", hide_env = true)]
    #[arg(hide_short_help = true)]
    pub tls_key: Option<PathBuf>,

    /// The name that the peer's certificate must have
    ///
    /// By default it is the domain of the address that was given (RFC 5922), wherever DNS leads. A wildcard is compared
    /// by its letters: '*.example.com' wants just that name in the certificate.
    #[arg(long, value_name = "NAME")]
    pub tls_name: Option<String>,

    /// Accept any certificate, with a warning each time
    ///
    /// The connection is encrypted, but whoever is in between can read and change everything.
    #[arg(long)]
    #[arg(hide_short_help = true)]
    pub tls_insecure: bool,

    /// The least version to accept: 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION")]
    #[arg(hide_short_help = true)]
    pub tls_min: Option<Version>,
}

/// Without TLS there is nothing to be said about it.
#[cfg(not(feature = "tls"))]
#[derive(Args, Clone, Debug, Default)]
pub struct Tls {}

#[cfg(feature = "tls")]
impl Tls {
    /// The same certificate for those who connect to us.
    pub fn as_server(&self) -> ListenTls {
        ListenTls {
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            tls_ca: Vec::new(),
            tls_min: self.tls_min,
        }
    }
}

/// How TLS is spoken with those who connect.
#[cfg(feature = "tls")]
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct ListenTls {
    /// Our certificate, which listening over tls and wss needs
    ///
    /// PEM: our own certificate first, then those of the authorities above it, without the root.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "SIPKIT_TLS_CERT", hide_env = true)]
    pub tls_cert: Option<PathBuf>,

    /// Its private key [default: in the same file]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "SIPKIT_TLS_KEY", hide_env = true)]
    pub tls_key: Option<PathBuf>,

    /// Want a certificate of these authorities from clients
    ///
    /// PEM; may be repeated.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub tls_ca: Vec<PathBuf>,

    /// The least version to accept: 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION")]
    #[arg(hide_short_help = true)]
    pub tls_min: Option<Version>,
}

/// Limits of a call.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Time")]
pub struct CallTimes {
    /// Give up if nobody answers (exit 12) [default: 60s]
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
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", help_heading = "Request")]
    pub headers: Vec<HeaderLine>,
}

/// The audio of a call.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Media")]
pub struct Media {
    /// device, none, tone:HZ, echo or file:IN.wav
    ///
    /// device:NAME is a certain sound card. The default is the sound card, or silence with a warning if there is none.
    /// A device that was asked for must be there (exit 24).
    #[arg(long, value_name = "SOURCE")]
    pub audio: Option<Audio>,

    /// Record both sides: left ours, right the peer's
    #[arg(long, value_name = "OUT.wav", value_hint = ValueHint::FilePath)]
    pub record: Option<PathBuf>,

    /// Codecs to use, best first, such as opus,pcmu
    ///
    /// Known are opus (if it was built in), pcmu and pcma.
    #[arg(
        long,
        value_name = "NAME,...",
        value_enum,
        hide_possible_values = true,
        ignore_case = true,
        value_delimiter = ','
    )]
    pub codec: Vec<Codec>,

    /// Send digits after the answer: 'w2 123#' waits 2 s
    ///
    /// 0-9 * # A-D are sent, w waits a second, w2, w0.5 or w500ms that long; a space ends the wait.
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
