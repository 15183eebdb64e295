//! `sip-xcap`: its flags, its manual, and what it does.

mod edits;
pub(in crate::cli) mod server;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum, ValueHint};

use super::{
    Context, Event, Failure, Program,
    account::Account,
    args,
    generate::{Example, Manual, Section},
    printable::Printable,
    value::parse_duration,
};
use crate::{
    presence::{Element, Limits},
    xcap::{Answer, Method, NodeSelector, Precondition, Request, Resource, Target, Tree, Url, Usage},
};

use server::{Server, WITHIN, address, refused};

/// Read and change the documents of an XCAP server
///
/// Gets, puts and deletes documents or parts of them (RFC 4825), and makes everyday edits: who may see your presence
/// (pres-rules), your lists (resource-lists), and the lists that can be subscribed to (rls-services).
#[derive(Clone, Debug, Parser)]
#[command(name = "sip-xcap", version, max_term_width = 100)]
#[command(mut_arg("display_name", |arg| arg.hide(true)))]
pub struct Args {
    /// get, put, delete, caps, pres-rules, resource-lists or rls-services
    ///
    /// What to do; caps is what the server knows. The last three are documents to edit, with a verb.
    #[arg(value_enum, value_name = "ACTION", hide_possible_values = true)]
    pub action: Action,

    /// What to do with it: list, add, remove, allow, block and others
    #[arg(value_enum, value_name = "VERB", hide_possible_values = true)]
    pub verb: Option<Verb>,

    /// Whom, or which service
    #[arg(value_name = "URI")]
    pub uri: Option<String>,

    /// The XCAP root: an http or https URL
    #[arg(long, value_name = "URL", env = "SIPKIT_XCAP_ROOT", hide_env = true, alias = "root")]
    #[arg(help_heading = "Document")]
    pub xcap_root: Option<String>,

    /// Application usage [default: pres-rules]
    #[arg(long, value_name = "NAME", help_heading = "Document")]
    pub auid: Option<String>,

    /// Name of the document [default: index]
    #[arg(long, value_name = "NAME", help_heading = "Document")]
    pub document: Option<String>,

    /// The part, such as 'resource-lists/list[@name="a"]'
    ///
    /// Steps with slashes between them: name, name[2], name[@attribute="value"]; at the end @attribute or namespace::*.
    // The help is no Markdown: nothing is linked to.
    #[allow(rustdoc::broken_intra_doc_links)]
    #[arg(long, value_name = "SELECTOR", help_heading = "Document")]
    pub node: Option<NodeSelector>,

    /// Bind a prefix of the selector; may be repeated
    #[arg(long, value_name = "PREFIX=URI", value_parser = parse_binding, help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub namespace: Vec<(String, String)>,

    /// Whose document [default: our address]
    #[arg(long, value_name = "XUI", conflicts_with = "global", help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub xui: Option<String>,

    /// The document of all users
    #[arg(long, help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub global: bool,

    /// What to put; a single dash is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Document")]
    pub file: Option<PathBuf>,

    /// Media type of a document [default: by the usage]
    #[arg(long, value_name = "TYPE", help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub content_type: Option<String>,

    /// Only if the document has this entity tag; '*': any
    #[arg(long, value_name = "TAG", help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub if_match: Option<String>,

    /// Only if it has not; '*': only if it is not there
    #[arg(long, value_name = "TAG", conflicts_with = "if_match", help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub if_none_match: Option<String>,

    /// The list of resource-lists [default: the only one]
    #[arg(long, value_name = "NAME", help_heading = "Document")]
    pub list: Option<String>,

    /// Event package of a new service [default: presence]
    #[arg(long, value_name = "NAME", help_heading = "Document")]
    #[arg(hide_short_help = true)]
    pub package: Vec<String>,

    /// Print documents as they came
    #[arg(long, help_heading = "Output")]
    pub raw: bool,

    /// Print the request and send nothing
    ///
    /// Edits read the document first, and print what they would write.
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// How long an exchange may take (exit 23) [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Time")]
    #[arg(hide_short_help = true)]
    pub answer_timeout: Option<Duration>,

    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub dns: args::Dns,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub common: args::WithoutTraffic,
}

/// What `sip-xcap` can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Read a document or a part of it
    Get,
    /// Write it
    Put,
    /// Remove it
    Delete,
    /// What the server knows
    Caps,
    /// Who may see our presence
    PresRules,
    /// Our lists
    ResourceLists,
    /// The lists that can be subscribed to
    RlsServices,
}

/// What can be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    /// Show it
    List,
    /// Add to a list, or add a service
    Add,
    /// Take out again
    Remove,
    /// Show everything
    Allow,
    /// Refuse
    Block,
    /// Seem offline
    PoliteBlock,
    /// Ask us each time
    Confirm,
}

