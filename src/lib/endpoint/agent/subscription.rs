//! A subscription as a value. Dropping it unsubscribes as well as can be done without waiting.

use tokio::sync::mpsc;

use crate::{
    stack::Cx,
    ua::{
        SubscriptionId, UserAgent,
        call::Body,
        subscription::{Cause, SubscriptionEvent},
    },
};

use super::{Agency, Poster, Unavailable};

/// A wish to be notified, as the application holds it.
pub struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) call_id: String,
    pub(super) events: mpsc::Receiver<SubscriptionEvent>,
    pub(super) poster: Poster<Agency>,
}

/// The events of one, on their way to its handle.
pub(super) struct Mailbox {
    pub(super) sender: mpsc::Sender<SubscriptionEvent>,
    /// What found no room since the last event that did.
    pub(super) missed: u64,
}

impl Subscription {
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The Call-ID of what begins subscriptions, and so of their dialogs.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The next event; `None` after [`SubscriptionEvent::Ended`], or when the endpoint stopped.
    pub async fn next(&mut self) -> Option<SubscriptionEvent> {
        self.events.recv().await
    }

    /// See [`UserAgent::refresh_subscription`].
    pub fn refresh(&self, body: Option<Body>) -> Result<(), Unavailable> {
        self.act(move |ua, id, cx| ua.refresh_subscription(id, body, cx))
    }

    /// Unsubscribes. The last NOTIFY may still bring news; [`SubscriptionEvent::Ended`] follows.
    pub fn unsubscribe(&self) -> Result<(), Unavailable> {
        self.act(|ua, id, cx| ua.unsubscribe(id, cx))
    }

    /// Unsubscribes and waits for what comes of it, at most twice as long as a transaction takes. An error says why
    /// the notifier may still hold the subscription.
    pub async fn end(mut self) -> Result<(), Option<Cause>> {
        self.unsubscribe().map_err(|_| None)?;
        while let Some(event) = self.events.recv().await {
            if let SubscriptionEvent::Ended { cause } = event {
                return cause.map_or(Ok(()), |cause| Err(Some(cause)));
            }
        }
        Err(None)
    }

    fn act(
        &self,
        act: impl FnOnce(&mut UserAgent, SubscriptionId, &mut Cx<'_>) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let id = self.id;
        self.poster.post(move |agency, cx| {
            act(&mut agency.ua, id, cx);
            agency.distribute(cx);
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // One that is over, or an endpoint that stopped, needs no ending.
        let _ = self.unsubscribe();
    }
}

impl Mailbox {
    pub fn new(sender: mpsc::Sender<SubscriptionEvent>) -> Self {
        Self { sender, missed: 0 }
    }

    /// The last place is kept for the end, and the one before it for what was missed.
    pub fn put(&mut self, event: SubscriptionEvent) {
        let over = matches!(event, SubscriptionEvent::Ended { .. });
        if over {
            // Nobody waits for it where the handle was dropped.
            let _ = self.sender.try_send(event);
            return;
        }
        if self.sender.capacity() <= 2 {
            self.missed += 1;
            return;
        }
        if self.missed > 0 {
            let count = std::mem::take(&mut self.missed);
            let _ = self.sender.try_send(SubscriptionEvent::Missed { count });
        }
        let _ = self.sender.try_send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn what_nobody_reads_is_counted_and_the_end_is_told() {
        let (sender, mut events) = mpsc::channel(8);
        let mut mailbox = Mailbox::new(sender);
        let news = || SubscriptionEvent::Unchanged { fork: 0, expires: Duration::ZERO };
        for _ in 0..20 {
            mailbox.put(news());
        }
        for _ in 0..6 {
            assert!(matches!(events.try_recv(), Ok(SubscriptionEvent::Unchanged { .. })));
        }
        assert!(events.try_recv().is_err());
        mailbox.put(news());
        assert!(matches!(events.try_recv(), Ok(SubscriptionEvent::Missed { count: 14 })));
        assert!(matches!(events.try_recv(), Ok(SubscriptionEvent::Unchanged { .. })));
        for _ in 0..20 {
            mailbox.put(news());
        }
        mailbox.put(SubscriptionEvent::Ended { cause: None });
        let mut last = None;
        while let Ok(event) = events.try_recv() {
            last = Some(event);
        }
        assert!(matches!(last, Some(SubscriptionEvent::Ended { .. })));
    }
}
