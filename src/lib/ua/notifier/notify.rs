//! Writing NOTIFYs (RFC 6665 §4.2.2).

use crate::{
    message::{Builder, HeaderId, Message},
    ua::{UaCx, WatcherId},
};

use super::{
    Standing, Watcher,
    watcher::{Condition, Ending},
};

impl Watcher {
    /// The state as it is, or the end.
    pub(super) fn written(&mut self, builder: Builder, event: &str, cx: &UaCx<'_, '_, WatcherId>) -> Message {
        let builder = match &self.event_id {
            Some(id) => builder.header(HeaderId::Event, format_args!("{event};id={id}")),
            None => builder.header(HeaderId::Event, event),
        };
        let builder = match &self.ending {
            Some(ending) => ended(builder, ending),
            None => {
                let word = match self.standing {
                    Standing::Pending => "pending",
                    Standing::Active => "active",
                };
                // Rounded up: a subscriber that hears of less would refresh too often.
                let left = (self.until - cx.now()).as_secs_f64().ceil();
                builder.header(HeaderId::SubscriptionState, format_args!("{word};expires={left}"))
            }
        };
        let mut builder = builder.header(HeaderId::UserAgent, &cx.config.product);
        let with_state = self.ending.as_ref().is_none_or(|ending| ending.with_state);
        let Some(document) = self.document.clone().filter(|_| with_state) else { return builder.finish() };
        builder = builder.header(HeaderId::SipEtag, &document.etag);
        // RFC 5839 §6.2: who has it is told the rest.
        if self.condition.holds(Some(&document)) {
            return builder.finish();
        }
        // What was told since is newer than what the subscriber had.
        if matches!(self.condition, Condition::Tag(_)) {
            self.condition = Condition::None;
        }
        for (name, value) in &document.headers {
            builder = builder.named(name, value);
        }
        if !document.kind.is_empty() {
            builder = builder.body(&document.kind, &document.bytes);
        }
        builder.finish()
    }
}

fn ended(builder: Builder, ending: &Ending) -> Builder {
    let Ending { reason, retry_after, .. } = ending;
    match retry_after.map(|after| after.as_secs()) {
        Some(after) => builder.header(
            HeaderId::SubscriptionState,
            format_args!("terminated;reason={reason};retry-after={after}"),
        ),
        None => builder.header(HeaderId::SubscriptionState, format_args!("terminated;reason={reason}")),
    }
}