impl Program for Args {
    const TIMELINE: bool = false;
    const MANUAL: Manual = Manual {
        synopsis: &[
            "get | delete [OPTIONS] [--auid NAME] [--node SELECTOR]",
            "put [OPTIONS] [--auid NAME] [--node SELECTOR] --file FILE",
            "caps [OPTIONS]",
            "pres-rules [OPTIONS] list | allow | block | polite-block | confirm | remove [URI]",
            "resource-lists [OPTIONS] list | add | remove [URI] [--list NAME]",
            "rls-services [OPTIONS] list | add | remove [URI] [--list NAME]",
        ],
        sections: &[Section {
            title: "EDITS",
            text: "A document is read, changed, and written back only if nobody else has changed it meanwhile; \
                   otherwise it is read again. What is not known stays as it was; comments are lost.",
            terms: &[
                ("allow, block, polite-block, confirm", "Give a watcher a rule of their own (RFC 5025)."),
                ("remove", "Take a watcher, an entry or a service out again (exit 14 if it is not there)."),
                ("add", "Add an entry to a list, or a service for the list that --list names (RFC 4826)."),
            ],
        }],
        examples: &[
            Example {
                about: "Who may see us; the root is the xcap-root of the account",
                command: "sip-xcap pres-rules list",
            },
            Example {
                about: "Let somebody see us",
                command: "sip-xcap pres-rules allow sip:bob@example.com",
            },
            Example {
                about: "Add somebody to a list",
                command: "sip-xcap resource-lists add sip:bob@example.com --list friends",
            },
            Example {
                about: "One entry of it, as it came",
                command: "sip-xcap get --raw --auid resource-lists --node 'resource-lists/list[1]'",
            },
            Example {
                about: "Write a document, but not over one that is there",
                command: "sip-xcap put --auid rls-services --file my.xml --if-none-match '*'",
            },
        ],
    };

    fn common(&self) -> &args::Common {
        &self.common.0
    }
}

/// The program.
pub async fn run(args: Args, cx: Context) -> Result<(), Failure> {
    let route = args::Route { proxy: None, local: None, transport: None, dns: args.dns.clone() };
    let account = Account::resolve(&args.identity, &route, &cx.config)?;
    let root = root(&args, &account)?;
    let within = args.answer_timeout.unwrap_or(WITHIN);
    let mut server = Server::new(&account, &args.dns, &args.tls, within, &cx)?.noting(&cx.out);
    let session = Session { args: &args, account: &account, cx: &cx, root };
    let doing = async {
        match args.action {
            Action::Get | Action::Put | Action::Delete => session.plain(&mut server).await,
            Action::Caps => session.capabilities(&mut server).await,
            Action::PresRules | Action::ResourceLists | Action::RlsServices => {
                session.edit(&mut server).await
            }
        }
    };
    tokio::select! {
        biased;
        why = cx.stop.requested() => Err(why.into()),
        outcome = doing => outcome,
    }
}

/// What the requests of a run have in common.
struct Session<'a> {
    args: &'a Args,
    account: &'a Account,
    cx: &'a Context,
    root: Url,
}

