//! What `sip-call` does: finds out whom to call and with which sound, starts the endpoint, and runs the call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    endpoint::{
        Builder, Security, StartError,
        agent::Agent,
        media::{MediaHandle, MediaThread},
    },
    media::{
        codec,
        device::{Audio, AudioSpec, OpenError, Recorder, Warning},
    },
    message::{AddressBuf, Scheme, UriBuf},
    phone::call::{Dial, DialError, Identity, PhoneCall, Sound},
    resolve::system,
    sdp,
    transport::{Protocol, Target, UnknownProtocol, udp::BindError},
    ua,
    util::id::Ids,
};

use super::{
    Context, Event, ExitStatus, Failure,
    account::{Account, Media},
    args,
    call::{Args, Settings},
    conversation::{self, Conversation},
    value::{Codec, LocalAddress, PortRange},
};

/// Places or answers the call.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let settings = args.settings(&cx.config)?;
    let target = args.target.as_deref().map(|text| target(text, &settings.account)).transpose()?;
    let sound = sound(&args, &settings.media, &cx)?;
    let tap = cx.tap();
    let media = MediaThread::spawn(tap.clone()).map_err(|error| {
        Failure::new(ExitStatus::Defect, format_args!("cannot start the media thread: {error}"))
    })?;
    let listen = listen(&settings.account, target.is_none());
    let resolver = settings.account.resolver.clone();
    let security = security(&args.tls, &settings.account, target.is_none(), &cx)?;
    let agent = start(&listen, tap, resolver, security, one_call(&settings.account, target.is_none()))?;
    match target {
        Some(target) => place(target, args, settings, sound, &media, agent, &cx).await,
        None => answer(args, settings, sound, &media, agent, &cx).await,
    }
}

/// There is one call and no other: who calls meanwhile is told so.
fn one_call(account: &Account, answering: bool) -> ua::Config {
    ua::Config {
        contact_user: contact_user(account),
        incoming_calls: answering,
        calls: 1,
        ..ua::Config::default()
    }
}

async fn place(
    target: UriBuf,
    args: Args,
    settings: Settings,
    sound: Sound,
    media: &MediaHandle,
    agent: Agent,
    cx: &Context,
) -> Result<(), Failure> {
    let Settings { account, times, .. } = settings;
    let mut ids = Ids::from_seed(rand::random());
    let proxy = account.proxy.as_deref().map(|text| uri(text, "--proxy")).transpose()?;
    let proxy = first_hop(&target, proxy, &account)?;
    let dial = Dial {
        target: target.clone(),
        from: identity(&account)?,
        proxy,
        auth: account.auth()?,
        headers: args.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
    };
    let dialled = tokio::select! {
        biased;
        dialled = PhoneCall::dial(&agent, media, dial, sound, &mut ids) => dialled,
        why = cx.stop.requested() => return Err(why.into()),
    };
    let (call, from, flow, took) = dialled.map_err(|error| match error {
        DialError::Route(why) => {
            conversation::note_remote(&why, cx);
            conversation::failure(&why)
        }
        DialError::Port(error) => ports_failure(&error, settings.media.rtp_ports),
        DialError::Identity => {
            Failure::usage("our own address cannot be written as a SIP URI").hint("give --from")
        }
        DialError::Endpoint(error) => Failure::new(ExitStatus::Defect, error),
    })?;
    let reason = if account.local.is_some() { "--local" } else { "the route" };
    tracing::info!("requests go to {}, from {} ({reason} says so)", flow.target(), flow.local);
    cx.out.summary(|summary| summary.timings.way(took));
    let conversation = Conversation::new(cx, call, target.to_string(), flow.target(), times, args.media.dtmf);
    let outcome = conversation.calling(from.uri().to_string(), &flow).run().await;
    agent.stop().await;
    outcome
}

