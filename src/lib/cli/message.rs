//! `sip-message`: its flags, its manual, and what it does: sends a text (RFC 3428), or receives some.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Parser, ValueHint};

use super::{
    Context, Event, ExitStatus, Failure, Program,
    account::Account,
    args, ask,
    generate::{Example, Manual, Section},
    output, place,
};
use crate::{
    endpoint::agent::{Agent, Page},
    message::{Limits, Message, UriBuf, cpim, header},
    stack::NextHop,
    ua::{self, call::Body, page::Query},
    util::id::Ids,
};

/// Send a text message over SIP, or receive some
///
/// Sends TEXT to TARGET in a MESSAGE (RFC 3428). Without TEXT it is read from --file or from standard input. The exit
/// status says what became of it; that it was accepted is all that is known then. With --listen it waits for messages
/// and prints them.
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-message", version, max_term_width = 100)]
pub struct Args {
    /// Whom to write to, such as sip:bob@192.0.2.1
    #[arg(value_name = "TARGET", required_unless_present = "listen", conflicts_with = "listen")]
    pub target: Option<String>,

    /// The text [default: standard input]
    #[arg(value_name = "TEXT", conflicts_with_all = ["listen", "file"])]
    pub text: Option<String>,

    /// Wait for messages and print them
    ///
    /// Listens on port 5060 of all addresses unless --local says otherwise. To be reached by an account, use
    /// sip-register --answer.
    #[arg(long)]
    pub listen: bool,

    /// End after this many messages came
    #[arg(long, value_name = "N", requires = "listen", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Send the content of FILE; a dash is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Request")]
    pub file: Option<PathBuf>,

    /// Content type [default: text/plain;charset=utf-8]
    #[arg(long = "type", value_name = "TYPE/SUBTYPE", value_parser = media_type, help_heading = "Request")]
    pub kind: Option<String>,

    /// Wrap it in message/cpim (RFC 3862)
    #[arg(long, help_heading = "Request")]
    pub cpim: bool,

    /// Ask to be told when it is delivered (RFC 5438)
    ///
    /// Puts it into message/cpim with the header fields that ask for it.
    #[arg(long, help_heading = "Request")]
    pub imdn: bool,

    #[command(flatten)]
    pub headers: args::Headers,
    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub route: args::Route,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub common: args::Common,
}

