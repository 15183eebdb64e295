//! From the first PUBLISH to the exit status: publishes, tells what comes of it, changes it as it is told to, and takes it
//! away in the end if it was to be kept.

use std::time::Duration;

use super::{Flags, State, cause};
use crate::{
    cli::{
        Context, Event, ExitStatus, Failure,
        account::Account,
        ask, conversation,
        event::milliseconds,
        event_state::Published,
        place,
        printable::Printable,
        typed::{self, Typed},
    },
    endpoint::agent::{Agent, Publication},
    message::UriBuf,
    stack::NextHop,
    ua::{
        self,
        package::Known,
        publication::{Cause, PublicationEvent, Publish},
    },
};

/// Publishes `state` as the state of `target`, or of our own address.
pub(super) async fn publish<S: State>(
    package: Known,
    target: Option<&str>,
    state: S,
    flags: Flags,
    cx: Context,
) -> Result<(), Failure> {
    let account = Account::resolve(&flags.identity, &flags.route, &cx.config)?;
    let task = flags.publication.task()?;
    let target = own(target, &account)?;
    let config = ua::Config {
        contact_user: place::contact_user(&account),
        incoming_calls: false,
        ..ua::Config::default()
    };
    let security = place::security(&flags.tls, &account, false, &cx)?;
    let listen = place::listen(&account, false);
    let agent = place::start(&listen, cx.tap(), account.resolver.clone(), security, config)?;
    let outcome = async {
        let way = ask::way(&agent, &target, &account, &cx).await?;
        // Who publishes is whose state it is, unless something else was said.
        let from = match account.from {
            Some(_) => way.from,
            None => crate::message::AddressBuf::new(account.display_name.as_deref(), target.clone()),
        };
        let mut publish = Publish::new(&package, target.clone(), from, state.body(target.as_str()));
        publish.next = way.hop.map_or(NextHop::RequestUri, NextHop::Uri);
        publish.task = task;
        publish.etag.clone_from(&flags.publication.etag);
        publish.auth = account.auth()?;
        publish.backoff = place::BACKOFF;
        publish.headers = flags.headers.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
        let (target, package) = (target.to_string(), package.name.to_owned());
        Run { target, package, state, flags: &flags, cx: &cx, goal: false }.run(&agent, publish).await
    };
    let outcome = outcome.await;
    agent.stop().await;
    outcome
}

/// What was named, or our own address.
fn own(named: Option<&str>, account: &Account) -> Result<UriBuf, Failure> {
    if let Some(text) = named {
        return place::target(text, account);
    }
    let own = account.from.as_deref().ok_or_else(|| {
        Failure::usage("nothing to publish for")
            .hint("give an address, such as sip:alice@example.com, or --account")
    })?;
    let address = place::address(own, "--from")?;
    place::uri(address.uri().as_str(), "--from")
}

struct Run<'a, S> {
    target: String,
    package: String,
    state: S,
    flags: &'a Flags,
    cx: &'a Context,
    /// Something is published.
    goal: bool,
}

