//! A request outside calls as a value: what became of it.

use tokio::sync::mpsc;

use crate::ua::page::QueryEvent;

/// A request under way. Dropping it changes nothing: what was sent was sent.
pub struct Pending {
    pub(super) call_id: String,
    pub(super) events: mpsc::Receiver<QueryEvent>,
}

impl Pending {
    /// The Call-ID of its messages.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The next event; `None` after the last one, or when the endpoint stopped.
    pub async fn next(&mut self) -> Option<QueryEvent> {
        self.events.recv().await
    }

    /// Waits for the outcome; `None` when the endpoint stopped.
    pub async fn outcome(mut self) -> Option<QueryEvent> {
        loop {
            match self.events.recv().await? {
                QueryEvent::Provisional { .. } | QueryEvent::Challenged { .. } => {}
                outcome => return Some(outcome),
            }
        }
    }
}
