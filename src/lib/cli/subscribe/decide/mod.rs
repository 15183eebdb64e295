//! `sip-subscribe-winfo` decides about watchers: who waits is given a rule in the presence rules (RFC 5025) on an XCAP
//! server, by patterns or as somebody says who is asked. `pending` knows who waits for what; here it is done.

mod pattern;
mod pending;

use std::{pin::Pin, time::Duration};

use tokio::time::Instant;

use self::{
    pattern::Pattern,
    pending::{Pending, Wishes, Word},
};
use super::{Act, Acts, Flags, expect::Facts};
use crate::{
    cli::{
        Context, Event, ExitStatus, Failure,
        account::Account,
        args,
        output::Out,
        printable::Printable,
        typed::{self, Typed},
        xcap::server::{self, Server, WITHIN, address, unreadable},
    },
    presence::{Element, pres_rules::SubHandling},
    xcap::{Resource, Tree, Usage, edit},
};

/// What is to become of watchers that wait.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Subscription")]
pub struct Decisions {
    /// Let pending watchers see, such as '*@example.com'
    ///
    /// Gives those who wait for a decision a rule in the presence rules on the XCAP server. An asterisk stands for any
    /// characters of the user or of the domain, alone for everybody. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub allow: Vec<Pattern>,

    /// Refuse pending watchers; goes before --allow
    #[arg(long, value_name = "PATTERN")]
    pub block: Vec<Pattern>,

    /// Ask about the others
    ///
    /// Answers are lines of standard input: allow, block, polite-block or later, or their first letters; with a name
    /// behind, about somebody else than the one who is asked for.
    #[arg(long, conflicts_with_all = ["once", "raw"])]
    pub ask: bool,

    /// The XCAP root [default: xcap-root of the account]
    #[arg(long, value_name = "URL", env = "SIPKIT_XCAP_ROOT", hide_env = true)]
    pub xcap_root: Option<String>,
}

impl Decisions {
    /// Who does it; nothing if nothing is to be decided.
    pub(super) fn open(
        &self,
        target: &str,
        account: &Account,
        flags: &Flags,
        cx: &Context,
    ) -> Result<Option<Box<dyn Acts>>, Failure> {
        if self.allow.is_empty() && self.block.is_empty() && !self.ask {
            return Ok(None);
        }
        let Some(root) = self.xcap_root.as_ref().or(account.xcap_root.as_ref()) else {
            return Err(Failure::usage(
                "decisions about watchers are kept on an XCAP server, and none is known",
            )
            .hint("give --xcap-root URL, or `xcap-root` of an account in the configuration file"));
        };
        let usage = Usage::find("pres-rules").ok_or_else(|| Failure::usage("pres-rules is not known"))?;
        let whose = account.xcap_user.clone().unwrap_or_else(|| address(target));
        let resource = Resource::document(server::read_root(root)?, usage, Tree::User(whose));
        // That name is of the SIP server.
        #[cfg(feature = "tls")]
        let tls = args::Tls { tls_name: None, ..flags.tls.clone() };
        #[cfg(not(feature = "tls"))]
        let tls = flags.tls.clone();
        let dns: &args::Dns = &flags.route.dns;
        let server = Server::new(account, dns, &tls, WITHIN, cx)?;
        let is_person_there = self.ask && Typed::is_person_there();
        let typed = if self.ask { Typed::open() } else { None };
        if is_person_there {
            cx.out.text(format_args!("{HELP}\n"));
        }
        let wishes = Wishes { allow: self.allow.clone(), block: self.block.clone(), ask: self.ask };
        Ok(Some(Box::new(Decider {
            target: target.to_owned(),
            resource,
            out: cx.out.clone(),
            is_quiet: flags.raw,
            pending: Pending::new(wishes),
            idle: Some(server),
            writing: None,
            typed,
            is_person_there,
            again: None,
            pause: PAUSE,
            has_written: false,
        })))
    }
}

/// The section of the manual.
pub(super) const DECISIONS: &str = "With --allow, --block or --ask watchers that wait for a decision are given a rule \
     in the presence rules (RFC 5025) of TARGET on an XCAP server (RFC 4825), as sip-xcap pres-rules does. They are \
     written back only if nobody else has changed them meanwhile; otherwise they are read again. What was decided is \
     the event \"decided\"; that it is in force, the next notification tells.";

struct Decider {
    target: String,
    resource: Resource,
    out: Out,
    /// Documents stand alone on standard output.
    is_quiet: bool,
    pending: Pending,
    /// While nothing is being written.
    idle: Option<Server>,
    writing: Option<Writing>,
    typed: Option<Typed>,
    /// Who sits at a terminal may say something unasked; what comes from a file answers questions.
    is_person_there: bool,
    /// When to try again what failed.
    again: Option<Instant>,
    pause: Duration,
    /// It has worked before.
    has_written: bool,
}

type Writing = Pin<Box<dyn Future<Output = (Server, Result<Vec<Decided>, Failure>)>>>;

/// What was done about a watcher.
struct Decided {
    watcher: String,
    handling: SubHandling,
    /// Something had to be written.
    changed: bool,
    /// What the rules say now, which is more than was wanted if another rule gives more.
    now: SubHandling,
}

impl Acts for Decider {
    fn look(&mut self, facts: &Facts) {
        let asked = self.pending.look(facts);
        if !asked.is_empty() {
            self.question();
        }
    }

