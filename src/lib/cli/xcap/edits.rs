//! The edits: a document is read, changed, and written back on the condition that it is still the one that was read.

use super::{
    Action, Session, Verb,
    server::{Server, address, unreadable},
};
use crate::{
    cli::{Event, ExitStatus, Failure},
    presence::{
        Element, XmlDocument,
        pres_rules::{Ruleset, SubHandling},
        resource_lists::{Entry, ResourceLists, RlsServices, Service, Source},
    },
    xcap::{
        Capabilities, NodeSelector, Resource, Tree, Usage, attribute_test,
        edit::{self, Watcher},
    },
};

impl Session<'_> {
    /// What the server knows.
    pub async fn capabilities(&self, server: &mut Server) -> Result<(), Failure> {
        let (element, _) = server.fetch(&self.resource("xcap-caps", Tree::Global)?).await?;
        let Some(element) = element else {
            return Err(Failure::new(ExitStatus::NotFound, "the server does not tell its capabilities"));
        };
        let all = Capabilities::read(element.write().as_bytes()).map_err(unreadable)?;
        let kinds = [("usage", all.auids), ("extension", all.extensions), ("namespace", all.namespaces)];
        for (kind, rows) in kinds {
            rows.into_iter().for_each(|uri| self.row(kind, None, uri, None));
        }
        Ok(())
    }

    /// The verbs of pres-rules, resource-lists and rls-services.
    pub async fn edit(&self, server: &mut Server) -> Result<(), Failure> {
        let auid = match self.args.action {
            Action::PresRules => "pres-rules",
            Action::ResourceLists => "resource-lists",
            _ => "rls-services",
        };
        let verb = self.args.verb.unwrap_or(Verb::List);
        let fits = match verb {
            Verb::List | Verb::Remove => true,
            Verb::Add => auid != "pres-rules",
            Verb::Allow | Verb::Block | Verb::PoliteBlock | Verb::Confirm => auid == "pres-rules",
        };
        if !fits {
            return Err(Failure::usage(format_args!("{auid} knows no such verb")).hint("see sip-xcap --help"));
        }
        let resource = self.resource(auid, self.tree()?)?;
        if verb == Verb::List {
            let (element, _) = server.fetch(&resource).await?;
            return match element {
                Some(element) => self.show(&element),
                None => {
                    Err(Failure::new(ExitStatus::NotFound, format_args!("there is no {auid} document yet")))
                }
            };
        }
        let Some(uri) = self.args.uri.clone() else {
            return Err(Failure::usage("a URI is missing").hint("such as sip:bob@example.com"));
        };
        let uri = address(&uri);
        let empty = match self.args.action {
            Action::PresRules => edit::no_rules,
            Action::ResourceLists => edit::no_lists,
            _ => edit::no_services,
        };
        let mut change = |root: &mut Element| self.change(root, verb, &uri);
        if self.args.dry_run
            && let Some(request) = server.plan(&resource, empty, &mut change).await?.request
        {
            self.show_request(&request);
            return Ok(());
        }
        let told = match server.edit(&resource, empty, change).await? {
            (true, told) => told,
            (false, _) => "unchanged",
        };
        self.row(kind(self.args.action), self.args.list.clone(), uri, Some(told.into()));
        Ok(())
    }

    fn change(&self, root: &mut Element, verb: Verb, uri: &str) -> Result<&'static str, Failure> {
        let missing = || Failure::new(ExitStatus::NotFound, format_args!("{uri} is not there"));
        match (self.args.action, verb) {
            (Action::PresRules, Verb::Remove) => {
                let before = root.clone();
                edit::handle(root, uri, None).map_err(unreadable)?;
                if *root == before { Err(missing()) } else { Ok("removed") }
            }
            (Action::PresRules, verb) => {
                let handling = match verb {
                    Verb::Allow => SubHandling::Allow,
                    Verb::Block => SubHandling::Block,
                    Verb::PoliteBlock => SubHandling::PoliteBlock,
                    _ => SubHandling::Confirm,
                };
                let now = edit::handle(root, uri, Some(handling)).map_err(unreadable)?;
                if now != handling {
                    tracing::warn!("another rule says {} to {uri}, and what gives more counts", now.as_str());
                }
                Ok(handling.as_str())
            }
            (Action::ResourceLists, verb) => {
                let list = self.list(root)?;
                match verb {
                    Verb::Remove if !edit::remove_entry(root, &list, uri) => Err(missing()),
                    Verb::Remove => Ok("removed"),
                    _ => {
                        edit::add_entry(root, &list, &Entry::new(uri));
                        Ok("added")
                    }
                }
            }
            (_, Verb::Remove) if !edit::remove_service(root, uri) => Err(missing()),
            (_, Verb::Remove) => Ok("removed"),
            _ => {
                let Some(list) = &self.args.list else {
                    return Err(Failure::usage("a service needs a list").hint("give --list NAME"));
                };
                edit::set_service(root, &self.service(uri, list)?);
                Ok("added")
            }
        }
    }

    /// A service for a list of our own.
    fn service(&self, uri: &str, list: &str) -> Result<Service, Failure> {
        let mut resource = self.resource("resource-lists", self.tree()?)?;
        "index".clone_into(&mut resource.document);
        let selector = format!("resource-lists/list{}", attribute_test("name", list));
        resource.node = Some(selector.parse::<NodeSelector>().map_err(Failure::usage)?);
        let packages = match self.args.package.as_slice() {
            [] => vec!["presence".to_owned()],
            packages => packages.to_vec(),
        };
        let source = Source::ResourceList(resource.url().map_err(Failure::usage)?.to_string());
        Ok(Service { uri: uri.to_owned(), source, packages, extensions: Vec::new() })
    }

    /// The list that is meant.
    fn list(&self, root: &Element) -> Result<String, Failure> {
        if let Some(name) = &self.args.list {
            return Ok(name.clone());
        }
        let lists = ResourceLists::from_element(root).map_err(unreadable)?.lists;
        match lists.as_slice() {
            [only] if only.name.is_some() => Ok(only.name.clone().unwrap_or_default()),
            _ => Err(Failure::usage("it is not clear which list is meant").hint("give --list NAME")),
        }
    }

    fn show(&self, element: &Element) -> Result<(), Failure> {
        if self.args.raw {
            self.cx.out.text(element.write());
            return Ok(());
        }
        match self.args.action {
            Action::PresRules => {
                let rules = Ruleset::from_element(element).map_err(unreadable)?;
                for Watcher { who, rule, handling } in edit::watchers(&rules) {
                    self.row("rule", Some(rule), who, handling.map(|handling| handling.as_str().to_owned()));
                }
            }
            Action::ResourceLists => {
                for list in &ResourceLists::from_element(element).map_err(unreadable)?.lists {
                    for entry in list.entries() {
                        let name = entry.display_name.as_ref().map(|name| name.text.clone());
                        self.row("entry", list.name.clone(), entry.uri.clone(), name);
                    }
                }
            }
            _ => {
                for service in RlsServices::from_element(element).map_err(unreadable)?.services {
                    let list = match service.source {
                        Source::ResourceList(uri) => Some(uri),
                        Source::List(list) => list.name,
                    };
                    self.row("service", list, service.uri, Some(service.packages.join(", ")));
                }
            }
        }
        Ok(())
    }

    fn row(&self, kind: &'static str, list: Option<String>, uri: String, value: Option<String>) {
        self.cx.out.event(Event::XcapEntry { kind, list, uri, value });
    }

    fn resource(&self, auid: &str, tree: Tree) -> Result<Resource, Failure> {
        let usage = Usage::find(auid).ok_or_else(|| Failure::usage(format_args!("{auid} is not known")))?;
        let mut resource = Resource::document(self.root.clone(), usage, tree);
        if let Some(name) = &self.args.document {
            resource.document.clone_from(name);
        }
        Ok(resource)
    }
}

fn kind(action: Action) -> &'static str {
    match action {
        Action::PresRules => "rule",
        Action::ResourceLists => "entry",
        _ => "service",
    }
}