async fn answer(
    args: Args,
    settings: Settings,
    sound: Sound,
    media: &MediaHandle,
    mut agent: Agent,
    cx: &Context,
) -> Result<(), Failure> {
    let mut ids = Ids::from_seed(rand::random());
    for local in agent.local() {
        cx.out.event(Event::Listening {
            protocol: local.protocol.as_str().to_owned(),
            local: local.addr.to_string(),
        });
    }
    let mut sound = Some(sound);
    let outcome = loop {
        let call = tokio::select! {
            biased;
            why = cx.stop.requested() => break Err(why.into()),
            call = agent.incoming() => call,
        };
        let Some(call) = call else { break Err(Failure::new(ExitStatus::Defect, "the endpoint stopped")) };
        let Some(taken) = sound.take() else { break Ok(()) };
        let Some((mut call, request, flow)) = PhoneCall::receive(call, media, taken, &mut ids).await else {
            break Err(Failure::new(ExitStatus::Defect, "the endpoint stopped"));
        };
        let from = request.from().map(|from| from.uri.to_string()).unwrap_or_default();
        cx.out.event(Event::Incoming {
            call_id: call.call_id().to_owned(),
            from: from.clone(),
            target: request.raw_uri().to_owned(),
            remote: flow.remote.to_string(),
        });
        // As a phone does, so that the caller sees both.
        if call.ring().is_err() {
            tracing::debug!("the endpoint is gone already");
        }
        if let Err(error) = call.answer(&mut ids) {
            tracing::warn!("the call from {} cannot be answered: {error}", flow.remote);
            sound = call.into_sound();
            continue;
        }
        let dtmf = args.media.dtmf.clone();
        break Conversation::new(cx, call, from, flow.target(), settings.times, dtmf).answering().run().await;
    };
    agent.stop().await;
    outcome
}

/// `sip:`, `sips:`, `tel:` with the account's domain, or bare `user@host[:port]`.
pub(super) fn target(text: &str, account: &Account) -> Result<UriBuf, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::usage(format_args!("{text} is no address to call: {why}"))
            .hint("write it as sip:bob@example.com or bob@192.0.2.1:5060")
    };
    let has_scheme = ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    // What stands before the first colon of user@host[:port] is no user.
    if !has_scheme && text.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(bad(&"the scheme is not known"));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(bad(&format_args!("the scheme {scheme} is not known")));
    }
    let full = if has_scheme { text.to_owned() } else { format!("sip:{text}") };
    let parsed = UriBuf::parse(&full).map_err(|why| bad(&why))?;
    let view = parsed.as_uri();
    match view.scheme() {
        // RFC 3261 §19.1.5: they are for the request's own header fields, some of which must not be believed.
        Scheme::Sip | Scheme::Sips if view.headers().next().is_some() => {
            let bare = view.without_headers();
            Err(Failure::usage(format_args!("{text} has header fields, which are not taken from an address"))
                .hint(format_args!("say {bare}, and what is wanted with --header")))
        }
        Scheme::Sip | Scheme::Sips => reachable(parsed),
        Scheme::Tel => {
            let own = account.from.as_deref().map(|from| address(from, "--from")).transpose()?;
            let Some(own) = own else {
                return Err(bad(&"a tel: number needs the domain of an account or of --from"));
            };
            let own = own.as_uri();
            let registrar = account.registration.registrar.as_deref();
            let registrar = registrar.map(|text| uri(text, "registrar")).transpose()?;
            // The account is kept where its registrar listens, if that is at the same host.
            let port = own.port().or_else(|| {
                let registrar = registrar.as_ref()?.as_uri();
                registrar.port().filter(|_| registrar.host() == own.host())
            });
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let number = view.user().unwrap_or_default();
            UriBuf::parse(&format!("sip:{number}@{}{port};user=phone", own.host())).map_err(|why| bad(&why))
        }
        Scheme::Other => Err(bad(&"the scheme is not known")),
    }
}

fn reachable(uri: UriBuf) -> Result<UriBuf, Failure> {
    if uri.as_uri().port() == Some(0) {
        return Err(Failure::usage(format_args!("{uri}: nobody listens on port 0")));
    }
    match uri.as_uri().params().value("transport") {
        Some(transport) if Protocol::parse(transport).is_none() => {
            Err(Failure::usage(format_args!("{uri} asks for transport {transport}: {UnknownProtocol}")))
        }
        _ => Ok(uri),
    }
}

