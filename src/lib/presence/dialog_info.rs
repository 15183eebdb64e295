//! The dialogs of a user: dialog-info (RFC 4235), with the attributes of shared appearances (RFC 7463).

use super::{
    Applied, Document, Element, Error, Reason, XmlDocument, tokens,
    version::{Version, Weight},
    winfo,
};

tokens! {
    /// The state of a dialog (RFC 4235 §3.7.1).
    State {
        Trying = "trying", Proceeding = "proceeding", Early = "early", Confirmed = "confirmed",
        Terminated = "terminated",
    }
}

tokens! {
    /// What ended a dialog (§3.7.1).
    Event {
        Cancelled = "cancelled", Rejected = "rejected", Replaced = "replaced", LocalBye = "local-bye",
        RemoteBye = "remote-bye", Error = "error", Timeout = "timeout",
    }
}

tokens! {
    /// Which side of a dialog the observed user is: who sent the INVITE, or who got it (§4.1.1).
    Direction { Initiator = "initiator", Recipient = "recipient" }
}

/// `<dialog-info>`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DialogInfo {
    /// One higher from document to document of a subscription.
    pub version: u32,
    /// Whether it is the whole state, or what changed.
    pub full: bool,
    /// The URI of the observed user; required, but some leave it out: then it is empty.
    pub entity: String,
    /// The dialogs.
    pub dialogs: Vec<Dialog>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A dialog, or one half of one (§4.1.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Dialog {
    /// Unique among the dialogs; not the Call-ID.
    pub id: String,
    /// The Call-ID.
    pub call_id: Option<String>,
    /// The tag of the observed user.
    pub local_tag: Option<String>,
    /// The tag of the other side; none before a response had one.
    pub remote_tag: Option<String>,
    /// Who began it.
    pub direction: Option<Direction>,
    /// Its state.
    pub state: State,
    /// What brought it to an end.
    pub event: Option<Event>,
    /// The status of the response that did, 100 to 699.
    pub code: Option<u16>,
    /// Seconds since it began.
    pub duration: Option<u64>,
    /// The dialog that it replaced.
    pub replaces: Option<Replaces>,
    /// Who referred to the other side.
    pub referred_by: Option<Identity>,
    /// The URIs of its route set.
    pub route_set: Vec<String>,
    /// The observed user.
    pub local: Participant,
    /// The other side.
    pub remote: Participant,
    /// Elements of other namespaces, and those of shared appearances (RFC 7463).
    pub extensions: Vec<Element>,
}

/// The dialog that another one replaced (§4.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: String,
    /// The tag of the observed user.
    pub local_tag: String,
    /// The tag of the other side.
    pub remote_tag: String,
}

/// Somebody's URI and name (§4.1.6.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The URI.
    pub uri: String,
    /// The name, for people to read.
    pub display: Option<String>,
}

/// One side of a dialog (§4.1.6). Lists that are empty and fields that are none say nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Participant {
    /// Who it is; several if several URIs are theirs.
    pub identities: Vec<Identity>,
    /// Where it is.
    pub target: Option<Target>,
    /// The media type and the text of its session description.
    pub session_description: Option<(String, String)>,
    /// Its last sequence number.
    pub cseq: Option<u32>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A remote target (§4.1.6.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The URI.
    pub uri: String,
    /// Parameters of the Contact; those without a value have `true`.
    pub params: Vec<(String, String)>,
}

impl Dialog {
    /// A dialog of which nothing more is known.
    pub fn new(id: impl Into<String>, state: State) -> Self {
        Self {
            id: id.into(),
            call_id: None,
            local_tag: None,
            remote_tag: None,
            direction: None,
            state,
            event: None,
            code: None,
            duration: None,
            replaces: None,
            referred_by: None,
            route_set: Vec::new(),
            local: Participant::default(),
            remote: Participant::default(),
            extensions: Vec::new(),
        }
    }

