//! SIP over WebSocket (RFC 7118): the handshakes of both sides with the subprotocol `sip`, and the task that carries
//! messages once it is made.
//!
//! One WebSocket message is one SIP message, as text if it is UTF-8 and else binary; both are taken. Keep-alives of
//! ours are Ping frames (RFC 6455 §5.5.2); line ends that clients send instead are answered in kind. Answers go back
//! on the connection or nowhere: nobody can connect to a client.

use std::{fmt, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        client::IntoClientRequest,
        handshake::{
            machine::TryParse,
            server::{Request, create_response, write_response},
        },
        http::{HeaderMap, HeaderValue},
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    FlowError, WebSocketError,
    stream::{Event, Events, Outgoing, Times, Waiting},
};
use crate::{
    message::{Frame, FrameError, Limits, websocket},
    util::slab::Key,
};

/// Makes the handshake of a client with `authority`, a host with perhaps a port.
pub async fn connect<S>(
    stream: S,
    authority: &str,
    secure: bool,
    limits: &Limits,
) -> Result<WebSocketStream<S>, FlowError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let scheme = if secure { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{authority}/")
        .into_client_request()
        .map_err(|_| FlowError::WebSocket(WebSocketError::Protocol))?;
    request.headers_mut().insert(PROTOCOL, HeaderValue::from_static(SIP));
    let (socket, response) =
        client_async_with_config(request, stream, Some(config(limits))).await.map_err(refused)?;
    if !speaks_sip(response.headers()) {
        return Err(FlowError::WebSocket(WebSocketError::NoSubprotocol));
    }
    Ok(socket)
}

/// Makes the handshake of a server. A client that does not offer the subprotocol is refused (RFC 7118 §4.1), as is who
/// wants no WebSocket at all: with an answer that says what is wanted, since people open such ports in browsers.
pub async fn accept<S>(mut stream: S, limits: &Limits) -> Result<WebSocketStream<S>, FlowError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = BytesMut::with_capacity(1 << 10);
    let asked = loop {
        let before = read.len();
        match stream.read_buf(&mut read).await {
            Ok(0) => return Err(FlowError::Lost),
            Ok(_) => {}
            Err(error) => return Err(error.kind().into()),
        }
        // A head ends with a line: read once a line, not once an octet.
        if !read[before..].contains(&b'\n') && read.len() < MOST_HEAD {
            continue;
        }
        match Request::try_parse(&read) {
            Ok(Some((length, request))) => break Ok((read.split_off(length), request)),
            Ok(None) if read.len() < MOST_HEAD => {}
            Ok(None) | Err(_) => {
                break Err(Refusal { status: "400 Bad Request", why: "this is no HTTP request" });
            }
        }
    };
    let answered = asked.and_then(|(rest, request)| Ok((rest, answer(&request)?)));
    let (rest, head) = match answered {
        Ok(answered) => answered,
        Err(refusal) => {
            tracing::debug!(refusal.why, "WebSocket handshake");
            // Who does not take it is refused all the same.
            let _ = stream.write_all(refusal.to_string().as_bytes()).await;
            let _ = stream.shutdown().await;
            return Err(FlowError::WebSocket(WebSocketError::Protocol));
        }
    };
    let written = async {
        stream.write_all(&head).await?;
        stream.flush().await
    };
    written.await.map_err(|error: std::io::Error| FlowError::from(error.kind()))?;
    Ok(WebSocketStream::from_partially_read(stream, rest.into(), Role::Server, Some(config(limits))).await)
}

/// The head of the response that makes a WebSocket of a connection (RFC 6455 §4.2.2).
fn answer(request: &Request) -> Result<Vec<u8>, Refusal> {
    use tungstenite::{Error, error::ProtocolError};
    let mut response = create_response(request).map_err(|error| match error {
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => Refusal { status: UPGRADE, why: "SIP is spoken here over WebSocket (RFC 7118), not HTTP" },
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            Refusal { status: UPGRADE, why: "version 13 of WebSocket is wanted" }
        }
        _ => Refusal { status: "400 Bad Request", why: "this is no handshake of WebSocket (RFC 6455)" },
    })?;
    if !speaks_sip(request.headers()) {
        return Err(Refusal { status: "400 Bad Request", why: "the subprotocol sip is wanted (RFC 7118)" });
    }
    response.headers_mut().insert(PROTOCOL, HeaderValue::from_static(SIP));
    let mut head = Vec::new();
    write_response(&mut head, &response)
        .map_err(|_| Refusal { status: "500 Internal Server Error", why: "there is no answer" })?;
    Ok(head)
}

