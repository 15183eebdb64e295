//! The state of a conference: conference-info (RFC 4575).

mod merge;
mod part;

pub use merge::Conference;
pub use part::{
    AvailableMedia, CallInfo, ConferenceState, Description, Execution, HostInfo, Media, SidebarsByVal, Uri,
    Uris,
};

use super::{Element, Error, Reason, XmlDocument, tokens};

/// How an element is meant (§4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change {
    /// It is all there is.
    #[default]
    Full,
    /// What it does not tell of is as it was.
    Partial,
    /// It is no more.
    Deleted,
}

impl Change {
    fn read(element: &Element) -> Result<Self, Error> {
        match element.attribute("state").map(super::xml::trim) {
            None | Some("full") => Ok(Self::Full),
            Some("partial") => Ok(Self::Partial),
            Some("deleted") => Ok(Self::Deleted),
            Some(other) => Err(element.refuse(Reason::value("state", other))),
        }
    }

    /// The attribute, where it does not say what is the case without it.
    const fn written(self) -> Option<&'static str> {
        match self {
            Self::Full => None,
            Self::Partial => Some("partial"),
            Self::Deleted => Some("deleted"),
        }
    }
}

tokens! {
    /// The state of an endpoint (§5.7.3).
    EndpointStatus {
        Pending = "pending", DialingOut = "dialing-out", DialingIn = "dialing-in", Alerting = "alerting",
        OnHold = "on-hold", Connected = "connected", MutedViaFocus = "muted-via-focus",
        Disconnecting = "disconnecting", Disconnected = "disconnected",
    }
}

tokens! {
    /// How an endpoint came in (§5.7.4).
    Joining { DialedIn = "dialed-in", DialedOut = "dialed-out", FocusOwner = "focus-owner" }
}

tokens! {
    /// How an endpoint went (§5.7.6).
    Disconnection { Departed = "departed", Booted = "booted", Failed = "failed", Busy = "busy" }
}

tokens! {
    /// Which way a medium goes, as the focus sees it (§5.8.5).
    MediaStatus { RecvOnly = "recvonly", SendOnly = "sendonly", SendRecv = "sendrecv", Inactive = "inactive" }
}

/// `<conference-info>`, and `<entry>` of sidebars.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConferenceInfo {
    /// The URI of the conference.
    pub entity: String,
    /// One higher from document to document of a subscription; sidebars may have none.
    pub version: Option<u32>,
    /// Whether it is all there is to tell.
    pub state: Change,
    /// What the conference is about.
    pub description: Option<Description>,
    /// Who holds it.
    pub host_info: Option<HostInfo>,
    /// How it is.
    pub conference_state: Option<ConferenceState>,
    /// Who takes part.
    pub users: Option<Users>,
    /// Conferences beside it, by their URIs.
    pub sidebars_by_ref: Option<Uris>,
    /// Conferences beside it, told of in full.
    pub sidebars_by_val: Option<SidebarsByVal>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// `<users>` (§5.6).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Users {
    /// Whether they are all.
    pub state: Change,
    /// The users.
    pub users: Vec<User>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// Somebody who takes part (§5.6).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct User {
    /// The URI of the user; nothing for one who is anonymous.
    pub entity: String,
    /// Whether it is all there is to tell.
    pub state: Change,
    /// The name, for people to read.
    pub display_text: Option<String>,
    /// Other URIs of the user.
    pub associated_aors: Option<Uris>,
    /// What the user is in the conference.
    pub roles: Vec<String>,
    /// The languages of the user.
    pub languages: Option<String>,
    /// The URI of the conference, if the user is one.
    pub cascaded_focus: Option<String>,
    /// What the user takes part with.
    pub endpoints: Vec<Endpoint>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