/// Where requests go first if not to where the target leads: the proxy, or the target itself over the transport that
/// was asked for. What a URI says of its own transport counts more than the configuration; what a flag says must not
/// contradict it.
pub(super) fn first_hop(
    target: &UriBuf,
    proxy: Option<UriBuf>,
    account: &Account,
) -> Result<Option<UriBuf>, Failure> {
    let Some(transport) = account.transport else { return Ok(proxy) };
    let hop = proxy.unwrap_or_else(|| target.clone());
    let is_secure = hop.as_uri().scheme() == Scheme::Sips;
    if let Some(named) = hop.as_uri().params().value("transport") {
        // With sips the parameter names what is below TLS (RFC 3261 §26.2.2).
        let over = |protocol: Protocol| match protocol {
            Protocol::Tcp if is_secure => Protocol::Tls,
            Protocol::Ws if is_secure => Protocol::Wss,
            protocol => protocol,
        };
        if let Some(named) = Protocol::parse(named)
            && let Some(asked) = account.asked_transport.filter(|&asked| over(asked) != over(named))
        {
            let (asked, named) = (asked.as_param(), named.as_param());
            return Err(Failure::usage(format_args!(
                "--transport {asked} contradicts ;transport={named} of {hop}"
            ))
            .hint("leave out one of them"));
        }
        return Ok(Some(hop));
    }
    if is_secure && transport == Protocol::Udp {
        // What the file says of everybody else does not hold here.
        return match account.asked_transport {
            None => Ok(Some(hop)),
            Some(_) => {
                Err(Failure::usage(format_args!("{hop} is to be reached encrypted, which UDP is not"))
                    .hint("leave out --transport udp, or write sip: if it need not be"))
            }
        };
    }
    // Parameters stand before the headers; of a hop, headers are of no use.
    let text = hop.to_string();
    let host = text.rfind('@').map_or(0, |at| at + 1);
    let end = text[host..].find('?').map_or(text.len(), |at| host + at);
    Ok(UriBuf::parse(&format!("{};transport={}", &text[..end], transport.as_param())).ok().or(Some(hop)))
}

/// What TLS connections are made with: those we open, and if we listen over TLS those we accept.
pub(super) fn security(
    tls: &args::Tls,
    account: &Account,
    answering: bool,
    cx: &Context,
) -> Result<Security, Failure> {
    #[cfg(feature = "tls")]
    {
        let client = super::tls::client(tls, &cx.config, cx.tap())?;
        let listens = answering && account.transport.is_some_and(Protocol::is_secure);
        let server = match listens {
            true => super::tls::server(&tls.as_server(), &cx.config, cx.tap())?,
            false => None,
        };
        if listens && server.is_none() {
            return Err(Failure::usage("listening over TLS takes a certificate").hint("give --tls-cert"));
        }
        Ok(Security { client: Some(client.into()), server: server.map(Into::into) })
    }
    #[cfg(not(feature = "tls"))]
    {
        let _ = (tls, account, answering, cx);
        Ok(Security::default())
    }
}

pub(super) fn uri(text: &str, flag: &str) -> Result<UriBuf, Failure> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Failure::usage(format_args!("{flag} {text}: the scheme {scheme} is not known")));
    }
    let full = if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
        text.to_owned()
    } else {
        format!("sip:{text}")
    };
    let uri = UriBuf::parse(&full).map_err(|why| Failure::usage(format_args!("{flag} {text}: {why}")))?;
    reachable(uri)
}

pub(super) fn address(text: &str, flag: &str) -> Result<AddressBuf, Failure> {
    // Without brackets all of it is a URI: who types an address knows of no parameters of header fields.
    let bracketed = if text.contains('<') { text.to_owned() } else { format!("<{text}>") };
    let known = AddressBuf::parse(&bracketed).or_else(|_| AddressBuf::parse(&format!("<sip:{text}>")));
    known.map_err(|why| Failure::usage(format_args!("{flag} {text}: {why}")))
}

pub(super) fn identity(account: &Account) -> Result<Identity, Failure> {
    let display = account.display_name.clone();
    match &account.from {
        Some(text) => {
            let from = address(text, "--from")?;
            let display = display.or_else(|| from.display().map(str::to_owned));
            Ok(Identity::Address(AddressBuf::new(display.as_deref(), from.uri().clone())))
        }
        None => Ok(Identity::Local { user: login_name(), display }),
    }
}

/// The login name as the user part of a URI.
pub(super) fn login_name() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    if plain.is_empty() { "anonymous".into() } else { plain }
}

pub(super) fn contact_user(account: &Account) -> Option<String> {
    let from = account.from.as_deref().and_then(|from| address(from, "--from").ok());
    let user = from.and_then(|from| from.as_uri().user().map(str::to_owned));
    user.or_else(|| Some(login_name()))
}

