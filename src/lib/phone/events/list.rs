//! Lists: one subscription to the state of several (RFC 4662). A state of the list is the whole of it.

use std::{fmt::Write as _, str::FromStr};

use crate::{
    presence::{
        Document as _, Note,
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

/// The multipart/related body (§5.4), with the meta-information as its root.
pub(super) fn document(uri: &str, name: &str, members: &[(String, Document)], version: u32) -> Document {
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
    for (at, (member, document)) in members.iter().enumerate() {
        let cid = format!("{at}.{version}@{host}");
        // Writing to a string does not fail.
        let _ = write!(
            parts,
            "--{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{cid}>\r\n\
             Content-Type: {}\r\n\r\n{}\r\n",
            document.kind,
            String::from_utf8_lossy(&document.bytes)
        );
        let instance = Instance { cid: Some(cid), ..Instance::new("1", State::Active) };
        list.resources.push(Resource {
            uri: member.clone(),
            instances: vec![instance],
            ..Resource::default()
        });
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
fn boundary(members: &[(String, Document)]) -> String {
    let etags: String = members.iter().map(|(_, document)| document.etag.as_str()).collect();
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
        let state = |text: &str| Document::new("application/pidf+xml", text.to_owned());
        let members = [("sip:a@h".to_owned(), state("<a/>")), ("sip:b@h".to_owned(), state("<b/>"))];
        let document = document("sip:friends@[::1]", "friends", &members, 7);
        let message = Builder::request(Method::Notify, "sip:x@y")
            .header(HeaderId::CallId, "1")
            .body(&document.kind, &document.bytes)
            .finish();
        let multipart = Multipart::of(&message, &Limits::default()).unwrap();
        multipart.check().unwrap();
        let root = multipart.find("application", "rlmi+xml").unwrap();
        let list = ResourceList::read(root.body()).unwrap();
        assert_eq!((list.version, list.full, list.resources.len()), (7, true, 2));
        let cid = list.resources[0].instances[0].cid.clone().unwrap();
        let part = multipart.find("application", "pidf+xml").unwrap();
        assert_eq!(part.body(), b"<a/>");
        assert!(part.headers().any(|(name, value)| name == "Content-ID" && value == format!("<{cid}>")));
        assert_eq!(document.headers, [("Require".to_owned(), "eventlist".to_owned())]);
    }
}
