//! Challenges to NOTIFYs (RFC 3261 §22): a proxy may ask for credentials before it lets them through. They are answered
//! if the user agent has some. Otherwise that NOTIFY is lost and the subscription stays (RFC 5057 §5.3).

use crate::{
    auth,
    dialog::Dialog,
    message::{Edits, HeaderId, Response},
    stack::Outgoing,
    ua::{UaCx, WatcherId, call::with_headers},
};

/// The credentials of a watcher's NOTIFYs, and the last one of them. Only who has logins needs it.
pub struct Challenges {
    auth: auth::Client,
    sent: Option<(Outgoing, Vec<(HeaderId, String)>)>,
}

impl Challenges {
    /// With the logins of `auth`, if it has any.
    pub fn of(auth: &auth::Client) -> Option<Box<Self>> {
        auth.has_logins().then(|| Box::new(Self { auth: auth.clone(), sent: None }))
    }

    /// A NOTIFY as it is to be sent: with credentials where they were asked for before.
    pub fn dressed(&mut self, outgoing: Outgoing) -> Outgoing {
        let request = outgoing.request.clone().into_request();
        let credentials = request.map_or(Vec::new(), |request| {
            self.auth.authorize(request.method().as_str(), request.raw_uri(), request.body())
        });
        self.keep(outgoing, credentials)
    }

    /// The NOTIFY that answers this 401 or 407, if one can.
    pub fn answer(
        &mut self,
        response: &Response,
        dialog: &mut Dialog,
        cx: &mut UaCx<'_, '_, WatcherId>,
    ) -> Option<Outgoing> {
        let (outgoing, credentials) = self.sent.take()?;
        let sent = with_headers(&outgoing, &credentials).request.into_request().ok()?;
        let ids = cx.stack.ids();
        let answer = self.auth.challenged(response, &sent, &mut || ids.u64());
        let credentials = match answer.outcome {
            auth::Outcome::Retry(credentials) => credentials,
            auth::Outcome::GiveUp(why) => {
                tracing::warn!("a challenge to a NOTIFY is not answered: {why}");
                return None;
            }
        };
        let mut edits = Edits::new(&outgoing.request);
        edits.set(HeaderId::CSeq, format_args!("{} {}", dialog.next_number(), sent.method()));
        Some(self.keep(Outgoing { request: edits.finish(), ..outgoing }, credentials))
    }

    /// It got through.
    pub fn accepted(&mut self, response: &Response) {
        self.sent = None;
        self.auth.accepted(response);
    }

    fn keep(&mut self, outgoing: Outgoing, credentials: Vec<(HeaderId, String)>) -> Outgoing {
        let dressed = with_headers(&outgoing, &credentials);
        self.sent = Some((outgoing, credentials));
        dressed
    }
}