fn sound(args: &Args, media: &Media, cx: &Context) -> Result<Sound, Failure> {
    let asked = media.audio.clone();
    let audio = asked.clone().unwrap_or(AudioSpec::Device(None)).open();
    let mut audio: Audio = audio.map_err(|error| Failure::new(ExitStatus::Audio, error))?;
    match (audio.warning.take(), asked) {
        // Asked for by name, so it must be there.
        (Some(warning @ Warning::Silent(_)), Some(_)) => {
            return Err(Failure::new(ExitStatus::Audio, warning));
        }
        // Nobody asked for it, so which devices there are is of no interest.
        (Some(Warning::Silent(OpenError::Unusable { why, .. })), None) => {
            let why = why.to_string();
            let message =
                format!("no usable sound card ({}); silence stands in for it", why.trim_end_matches('.'));
            cx.out.event(Event::Warning { call_id: None, message });
        }
        (Some(warning), _) => {
            cx.out.event(Event::Warning { call_id: None, message: warning.to_string() });
        }
        (None, _) => {}
    }
    let record = match &args.media.record {
        Some(path) => Some(Recorder::create(path).map_err(|error| Failure::new(ExitStatus::Audio, error))?),
        None => None,
    };
    Ok(Sound {
        codecs: codecs(&media.codecs),
        own_order: !media.codecs.is_empty(),
        rtp_ports: media.rtp_ports.map(|ports| ports.first..=ports.last),
        audio,
        record,
    })
}

/// What to offer: the codecs named, or all that are built in.
pub(super) fn codecs(named: &[Codec]) -> Vec<sdp::Codec> {
    let one = |codec: codec::Codec| match codec {
        codec::Codec::Opus => sdp::Codec::OPUS.with_fmtp("useinbandfec=1"),
        codec::Codec::Pcmu => sdp::Codec::PCMU,
        codec::Codec::Pcma => sdp::Codec::PCMA,
    };
    if named.is_empty() {
        return codec::Codec::ALL.into_iter().filter(|codec| codec.is_available()).map(one).collect();
    }
    named.iter().map(|&codec| one(codec.media())).collect()
}

/// Where to bind: what was asked for, or both families at any port.
pub(super) fn listen(account: &Account, answering: bool) -> Vec<Listen> {
    let address = |ip: IpAddr| LocalAddress { ip, port: None };
    let addresses = match account.local {
        Some(local) => vec![(local, true)],
        None => vec![
            (address(Ipv4Addr::UNSPECIFIED.into()), true),
            (address(Ipv6Addr::UNSPECIFIED.into()), false),
        ],
    };
    let protocols = match (answering, account.transport) {
        (true, None) => vec![Protocol::Udp, Protocol::Tcp],
        (true, Some(protocol)) => vec![protocol],
        // Connections are opened from any port; where to listen was said only for those.
        (false, Some(Protocol::Tcp)) if account.local.is_some_and(|local| local.port.is_some()) => {
            vec![Protocol::Udp, Protocol::Tcp]
        }
        (false, _) => vec![Protocol::Udp],
    };
    let mut listen = Vec::new();
    for (address, must) in addresses {
        for &protocol in &protocols {
            let port = match (answering, protocol) {
                (false, _) => 0,
                (true, Protocol::Tls) => 5061,
                (true, Protocol::Udp | Protocol::Tcp) => 5060,
                (true, protocol) => protocol.default_port(),
            };
            listen.push(Listen { target: Target { protocol, addr: address.with_default_port(port) }, must });
        }
    }
    listen
}

pub(super) struct Listen {
    target: Target,
    /// A machine without IPv6 is no reason not to call over IPv4.
    must: bool,
}

pub(super) fn start(
    listen: &[Listen],
    tap: Option<std::sync::Arc<dyn crate::transport::Tap>>,
    resolver: system::Config,
    security: Security,
    config: ua::Config,
) -> Result<Agent, Failure> {
    bind(listen, |listen| {
        let (tap, resolver, security) = (tap.clone(), resolver.clone(), security.clone());
        let builder = Builder { listen, tap, resolver, security, ..Builder::default() };
        Agent::start(builder, config.clone())
    })
}

/// Starts what `try_with` starts on these addresses, without those that need not be.
pub(super) fn bind<T>(
    listen: &[Listen],
    try_with: impl Fn(Vec<Target>) -> Result<T, StartError>,
) -> Result<T, Failure> {
    let all = try_with(listen.iter().map(|listen| listen.target).collect());
    let started = match all {
        Err(StartError::Bind(error)) if listen.iter().any(|l| l.target.addr == error.addr() && !l.must) => {
            tracing::info!("{error}; going on without");
            try_with(listen.iter().filter(|listen| listen.must).map(|listen| listen.target).collect())
        }
        other => other,
    };
    started.map_err(|error| start_failure(&error))
}

