//! The drivers: threads, sockets and the real clock around [`Stack`](crate::stack::Stack).
//!
//! An [`Endpoint`] is one shard on a thread of its own, running any
//! [`TransactionUser`] inline. [`agent::Agent`] puts an asynchronous face on
//! a user agent; [`media`] is the thread that carries RTP. Only here and in the socket files does tokio
//! appear.

pub mod agent;
mod clock;
mod connection;
mod connections;
pub mod descriptors;
pub mod figures;
#[cfg(feature = "xcap")]
pub mod http;
pub mod media;
mod moderation;
#[cfg(any(feature = "cli", feature = "xcap"))]
mod octets;
pub mod overload;
#[cfg(feature = "cli")]
pub mod page;
mod shard;
mod shards;

use std::{io, num::NonZeroU16, sync::Arc, thread};

use bytes::Bytes;

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use connections::Connections;

use crate::{
    message::Message,
    resolve::{
        Protocols,
        system::{self, Resolver},
    },
    stack::{self, Cx, TransactionUser},
    transport::{
        Flow, Protocol, Tap, Target, stream,
        udp::{self, BindError, Socket, UdpSocket},
    },
};

pub use clock::Clock;
pub use connection::Security;
pub use connections::Options as ConnectionOptions;
pub use figures::Figures;
pub use shards::Shards;

/// How an endpoint is set up. One socket for each address and protocol to listen on; a port of 0 takes a free one.
/// Connections can be opened to every address family that is listened on in one protocol or another.
#[derive(Clone)]
pub struct Builder {
    pub listen: Vec<Target>,
    pub connections: ConnectionOptions,
    pub security: Security,
    pub tap: Option<Arc<dyn Tap>>,
    /// Which transports it speaks is known better here: [`stack::Config::spoken`] is not looked at.
    pub stack: stack::Config,
    /// Who knows names.
    pub resolver: system::Config,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            connections: ConnectionOptions::default(),
            security: Security::default(),
            tap: None,
            stack: stack::Config { seed: rand::random(), ..stack::Config::default() },
            resolver: system::Config::default(),
        }
    }
}

/// Why an endpoint could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("no address to listen on")]
    NoAddress,
    #[error("{0} is not available")]
    Unsupported(Protocol),
    #[error("cannot start a thread or its runtime")]
    Thread(#[source] io::Error),
}

/// The endpoint is stopped or has more commands waiting than it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("the endpoint has stopped")]
    Stopped,
    #[error("the endpoint has too many commands waiting")]
    Overrun,
}

