//! An XCAP server as the programs use it: what the account and the flags say about it, its answers as failures, and
//! edits that lose nothing of what others write meanwhile.

use std::time::{Duration, Instant};

use crate::{
    auth,
    cli::{
        Context, ExitStatus, Failure,
        account::{self, Account},
        args,
        event::milliseconds,
        output::Out,
    },
    endpoint::http::{HttpClient, HttpError},
    presence::{Element, Limits},
    resolve::system::Resolver,
    xcap::{Answer, Precondition, Refusal, Request, Resource, Url},
};

/// Where documents are, and how they are asked for.
pub(in crate::cli) struct Server {
    client: HttpClient,
    auth: auth::Client,
    /// Where the last answer is noted, if it is what the run is about.
    summary: Option<Out>,
}

/// A change that is yet to be written.
pub(in crate::cli) struct Plan<T> {
    /// Nothing, if the document is as it should be already.
    pub request: Option<Request>,
    /// What the change said of itself.
    pub told: T,
}

impl Server {
    pub fn new(
        account: &Account,
        dns: &args::Dns,
        tls: &args::Tls,
        within: Duration,
        cx: &Context,
    ) -> Result<Self, Failure> {
        #[cfg(not(feature = "tls"))]
        let _ = tls;
        let client = HttpClient {
            resolver: Resolver::new(account::resolver(dns, &cx.config)),
            #[cfg(feature = "tls")]
            tls: Some(std::sync::Arc::new(crate::cli::tls::client(tls, &cx.config, cx.tap())?.for_web())),
            within,
        };
        Ok(Self { client, auth: account.auth()?, summary: None })
    }

    /// The result of the run tells of its answers.
    pub fn noting(self, out: &Out) -> Self {
        Self { summary: Some(out.clone()), ..self }
    }

    /// Sends a request and waits for what comes of it.
    pub async fn ask(&mut self, request: Request) -> Result<Result<Answer, Refusal>, Failure> {
        let started = Instant::now();
        let outcome =
            self.client.exchange(&mut self.auth, request).await.map_err(|error| unanswered(&error))?;
        let (code, reason) = match &outcome {
            Ok(answer) => (answer.code, &answer.reason),
            Err(refusal) => (refusal.code, &refusal.reason),
        };
        if let Some(out) = &self.summary {
            out.summary(|summary| {
                summary.code = Some(code);
                summary.reason = Some(reason.clone());
                summary.timings.answer_ms = Some(milliseconds(started.elapsed()));
            });
        }
        Ok(outcome)
    }

    /// The document and what must be so for it to be still the same; nothing if it is not there.
    pub async fn fetch(
        &mut self,
        resource: &Resource,
    ) -> Result<(Option<Element>, Option<Precondition>), Failure> {
        let url = resource.url().map_err(Failure::usage)?;
        match self.ask(Request::get(url.clone())).await? {
            Ok(answer) => {
                let element = Element::read(&answer.body, &Limits::default()).map_err(unreadable)?;
                Ok((Some(element), answer.etag.map(Precondition::Match)))
            }
            Err(refusal) if refusal.code == 404 => Ok((None, Some(Precondition::NoneMatch("*".into())))),
            Err(refusal) => Err(refused(&url, &refusal)),
        }
    }

    /// Reads a document, or takes an `empty` one, and changes it; nothing is written yet.
    pub async fn plan<T>(
        &mut self,
        resource: &Resource,
        empty: fn() -> Element,
        change: &mut impl FnMut(&mut Element) -> Result<T, Failure>,
    ) -> Result<Plan<T>, Failure> {
        let (element, condition) = self.fetch(resource).await?;
        let mut root = element.unwrap_or_else(empty);
        let before = root.clone();
        let told = change(&mut root)?;
        if root == before {
            return Ok(Plan { request: None, told });
        }
        if condition.is_none() {
            tracing::warn!("the server tells no entity tag: what somebody else writes right now is lost");
        }
        let media_type = resource.media_type().unwrap_or("application/xml");
        let url = resource.url().map_err(Failure::usage)?;
        let request = Request::put(url, media_type, root.write().into_bytes());
        Ok(Plan { request: Some(request.only_if(condition.as_ref())), told })
    }