/// A socket that cannot be had is a matter of configuration: exit 2.
pub(super) fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Bind(bind @ BindError::InUse { .. }) => Failure::usage(bind)
            .hint("another program uses the port: end it, or choose another with --local or --listen"),
        StartError::Bind(bind) => Failure::usage(bind),
        StartError::Unsupported(protocol) if protocol.is_secure() => {
            Failure::usage(format_args!("listening over {protocol} takes a certificate"))
                .hint("give --tls-cert")
        }
        StartError::Unsupported(_) => Failure::usage(error),
        StartError::NoAddress | StartError::Thread(_) => Failure::new(ExitStatus::Defect, error),
    }
}

fn ports_failure(error: &crate::endpoint::media::PortError, ports: Option<PortRange>) -> Failure {
    let failure = Failure::usage(format_args!("no media port: {error}"));
    if ports.is_some() { failure.hint("widen --rtp-ports") } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_is_that_of_the_first_hop() {
        let uri = |text: &str| UriBuf::parse(text).expect("a URI");
        let table = [
            ("sip:b@h", None, None, None),
            ("sip:b@h", None, Some(Protocol::Tcp), Some("sip:b@h;transport=tcp")),
            ("sip:b@h?Subject=x", None, Some(Protocol::Tls), Some("sip:b@h;transport=tls")),
            ("sip:b?c@h:5080;lr", None, Some(Protocol::Wss), Some("sip:b?c@h:5080;lr;transport=wss")),
            ("sip:b@h;transport=udp", None, Some(Protocol::Tcp), Some("sip:b@h;transport=udp")),
            ("sips:b@h", None, Some(Protocol::Udp), Some("sips:b@h")),
            ("sips:b@h;transport=tcp", None, Some(Protocol::Tls), Some("sips:b@h;transport=tcp")),
            ("sip:b@h", Some("sip:p"), None, Some("sip:p")),
            ("sip:b@h", Some("sip:p:5070"), Some(Protocol::Ws), Some("sip:p:5070;transport=ws")),
        ];
        for (target, proxy, transport, expected) in table {
            let account = Account { transport, ..Account::default() };
            let hop = first_hop(&uri(target), proxy.map(uri), &account).expect("no contradiction");
            assert_eq!(hop.map(|hop| hop.to_string()).as_deref(), expected, "{target} {transport:?}");
        }
        // What was asked for on the command line is not left out without a word.
        let asked = |target: &str, transport| {
            let account = Account {
                transport: Some(transport),
                asked_transport: Some(transport),
                ..Account::default()
            };
            first_hop(&uri(target), None, &account).map_err(|failure| failure.to_string())
        };
        assert_eq!(
            asked("sip:b@h;transport=udp", Protocol::Tcp),
            Err("--transport tcp contradicts ;transport=udp of sip:b@h;transport=udp; leave out one of them"
                .into())
        );
        assert!(asked("sips:b@h", Protocol::Udp).is_err_and(|told| told.contains("encrypted")));
        for (target, transport) in [
            ("sip:b@h;transport=tcp", Protocol::Tcp),
            ("sips:b@h;transport=tcp", Protocol::Tls),
            ("sips:b@h;transport=ws", Protocol::Wss),
            ("sips:b@h", Protocol::Tcp),
        ] {
            assert!(asked(target, transport).is_ok(), "{target}");
        }
    }

    #[test]
    fn numbers_are_called_where_the_account_is() {
        let call = |from: &str, registrar: Option<&str>| {
            let mut account = Account { from: Some(from.into()), ..Account::default() };
            account.registration.registrar = registrar.map(str::to_owned);
            target("tel:+4930123456", &account).expect("an address").to_string()
        };
        for (from, registrar, expected) in [
            ("sip:a@example.com", None, "sip:+4930123456@example.com;user=phone"),
            ("sip:a@example.com:5070", None, "sip:+4930123456@example.com:5070;user=phone"),
            (
                "sip:a@example.com",
                Some("sip:example.com:5080"),
                "sip:+4930123456@example.com:5080;user=phone",
            ),
            ("sip:a@example.com", Some("sip:reg.example.net:5080"), "sip:+4930123456@example.com;user=phone"),
        ] {
            assert_eq!(call(from, registrar), expected, "{from} {registrar:?}");
        }
    }

    #[test]
    fn there_is_one_call_at_a_time() {
        let config = one_call(&Account::default(), true);
        assert_eq!((config.calls, config.incoming_calls), (1, true));
        assert!(!one_call(&Account::default(), false).incoming_calls);
    }
}