    fn from_element(element: &Element) -> Result<Self, Error> {
        let state = element.child(DIALOG_INFO, "state").ok_or_else(|| element.lacks("state"))?;
        let mut dialog = Self::new(element.required("id")?, (&*state.text()).into());
        dialog.call_id = element.string("call-id");
        dialog.local_tag = element.string("local-tag");
        dialog.remote_tag = element.string("remote-tag");
        dialog.direction = element.attribute("direction").map(Direction::from);
        dialog.event = state.attribute("event").map(Event::from);
        dialog.code = state.parsed("code")?;
        if dialog.code.is_some_and(|code| !(100..700).contains(&code)) {
            return Err(state.refuse(Reason::value("code", state.attribute("code").unwrap_or_default())));
        }
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (DIALOG_INFO, "state") => {}
                (DIALOG_INFO, "duration") => dialog.duration = Some(child.content()?),
                (DIALOG_INFO, "replaces") => {
                    dialog.replaces = Some(Replaces {
                        call_id: child.required("call-id")?.to_owned(),
                        local_tag: child.required("local-tag")?.to_owned(),
                        remote_tag: child.required("remote-tag")?.to_owned(),
                    });
                }
                (DIALOG_INFO, "referred-by") => dialog.referred_by = Some(Identity::from_element(child)),
                (DIALOG_INFO, "route-set") => {
                    let hops = child.elements().filter(|hop| hop.is(DIALOG_INFO, "hop"));
                    dialog.route_set.extend(hops.map(|hop| hop.text().into_owned()));
                }
                (DIALOG_INFO, "local") => dialog.local = Participant::from_element(child)?,
                (DIALOG_INFO, "remote") => dialog.remote = Participant::from_element(child)?,
                _ => dialog.extensions.push(child.clone()),
            }
        }
        Ok(dialog)
    }

    fn to_element(&self) -> Element {
        let state = Element::new(DIALOG_INFO, "state")
            .with_some("event", self.event.as_ref())
            .with_some("code", self.code.as_ref())
            .with_text(&self.state);
        let mut element = Element::new(DIALOG_INFO, "dialog")
            .with("id", &self.id)
            .with_some("call-id", self.call_id.as_ref())
            .with_some("local-tag", self.local_tag.as_ref())
            .with_some("remote-tag", self.remote_tag.as_ref())
            .with_some("direction", self.direction.as_ref())
            .with_child(state)
            .with_some_child("duration", self.duration.as_ref());
        if let Some(replaces) = &self.replaces {
            element.push(
                Element::new(DIALOG_INFO, "replaces")
                    .with("call-id", &replaces.call_id)
                    .with("local-tag", &replaces.local_tag)
                    .with("remote-tag", &replaces.remote_tag),
            );
        }
        if let Some(by) = &self.referred_by {
            element.push(by.to_element("referred-by"));
        }
        if !self.route_set.is_empty() {
            let hops = self.route_set.iter().map(|hop| Element::new(DIALOG_INFO, "hop").with_text(hop));
            element.push(Element::new(DIALOG_INFO, "route-set").with_children(hops));
        }
        for (local, participant) in [("local", &self.local), ("remote", &self.remote)] {
            if *participant != Participant::default() {
                element.push(participant.to_element(local));
            }
        }
        element.with_children(self.extensions.iter().cloned())
    }

    /// What a later document leaves out of a participant is as it was (§4.1.6).
    fn inherit(&mut self, before: &Self) {
        for (now, before) in [(&mut self.local, &before.local), (&mut self.remote, &before.remote)] {
            if now.identities.is_empty() {
                now.identities.clone_from(&before.identities);
            }
            if now.target.is_none() {
                now.target.clone_from(&before.target);
            }
            if now.session_description.is_none() {
                now.session_description.clone_from(&before.session_description);
            }
        }
    }
}

impl Identity {
    fn from_element(element: &Element) -> Self {
        // The text of the RFC has `display`, its schema `display-name`.
        let display = element.attribute("display").or_else(|| element.attribute("display-name"));
        Self { uri: element.text().into_owned(), display: display.map(str::to_owned) }
    }

    fn to_element(&self, local: &str) -> Element {
        let element = Element::new(DIALOG_INFO, local).with_some("display", self.display.as_ref());
        element.with_text(&self.uri)
    }
}