impl Program for Args {
    const MANUAL: Manual = Manual {
        synopsis: &["[OPTIONS] TARGET [TEXT]", "[OPTIONS] --listen"],
        sections: &[Section {
            title: "SIZE",
            text: "A message and all its headers should stay below 1300 octets (RFC 3428): beyond that it needs a \
                   transport that controls congestion on every hop, which no sender can know. A longer one is sent, \
                   with a warning.",
            terms: &[],
        }],
        examples: &[
            Example {
                about: "Send a text to a server on this machine",
                command: "sip-message sip:echo@127.0.0.1:5070 'Hello there'",
            },
            Example {
                about: "Send what another program prints, by way of an account",
                command: "sip-message --account work sip:bob@example.com",
            },
            Example {
                about: "Wait for one message and print it as JSON",
                command: "sip-message --listen --count 1 --local 127.0.0.1:5072 --json",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.common
    }
}

/// Sends the message, or receives messages.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let account = Account::resolve(&args.identity, &args.route, &cx.config)?;
    let config = ua::Config {
        contact_user: place::contact_user(&account),
        pages: args.listen,
        incoming_calls: false,
        ..ua::Config::default()
    };
    let target = args.target.as_deref().map(|text| place::target(text, &account)).transpose()?;
    let content = match target {
        Some(_) => {
            let asked = args.clone();
            let reading = tokio::task::spawn_blocking(move || content(&asked));
            let content = tokio::select! {
                biased;
                why = cx.stop.requested() => return Err(why.into()),
                content = reading => content,
            };
            Some(content.map_err(|error| Failure::new(ExitStatus::Defect, error))??)
        }
        None => None,
    };
    let resolver = account.resolver.clone();
    let listen = place::listen(&account, target.is_none());
    let security = place::security(&args.tls, &account, target.is_none(), &cx)?;
    let agent = place::start(&listen, cx.tap(), resolver, security, config)?;
    match target.zip(content) {
        Some((target, content)) => {
            let outcome = send(target, content, &args, &account, &agent, &cx).await;
            agent.stop().await;
            outcome
        }
        None => receive(&args, agent, &cx).await,
    }
}

async fn send(
    target: UriBuf,
    content: Vec<u8>,
    args: &Args,
    account: &Account,
    agent: &Agent,
    cx: &Context,
) -> Result<(), Failure> {
    let way = ask::way(agent, &target, account, cx).await?;
    let kind = args.kind.clone().unwrap_or_else(|| "text/plain;charset=utf-8".into());
    let body = match args.cpim || args.imdn {
        true => enveloped(&kind, &content, way.from.uri(), &target, args.imdn),
        false => Body { kind, bytes: content.into() },
    };
    let size = body.bytes.len();
    if size + HEAD > MOST {
        let message =
            format!("{size} octets are a lot for a MESSAGE: above {MOST} in all it may get lost (RFC 3428)");
        cx.out.event(Event::Warning { call_id: None, message });
    }
    let mut query = Query::message(target.clone(), way.from, body);
    query.next = way.hop.map_or(NextHop::RequestUri, NextHop::Uri);
    query.auth = account.auth()?;
    query.headers = args.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
    let reply = ask::ask(agent, query, None, cx).await?;
    reply.into_result(target.as_str())
}

/// A content type as RFC 3261 §20.15 has it.
fn media_type(text: &str) -> Result<String, String> {
    let probe = format!("MESSAGE sip:a SIP/2.0\r\nContent-Type: {text}\r\n\r\n");
    let is_one_line = !text.contains(|c: char| c.is_control());
    let is_type = Message::parse(probe.into(), &Limits::default())
        .is_ok_and(|message| matches!(message.find::<header::ContentType>(), Ok(Some(_))));
    match is_one_line && is_type {
        true => Ok(text.to_owned()),
        false => Err("a type, a slash and a subtype are wanted, such as text/plain".into()),
    }
}

/// The text of the command line, of the file, or of standard input.
fn content(args: &Args) -> Result<Vec<u8>, Failure> {
    if let Some(text) = &args.text {
        return Ok(text.clone().into_bytes());
    }
    let path = args.file.as_deref().filter(|path| *path != Path::new("-"));
    let mut content = Vec::new();
    let read = match path {
        Some(path) => {
            std::fs::File::open(path).and_then(|file| file.take(MOST_READ + 1).read_to_end(&mut content))
        }
        None => std::io::stdin().lock().take(MOST_READ + 1).read_to_end(&mut content),
    };
    let name = path.map_or("standard input".into(), |path| path.display().to_string());
    match read {
        Err(error) => Err(Failure::usage(format_args!("cannot read {name}: {error}"))),
        Ok(size) if size as u64 > MOST_READ => Err(Failure::usage(format_args!(
            "{name} is too long for a MESSAGE: more than {MOST_READ} octets"
        ))),
        Ok(_) => Ok(content),
    }
}

/// RFC 3862 §2; with the request of RFC 5438 §7.1.
fn enveloped(kind: &str, content: &[u8], from: &UriBuf, to: &UriBuf, notify: bool) -> Body {
    let (from, to) = (format!("<{from}>"), format!("<{to}>"));
    let now = output::rfc3339(std::time::SystemTime::now());
    let id = Ids::from_seed(rand::random()).hex::<8>();
    let mut headers = vec![("From", from.as_str()), ("To", to.as_str()), ("DateTime", now.as_str())];
    if notify {
        headers.push(("NS", "imdn <urn:ietf:params:imdn>"));
        headers.push(("imdn.Message-ID", &id));
        headers.push(("imdn.Disposition-Notification", "positive-delivery, negative-delivery"));
    }
    Body { kind: "message/cpim".into(), bytes: cpim::write(headers, kind, content).into() }
}

async fn receive(args: &Args, mut agent: Agent, cx: &Context) -> Result<(), Failure> {
    for local in agent.local() {
        let (protocol, local) = (local.protocol.as_str().to_owned(), local.addr.to_string());
        cx.out.event(Event::Listening { protocol, local });
    }
    let mut left = args.count;
    let outcome = loop {
        let page = tokio::select! {
            biased;
            page = agent.page() => page,
            // Without a number to reach, being told to stop is how it ends well.
            why = cx.stop.requested() => break if left.is_none() { Ok(()) } else { Err(why.into()) },
        };
        let Some(page) = page else { break Err(Failure::new(ExitStatus::Defect, "the endpoint stopped")) };
        cx.out.event(received(&page));
        if let Some(left) = &mut left {
            *left -= 1;
            if *left == 0 {
                break Ok(());
            }
        }
    };
    agent.stop().await;
    outcome
}

/// The text, out of its envelope if it has one; other content is told by its type.
fn received(page: &Page) -> Event {
    let Page { request, from } = page;
    let body = request.body();
    let kind = request.find::<header::ContentType>().ok().flatten();
    let cpim = kind.filter(|kind| kind.is("message", "cpim"));
    let cpim = cpim.and_then(|_| cpim::Cpim::parse(body, &Limits::default()).ok());
    let content = cpim.as_ref().map_or(body, cpim::Cpim::content);
    Event::Request {
        call_id: request.call_id().unwrap_or_default().to_owned(),
        method: request.method().to_string(),
        from: request.from().map(|from| from.uri.to_string()).unwrap_or_default(),
        remote: from.remote.to_string(),
        code: 200,
        text: Some(String::from_utf8_lossy(content).into_owned()),
    }
}

/// RFC 3428 §8.
const MOST: usize = 1300;
/// What the header fields take, about.
const HEAD: usize = 500;
/// What fits into a datagram, or nearly.
const MOST_READ: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_asks_for_a_notification() {
        let uri = |text| UriBuf::parse(text).expect("a URI");
        let (from, to) = (uri("sip:a@example.com"), uri("sip:b@example.com"));
        let body = enveloped("text/plain", "grüß dich".as_bytes(), &from, &to, true);
        let cpim = cpim::Cpim::parse(&body.bytes, &Limits::default()).expect("readable");
        assert_eq!(cpim.content(), "grüß dich".as_bytes());
        assert_eq!(cpim.address("From"), Some((None, "sip:a@example.com")));
        assert_eq!(cpim.prefix("urn:ietf:params:imdn"), Some("imdn"));
        assert!(cpim.header("imdn.Message-ID").is_some_and(|id| id.len() == 16));
        let plain = enveloped("text/plain", b"", &from, &to, false);
        assert!(!String::from_utf8_lossy(&plain.bytes).contains("imdn"));
    }
}