impl<S: State> Run<'_, S> {
    async fn run(mut self, agent: &Agent, publish: Publish) -> Result<(), Failure> {
        let gone = |error: &dyn std::fmt::Display| Failure::new(ExitStatus::Defect, error);
        let mut publication = agent.publish(publish).await.map_err(|error| gone(&error))?;
        let mut typed = self.typed();
        let mut timer = self.flags.publication.auto.map(tokio::time::interval);
        if let Some(timer) = &mut timer {
            // The first tick is at once.
            timer.tick().await;
        }
        loop {
            let line = async {
                match &mut typed {
                    Some(typed) => typed.next().await,
                    None => std::future::pending().await,
                }
            };
            let tick = async {
                match &mut timer {
                    Some(timer) => timer.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                why = self.cx.stop.requested() => {
                    self.leave(&mut publication).await;
                    // Published, and kept so until somebody said it is enough.
                    return if self.goal && self.flags.publication.is_kept() { Ok(()) } else { Err(why.into()) };
                }
                event = publication.next() => match event {
                    None => return Err(gone(&"the endpoint stopped")),
                    Some(PublicationEvent::Ended { cause }) => return self.ended(cause),
                    Some(event) => self.tell(event)?,
                },
                // Changes wait until there is something to change.
                line = line, if self.goal => match line {
                    Some(line) => if self.line(&line, &publication) == Line::Quit {
                        self.leave(&mut publication).await;
                        return Ok(());
                    },
                    None => {
                        self.settle(&mut publication).await?;
                        self.leave(&mut publication).await;
                        return Ok(());
                    }
                },
                _ = tick, if self.goal => {
                    self.state.change(rand::random());
                    self.publish_anew(&publication);
                }
            }
        }
    }

    /// Lines that change the state, if somebody writes some.
    fn typed(&self) -> Option<Typed> {
        let flags = &self.flags.publication;
        let is_person_there = flags.keep && !self.flags.common.output.report.json && Typed::is_person_there();
        if !flags.commands && !is_person_there {
            return None;
        }
        if is_person_there {
            let example = S::EXAMPLE;
            self.cx.out.text(format_args!("Type a change, such as {example}; help lists them, quit ends.\n"));
        }
        Typed::open()
    }

    fn line(&mut self, line: &str, publication: &Publication) -> Line {
        let (word, rest) = typed::words(line);
        match word.as_str() {
            "" => {}
            "quit" | "q" => return Line::Quit,
            "help" | "?" | "h" => self.cx.out.text(typed::help(S::COMMANDS)),
            "random" => {
                self.state.change(rand::random());
                self.publish_anew(publication);
            }
            "show" => {
                let body = self.state.body(&self.target);
                self.cx.out.text(format_args!("{}\n", String::from_utf8_lossy(&body.bytes).trim_end()));
            }
            // An endpoint that stopped says so itself.
            "refresh" => drop(publication.refresh()),
            word => match self.state.take(word, rest) {
                Ok(()) => self.publish_anew(publication),
                Err(None) => self.warn(typed::unknown(word, S::COMMANDS)),
                Err(Some(wrong)) => self.warn(wrong),
            },
        }
        Line::Go
    }

    fn publish_anew(&self, publication: &Publication) {
        self.cx.out.text(format_args!("      {}\n", Printable(&self.state.describe())));
        // An endpoint that stopped says so itself.
        let _ = publication.modify(self.state.body(&self.target));
    }

    /// Waits until the last change has arrived, or a moment.
    async fn settle(&mut self, publication: &mut Publication) -> Result<(), Failure> {
        let quiet = Duration::from_millis(500);
        while let Ok(Some(event)) = tokio::time::timeout(quiet, publication.next()).await {
            match event {
                PublicationEvent::Ended { cause } => return self.ended(cause),
                event => self.tell(event)?,
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: PublicationEvent) -> Result<(), Failure> {
        let target = self.target.clone();
        let event = match event {
            PublicationEvent::Published(published) => {
                self.goal = true;
                let remote = published.flow.map(|flow| flow.remote.to_string());
                self.answered(200, remote.clone(), published.round_trip);
                let is_kept = self.flags.publication.is_kept();
                if published.etag.is_none() {
                    self.warn(format!(
                        "{target} gave no entity-tag: it cannot be refreshed or changed there"
                    ));
                }
                Event::Published(Box::new(Published {
                    target,
                    package: self.package.clone(),
                    remote,
                    operation: published.operation.as_str(),
                    etag: published.etag,
                    expires_ms: milliseconds(published.expires),
                    refresh_ms: is_kept.then(|| milliseconds(published.refresh_in)),
                    rtt_ms: milliseconds(published.round_trip),
                }))
            }
            PublicationEvent::Removed { round_trip } => {
                self.answered(200, None, round_trip);
                Event::Unpublished { target, package: self.package.clone(), rtt_ms: milliseconds(round_trip) }
            }
            PublicationEvent::Challenged { offered, downgrade } => {
                ask::challenged("", &offered, downgrade.as_ref(), self.cx);
                return Ok(());
            }
            PublicationEvent::Adjusted(why) => Event::PublishAgain { target, reason: cause::adjusted(&why) },
            PublicationEvent::Failed { cause, retry_in, remaining } => {
                // Who never had a publication wants to know why, and not to wait.
                if !self.goal {
                    return self.ended(Some(cause));
                }
                Event::PublicationFailed {
                    target,
                    code: cause::code(&cause),
                    reason: cause::reason(&cause),
                    retry_ms: milliseconds(retry_in),
                    remaining_ms: remaining.map(milliseconds),
                }
            }
            // Taken out before.
            PublicationEvent::Ended { .. } => return Ok(()),
        };
        self.cx.out.event(event);
        Ok(())
    }

    fn answered(&self, code: u16, remote: Option<String>, round_trip: Duration) {
        self.cx.out.summary(|summary| {
            summary.code = Some(code);
            summary.reason = Some("OK".into());
            summary.remote = remote.or_else(|| summary.remote.take());
            summary.timings.answer_ms.get_or_insert(milliseconds(round_trip));
        });
    }

    fn ended(&self, cause: Option<Cause>) -> Result<(), Failure> {
        let Some(cause) = cause else { return Ok(()) };
        self.cx.out.summary(|summary| {
            if let Some(code) = cause::code(&cause) {
                summary.code = Some(code);
                summary.reason = Some(match &cause {
                    Cause::Refused { reason, .. } => reason.clone(),
                    _ => crate::message::reason_phrase(code).to_owned(),
                });
            }
        });
        if let Cause::Failed(why) = &cause {
            conversation::note_remote(why, self.cx);
        }
        Err(cause::failure(&cause, &self.target, &self.package))
    }

    /// Takes it away if it was to be kept, and gives that a moment.
    async fn leave(&mut self, publication: &mut Publication) {
        if !self.flags.publication.is_kept() || publication.remove().is_err() {
            return;
        }
        let over = async {
            while let Some(event) = publication.next().await {
                match event {
                    PublicationEvent::Ended { cause } => return cause,
                    // What failed is told below.
                    PublicationEvent::Failed { cause, .. } => return Some(cause),
                    event => drop(self.tell(event)),
                }
            }
            None
        };
        let message = match tokio::time::timeout(PATIENCE, over).await {
            Ok(None) => return,
            Ok(Some(cause)) => cause::reason(&cause),
            Err(_) => "no answer in time".into(),
        };
        self.warn(format!("{} may still be published: {message}", self.target));
    }

    fn warn(&self, message: String) {
        self.cx.out.event(Event::Warning { call_id: None, message });
    }
}

#[derive(PartialEq, Eq)]
enum Line {
    Go,
    Quit,
}

/// How long the server may take in the end.
const PATIENCE: Duration = Duration::from_secs(2);