impl Session<'_> {
    async fn plain(&self, server: &mut Server) -> Result<(), Failure> {
        if self.args.verb.is_some() || self.args.uri.is_some() {
            return Err(
                Failure::usage("get, put and delete take no more than flags").hint("see sip-xcap --help")
            );
        }
        let auid = self.args.auid.clone().unwrap_or_else(|| "pres-rules".into());
        let usage = Usage::find(&auid);
        let document = match (&self.args.document, usage) {
            (Some(name), _) => name.clone(),
            (None, usage) => usage.map_or("index", |usage| usage.document).to_owned(),
        };
        let resource = Resource {
            root: self.root.clone(),
            tree: self.tree()?,
            auid,
            document,
            node: self.args.node.clone(),
            namespaces: self.args.namespace.clone(),
        };
        let url = resource.url().map_err(|error| {
            Failure::usage(format_args!("--node: {error}")).hint("bind it with --namespace PREFIX=URI")
        })?;
        let request = match self.args.action {
            Action::Put => {
                let target = resource.node.as_ref().map(NodeSelector::target);
                if target == Some(Target::Namespaces) {
                    return Err(Failure::usage("namespace bindings are only read"));
                }
                let Some(path) = &self.args.file else {
                    return Err(Failure::usage("there is nothing to put").hint("give --file FILE"));
                };
                let body = read(path)?;
                let known = self.args.content_type.as_deref().filter(|_| target.is_none());
                let Some(media_type) = known.or(resource.media_type()) else {
                    return Err(Failure::usage(format_args!("the usage {} is not known", resource.auid))
                        .hint("say with --content-type of which media type its documents are"));
                };
                if target.is_none() {
                    Element::read(&body, &Limits::default()).map_err(|error| {
                        Failure::usage(format_args!("{} is no XML document: {error}", path.display()))
                    })?;
                }
                Request::put(url, media_type, body)
            }
            Action::Delete => Request::delete(url),
            _ => Request::get(url),
        };
        let condition = match (&self.args.if_match, &self.args.if_none_match) {
            (Some(tag), _) => Some(Precondition::Match(quoted(tag))),
            (None, Some(tag)) => Some(Precondition::NoneMatch(quoted(tag))),
            (None, None) => None,
        };
        let request = request.only_if(condition.as_ref());
        if self.args.dry_run {
            self.show_request(&request);
            return Ok(());
        }
        let (method, url) = (request.method, request.url.clone());
        let answer = server.ask(request).await?.map_err(|refusal| refused(&url, &refusal))?;
        self.report(method, &url, &answer);
        Ok(())
    }

    fn report(&self, method: Method, url: &Url, answer: &Answer) {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let event = Event::XcapAnswer {
            method: method.as_str(),
            uri: url.to_string(),
            code: answer.code,
            reason: answer.reason.clone(),
            etag: answer.etag.clone(),
            media_type: answer.media_type.clone(),
            body: (!body.is_empty()).then(|| body.clone()),
        };
        self.cx.out.data(&event);
        match method {
            Method::Get if answer.code != 304 && self.args.raw => self.cx.out.bytes(&answer.body),
            Method::Get if answer.code != 304 => self.cx.out.text(laid_out(&body)),
            _ => self.cx.out.text(format_args!("{event}\n")),
        }
    }

    fn show_request(&self, request: &Request) {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        self.cx.out.event(Event::XcapRequest {
            method: request.method.as_str(),
            uri: request.url.to_string(),
            fields: request.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
            body: (!body.is_empty()).then_some(body),
        });
    }

    fn tree(&self) -> Result<Tree, Failure> {
        if self.args.global {
            return Ok(Tree::Global);
        }
        let xui = self.args.xui.clone().or_else(|| self.account.xcap_user.clone());
        let from = || self.account.from.as_deref().map(address);
        xui.or_else(from).map(Tree::User).ok_or_else(|| {
            Failure::usage("it is not known whose document is meant")
                .hint("give --xui or --from, or an account with `from` in the configuration file")
        })
    }
}

/// A document for a person; as it came if it cannot be read.
fn laid_out(body: &str) -> String {
    let read = Element::read(body.as_bytes(), &Limits::default()).map(|element| element.write());
    let text = read.unwrap_or_else(|_| body.to_owned());
    text.lines().map(|line| format!("{}\n", Printable(line))).collect()
}

/// The root that was given, or xcap.DOMAIN (RFC 4825 §6.1).
fn root(args: &Args, account: &Account) -> Result<Url, Failure> {
    let given = args.xcap_root.as_ref().or(account.xcap_root.as_ref());
    let text = match (given, account.from.as_deref().map(address)) {
        (Some(text), _) => text.clone(),
        (None, Some(from)) => {
            let domain = from.rsplit_once('@').map(|(_, host)| host.split([':', ';']).next().unwrap_or(host));
            match domain
                .filter(|domain| domain.parse::<std::net::IpAddr>().is_err() && !domain.starts_with('['))
            {
                Some(domain) => format!("https://xcap.{domain}"),
                None => return Err(no_root()),
            }
        }
        (None, None) => return Err(no_root()),
    };
    server::read_root(&text)
}

fn no_root() -> Failure {
    Failure::usage("it is not known where the server is")
        .hint("give --xcap-root URL, or `xcap-root` of an account in the configuration file")
}

/// Entity tags have quotation marks, which shells eat.
fn quoted(tag: &str) -> String {
    if tag == "*" || tag.ends_with('"') { tag.to_owned() } else { format!("\"{tag}\"") }
}

fn parse_binding(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((prefix, uri)) if !prefix.is_empty() && !uri.is_empty() => Ok((prefix.into(), uri.into())),
        _ => Err("write it as cr=urn:ietf:params:xml:ns:common-policy".into()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = Limits::default().octets as u64;
    let mut body = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit + 1).read_to_end(&mut body)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut body))
    };
    match read {
        Err(error) => Err(Failure::usage(format_args!("cannot read {}: {error}", path.display()))),
        Ok(_) if body.len() as u64 > limit => {
            Err(Failure::usage(format_args!("{} is larger than {limit} octets", path.display())))
        }
        Ok(_) => Ok(body),
    }
}