    /// Changes a document, and anew if somebody else did meanwhile. Whether anything had to be written, and what the
    /// change said of itself.
    pub async fn edit<T>(
        &mut self,
        resource: &Resource,
        empty: fn() -> Element,
        mut change: impl FnMut(&mut Element) -> Result<T, Failure>,
    ) -> Result<(bool, T), Failure> {
        for _ in 0..ATTEMPTS {
            let Plan { request, told } = self.plan(resource, empty, &mut change).await?;
            let Some(request) = request else { return Ok((false, told)) };
            let url = request.url.clone();
            match self.ask(request).await? {
                Ok(_) => return Ok((true, told)),
                Err(refusal) if refusal.code == 412 => {
                    tracing::info!("the document was changed meanwhile; reading it again");
                }
                Err(refusal) => return Err(refused(&url, &refusal)),
            }
        }
        Err(Failure::new(ExitStatus::ClientFailure, "the document was changed by others again and again"))
    }
}

/// An XCAP root as it was written.
pub(in crate::cli) fn read_root(text: &str) -> Result<Url, Failure> {
    Resource::root(text).map_err(|error| Failure::usage(format_args!("{text} is no XCAP root: {error}")))
}

/// The URI of `"Name" <sip:user@host;x>`, without parameters.
pub(in crate::cli) fn address(text: &str) -> String {
    let uri = text.rsplit_once('<').map_or(text, |(_, uri)| uri);
    let uri = uri.split(['>', ';', '?']).next().unwrap_or(uri).trim();
    if uri.contains(':') { uri.to_owned() } else { format!("sip:{uri}") }
}

pub(in crate::cli) fn refused(url: &Url, refusal: &Refusal) -> Failure {
    let status = match refusal.code {
        // Busy and the like are words of SIP alone.
        408 | 480..=489 => ExitStatus::ClientFailure,
        code => ExitStatus::from_sip(code),
    };
    let failure = Failure::new(status, format_args!("{} answered {refusal}", url.authority()));
    match refusal.code {
        401 | 403 | 407 => failure.hint("check --user and the password (--password-file or SIPKIT_PASSWORD)"),
        404 => failure.hint(format_args!("there is nothing at {url}")),
        412 => failure
            .hint("the document was changed meanwhile, or is not what the condition says; read it again"),
        _ => failure,
    }
}

pub(in crate::cli) fn unreadable(error: crate::presence::Error) -> Failure {
    Failure::new(
        ExitStatus::ServerFailure,
        format_args!("the document on the server cannot be read: {error}"),
    )
}

fn unanswered(error: &HttpError) -> Failure {
    let (status, hint) = match error {
        HttpError::Lookup { .. } | HttpError::NoAddress(_) => {
            (ExitStatus::NameResolution, Some("check --xcap-root and the DNS of this machine"))
        }
        HttpError::Unreachable { .. } | HttpError::Broken(_) => {
            (ExitStatus::Unreachable, Some("check --xcap-root, and that an XCAP server listens there"))
        }
        #[cfg(feature = "tls")]
        HttpError::Tls { .. } => (ExitStatus::Tls, None),
        HttpError::NoTls | HttpError::Request(_) => (ExitStatus::Usage, None),
        HttpError::TimedOut { .. } => (ExitStatus::NoResponse, None),
        HttpError::TooLarge | HttpError::NotHttp(_) => (ExitStatus::ServerFailure, None),
    };
    let failure = Failure::new(status, error);
    hint.map_or(failure.clone(), |hint| failure.hint(hint))
}

/// How long an exchange may take if nothing else is said.
pub(in crate::cli) const WITHIN: Duration = Duration::from_secs(15);
/// Of writing a document that others change as well.
const ATTEMPTS: usize = 4;
