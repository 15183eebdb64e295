//! HTTP/1.1 as XCAP needs it (feature `xcap`): one request after the other, each over a connection of its own, TLS
//! judged by the rules of HTTP. Everything a server sends is bounded: header fields to 64 KiB, a body to
//! [`MAX_BODY`], and the whole exchange by one deadline, so that neither endless nor slow answers hold it.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::{Body, Bytes},
    client::conn::http1,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::octets::Octets;
#[cfg(feature = "tls")]
use crate::transport::tls::{ClientTls, TlsError};
use crate::{
    auth,
    resolve::{Query, QueryError, Records, system::Resolver},
    xcap::{Answer, Exchange, Refusal, Request, Response, Step, Url},
};

/// Sends requests of XCAP.
pub struct HttpClient {
    /// Who knows names.
    pub resolver: Resolver,
    /// For https; made for the web ([`ClientTls::for_web`]). Without it only http can be asked.
    #[cfg(feature = "tls")]
    pub tls: Option<Arc<ClientTls>>,
    /// How long an exchange may take, challenges and redirections included.
    pub within: Duration,
}

impl HttpClient {
    /// Sends a request, answers challenges with `auth`, follows redirections, and gives the final answer.
    pub async fn exchange(
        &self,
        auth: &mut auth::Client,
        request: Request,
    ) -> Result<Result<Answer, Refusal>, HttpError> {
        let until = Instant::now() + self.within;
        let (mut exchange, mut next) = Exchange::start(auth, request);
        loop {
            let response = self.send(&next, until).await?;
            tracing::info!("{} {}: {}", next.method, next.url, response.code);
            match exchange.answered(response, &mut rand::random) {
                Step::Send(again) => next = again,
                Step::Done(done) => return Ok(done),
            }
        }
    }

    async fn send(&self, request: &Request, until: Instant) -> Result<Response, HttpError> {
        let url = &request.url;
        let sent = async {
            let stream = self.connect(url).await?;
            if !url.is_secure() {
                return speak(stream, request).await;
            }
            #[cfg(feature = "tls")]
            if let Some(tls) = &self.tls {
                let remote = stream.peer_addr().map_err(HttpError::Broken)?;
                let (stream, session) = tls
                    .connect(url.host(), stream)
                    .await
                    .map_err(|error| HttpError::Tls { remote, error: Box::new(error) })?;
                tracing::info!("TLS {}, {}", session.version, session.cipher);
                return speak(stream, request).await;
            }
            Err(HttpError::NoTls)
        };
        timeout_at(until, sent)
            .await
            .unwrap_or_else(|_| Err(HttpError::TimedOut { host: url.authority(), within: self.within }))
    }

    /// One address after the other, until one takes the connection.
    async fn connect(&self, url: &Url) -> Result<TcpStream, HttpError> {
        let mut last = None;
        for ip in self.addresses(url.host()).await? {
            let address = SocketAddr::new(ip, url.port());
            tracing::debug!("connecting to {address}");
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some((address, error)),
                Err(_) => last = Some((address, io::ErrorKind::TimedOut.into())),
            }
        }
        match last {
            Some((address, error)) => Err(HttpError::Unreachable { address, error }),
            None => Err(HttpError::NoAddress(url.host().to_owned())),
        }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, HttpError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let query = Query::Addresses { name: host.into() };
        match self.resolver.answer(&query, LOOKUP).await {
            Ok(answer) => match answer.records {
                Records::Addresses(addresses) => Ok(addresses),
                Records::Naptr(_) | Records::Srv(_) => Ok(Vec::new()),
            },
            Err(error) => Err(HttpError::Lookup { host: host.to_owned(), error }),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The name is not known.
    #[error("{host}: {error}")]
    Lookup {
        /// The name.
        host: String,
        /// What came of it.
        error: QueryError,
    },
    /// The name is known and has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// No connection, not even to the last address.
    #[error("{address}/tcp: {error}")]
    Unreachable {
        /// The last address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The handshake failed, or the certificate is not trusted.
    #[cfg(feature = "tls")]
    #[error("{remote}/tls: {error}")]
    Tls {
        /// The server.
        remote: SocketAddr,
        /// Why.
        error: Box<TlsError>,
    },
    /// This program speaks no TLS.
    #[error("https needs the feature tls, which this program was built without")]
    NoTls,
    /// The deadline passed.
    #[error("no whole answer from {host} within {within:?}")]
    TimedOut {
        /// The server.
        host: String,
        /// How long it had.
        within: Duration,
    },
    /// The body is larger than it may be.
    #[error("the answer is larger than {MAX_BODY} octets")]
    TooLarge,
    /// What came is no HTTP, or ended too early.
    #[error("the answer cannot be read: {0}")]
    NotHttp(String),
    /// The request cannot be written as HTTP.
    #[error("the request cannot be written: {0}")]
    Request(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
}

async fn speak<S>(stream: S, request: &Request) -> Result<Response, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let unreadable = |error: hyper::Error| HttpError::NotHttp(error.to_string());
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake::<_, Full<Bytes>>(Octets(stream))
        .await
        .map_err(unreadable)?;
    let connection = std::pin::pin!(connection);
    let asked = async {
        let response = sender.send_request(written(request)?).await.map_err(unreadable)?;
        let code = response.status().as_u16();
        let reason = response.extensions().get::<hyper::ext::ReasonPhrase>();
        let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
        let reason = reason.or_else(|| response.status().canonical_reason().map(str::to_owned));
        let fields = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let fields = fields.collect();
        if response.body().size_hint().lower() > MAX_BODY as u64 {
            return Err(HttpError::TooLarge);
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => HttpError::TooLarge,
            None => HttpError::NotHttp(error.to_string()),
        })?;
        Ok(Response { code, reason: reason.unwrap_or_default(), fields, body: body.to_bytes().into() })
    };
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        answer = &mut asked => answer,
        // The connection may end with the last octet of the answer, which is then there to be read.
        _ = connection => asked.await,
    }
}

fn written(request: &Request) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let mut builder = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(request.url.target())
        .header("Host", request.url.authority())
        .header("User-Agent", concat!("sipkit/", env!("CARGO_PKG_VERSION")))
        .header("Connection", "close");
    for (name, value) in &request.fields {
        builder = builder.header(*name, value.as_str());
    }
    let body = Full::new(Bytes::copy_from_slice(&request.body));
    builder.body(body).map_err(|error| HttpError::Request(error.to_string()))
}

/// Octets of a body: what the documents may have at most.
pub const MAX_BODY: usize = 1 << 20;
/// Octets of status line and header fields.
const MAX_HEAD: usize = 64 << 10;
const CONNECT: Duration = Duration::from_secs(5);
const LOOKUP: Duration = Duration::from_secs(5);
