//! A page of text on request, over HTTP/1.1: what a program tells of itself to who watches it.
//!
//! Few connections at a time ([`PLACES`]), a request each, and all of it within [`WITHIN`]: who connects and says nothing
//! takes a place for that long, and nobody else waits for him but those after the last place. Nothing here touches a
//! shard; if the page itself is not made within [`MADE`] the answer is 503.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, task::Poll, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use tokio::{net::TcpListener, time::timeout};

use crate::transport::{stream, udp::BindError};

use super::octets::Octets;

/// Listens for those who want the page.
pub struct Page {
    listener: TcpListener,
    local: SocketAddr,
    path: &'static str,
    content_type: &'static str,
}

impl Page {
    /// Binds to `addr`; port 0 takes a free one. `path` is where the page is, such as `/metrics`.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO enabled.
    pub fn bind(addr: SocketAddr, path: &'static str, content_type: &'static str) -> Result<Self, BindError> {
        let failed = |source| BindError::Failed { addr, source };
        let listener = TcpListener::from_std(stream::listen(addr)?).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local, path, content_type })
    }

    /// The address bound.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Answers requests for ever. `make` makes the page, `None` if it cannot be made.
    pub async fn serve<F, Fut>(&self, make: F) -> Infallible
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Option<String>>,
    {
        let place = async || -> Infallible {
            loop {
                match self.listener.accept().await {
                    Ok((stream, remote)) => {
                        let service = service_fn(async |request: Request<Incoming>| {
                            Ok::<_, Infallible>(self.answer(&request, &make).await)
                        });
                        let connection = http1::Builder::new()
                            .keep_alive(false)
                            .max_buf_size(MOST_OCTETS)
                            .serve_connection(Octets(stream), service);
                        match timeout(WITHIN, connection).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%remote, %error, "page"),
                            Err(_) => tracing::debug!(%remote, "page: too slow"),
                        }
                    }
                    // Out of descriptors, most likely: they do not come back by asking again at once.
                    Err(_) => tokio::time::sleep(BREATH).await,
                }
            }
        };
        let mut places: Vec<Pin<Box<dyn Future<Output = Infallible> + '_>>> = Vec::with_capacity(PLACES);
        places.extend((0..PLACES).map(|_| Box::pin(place()) as Pin<Box<dyn Future<Output = _>>>));
        std::future::poll_fn(|cx| {
            for place in &mut places {
                if let Poll::Ready(never) = place.as_mut().poll(cx) {
                    match never {}
                }
            }
            Poll::Pending
        })
        .await
    }

    async fn answer<F, Fut>(&self, request: &Request<Incoming>, make: &F) -> Response<Full<Bytes>>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Option<String>>,
    {
        let path = request.uri().path();
        if path != self.path && path != "/" {
            return text(StatusCode::NOT_FOUND, format!("There is only {}.\n", self.path));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n".into());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        if path == "/" {
            return text(StatusCode::OK, format!("The figures are at {}.\n", self.path));
        }
        match timeout(MADE, make()).await {
            Ok(Some(page)) => {
                let mut page = text(StatusCode::OK, page);
                page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
                page
            }
            Ok(None) | Err(_) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "The program is too busy to tell.\n".into())
            }
        }
    }
}

/// hyper leaves the body out where HEAD was asked, and says how long it would be.
fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Connections served at a time.
pub const PLACES: usize = 8;
/// From the first octet of a connection to its last.
pub const WITHIN: Duration = Duration::from_secs(5);
/// How long the page itself may take.
pub const MADE: Duration = Duration::from_millis(900);
/// Octets of a request's head.
const MOST_OCTETS: usize = 8 << 10;
const BREATH: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    async fn ask(at: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Runs `test` beside a page that `make` makes.
    fn beside<Fut: Future<Output = Option<String>>>(make: impl Fn() -> Fut, test: impl AsyncFn(SocketAddr)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let page = Page::bind("127.0.0.1:0".parse().unwrap(), "/metrics", "text/x").unwrap();
            let at = page.local();
            assert!(matches!(Page::bind(at, "/", ""), Err(BindError::InUse { .. })));
            tokio::select! {
                never = page.serve(make) => match never {},
                () = test(at) => {}
            }
        });
    }

    #[test]
    fn what_is_asked_for_is_answered() {
        let table = [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "the page"),
            ("GET /metrics?a=b HTTP/1.0\r\n\r\n", "200 OK", "the page"),
            ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", ""),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "The figures are at /metrics.\n"),
            ("GET /else HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", "There is only /metrics.\n"),
            (
                "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                "405 Method Not Allowed",
                "Only GET and HEAD.\n",
            ),
            ("OPTIONS sip:a SIP/2.0\r\n\r\n", "400 Bad Request", ""),
        ];
        beside(
            async || Some("the page".to_owned()),
            async |at| {
                for (request, status, body) in table {
                    let answer = ask(at, request).await;
                    let (head, got) = answer.split_once("\r\n\r\n").unwrap();
                    assert_eq!((&head[9..9 + status.len()], got), (status, body), "{request}");
                    if body == "the page" {
                        assert!(head.to_lowercase().contains("content-type: text/x"), "{head}");
                    }
                }
            },
        );
    }

    #[test]
    fn who_hangs_keeps_nobody_and_a_page_that_is_not_made_is_503() {
        let get = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        beside(
            async || {
                tokio::time::sleep(Duration::from_secs(60)).await;
                None
            },
            async |at| {
                let begun = Instant::now();
                let mut hanging = Vec::new();
                for _ in 1..PLACES {
                    let mut stream = TcpStream::connect(at).await.unwrap();
                    stream.write_all(b"GET /metr").await.unwrap();
                    hanging.push(stream);
                }
                let answer = ask(at, get).await;
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                assert!(begun.elapsed() < WITHIN / 2, "{:?}", begun.elapsed());
            },
        );
    }
}
