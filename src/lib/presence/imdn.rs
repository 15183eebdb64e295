//! What became of an instant message: disposition notifications (RFC 5438).

use super::{Element, Error, Timestamp, XmlDocument, tokens, xml::is_name};

/// What a notification is about (§7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whether the message arrived.
    Delivery,
    /// Whether somebody saw it.
    Display,
    /// What somebody in between did with it.
    Processing,
}

impl Kind {
    const fn element(self) -> &'static str {
        match self {
            Self::Delivery => "delivery-notification",
            Self::Display => "display-notification",
            Self::Processing => "processing-notification",
        }
    }

    fn of(element: &Element) -> Option<Self> {
        let mut all = [Self::Delivery, Self::Display, Self::Processing].into_iter();
        all.find(|kind| element.is(IMDN, kind.element()))
    }
}

tokens! {
    /// What became of the message (§7.2.1).
    Status {
        Delivered = "delivered", Failed = "failed", Displayed = "displayed", Processed = "processed",
        Stored = "stored", Forbidden = "forbidden", Error = "error",
    }
}

/// `<imdn>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Imdn {
    /// The Message-ID of the message.
    pub message_id: String,
    /// When it was sent, by its DateTime.
    pub datetime: Timestamp,
    /// Who got it.
    pub recipient_uri: Option<String>,
    /// Who was meant to get it.
    pub original_recipient_uri: Option<String>,
    /// What it was about.
    pub subject: Option<String>,
    /// What the notification is about.
    pub kind: Kind,
    /// What became of the message.
    pub status: Status,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

impl XmlDocument for Imdn {
    const MEDIA_TYPE: &'static str = "message/imdn+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(IMDN, "imdn")?;
        let notification = root.elements().find_map(|child| Some((child, Kind::of(child)?)));
        let (notification, kind) = notification.ok_or_else(|| root.lacks("notification"))?;
        let status = notification.child(IMDN, "status").and_then(|status| status.elements().next());
        let status = status.ok_or_else(|| notification.lacks("status"))?;
        let datetime = root.child(IMDN, "datetime").ok_or_else(|| root.lacks("datetime"))?;
        let known = ["message-id", "datetime", "recipient-uri", "original-recipient-uri", "subject"];
        let extensions = root
            .elements()
            .filter(|child| Kind::of(child).is_none() && !known.iter().any(|local| child.is(IMDN, local)));
        Ok(Self {
            message_id: root.child_text(IMDN, "message-id").ok_or_else(|| root.lacks("message-id"))?,
            datetime: datetime.content()?,
            recipient_uri: root.child_text(IMDN, "recipient-uri"),
            original_recipient_uri: root.child_text(IMDN, "original-recipient-uri"),
            subject: root.child_text(IMDN, "subject"),
            kind,
            status: (&*status.name.local).into(),
            extensions: extensions.cloned().collect(),
        })
    }

    fn to_element(&self) -> Element {
        let status = Some(self.status.as_str()).filter(|status| is_name(status)).unwrap_or("error");
        let status = Element::new(IMDN, "status").with_child(Element::new(IMDN, status));
        let notification = Element::new(IMDN, self.kind.element()).with_child(status);
        Element::new(IMDN, "imdn")
            .with_some_child("message-id", Some(&self.message_id))
            .with_some_child("datetime", Some(&self.datetime))
            .with_some_child("recipient-uri", self.recipient_uri.as_ref())
            .with_some_child("original-recipient-uri", self.original_recipient_uri.as_ref())
            .with_some_child("subject", self.subject.as_ref())
            .with_child(notification)
            .with_children(self.extensions.iter().cloned())
    }
}

/// The namespace of disposition notifications.
pub const IMDN: &str = "urn:ietf:params:xml:ns:imdn";
