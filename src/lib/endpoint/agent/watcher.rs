//! Who watches us as a value, and what others publish here. Dropping a watcher ends its subscription.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    message::Request,
    stack::Cx,
    time::Duration,
    transaction::ServerId,
    transport::Flow,
    ua::{
        UserAgent, WatcherId,
        compositor::{Refused, Stored},
        notifier::{Acceptance, Document, Standing, WatcherEvent},
        package::Reason,
    },
};

use super::{Agency, Poster, Unavailable};

/// A subscription of somebody else's, as the application holds it.
pub struct Watcher {
    pub(super) id: WatcherId,
    pub(super) events: mpsc::Receiver<WatcherEvent>,
    pub(super) poster: Poster<Agency>,
}

/// A PUBLISH that came (RFC 3903). It must be answered.
pub struct Submission {
    pub request: Box<Request>,
    pub from: Flow,
    pub(super) id: ServerId,
    pub(super) poster: Poster<Agency>,
}

impl Watcher {
    pub fn id(&self) -> WatcherId {
        self.id
    }

    /// The next event, first [`WatcherEvent::Asked`]; `None` after [`WatcherEvent::Ended`], or when the endpoint
    /// stopped.
    pub async fn next(&mut self) -> Option<WatcherEvent> {
        self.events.recv().await
    }

    /// See [`UserAgent::accept_watcher`].
    pub fn accept(&self, acceptance: Acceptance) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.accept_watcher(id, acceptance, cx))
    }

    /// See [`UserAgent::refuse_watcher`].
    pub fn refuse(&self, status: u16) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.refuse_watcher(id, status, &[], cx))
    }

    /// See [`UserAgent::notify`].
    pub fn notify(&self, document: Arc<Document>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.notify(id, document, cx))
    }

    /// See [`UserAgent::set_standing`].
    pub fn set_standing(
        &self,
        standing: Standing,
        document: Option<Arc<Document>>,
    ) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.set_standing(id, standing, document, cx))
    }

    /// See [`UserAgent::terminate_watcher`].
    pub fn terminate(&self, reason: Reason, retry_after: Option<Duration>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.terminate_watcher(id, reason, retry_after, cx))
    }

    fn act(
        &self,
        act: impl FnOnce(&mut UserAgent, WatcherId, &mut Cx<'_>) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let id = self.id;
        self.poster.post(move |agency, cx| {
            act(&mut agency.ua, id, cx);
            agency.distribute(cx);
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // One that is over, or an endpoint that stopped, needs no ending. It may come again, but not at once.
        let _ = self.act(|ua, id, cx| {
            ua.refuse_watcher(id, 480, &[], cx);
            ua.terminate_watcher(id, Reason::Probation, None, cx);
        });
    }
}

impl Submission {
    /// See [`UserAgent::answer_publish`].
    pub fn answer(self, outcome: Result<Stored, Refused>) -> Result<(), Unavailable> {
        let Self { request, id, poster, .. } = self;
        poster.post(move |agency, cx| agency.ua.answer_publish(id, &request, &outcome, cx))
    }

    /// See [`UserAgent::refuse_publish`].
    pub fn refuse(self, status: u16) -> Result<(), Unavailable> {
        let Self { request, id, poster, .. } = self;
        poster.post(move |agency, cx| agency.ua.refuse_publish(id, &request, status, &[], cx))
    }
}
