//! PUBLISH at the server: what is taken, and what changes by it (RFC 3903 §6).

use super::{Around, Events, Notice, PACKAGES, compose, place_of, resource};
use crate::{
    message::{Request, header},
    transaction::ServerId,
    transport::Flow,
    ua::package::{self, Known},
};

impl Events {
    /// Answers a PUBLISH.
    pub(in crate::phone) fn publish(
        &mut self,
        request: &Request,
        id: ServerId,
        from: Flow,
        around: &mut Around<'_, '_>,
    ) -> Option<Notice> {
        let (event, _) = package::event(request)?;
        let package = place_of(event)?;
        let known = PACKAGES.get(usize::from(package))?;
        let resource = request.uri().map(|uri| resource::name(&uri)).unwrap_or_default();
        let now = around.cx.now();
        let mut notice = Notice::Published {
            package: event.to_owned(),
            resource: resource.clone(),
            from: request.from().map(|from| from.uri.to_string()).unwrap_or_default(),
            remote: from.remote,
            status: 0,
            operation: None,
            etag: None,
            expires: None,
        };
        let refused = match self.unfit(request, *known) {
            _ if resource.is_empty() => Some((400, Vec::new())),
            unfit => unfit,
        };
        if let Some((status, headers)) = refused {
            around.ua.refuse_publish(id, request, status, &headers, around.cx);
            if let Notice::Published { status: told, .. } = &mut notice {
                *told = status;
            }
            return Some(notice);
        }
        let random = around.cx.ids().u64();
        let outcome = self.compositor.publish(request, &resource, now, random);
        around.ua.answer_publish(id, request, &outcome, around.cx);
        if let Notice::Published { status, operation, etag, expires, .. } = &mut notice {
            match &outcome {
                Ok(stored) => {
                    (*status, *operation) = (200, Some(stored.operation));
                    (*etag, *expires) = (Some(stored.etag.clone()), Some(stored.expires));
                }
                Err(refused) => *status = refused.status(),
            }
        }
        if outcome.is_ok_and(|stored| stored.has_changed()) {
            self.changed(package, &resource, around);
        }
        self.arm(around.cx);
        Some(notice)
    }

    /// Why a PUBLISH cannot be taken whatever is published already.
    fn unfit(&self, request: &Request, package: Known) -> Option<(u16, Vec<(String, String)>)> {
        // What the server knows best itself.
        if matches!(package.name, "presence.winfo" | "reg") {
            return Some((489, Vec::new()));
        }
        if request.body().is_empty() {
            return None;
        }
        let accept = || vec![("Accept".to_owned(), package.types.join(", "))];
        let kind = request.find::<header::ContentType>().ok().flatten();
        let is_known = kind.is_some_and(|kind| {
            package.types.iter().any(|known| known.split_once('/').is_some_and(|(t, s)| kind.is(t, s)))
        });
        if !is_known {
            return Some((415, accept()));
        }
        if let Err(why) = compose::check(package.name, request.body()) {
            tracing::info!("a PUBLISH whose document is none: {why}");
            let warning = format!("399 sipkit \"{}\"", why.to_string().replace(['"', '\\'], "'"));
            return Some((400, vec![("Warning".to_owned(), warning)]));
        }
        None
    }
}