/// A device or session that somebody takes part with (§5.7).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endpoint {
    /// Its URI.
    pub entity: String,
    /// Whether it is all there is to tell.
    pub state: Change,
    /// The name, for people to read.
    pub display_text: Option<String>,
    /// Who referred to it.
    pub referred: Option<Execution>,
    /// Its state.
    pub status: Option<EndpointStatus>,
    /// How it came in.
    pub joining_method: Option<Joining>,
    /// When, why and through whom it came in.
    pub joining_info: Option<Execution>,
    /// How it went.
    pub disconnection_method: Option<Disconnection>,
    /// When, why and through whom it went.
    pub disconnection_info: Option<Execution>,
    /// Its media.
    pub media: Vec<Media>,
    /// The dialog with the focus.
    pub call_info: Option<CallInfo>,
    /// Elements of other namespaces.
    pub extensions: Vec<Element>,
}

impl XmlDocument for ConferenceInfo {
    const MEDIA_TYPE: &'static str = "application/conference-info+xml";

    fn from_element(root: &Element) -> Result<Self, Error> {
        root.expect(CONFERENCE, "conference-info")?;
        if root.attribute("version").is_none() && Change::read(root)? != Change::Full {
            return Err(root.lacks("version"));
        }
        Self::read_as_entry(root)
    }

    fn to_element(&self) -> Element {
        self.write_as("conference-info")
    }
}

impl ConferenceInfo {
    /// The users; none if they are not told of.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.iter().flat_map(|users| &users.users)
    }

    /// The document, or a sidebar.
    fn read_as_entry(root: &Element) -> Result<Self, Error> {
        let mut info = Self {
            entity: root.required("entity")?.to_owned(),
            version: root.parsed("version")?,
            state: Change::read(root)?,
            ..Self::default()
        };
        for child in root.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "conference-description") => info.description = Some(Description::read(child)?),
                (CONFERENCE, "host-info") => info.host_info = Some(HostInfo::read(child)?),
                (CONFERENCE, "conference-state") => {
                    info.conference_state = Some(ConferenceState::read(child)?);
                }
                (CONFERENCE, "users") => info.users = Some(Users::read(child)?),
                (CONFERENCE, "sidebars-by-ref") => info.sidebars_by_ref = Some(Uris::read(child)?),
                (CONFERENCE, "sidebars-by-val") => info.sidebars_by_val = Some(SidebarsByVal::read(child)?),
                _ => info.extensions.push(child.clone()),
            }
        }
        Ok(info)
    }

    fn write_as(&self, local: &str) -> Element {
        let state = self.state.written().or((local == "conference-info").then_some("full"));
        Element::new(CONFERENCE, local)
            .with("entity", &self.entity)
            .with_some("state", state)
            .with_some("version", self.version.as_ref())
            .with_children(self.description.iter().map(Description::write))
            .with_children(self.host_info.iter().map(HostInfo::write))
            .with_children(self.conference_state.iter().map(ConferenceState::write))
            .with_children(self.users.iter().map(Users::write))
            .with_children(self.sidebars_by_ref.iter().map(|uris| uris.write("sidebars-by-ref")))
            .with_children(self.sidebars_by_val.iter().map(SidebarsByVal::write))
            .with_children(self.extensions.iter().cloned())
    }
}

impl Users {
    fn read(element: &Element) -> Result<Self, Error> {
        let mut users = Self { state: Change::read(element)?, ..Self::default() };
        for child in element.elements() {
            if child.is(CONFERENCE, "user") {
                users.users.push(User::read(child)?);
            } else {
                users.extensions.push(child.clone());
            }
        }
        Ok(users)
    }

    fn write(&self) -> Element {
        Element::new(CONFERENCE, "users")
            .with_some("state", self.state.written())
            .with_children(self.users.iter().map(User::write))
            .with_children(self.extensions.iter().cloned())
    }
}