/// Why a client gets no WebSocket.
struct Refusal {
    status: &'static str,
    why: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, why } = self;
        write!(f, "HTTP/1.1 {status}\r\n")?;
        if *status == UPGRADE {
            // RFC 9110 §15.5.22, RFC 6455 §4.4.
            write!(f, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n")?;
        } else {
            write!(f, "Connection: close\r\n")?;
        }
        let length = why.len() + 1;
        write!(f, "Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{why}\n")
    }
}

/// Carries messages until either side ends, as [`super::stream::run`] does.
pub async fn run<S>(
    socket: WebSocketStream<S>,
    limits: Limits,
    times: Times,
    outgoing: Outgoing,
    key: Key,
    events: &Events,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, stream) = socket.split();
    let waiting = outgoing.waiting();
    let mut writing = pin!(write(sink, outgoing, times.stall));
    let (why, is_written) = tokio::select! {
        why = read(stream, &limits, &waiting, key, events) => (why, false),
        written = &mut writing => (written.err().unwrap_or(FlowError::Lost), true),
    };
    // Nobody to tell means that the owner is gone too.
    let _ = events.send((key, Event::Closed(why))).await;
    if !is_written {
        let _ = writing.await;
    }
}

async fn read<R>(mut stream: R, limits: &Limits, waiting: &Waiting, key: Key, events: &Events) -> FlowError
where
    R: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    loop {
        waiting.ease().await;
        let bytes: Bytes = match stream.next().await {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Pong(_))) => {
                if events.send((key, Event::Frame(Frame::Pong))).await.is_err() {
                    return FlowError::Lost;
                }
                continue;
            }
            // Pings are answered below us.
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return FlowError::Lost,
            Some(Err(error)) => {
                tracing::debug!(%error, "WebSocket");
                return FlowError::Lost;
            }
        };
        let event = if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            Event::Frame(if bytes.len() > 2 { Frame::Ping } else { Frame::Pong })
        } else {
            match websocket(bytes.clone(), limits) {
                Ok(message) => Event::Frame(Frame::Message(Box::new(message))),
                Err(error) => Event::Malformed(FrameError::Malformed { error, bytes }),
            }
        };
        if events.send((key, event)).await.is_err() {
            return FlowError::Lost;
        }
    }
}

async fn write<W>(mut sink: W, mut outgoing: Outgoing, stall: Duration) -> Result<(), FlowError>
where
    W: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    while let Some(bytes) = outgoing.next().await {
        let length = bytes.len();
        settle(timeout(stall, sink.feed(frame(bytes))).await)?;
        outgoing.done(1, length);
        if outgoing.is_empty() {
            settle(timeout(stall, sink.flush()).await)?;
        }
    }
    settle(timeout(stall, sink.close()).await)
}

/// A ping of ours becomes WebSocket's own; everything else is a message.
fn frame(bytes: Bytes) -> Message {
    if &bytes[..] == b"\r\n\r\n" {
        return Message::Ping(Bytes::new());
    }
    match Utf8Bytes::try_from(bytes.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(bytes),
    }
}

fn settle(
    written: Result<Result<(), tungstenite::Error>, tokio::time::error::Elapsed>,
) -> Result<(), FlowError> {
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "WebSocket");
            Err(FlowError::Lost)
        }
        Err(_) => {
            tracing::debug!("the peer does not read: connection closed");
            Err(FlowError::TimedOut)
        }
    }
}

/// No more is held than the longest message takes, and little while there is none.
fn config(limits: &Limits) -> WebSocketConfig {
    let most = limits.head.min(Limits::MAX_HEAD).saturating_add(limits.body);
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
        .max_write_buffer_size(super::stream::QUEUE_OCTETS + (1 << 10))
        .max_message_size(Some(most))
        .max_frame_size(Some(most))
}

/// Why there is no WebSocket.
fn refused(error: tungstenite::Error) -> FlowError {
    tracing::debug!(%error, "WebSocket handshake");
    match error {
        tungstenite::Error::Http(response) => {
            FlowError::WebSocket(WebSocketError::Refused { status: response.status().as_u16() })
        }
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::SecWebSocketSubProtocolError(_)) => {
            FlowError::WebSocket(WebSocketError::NoSubprotocol)
        }
        tungstenite::Error::Io(error) => error.kind().into(),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => FlowError::Lost,
        _ => FlowError::WebSocket(WebSocketError::Protocol),
    }
}

/// Whether `sip` is among the subprotocols named.
fn speaks_sip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(SIP))
}

const PROTOCOL: &str = "sec-websocket-protocol";
const SIP: &str = "sip";
const UPGRADE: &str = "426 Upgrade Required";
/// Octets of a request's head at most.
const MOST_HEAD: usize = 8 << 10;
