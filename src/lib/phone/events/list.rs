//! Lists: one subscription to the state of several (RFC 4662). A state of the list is the whole of it.

use std::{fmt::Write as _, str::FromStr};

use crate::{
    presence::{
        Document as _, Note,
        pres_rules::SubHandling,
        rlmi::{Instance, Resource, ResourceList, State},
    },
    ua::notifier::Document,
};

/// A list of users, which is watched as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The user part of its address.
    pub name: String,
    /// Users at the same host, or URIs.
    pub members: Vec<String>,
}

/// Why a text is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoList {
    #[error("write it as NAME=USER,..., such as friends=alice,bob")]
    Form,
    #[error("more than {LARGEST} members")]
    TooLarge,
}

/// Members of a list at most.
const LARGEST: usize = 100;

impl FromStr for List {
    type Err = NoList;

    fn from_str(text: &str) -> Result<Self, NoList> {
        let (name, members) = text.split_once('=').ok_or(NoList::Form)?;
        let members: Vec<_> = members
            .split(',')
            .map(|member| member.trim().to_owned())
            .filter(|member| !member.is_empty())
            .collect();
        if name.trim().is_empty() || members.is_empty() {
            return Err(NoList::Form);
        }
        if members.len() > LARGEST {
            return Err(NoList::TooLarge);
        }
        Ok(Self { name: name.trim().to_owned(), members })
    }
}

/// A member, as far as a watcher of the list may see it.
pub(super) enum Member {
    Active(Document),
    Pending,
    Rejected,
}

impl Member {
    /// No state is told without a subscription that is active (§5.5).
    fn document(&self) -> Option<&Document> {
        match self {
            Self::Active(document) => Some(document),
            Self::Pending | Self::Rejected => None,
        }
    }

    fn instance(&self) -> Instance {
        match self {
            Self::Active(_) => Instance::new("1", State::Active),
            Self::Pending => Instance::new("1", State::Pending),
            Self::Rejected => {
                Instance { reason: Some("rejected".into()), ..Instance::new("1", State::Terminated) }
            }
        }
    }
}

/// How the word begins that names what of a list is told.
pub(super) const WORD: &str = "list";

/// That word: with a letter for each member, so that all who may see the same share one document.
pub(super) fn word(handlings: impl Iterator<Item = SubHandling>) -> String {
    let letter = |handling| match handling {
        SubHandling::Allow => 'a',
        SubHandling::PoliteBlock => 'p',
        SubHandling::Confirm => 'c',
        SubHandling::Block => 'b',
    };
    format!("{WORD}:{}", handlings.map(letter).collect::<String>())
}

/// The letters of a word, read.
pub(super) fn handlings(word: &str) -> impl Iterator<Item = SubHandling> + '_ {
    let letters = word.split_once(':').map_or("", |(_, letters)| letters);
    letters.chars().map(|letter| match letter {
        'a' => SubHandling::Allow,
        'p' => SubHandling::PoliteBlock,
        'c' => SubHandling::Confirm,
        _ => SubHandling::Block,
    })
}

/// The multipart/related body (§5.4), with the meta-information as its root.
pub(super) fn document(uri: &str, name: &str, members: &[(String, Member)], version: u32) -> Document {
    let host = super::resource::host(uri).trim_matches(['[', ']']).replace(':', ".");
    let mut list = ResourceList {
        uri: uri.to_owned(),
        version,
        full: true,
        names: vec![Note::new(name)],
        ..ResourceList::default()
    };
    let boundary = boundary(members);
    let mut parts = String::new();
    for (at, (uri, member)) in members.iter().enumerate() {
        let cid = format!("{at}.{version}@{host}");
        let mut instance = member.instance();
        if let Some(document) = member.document() {
            // Writing to a string does not fail.
            let _ = write!(
                parts,
                "--{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{cid}>\r\n\
                 Content-Type: {}\r\n\r\n{}\r\n",
                document.kind,
                String::from_utf8_lossy(&document.bytes)
            );
            instance.cid = Some(cid);
        }
        list.resources.push(Resource { uri: uri.clone(), instances: vec![instance], ..Resource::default() });
    }
    let root = format!("list.{version}@{host}");
    let body = format!(
        "--{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{root}>\r\n\
         Content-Type: {};charset=\"UTF-8\"\r\n\r\n{}\r\n{parts}--{boundary}--\r\n",
        ResourceList::MEDIA_TYPE,
        list.write(),
    );
    let kind = format!(
        "multipart/related;type=\"{}\";start=\"<{root}>\";boundary=\"{boundary}\"",
        ResourceList::MEDIA_TYPE
    );
    let mut document = Document::new(kind, body);
    document.headers.push(("Require".into(), "eventlist".into()));
    document
}

/// Made of what is in the parts: who publishes one cannot know it, and so not end the part early.
fn boundary(members: &[(String, Member)]) -> String {
    let documents = members.iter().filter_map(|(_, member)| member.document());
    let etags: String = documents.map(|document| document.etag.as_str()).collect();
    Document::new("boundary", etags).etag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Builder, HeaderId, Limits, Method, Multipart};

    #[test]
    fn a_list_is_its_name_and_members() {
        let list: List = " friends = alice, bob@example.com,".parse().unwrap();
        assert_eq!((list.name.as_str(), list.members.len()), ("friends", 2));
        for wrong in ["friends", "=a", "friends=", "friends=,"] {
            assert_eq!(wrong.parse::<List>(), Err(NoList::Form), "{wrong}");
        }
        assert_eq!(format!("l={}", "a,".repeat(101)).parse::<List>(), Err(NoList::TooLarge));
    }

    #[test]
    fn a_state_has_the_parts_that_its_root_names() {
        let state = |text: &str| Member::Active(Document::new("application/pidf+xml", text.to_owned()));
        let members = [
            ("sip:a@h".to_owned(), state("<a/>")),
            ("sip:b@h".to_owned(), state("<b/>")),
            ("sip:c@h".to_owned(), Member::Pending),
            ("sip:d@h".to_owned(), Member::Rejected),
        ];
        let document = document("sip:friends@[::1]", "friends", &members, 7);
        let message = Builder::request(Method::Notify, "sip:x@y")
            .header(HeaderId::CallId, "1")
            .body(&document.kind, &document.bytes)
            .finish();
        let multipart = Multipart::of(&message, &Limits::default()).unwrap();
        multipart.check().unwrap();
        let root = multipart.find("application", "rlmi+xml").unwrap();
        let list = ResourceList::read(root.body()).unwrap();
        assert_eq!((list.version, list.full, list.resources.len()), (7, true, 4));
        let told: Vec<_> =
            list.resources.iter().map(|r| (&r.instances[0].state, r.instances[0].cid.is_some())).collect();
        assert_eq!(
            told[1..],
            [(&State::Active, true), (&State::Pending, false), (&State::Terminated, false)]
        );
        assert_eq!(multipart.parts().count(), 3);
        let cid = list.resources[0].instances[0].cid.clone().unwrap();
        let part = multipart.find("application", "pidf+xml").unwrap();
        assert_eq!(part.body(), b"<a/>");
        assert!(part.headers().any(|(name, value)| name == "Content-ID" && value == format!("<{cid}>")));
        assert_eq!(document.headers, [("Require".to_owned(), "eventlist".to_owned())]);
    }
}
