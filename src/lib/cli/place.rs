//! What `sip-call` does: finds out whom to call and with which sound, starts the endpoint, and runs the call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{
    auth::{self, Login},
    endpoint::{
        Builder, StartError,
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
    transport::{Target, udp::BindError},
    ua,
    util::id::Ids,
};

use super::{
    Context, Event, ExitStatus, Failure,
    account::{Account, Media},
    call::{Args, Settings},
    conversation::{self, Conversation},
    event::milliseconds,
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
    let listen = listen(settings.account.local, target.is_none());
    let resolver = settings.account.resolver.clone();
    let agent = start(&listen, tap, resolver, one_call(&settings.account, target.is_none()))?;
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
    let dial = Dial {
        target: target.clone(),
        from: identity(&account)?,
        proxy,
        auth: auth::Client::new(logins(&account)),
        headers: args.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
    };
    let begun = std::time::Instant::now();
    let dialled = tokio::select! {
        biased;
        dialled = PhoneCall::dial(&agent, media, dial, sound, &mut ids) => dialled,
        why = cx.stop.requested() => return Err(why.into()),
    };
    let (call, from, flow) = dialled.map_err(|error| match error {
        DialError::Route(why) => conversation::failure(&why),
        DialError::Port(error) => ports_failure(&error, settings.media.rtp_ports),
        DialError::Identity => {
            Failure::usage("our own address cannot be written as a SIP URI").hint("give --from")
        }
        DialError::Endpoint(error) => Failure::new(ExitStatus::Defect, error),
    })?;
    let reason = if account.local.is_some() { "--local" } else { "the route" };
    tracing::info!("requests go to {}, from {} ({reason} says so)", flow.target(), flow.local);
    cx.out.summary(|summary| summary.timings.resolve_ms = Some(milliseconds(begun.elapsed())));
    cx.out.event(Event::Calling {
        call_id: call.call_id().to_owned(),
        from: from.uri().to_string(),
        target: target.to_string(),
        local: Some(flow.local.to_string()),
        remote: Some(flow.remote.to_string()),
    });
    let outcome =
        Conversation::new(cx, call, target.to_string(), flow.target(), times, args.media.dtmf).run().await;
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
fn target(text: &str, account: &Account) -> Result<UriBuf, Failure> {
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
    let full = if has_scheme { text.to_owned() } else { format!("sip:{text}") };
    let uri = UriBuf::parse(&full).map_err(|why| bad(&why))?;
    let view = uri.as_uri();
    match view.scheme() {
        Scheme::Sip => reachable(uri),
        Scheme::Tel => {
            let own = account.from.as_deref().map(|from| address(from, "--from")).transpose()?;
            let Some(own) = own else {
                return Err(bad(&"a tel: number needs the domain of an account or of --from"));
            };
            let host = own.as_uri().host().to_string();
            let number = view.user().unwrap_or_default();
            UriBuf::parse(&format!("sip:{number}@{host};user=phone")).map_err(|why| bad(&why))
        }
        Scheme::Sips => Err(Failure::usage(format_args!("{text} asks for TLS, which there is not yet"))
            .hint("use sip: if the network in between is trusted")),
        Scheme::Other => Err(bad(&"the scheme is not known")),
    }
}

/// Only UDP there is.
fn reachable(uri: UriBuf) -> Result<UriBuf, Failure> {
    match uri.as_uri().params().value("transport") {
        Some(transport) if !transport.eq_ignore_ascii_case("udp") => Err(Failure::usage(format_args!(
            "{uri} asks for transport {transport}; UDP is the only one there is yet"
        ))),
        _ => Ok(uri),
    }
}

fn uri(text: &str, flag: &str) -> Result<UriBuf, Failure> {
    let full = if text.contains(':') && text.split(':').next().is_some_and(|s| s.eq_ignore_ascii_case("sip"))
    {
        text.to_owned()
    } else {
        format!("sip:{text}")
    };
    let uri = UriBuf::parse(&full).map_err(|why| Failure::usage(format_args!("{flag} {text}: {why}")))?;
    reachable(uri)
}

fn address(text: &str, flag: &str) -> Result<AddressBuf, Failure> {
    let known = AddressBuf::parse(text).or_else(|_| AddressBuf::parse(&format!("sip:{text}")));
    known.map_err(|why| Failure::usage(format_args!("{flag} {text}: {why}")))
}

fn identity(account: &Account) -> Result<Identity, Failure> {
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
fn login_name() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    if plain.is_empty() { "anonymous".into() } else { plain }
}

fn contact_user(account: &Account) -> Option<String> {
    let from = account.from.as_deref().and_then(|from| address(from, "--from").ok());
    let user = from.and_then(|from| from.as_uri().user().map(str::to_owned));
    user.or_else(|| Some(login_name()))
}

fn logins(account: &Account) -> Vec<Login> {
    let login = |credentials: &super::account::Credentials| {
        Login::new(credentials.user.clone(), credentials.password.reveal())
    };
    account.credentials.iter().map(login).collect()
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
fn listen(local: Option<LocalAddress>, answering: bool) -> Vec<Listen> {
    let port = if answering { 5060 } else { 0 };
    match local {
        Some(local) => vec![Listen { addr: local.with_default_port(port), must: true }],
        None => vec![
            Listen { addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), must: true },
            Listen { addr: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port), must: false },
        ],
    }
}

struct Listen {
    addr: SocketAddr,
    /// A machine without IPv6 is no reason not to call over IPv4.
    must: bool,
}

fn start(
    listen: &[Listen],
    tap: Option<std::sync::Arc<dyn crate::transport::Tap>>,
    resolver: system::Config,
    config: ua::Config,
) -> Result<Agent, Failure> {
    let try_with = |listen: Vec<SocketAddr>| {
        let listen = listen.into_iter().map(Target::udp).collect();
        let builder = Builder { listen, tap: tap.clone(), resolver: resolver.clone(), ..Builder::default() };
        Agent::start(builder, config.clone())
    };
    let all = try_with(listen.iter().map(|listen| listen.addr).collect());
    let started = match all {
        Err(StartError::Bind(error)) if listen.iter().any(|l| l.addr == error.addr() && !l.must) => {
            tracing::info!("{error}; going on without");
            try_with(listen.iter().filter(|listen| listen.must).map(|listen| listen.addr).collect())
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
        StartError::NoAddress | StartError::Thread(_) | StartError::Unsupported(_) => {
            Failure::new(ExitStatus::Defect, error)
        }
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
    fn there_is_one_call_at_a_time() {
        let config = one_call(&Account::default(), true);
        assert_eq!((config.calls, config.incoming_calls), (1, true));
        assert!(!one_call(&Account::default(), false).incoming_calls);
    }
}
