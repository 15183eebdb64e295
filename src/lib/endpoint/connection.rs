//! One connection from its first packet to its last: opened or accepted, TLS and WebSocket made over it, and then
//! messages carried until it ends. It runs as a task of the shard and tells it everything in events.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};

#[cfg(feature = "tls")]
use crate::transport::tls::{ClientTls, ServerTls, TlsError, Verification, identity::Name};
use crate::{
    message::{Limits, Side},
    transport::{
        FlowError, Protocol, Tap,
        stream::{self, Event, Events, Outgoing, Times, Watched},
    },
    util::slab::Key,
};

/// What TLS connections are made with. One that is missing is not made: connections of that kind are not available.
#[derive(Clone, Default)]
pub struct Security {
    /// For those we open.
    #[cfg(feature = "tls")]
    pub client: Option<Arc<ClientTls>>,
    /// For those we accept.
    #[cfg(feature = "tls")]
    pub server: Option<Arc<ServerTls>>,
}

impl Security {
    /// Whether connections of this protocol can be opened.
    pub(super) fn can_open(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Udp => false,
            Protocol::Tcp => true,
            #[cfg(feature = "tls")]
            Protocol::Tls => self.client.is_some(),
            #[cfg(all(feature = "tls", feature = "ws"))]
            Protocol::Wss => self.client.is_some(),
            #[cfg(feature = "ws")]
            Protocol::Ws => true,
            #[allow(unreachable_patterns)] // with all features nothing is left
            _ => false,
        }
    }

    /// Whether the connections we open show a certificate to who asks for one.
    pub(super) fn shows_certificate(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.client.as_ref().is_some_and(|client| client.shows_certificate());
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Whether connections of this protocol can be accepted.
    pub(super) fn can_accept(&self, protocol: Protocol) -> bool {
        match protocol {
            #[cfg(feature = "tls")]
            Protocol::Tls => self.server.is_some(),
            #[cfg(all(feature = "tls", feature = "ws"))]
            Protocol::Wss => self.server.is_some(),
            protocol => self.can_open(protocol),
        }
    }
}

/// What all connections of a shard have in common.
#[derive(Clone)]
pub(super) struct Common {
    pub limits: Limits,
    pub times: Times,
    pub security: Security,
    pub tap: Option<Arc<dyn Tap>>,
    pub events: Events,
}

/// How a connection begins.
pub(super) enum Start {
    Accepted(TcpStream, SocketAddr),
    /// From this address, if not from any, to that one; TLS wants a certificate for the domain, and WebSocket names it.
    Open {
        from: Option<IpAddr>,
        to: SocketAddr,
        domain: Arc<str>,
    },
}

/// Lives as long as the connection.
pub(super) async fn live(key: Key, protocol: Protocol, start: Start, common: Common, outgoing: Outgoing) {
    let events = common.events.clone();
    let times = common.times;
    // The time limit is one for all that has to happen before the first message.
    let (side, domain, opening) = match start {
        Start::Accepted(stream, remote) => (Side::Accepted, "".into(), Opening::Done(stream, remote)),
        Start::Open { from, to, domain } => (Side::Opened, domain, Opening::To(from, to)),
    };
    // Boxed, because what a handshake takes is of no use to a connection that idles for hours.
    let until = Instant::now() + times.open;
    let made = timeout_at(until, Box::pin(make(protocol, side, &domain, opening, until, &common))).await;
    let made = made.unwrap_or(Err(FlowError::TimedOut));
    let (made, local, remote, names) = match made {
        Ok(made) => made,
        Err(why) => {
            tracing::debug!(%why, "no connection");
            // An owner who is gone needs no telling.
            let _ = events.send((key, Event::Closed(why))).await;
            return;
        }
    };
    if events.send((key, Event::Opened { local, remote, names })).await.is_err() {
        return;
    }
    let limits = common.limits;
    match made {
        Made::Stream(stream) => stream::run(stream, side, limits, times, outgoing, key, &events).await,
        #[cfg(feature = "ws")]
        Made::WebSocket(socket) => {
            let run = crate::transport::ws::run(*socket, limits, times, outgoing, key, &events);
            Box::pin(run).await;
        }
    }
}

enum Opening {
    Done(TcpStream, SocketAddr),
    To(Option<IpAddr>, SocketAddr),
}