type Act<U> = Box<dyn FnOnce(&mut U, &mut Cx<'_>) + Send>;

/// What waits in a shard's inbox.
enum Command<U> {
    Act(Act<U>),
    /// What came to another shard.
    Message(Box<Message>, Flow),
    /// What another shard wants to be sent.
    Transmit(Flow, Bytes),
    /// Somebody wants to know how things are.
    Figures(oneshot::Sender<Figures>),
    Stop,
}

/// A running shard and the way to its user. Dropping it ends the shard without waiting for it.
pub struct Endpoint<U> {
    inbox: mpsc::Sender<Command<U>>,
    local: Vec<Target>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Builder {
    /// Binds the sockets and starts the shard; `user` is moved to its thread.
    pub fn start<U: TransactionUser + Send + 'static>(self, user: U) -> Result<Endpoint<U>, StartError> {
        self.start_with(|_, _| user)
    }

    /// The same for a user that must know where it listens.
    pub fn start_at<U: TransactionUser + Send + 'static>(
        self,
        user: impl FnOnce(&[Target]) -> U,
    ) -> Result<Endpoint<U>, StartError> {
        self.start_with(|_, local| user(local))
    }

    /// The same for a user that posts commands to itself, or has others do so.
    fn start_with<U: TransactionUser + Send + 'static>(
        self,
        user: impl FnOnce(Poster<U>, &[Target]) -> U,
    ) -> Result<Endpoint<U>, StartError> {
        let bound = self.bind(1)?.into_iter().next().unwrap_or_default();
        let inbox = mpsc::channel(INBOX);
        let peers = vec![inbox.0.clone()];
        self.launch(bound, inbox, peers, user)
    }

    /// Starts several shards that listen on the same addresses, and share what comes by who sent it; `user` makes the
    /// user of each, by its number. Connections belong to one of them; the limit is for all together.
    pub fn start_shards<U: TransactionUser + Send + 'static>(
        self,
        shards: NonZeroU16,
        mut user: impl FnMut(u16, &[Target]) -> U,
    ) -> Result<Shards<U>, StartError> {
        let shards = shards.get();
        let bound = self.bind(shards)?;
        let inboxes: Vec<_> = bound.iter().map(|_| mpsc::channel(INBOX)).collect();
        let peers: Vec<_> = inboxes.iter().map(|(inbox, _)| inbox.clone()).collect();
        let mut running = Vec::new();
        for ((number, bound), inbox) in (0..shards).zip(bound).zip(inboxes) {
            let mut builder = self.clone();
            builder.connections.most = (self.connections.most / usize::from(shards)).max(1);
            // What they make up must not be the same.
            let mut seed = self.stack.seed;
            for (octet, more) in seed.iter_mut().zip(number.to_le_bytes()) {
                *octet ^= more;
            }
            builder.stack = stack::Config { shard: number, shards, seed, ..builder.stack };
            running.push(builder.launch(bound, inbox, peers.clone(), |_, local| user(number, local))?);
        }
        Ok(Shards::new(running))
    }

    /// The sockets of each shard.
    fn bind(&self, shards: u16) -> Result<Vec<Vec<Bound>>, StartError> {
        if self.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        if let Some(target) = self
            .listen
            .iter()
            .find(|target| target.protocol.is_reliable() && !self.security.can_accept(target.protocol))
        {
            return Err(StartError::Unsupported(target.protocol));
        }
        let mut each: Vec<Vec<Bound>> = (0..shards).map(|_| Vec::new()).collect();
        for &target in &self.listen {
            for (shard, bound) in each.iter_mut().zip(Bound::all(target, shards)?) {
                shard.push(bound);
            }
        }
        Ok(each)
    }

    /// Starts one shard.
    fn launch<U: TransactionUser + Send + 'static>(
        self,
        bound: Vec<Bound>,
        (inbox, commands): (mpsc::Sender<Command<U>>, mpsc::Receiver<Command<U>>),
        peers: Vec<mpsc::Sender<Command<U>>>,
        user: impl FnOnce(Poster<U>, &[Target]) -> U,
    ) -> Result<Endpoint<U>, StartError> {
        let local: Vec<Target> = bound.iter().map(|bound| bound.local).collect();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let (to_accepted, accepted) = mpsc::channel(ACCEPTED);
        let (to_events, events) = mpsc::channel(EVENTS);
        // Datagrams leave from a socket that is bound; connections can be opened where there is what they take.
        let has_udp = local.iter().any(|target| target.protocol == Protocol::Udp);
        let spoken = Protocols::ALL.iter();
        let spoken = spoken.filter(|&protocol| match protocol {
            Protocol::Udp => has_udp,
            protocol => self.security.can_open(protocol),
        });
        let spoken = spoken.collect();
        // Whoever is to send requests our way over our own connections must know that it is us (RFC 5923 §9.2).
        let aliases =
            local.iter().any(|own| own.protocol == Protocol::Tls) && self.security.shows_certificate();
        let common = connection::Common {
            limits: self.stack.limits,
            times: self.connections.times,
            security: self.security,
            tap: self.tap.clone(),
            events: to_events,
        };
        let mut connections = Connections::new(self.stack.shard, self.connections, common, local.clone());
        // The sockets register with the shard's own reactor.
        let registered = {
            let _guard = runtime.enter();
            let register = || {
                let mut sockets = Vec::new();
                for Bound { local, socket } in bound {
                    match socket {
                        Bind::Udp(socket) => sockets.push(UdpSocket::from_socket(socket)?),
                        Bind::Stream(listener) => {
                            let listener = TcpListener::from_std(listener)?;
                            connections.listen(listener, local.protocol, to_accepted.clone());
                        }
                    }
                }
                Ok(sockets)
            };
            register()
        };
        let sockets = match registered {
            Ok(sockets) => sockets,
            Err(error) => {
                // A runtime must not be dropped where another one runs, which is where we may be.
                runtime.shutdown_background();
                return Err(StartError::Thread(error));
            }
        };
        drop(to_accepted);
        let stack = stack::Config { spoken, aliases, ..self.stack };
        let user = user(Poster(inbox.clone()), &local);
        let shard = shard::Shard::new(
            stack,
            sockets,
            connections,
            self.tap,
            Resolver::new(self.resolver),
            peers,
            user,
        );
        let thread = thread::Builder::new()
            .name("sip".into())
            .spawn(move || {
                runtime.block_on(shard.run(commands, accepted, events));
                // A name lookup that hangs in the system must not hold up the end.
                runtime.shutdown_background();
            })
            .map_err(StartError::Thread)?;
        Ok(Endpoint { inbox, local, thread: Some(thread) })
    }
}