    fn act(&mut self) -> Pin<Box<dyn Future<Output = Result<Act, Failure>> + '_>> {
        Box::pin(async {
            loop {
                self.begin();
                let writing = async {
                    match &mut self.writing {
                        Some(writing) => writing.await,
                        None => std::future::pending().await,
                    }
                };
                let is_heard = self.is_person_there || self.pending.question().is_some();
                let line = async {
                    match &mut self.typed {
                        Some(typed) if is_heard => typed.next().await,
                        _ => std::future::pending().await,
                    }
                };
                let again = async {
                    match self.again {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    (server, outcome) = writing => {
                        (self.idle, self.writing) = (Some(server), None);
                        self.written(outcome)?;
                        if self.is_settled() {
                            return Ok(Act::Continue(()));
                        }
                    }
                    line = line => if let Some(line) = line && self.line(&line) == Act::Break(()) {
                        return Ok(Act::Break(()));
                    },
                    () = again => self.again = None,
                }
            }
        })
    }

    fn is_settled(&self) -> bool {
        self.writing.is_none() && !self.pending.is_wanted()
    }
}

impl Decider {
    /// Writes what is to be written, unless that is being done or has to wait.
    fn begin(&mut self) {
        if self.again.is_some() || !self.pending.is_wanted() {
            return;
        }
        if let Some(server) = self.idle.take() {
            self.writing = Some(Box::pin(write(server, self.resource.clone(), self.pending.take())));
        }
    }

    fn written(&mut self, outcome: Result<Vec<Decided>, Failure>) -> Result<(), Failure> {
        self.pending.written(outcome.is_ok());
        match outcome {
            Ok(decided) => {
                (self.has_written, self.pause) = (true, PAUSE);
                decided.into_iter().for_each(|decided| self.tell(decided));
                Ok(())
            }
            Err(failure) if self.has_written && is_passing(&failure) => {
                self.warn(format!("{}; trying again in {} s", failure.message(), self.pause.as_secs()));
                self.again = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn tell(&self, Decided { watcher, handling, changed, now }: Decided) {
        if now > handling {
            self.warn(format!("another rule says {now} to {watcher}, and what gives more counts"));
        }
        let handling = handling.as_str();
        let event = Event::Decided { target: self.target.clone(), watcher, handling, changed };
        match self.is_quiet {
            true => self.out.data(&event),
            false => self.out.event(event),
        }
    }

    fn warn(&self, message: String) {
        match self.is_quiet {
            true => tracing::warn!("{}", Printable(&message)),
            false => self.out.event(Event::Warning { call_id: None, message }),
        }
    }

    fn question(&self) {
        if let Some(uri) = self.pending.question() {
            self.out.text(format_args!(
                "      {} wants to watch {}: allow, block, polite-block or later?\n",
                Printable(uri),
                Printable(&self.target)
            ));
        }
    }

    fn line(&mut self, line: &str) -> Act {
        let (word, who) = typed::words(line);
        let word = match word.as_str() {
            "" => return Act::Continue(()),
            "quit" | "q" => return Act::Break(()),
            "allow" | "a" => Word::Handle(SubHandling::Allow),
            "block" | "b" => Word::Handle(SubHandling::Block),
            "polite-block" | "p" => Word::Handle(SubHandling::PoliteBlock),
            "later" | "l" => Word::Later,
            "list" => {
                let open: String =
                    self.pending.open().map(|uri| format!("      {}\n", Printable(uri))).collect();
                self.out.text(if open.is_empty() { "      nobody waits\n" } else { &open });
                return Act::Continue(());
            }
            "help" | "?" | "h" => {
                self.out.text(format_args!("{HELP}\n"));
                return Act::Continue(());
            }
            _ => {
                self.warn(format!("{word} is not understood; ? lists what is"));
                return Act::Continue(());
            }
        };
        match self.pending.answer(word, who) {
            Ok(()) => self.question(),
            Err(wrong) => self.warn(wrong),
        }
        Act::Continue(())
    }
}

/// Gives each of them a rule, in one edit.
async fn write(
    mut server: Server,
    resource: Resource,
    wanted: Vec<(String, SubHandling)>,
) -> (Server, Result<Vec<Decided>, Failure>) {
    let change = |root: &mut Element| {
        let decide = |(uri, handling): &(String, SubHandling)| {
            let before = root.clone();
            let now = edit::handle(root, &address(uri), Some(*handling)).map_err(unreadable)?;
            let changed = *root != before;
            Ok(Decided { watcher: uri.clone(), handling: *handling, changed, now })
        };
        wanted.iter().map(decide).collect()
    };
    let outcome = server.edit(&resource, edit::no_rules, change).await;
    (server, outcome.map(|(_, decided)| decided))
}

/// Whether it may work another time.
fn is_passing(failure: &Failure) -> bool {
    matches!(
        failure.status(),
        ExitStatus::NameResolution
            | ExitStatus::Unreachable
            | ExitStatus::NoResponse
            | ExitStatus::ServerFailure
            | ExitStatus::ClientFailure
    )
}

const HELP: &str = "type: allow (a) · block (b) · polite-block (p) · later (l), with a name behind about somebody else · \
     list · ? this list · quit (q)";
/// Before what failed is tried again, doubled each time.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
