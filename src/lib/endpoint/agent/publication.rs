//! A publication as a value. Dropping it removes what is published as well as can be done without waiting.

use tokio::sync::mpsc;

use crate::{
    stack::Cx,
    ua::{
        PublicationId, UserAgent,
        call::Body,
        publication::{Cause, PublicationEvent},
    },
};

use super::{Agency, Poster, Unavailable};

/// A publication as the application holds it.
pub struct Publication {
    pub(super) id: PublicationId,
    pub(super) events: mpsc::Receiver<PublicationEvent>,
    pub(super) poster: Poster<Agency>,
}

impl Publication {
    pub fn id(&self) -> PublicationId {
        self.id
    }

    /// The next event; `None` after [`PublicationEvent::Ended`], or when the endpoint stopped.
    pub async fn next(&mut self) -> Option<PublicationEvent> {
        self.events.recv().await
    }

    /// See [`UserAgent::modify_publication`].
    pub fn modify(&self, body: Body) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.modify_publication(id, body, cx))
    }

    /// See [`UserAgent::refresh_publication`].
    pub fn refresh(&self) -> Result<(), Unavailable> {
        self.act(|ua, id, cx| ua.refresh_publication(id, cx))
    }

    /// Removes it; [`PublicationEvent::Ended`] follows.
    pub fn remove(&self) -> Result<(), Unavailable> {
        self.act(|ua, id, cx| ua.unpublish(id, cx))
    }

    /// Removes it and waits for what comes of that, at most as long as two transactions take. An error says why the
    /// compositor may still have it.
    pub async fn end(mut self) -> Result<(), Option<Cause>> {
        self.remove().map_err(|_| None)?;
        while let Some(event) = self.events.recv().await {
            if let PublicationEvent::Ended { cause } = event {
                return cause.map_or(Ok(()), |cause| Err(Some(cause)));
            }
        }
        Err(None)
    }

    fn act(
        &self,
        act: impl FnOnce(&mut UserAgent, PublicationId, &mut Cx<'_>) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let id = self.id;
        self.poster.post(move |agency, cx| {
            act(&mut agency.ua, id, cx);
            agency.distribute(cx);
        })
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        // One that is over, or an endpoint that stopped, needs no ending.
        let _ = self.remove();
    }
}