impl<U: TransactionUser + Send + 'static> Endpoint<U> {
    /// The addresses bound, in the order asked for.
    pub fn local(&self) -> &[Target] {
        &self.local
    }

    /// Runs `act` on the shard's thread and waits for its result.
    pub async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut U, &mut Cx<'_>) -> R + Send + 'static,
    ) -> Result<R, Unavailable> {
        let (reply, result) = oneshot::channel();
        let act: Act<U> = Box::new(move |user, cx| {
            // Nobody waiting any more is no error.
            let _ = reply.send(act(user, cx));
        });
        self.inbox.send(Command::Act(act)).await.map_err(|_| Unavailable::Stopped)?;
        result.await.map_err(|_| Unavailable::Stopped)
    }

    /// What was counted, and what there is.
    pub async fn figures(&self) -> Result<Figures, Unavailable> {
        let (reply, figures) = oneshot::channel();
        self.inbox.send(Command::Figures(reply)).await.map_err(|_| Unavailable::Stopped)?;
        figures.await.map_err(|_| Unavailable::Stopped)
    }

    /// Runs `act` on the shard's thread, without waiting.
    pub fn post(&self, act: impl FnOnce(&mut U, &mut Cx<'_>) + Send + 'static) -> Result<(), Unavailable> {
        post(&self.inbox, act)
    }

    /// Ends the shard once everything posted before is done, and waits for its thread.
    pub async fn stop(mut self) {
        // A shard that is gone already has stopped too.
        let _ = self.inbox.send(Command::Stop).await;
        if let Some(thread) = self.thread.take() {
            // A panic of the shard was already reported by the panic hook.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl<U> Drop for Endpoint<U> {
    fn drop(&mut self) {
        // Users keep ways to their own inbox, so that it does not close by itself. One that is full belongs to a
        // shard that has no time to listen.
        let _ = self.inbox.try_send(Command::Stop);
    }
}

/// Posts commands to an endpoint; cheap to clone.
pub struct Poster<U>(mpsc::Sender<Command<U>>);

impl<U> Clone for Poster<U> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<U> Poster<U> {
    pub fn post(&self, act: impl FnOnce(&mut U, &mut Cx<'_>) + Send + 'static) -> Result<(), Unavailable> {
        post(&self.0, act)
    }
}

fn post<U>(
    inbox: &mpsc::Sender<Command<U>>,
    act: impl FnOnce(&mut U, &mut Cx<'_>) + Send + 'static,
) -> Result<(), Unavailable> {
    inbox.try_send(Command::Act(Box::new(act))).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Unavailable::Overrun,
        mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
    })
}

/// A socket bound before the shard starts, so that an error is the caller's.
struct Bound {
    local: Target,
    socket: Bind,
}

enum Bind {
    Udp(Socket),
    Stream(std::net::TcpListener),
}

impl Bound {
    /// One for each shard.
    fn all(target: Target, shards: u16) -> Result<Vec<Self>, StartError> {
        let bound = match target.protocol {
            Protocol::Udp => Socket::bind_shared(target.addr, udp::Options::buffer(BUFFER), shards)?
                .into_iter()
                .map(|socket| (socket.local_addr(), Bind::Udp(socket)))
                .collect::<Vec<_>>(),
            Protocol::Tcp | Protocol::Tls | Protocol::Ws | Protocol::Wss => {
                let listeners = stream::listen_shared(target.addr, shards)?.into_iter();
                let bound = listeners.map(|listener| {
                    Ok((listener.local_addr().map_err(StartError::Thread)?, Bind::Stream(listener)))
                });
                bound.collect::<Result<_, StartError>>()?
            }
        };
        let of = |(addr, socket)| Self { local: Target { addr, ..target }, socket };
        Ok(bound.into_iter().map(of).collect())
    }
}

/// What the kernel keeps of datagrams not yet read, if it lets us, in bytes.
const BUFFER: usize = 4 << 20;
/// Connections accepted and not yet taken over at most.
const ACCEPTED: usize = 64;
/// Messages read off connections and not yet looked at at most; beyond that they are not read.
const EVENTS: usize = 1_024;
/// Commands waiting for the shard at most.
const INBOX: usize = 1024;
