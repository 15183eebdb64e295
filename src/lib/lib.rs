//! A SIP stack for user agents and proxies, and what the programs `sip-…` are made of.
//!
//! The layers, from the top down. A module knows only those below it; `ARCHITECTURE.md` has the table and walks
//! through a call file by file.
//!
//! * `cli` (feature `cli`): what command-line programs share: flags, configuration, output, captures, exit statuses.
//! * [`phone`]: a call with its sound; an answering side for tests.
//! * [`endpoint`]: threads, sockets and the real clock; calls as asynchronous values. [`sim`] drives the same stack
//!   on a virtual clock over a network in memory.
//! * [`ua`]: the user agent: calls placed and answered, registrations, subscriptions, publications, digest.
//! * [`proxy`]: forwarding without state (RFC 3261 §16.11).
//! * [`dialog`]: identifiers, sequence numbers, route sets, forks (RFC 3261 §12).
//! * [`stack`]: one shard: messages in, messages out, a [`TransactionUser`](stack::TransactionUser) in the middle.
//! * [`transaction`], [`resolve`]: retransmission and timeouts (§17, RFC 6026); from a URI to addresses (RFC 3263).
//! * [`xcap`]: documents on XCAP servers (RFC 4825): requests and what their answers mean.
//! * [`auth`], [`transport`]: digest (RFC 7616, RFC 8760); flows, Via rules, UDP sockets.
//! * [`message`], [`sdp`], [`media`]: SIP messages; session descriptions (RFC 8866, RFC 3264); RTP, codecs, jitter
//!   buffer, sound devices.
//! * [`presence`]: the documents of presence and other event packages (RFC 3863 and many more).
//! * [`time`], [`util`]: instants as numbers; slab, timing wheel, identifiers.
//!
//! # Where to start
//!
//! * **You want calls with sound:** [`phone::call::PhoneCall`], which joins an [`Agent`](endpoint::agent::Agent) and
//!   a [`MediaThread`](endpoint::media::MediaThread).
//! * **You want calls, and bring your own media:** [`endpoint::agent`], see below.
//! * **You want something that answers in your tests:** [`phone::responder::Responder`] on an
//!   [`Endpoint`](endpoint::Endpoint).
//! * **You write a server, or your own kind of user agent:** implement
//!   [`TransactionUser`](stack::TransactionUser) and run it with [`endpoint::Builder`].
//! * **You have an event loop of your own:** drive a [`Stack`](stack::Stack); it does no IO and takes the time as an
//!   argument. [`media::session::Session`] is the same for RTP.
//! * **You only read or write messages:** [`message`] and [`sdp`] need nothing else.
//!
//! * **You write a proxy:** [`proxy::Stateless`].
//!
//! Signalling goes over UDP, TCP, TLS and WebSocket; sound over plain RTP: there is no SRTP yet.
//!
//! # Reading a message
//!
//! A [`Message`](message::Message) is its bytes and an index of them. Header fields are read on demand, as views that
//! borrow from it; one that is malformed is an error only for who reads it.
//!
//! ```
//! use sipkit::message::{Limits, Message, Method, header};
//!
//! let bytes = "OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds\r\n\
//!     Max-Forwards: 70\r\n\
//!     From: \"Alice\" <sip:alice@192.0.2.1>;tag=1928301774\r\n\
//!     To: <sip:bob@192.0.2.2>\r\n\
//!     Call-ID: a84b4c76e66710\r\n\
//!     CSeq: 63104 OPTIONS\r\n\
//!     Allow: INVITE, ACK, BYE\r\n\
//!     Content-Length: 0\r\n\r\n";
//! let message = Message::parse(bytes.into(), &Limits::default())?;
//! assert_eq!(message.from()?.tag(), Some("1928301774"));
//! assert_eq!(message.cseq()?.number, 63104);
//! assert_eq!(message.each::<header::Allow>().count(), 3);
//!
//! let request = message.into_request().expect("it has a request line");
//! assert_eq!(request.method(), Method::Options);
//! assert_eq!(request.uri()?.user(), Some("bob"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Placing a call
//!
//! The agent runs on a thread of its own; the handles are used from any tokio runtime. Dropping a call hangs it up.
//!
//! ```no_run
//! use sipkit::auth;
//! use sipkit::endpoint::{Builder, agent::Agent};
//! use sipkit::message::{AddressBuf, UriBuf};
//! use sipkit::sdp::{self, Capabilities, Codec, Direction, LocalOrigin};
//! use sipkit::stack::NextHop;
//! use sipkit::ua::{self, call::{Body, CallEvent, Invite}};
//!
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = Builder { listen: vec!["0.0.0.0:0".parse()?], ..Builder::default() };
//! let agent = Agent::start(builder, ua::Config::default())?;
//!
//! // Our address on the way to the target: From and the session description name it.
//! let target = UriBuf::parse("sip:bob@192.0.2.2")?;
//! let (flow, _) = agent.route(target.clone()).await??;
//! let from = AddressBuf::parse(&format!("<sip:alice@{}>", flow.local))?;
//! let capabilities = Capabilities {
//!     codecs: vec![Codec::PCMU],
//!     own_order: false,
//!     telephone_event: false,
//!     ptime: 20,
//!     address: flow.local.ip(),
//!     rtp_port: 40000,
//!     rtcp_port: 40001,
//!     rtcp_mux: false,
//!     direction: Direction::SendRecv,
//! };
//! let mut origin = LocalOrigin::new(1, flow.local.ip());
//! let offer = Body::sdp(sdp::offer(&capabilities, &mut origin).to_bytes());
//!
//! let invite = Invite {
//!     target,
//!     from,
//!     next: NextHop::RequestUri,
//!     offer,
//!     auth: auth::Client::default(),
//!     registration: None,
//!     headers: Vec::new(),
//! };
//! let mut call = agent.call(invite).await?;
//! while let Some(event) = call.next().await {
//!     match event {
//!         CallEvent::Progress { status, reason, .. } => println!("{status} {reason}"),
//!         CallEvent::Answered { .. } => call.hang_up()?,
//!         CallEvent::Ended { by, cause } => println!("ended by {by:?}: {cause:?}"),
//!         _ => {}
//!     }
//! }
//! agent.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! All are on by default; each only adds.
//!
//! * `cli`: the programs and what only they need.
//! * `opus`: the Opus codec. Builds libopus: needs cmake and a C compiler.
//! * `audio`: sound cards. Needs the ALSA headers on Linux.
//! * `xcap`: the HTTP client under [`xcap`], and `sip-xcap`.
//! * `dns`: NAPTR and SRV records. `tls`: TLS through rustls. `ws`: WebSocket.

// The places that need it say so themselves: transport/udp for one registration, media/device to silence libasound.
#![deny(unsafe_code)]

pub mod auth;
#[cfg(feature = "cli")]
pub mod cli;
pub mod dialog;
pub mod endpoint;
pub mod media;
pub mod message;
pub mod phone;
pub mod presence;
pub mod proxy;
pub mod resolve;
pub mod sdp;
pub mod sim;
pub mod stack;
pub mod time;
pub mod transaction;
pub mod transport;
pub mod ua;
pub mod util;
pub mod xcap;
