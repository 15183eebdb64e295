//! A call as a value. Dropping it hangs it up.

use tokio::sync::mpsc;

use crate::{
    stack::Cx,
    ua::{
        CallId, UserAgent,
        call::{Body, CallEvent},
    },
};

use super::{Agency, Poster, Unavailable};

/// A call as the application holds it.
pub struct Call {
    pub(super) id: CallId,
    pub(super) call_id: String,
    pub(super) events: mpsc::Receiver<CallEvent>,
    pub(super) poster: Poster<Agency>,
}

impl Call {
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The Call-ID of its messages.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The next event; `None` after [`CallEvent::Ended`], or when the endpoint stopped.
    pub async fn next(&mut self) -> Option<CallEvent> {
        self.events.recv().await
    }

    /// See [`UserAgent::progress`].
    pub fn progress(&self, status: u16, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.progress(id, status, body, cx))
    }

    /// See [`UserAgent::answer`].
    pub fn answer(&self, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.answer(id, body, cx))
    }

    /// See [`UserAgent::reject`].
    pub fn reject(&self, status: u16) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.reject(id, status, Vec::new(), cx))
    }

    /// See [`UserAgent::reoffer`].
    pub fn reoffer(&self, body: Body) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.reoffer(id, body, cx))
    }

    /// See [`UserAgent::accept_offer`].
    pub fn accept_offer(&self, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.accept_offer(id, body, cx))
    }

    /// See [`UserAgent::reject_offer`].
    pub fn reject_offer(&self, status: u16) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.reject_offer(id, status, cx))
    }

    /// Ends the call in whatever way its phase asks for; [`CallEvent::Ended`] follows.
    pub fn hang_up(&self) -> Result<(), Unavailable> {
        self.act(|ua, id, cx| ua.hang_up(id, cx))
    }

    fn act(
        &self,
        act: impl FnOnce(&mut UserAgent, CallId, &mut Cx<'_>) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let id = self.id;
        self.poster.post(move |agency, cx| {
            act(&mut agency.ua, id, cx);
            agency.distribute(cx);
        })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A call that is over, or an endpoint that stopped, needs no ending.
        let _ = self.hang_up();
    }
}
