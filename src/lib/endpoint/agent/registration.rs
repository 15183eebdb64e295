//! A registration as a value. Dropping it removes the binding as well as can be done without waiting.

use tokio::sync::mpsc;

use crate::ua::{
    RegistrationId,
    registration::{Cause, RegistrationEvent},
};

use super::{Agency, Poster, Unavailable};

/// A registration as the application holds it.
pub struct Registration {
    pub(super) id: RegistrationId,
    pub(super) events: mpsc::Receiver<RegistrationEvent>,
    pub(super) poster: Poster<Agency>,
}

impl Registration {
    /// For requests of this account ([`Invite::registration`](crate::ua::call::Invite::registration)).
    pub fn id(&self) -> RegistrationId {
        self.id
    }

    /// The next event; `None` after [`RegistrationEvent::Ended`], or when the endpoint stopped.
    pub async fn next(&mut self) -> Option<RegistrationEvent> {
        self.events.recv().await
    }

    /// Removes the binding and waits for what comes of it, at most as long as a transaction takes. An error says
    /// why the registrar may still have it.
    pub async fn end(mut self) -> Result<(), Option<Cause>> {
        self.leave().map_err(|_| None)?;
        while let Some(event) = self.events.recv().await {
            if let RegistrationEvent::Ended { cause } = event {
                return cause.map_or(Ok(()), |cause| Err(Some(cause)));
            }
        }
        Err(None)
    }

    fn leave(&self) -> Result<(), Unavailable> {
        let id = self.id;
        self.poster.post(move |agency, cx| {
            agency.ua.unregister(id, cx);
            agency.distribute(cx);
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // One that is over, or an endpoint that stopped, needs no ending.
        let _ = self.leave();
    }
}