impl Participant {
    fn from_element(element: &Element) -> Result<Self, Error> {
        let mut participant = Self::default();
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (DIALOG_INFO, "identity") => participant.identities.push(Identity::from_element(child)),
                (DIALOG_INFO, "target") => {
                    let params = child.elements().filter(|param| param.is(DIALOG_INFO, "param"));
                    let params = params.map(|param| {
                        // A parameter without a value is given as true; some leave the attribute out.
                        let value = param.attribute("pval").unwrap_or("true");
                        Ok((param.required("pname")?.to_owned(), value.to_owned()))
                    });
                    let params = params.collect::<Result<_, Error>>()?;
                    participant.target = Some(Target { uri: child.required("uri")?.to_owned(), params });
                }
                (DIALOG_INFO, "session-description") => {
                    let media_type = child.required("type")?.to_owned();
                    participant.session_description = Some((media_type, child.text().into_owned()));
                }
                (DIALOG_INFO, "cseq") => participant.cseq = Some(child.content()?),
                _ => participant.extensions.push(child.clone()),
            }
        }
        Ok(participant)
    }

    fn to_element(&self, local: &str) -> Element {
        let mut element = Element::new(DIALOG_INFO, local);
        element =
            element.with_children(self.identities.iter().map(|identity| identity.to_element("identity")));
        if let Some(Target { uri, params }) = &self.target {
            let params = params.iter();
            let params = params.map(|(name, value)| {
                Element::new(DIALOG_INFO, "param").with("pname", name).with("pval", value)
            });
            element.push(Element::new(DIALOG_INFO, "target").with("uri", uri).with_children(params));
        }
        if let Some((media_type, text)) = &self.session_description {
            let description = Element::new(DIALOG_INFO, "session-description").with("type", media_type);
            element.push(description.with_text(text));
        }
        element.with_some_child("cseq", self.cseq.as_ref()).with_children(self.extensions.iter().cloned())
    }
}

impl XmlDocument for DialogInfo {
    const MEDIA_TYPE: &'static str = "application/dialog-info+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(DIALOG_INFO, "dialog-info")?;
        // An example of §4.1 calls the state `notify-state`.
        let full = match root.attribute("notify-state") {
            Some(state) if root.attribute("state").is_none() => state == "full",
            _ => winfo::full(root)?,
        };
        let mut document = Self { version: root.parsed_required("version")?, full, ..Self::default() };
        document.entity = root.string("entity").unwrap_or_default();
        for child in root.elements() {
            if child.is(DIALOG_INFO, "dialog") {
                document.dialogs.push(Dialog::from_element(child)?);
            } else {
                document.extensions.push(child.clone());
            }
        }
        Ok(document)
    }

    fn to_element(&self) -> Element {
        let entity = (!self.entity.is_empty()).then_some(&self.entity);
        Element::new(DIALOG_INFO, "dialog-info")
            .with("version", &self.version)
            .with("state", if self.full { "full" } else { "partial" })
            .with_some("entity", entity)
            .with_children(self.dialogs.iter().map(Dialog::to_element))
            .with_children(self.extensions.iter().cloned())
    }
}

/// Every dialog of a subscription, kept from document to document (§4.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dialogs {
    version: Version,
    weight: Weight,
    /// The dialogs as they are now.
    pub dialogs: Vec<Dialog>,
}

impl Dialogs {
    /// Takes a document in. Terminated dialogs stay until [`forget_terminated`](Self::forget_terminated).
    pub fn apply(&mut self, mut document: DialogInfo) -> Applied {
        let applied = self.version.next(document.version, document.full);
        if applied == Applied::Stale {
            return applied;
        }
        let size = document.write().len();
        let before = super::by_key(&self.dialogs, |dialog| dialog.id.as_str());
        for dialog in &mut document.dialogs {
            if let Some(&before) = before.get(dialog.id.as_str()) {
                dialog.inherit(before);
            }
        }
        if applied == Applied::Full {
            self.dialogs = document.dialogs;
        } else {
            super::replace_by(&mut self.dialogs, document.dialogs, |dialog| dialog.id.clone());
        }
        if applied == Applied::Full {
            self.weight = Weight::default();
        }
        if !self
            .weight
            .add(size, || DialogInfo { dialogs: self.dialogs.clone(), ..DialogInfo::default() }.write().len())
        {
            *self = Self { version: self.version, ..Self::default() };
            return Applied::Gap;
        }
        applied
    }

    /// Drops dialogs that have ended.
    pub fn forget_terminated(&mut self) {
        self.dialogs.retain(|dialog| dialog.state != State::Terminated);
    }
}

/// The namespace of dialog information.
pub const DIALOG_INFO: &str = "urn:ietf:params:xml:ns:dialog-info";