impl User {
    fn read(element: &Element) -> Result<Self, Error> {
        let entity = element.string("entity").unwrap_or_default();
        let mut user = Self { entity, state: Change::read(element)?, ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => user.display_text = Some(child.text().into_owned()),
                (CONFERENCE, "associated-aors") => user.associated_aors = Some(Uris::read(child)?),
                (CONFERENCE, "roles") => {
                    let entries = child.elements().filter(|entry| entry.is(CONFERENCE, "entry"));
                    user.roles.extend(entries.map(|entry| entry.text().into_owned()));
                }
                (CONFERENCE, "languages") => user.languages = Some(child.text().into_owned()),
                (CONFERENCE, "cascaded-focus") => user.cascaded_focus = Some(child.text().into_owned()),
                (CONFERENCE, "endpoint") => user.endpoints.push(Endpoint::read(child)?),
                _ => user.extensions.push(child.clone()),
            }
        }
        Ok(user)
    }

    fn write(&self) -> Element {
        let entity = (!self.entity.is_empty()).then_some(&self.entity);
        let roles = self.roles.iter().map(|role| Element::new(CONFERENCE, "entry").with_text(role));
        let roles = Element::new(CONFERENCE, "roles").with_children(roles);
        Element::new(CONFERENCE, "user")
            .with_some("entity", entity)
            .with_some("state", self.state.written())
            .with_some_child("display-text", self.display_text.as_ref())
            .with_children(self.associated_aors.iter().map(|uris| uris.write("associated-aors")))
            .with_children((!self.roles.is_empty()).then_some(roles))
            .with_some_child("languages", self.languages.as_ref())
            .with_some_child("cascaded-focus", self.cascaded_focus.as_ref())
            .with_children(self.endpoints.iter().map(Endpoint::write))
            .with_children(self.extensions.iter().cloned())
    }
}

impl Endpoint {
    fn read(element: &Element) -> Result<Self, Error> {
        let entity = element.string("entity").unwrap_or_default();
        let mut endpoint = Self { entity, state: Change::read(element)?, ..Self::default() };
        for child in element.elements() {
            match (&*child.name.namespace, &*child.name.local) {
                (CONFERENCE, "display-text") => endpoint.display_text = Some(child.text().into_owned()),
                (CONFERENCE, "referred") => endpoint.referred = Some(Execution::read(child)?),
                (CONFERENCE, "status") => endpoint.status = Some(child.content()?),
                (CONFERENCE, "joining-method") => endpoint.joining_method = Some(child.content()?),
                (CONFERENCE, "joining-info") => endpoint.joining_info = Some(Execution::read(child)?),
                (CONFERENCE, "disconnection-method") => {
                    endpoint.disconnection_method = Some(child.content()?)
                }
                (CONFERENCE, "disconnection-info") => {
                    endpoint.disconnection_info = Some(Execution::read(child)?);
                }
                (CONFERENCE, "media") => endpoint.media.push(Media::read(child)?),
                (CONFERENCE, "call-info") => endpoint.call_info = Some(CallInfo::read(child)?),
                _ => endpoint.extensions.push(child.clone()),
            }
        }
        Ok(endpoint)
    }

    fn write(&self) -> Element {
        Element::new(CONFERENCE, "endpoint")
            .with("entity", &self.entity)
            .with_some("state", self.state.written())
            .with_some_child("display-text", self.display_text.as_ref())
            .with_children(self.referred.iter().map(|referred| referred.write("referred")))
            .with_some_child("status", self.status.as_ref())
            .with_some_child("joining-method", self.joining_method.as_ref())
            .with_children(self.joining_info.iter().map(|joining| joining.write("joining-info")))
            .with_some_child("disconnection-method", self.disconnection_method.as_ref())
            .with_children(self.disconnection_info.iter().map(|info| info.write("disconnection-info")))
            .with_children(self.media.iter().map(Media::write))
            .with_children(self.call_info.iter().map(CallInfo::write))
            .with_children(self.extensions.iter().cloned())
    }
}

/// The namespace of conference information.
pub const CONFERENCE: &str = "urn:ietf:params:xml:ns:conference-info";