/// Any stream: there are four kinds, and which one it is makes no difference any more.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

enum Made {
    Stream(Box<dyn Stream>),
    #[cfg(feature = "ws")]
    WebSocket(Box<tokio_tungstenite::WebSocketStream<Box<dyn Stream>>>),
}

async fn make(
    protocol: Protocol,
    side: Side,
    domain: &str,
    opening: Opening,
    until: Instant,
    common: &Common,
) -> Result<(Made, SocketAddr, SocketAddr, Names), FlowError> {
    let (stream, remote) = match opening {
        Opening::Done(stream, remote) => (stream, remote),
        Opening::To(from, to) => (stream::open(from, to).await?, to),
    };
    stream::prepare(&stream);
    let local = stream.local_addr().map_err(|_| FlowError::Lost)?;
    let stream = Watched::new(stream, protocol, side, (local, remote), common.tap.clone());
    let (stream, names): (Box<dyn Stream>, _) = if protocol.is_secure() {
        secure(stream, side, domain, remote, until, &common.security).await?
    } else {
        (Box::new(stream), Names::default())
    };
    let made = match protocol {
        #[cfg(feature = "ws")]
        Protocol::Ws | Protocol::Wss => {
            use crate::transport::ws;
            let socket = match side {
                Side::Opened => {
                    let authority = authority(domain, remote, protocol);
                    ws::connect(stream, &authority, protocol.is_secure(), &common.limits).await
                }
                Side::Accepted => ws::accept(stream, &common.limits).await,
            };
            Made::WebSocket(Box::new(socket?))
        }
        _ => Made::Stream(stream),
    };
    Ok((made, local, remote, names))
}

/// Whom the certificate of a client names that has shown a good one (RFC 5922 §7.1).
type Names = Box<[Arc<str>]>;

#[cfg(feature = "tls")]
async fn secure(
    stream: Watched<TcpStream>,
    side: Side,
    domain: &str,
    remote: SocketAddr,
    until: Instant,
    security: &Security,
) -> Result<(Box<dyn Stream>, Names), FlowError> {
    let unsupported = FlowError::Unsupported(Protocol::Tls);
    let tls = |error| FlowError::Tls(Box::new(error));
    // A moment before the limit of the whole: who has connected and says nothing has a name of its own.
    let until = until - MOMENT;
    let silent = |_| tls(TlsError::Silent);
    let (stream, session): (Box<dyn Stream>, _) = match side {
        Side::Opened => {
            let client = security.client.as_ref().ok_or(unsupported)?;
            let (stream, session) =
                timeout_at(until, client.connect(domain, stream)).await.map_err(silent)?.map_err(tls)?;
            (Box::new(stream), session)
        }
        Side::Accepted => {
            let server = security.server.as_ref().ok_or(unsupported)?;
            let (stream, session) =
                timeout_at(until, server.accept(stream)).await.map_err(silent)?.map_err(tls)?;
            (Box::new(stream), session)
        }
    };
    tracing::info!("{remote}: {session}");
    let names = match (&session.verification, &session.peer) {
        (Verification::Client, Some(peer)) => peer.names.counting(),
        _ => Vec::new(),
    };
    let names = names.iter().filter_map(Name::host).map(|host| host.to_ascii_lowercase().into());
    Ok((stream, names.take(MOST_NAMES).collect()))
}

#[cfg(not(feature = "tls"))]
async fn secure(
    _: Watched<TcpStream>,
    _: Side,
    _: &str,
    _: SocketAddr,
    _: Instant,
    _: &Security,
) -> Result<(Box<dyn Stream>, Names), FlowError> {
    Err(FlowError::Unsupported(Protocol::Tls))
}

/// Host and port as HTTP names them (RFC 6455 §4.1).
#[cfg(feature = "ws")]
fn authority(domain: &str, remote: SocketAddr, protocol: Protocol) -> String {
    let host = match domain.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) if domain.is_empty() => return remote.to_string(),
        Err(_) => domain.to_owned(),
    };
    if remote.port() == protocol.default_port() { host } else { format!("{host}:{}", remote.port()) }
}

/// Names of one certificate that are remembered at most.
#[cfg(feature = "tls")]
const MOST_NAMES: usize = 8;
#[cfg(feature = "tls")]
const MOMENT: std::time::Duration = std::time::Duration::from_millis(20);
