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
#[cfg(feature = "xcap")]
pub mod http;
pub mod media;
mod moderation;
mod shard;

use std::{io, sync::Arc, thread};

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use connections::Connections;

use crate::{
    resolve::{
        Protocols,
        system::{self, Resolver},
    },
    stack::{self, Cx, TransactionUser},
    transport::{
        Protocol, Tap, Target, stream,
        udp::{BindError, Options, Socket, UdpSocket},
    },
};

pub use clock::Clock;
pub use connection::Security;
pub use connections::Options as ConnectionOptions;

/// How an endpoint is set up. One socket for each address and protocol to listen on; a port of 0 takes a free one.
/// Connections can be opened to every address family that is listened on in one protocol or another.
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
        let bound = self.listen.iter().map(|&target| Bound::new(target)).collect::<Result<Vec<_>, _>>()?;
        let local: Vec<Target> = bound.iter().map(|bound| bound.local).collect();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let (inbox, commands) = mpsc::channel(INBOX);
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
        let shard =
            shard::Shard::new(stack, sockets, connections, self.tap, Resolver::new(self.resolver), user);
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
    fn new(target: Target) -> Result<Self, StartError> {
        let (addr, socket) = match target.protocol {
            Protocol::Udp => {
                let socket = Socket::bind_with(target.addr, Options { buffer: Some(BUFFER) })?;
                (socket.local_addr(), Bind::Udp(socket))
            }
            Protocol::Tcp | Protocol::Tls | Protocol::Ws | Protocol::Wss => {
                let listener = stream::listen(target.addr)?;
                (listener.local_addr().map_err(StartError::Thread)?, Bind::Stream(listener))
            }
        };
        Ok(Self { local: Target { addr, ..target }, socket })
    }
}

/// Connections accepted and not yet taken over at most.
const ACCEPTED: usize = 64;
/// Messages read off connections and not yet looked at at most; beyond that they are not read.
const EVENTS: usize = 1_024;
/// What the kernel keeps of datagrams not yet read, if it lets us, in bytes.
const BUFFER: usize = 4 << 20;
/// Commands waiting for the shard at most.
const INBOX: usize = 1024;
