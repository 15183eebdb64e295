//! The settings of TLS, for connections we open ([`ClientTls`]) and for those we accept ([`ServerTls`]).
//!
//! rustls with ring, TLS 1.2 and 1.3, ciphers with forward secrecy only. Sessions are not resumed: each connection
//! proves its peer anew, which is what its description then says.

use std::{
    fmt, fs,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    client::{ResolvesClientCert, Resumption},
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject},
    },
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use zeroize::Zeroizing;

use super::{
    super::Tap,
    certificate::Certificate,
    error::{TlsConfigError, TlsError},
    identity::Reference,
    keylog::Secrets,
    outcome::{Situation, of_handshake},
    session::{Session, Verification},
    verify::{ClientVerifier, ServerVerifier, Trust},
    version::Version,
};

/// The authorities that are trusted.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Those of the operating system, read when they are first needed.
    #[default]
    Platform,
    /// These and no others.
    These(Arc<RootCertStore>),
}

impl Roots {
    /// Reads all certificates of these PEM files.
    pub fn files<P: AsRef<Path>>(paths: &[P]) -> Result<Self, TlsConfigError> {
        let mut store = RootCertStore::empty();
        for path in paths.iter().map(AsRef::as_ref) {
            add(&mut store, &read(path)?, path)?;
        }
        Ok(Self::These(Arc::new(store)))
    }

    /// Reads all certificates of a PEM text.
    pub fn pem(text: &[u8]) -> Result<Self, TlsConfigError> {
        let mut store = RootCertStore::empty();
        add(&mut store, text, Path::new(IN_MEMORY))?;
        Ok(Self::These(Arc::new(store)))
    }

    fn store(&self) -> Result<Arc<RootCertStore>, TlsConfigError> {
        match self {
            Self::These(store) => Ok(Arc::clone(store)),
            Self::Platform => {
                let found = rustls_native_certs::load_native_certs();
                let mut store = RootCertStore::empty();
                // Old systems carry roots that nobody can read; the others are good all the same.
                let (added, _) = store.add_parsable_certificates(found.certs);
                match added {
                    0 => {
                        let why =
                            found.errors.first().map_or_else(|| "none found".into(), ToString::to_string);
                        Err(TlsConfigError::NoSystemRoots(why))
                    }
                    _ => Ok(Arc::new(store)),
                }
            }
        }
    }
}

/// A certificate with what leads to its authority, and its private key.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<CertifiedKey>);

impl Credentials {
    /// Reads PEM files: the certificate first, then those of the authorities above it; and the key, which may be in
    /// the same file.
    pub fn files(certificate: &Path, key: &Path) -> Result<Self, TlsConfigError> {
        let key_text = Zeroizing::new(read(key)?);
        Self::read((&read(certificate)?, certificate), (&key_text, key))
    }

    /// The same from PEM texts.
    pub fn pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        let path = Path::new(IN_MEMORY);
        Self::read((certificate, path), (key, path))
    }

    /// Our own certificate.
    pub fn certificate(&self) -> Option<Certificate> {
        self.0.cert.first().and_then(|der| Certificate::read(der).ok())
    }

    fn read(
        (certificate, certificate_path): (&[u8], &Path),
        (key, key_path): (&[u8], &Path),
    ) -> Result<Self, TlsConfigError> {
        let chain = certificates(certificate, certificate_path)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound if contains(key, b"ENCRYPTED") => {
                TlsConfigError::EncryptedKey(key_path.into())
            }
            pem::Error::NoItemsFound => TlsConfigError::NoKey(key_path.into()),
            other => TlsConfigError::Malformed { path: key_path.into(), what: other.to_string() },
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsConfigError::BadKey { path: key_path.into(), what: error.to_string() })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(certified)))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsConfigError::KeyMismatch {
                certificate: certificate_path.into(),
                key: key_path.into(),
            }),
            Err(error) => {
                Err(TlsConfigError::BadCertificate { path: certificate_path.into(), what: error.to_string() })
            }
        }
    }
}

/// What connections that we open are made of. All fields have defaults that are safe.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    pub roots: Roots,
    /// Shown if the server asks for it (mutual TLS).
    pub credentials: Option<Credentials>,
    /// Checked, and asked for by SNI, instead of the domain that is connected to.
    pub name: Option<String>,
    /// Accept every certificate, with a warning each time.
    pub insecure: bool,
    pub minimum: Version,
}

/// Opens TLS connections.
#[derive(Clone)]
pub struct ClientTls {
    settings: ClientSettings,
    web: bool,
    tap: Option<Arc<dyn Tap>>,
    secrets: Arc<Secrets>,
    base: Arc<OnceLock<Result<(Trust, ClientConfig), TlsConfigError>>>,
}

impl ClientTls {
    /// The tap is given the secrets. The system's roots are read when the first connection is opened.
    pub fn new(settings: ClientSettings, tap: Option<Arc<dyn Tap>>) -> Self {
        let secrets = Arc::new(Secrets::new(tap.clone()));
        Self { settings, web: false, tap, secrets, base: Arc::default() }
    }

    /// The same for HTTP: names count as they do there (RFC 9525), wildcards included.
    #[must_use]
    pub fn for_web(self) -> Self {
        Self { web: true, ..self }
    }

    /// Whether there is a certificate to be shown to servers that ask for one.
    pub fn shows_certificate(&self) -> bool {
        self.settings.credentials.is_some()
    }

    /// Makes the handshake over a connection to the server of `domain`: the host of the URI the user gave, which
    /// the certificate must name (RFC 5922 §7.3), whatever address it was resolved to.
    ///
    /// There is no time limit here. Dropping the future drops the connection.
    pub async fn connect<S>(
        &self,
        domain: &str,
        stream: S,
    ) -> Result<(client::TlsStream<S>, Session), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (trust, base) = self.ready()?;
        let (expected, server_name) = self.names(domain)?;
        let verifier = ServerVerifier::new(trust.clone(), expected, self.settings.insecure).web(self.web);
        let verifier = Arc::new(verifier);
        let own = Arc::new(OwnCertificate::new(self.credentials()));
        let mut config = base.clone();
        config.dangerous().set_certificate_verifier(Arc::clone(&verifier) as Arc<_>);
        config.client_auth_cert_resolver = Arc::clone(&own) as Arc<_>;
        let stream = TlsConnector::from(Arc::new(config)).connect(server_name, stream).await;
        let (asked, shown) = (own.is_asked(), own.is_shown());
        let stream = stream.map_err(|error| {
            let minimum = self.settings.minimum;
            of_handshake(&error, Situation { client: true, minimum, asked_in_vain: asked && !shown, shown })
        })?;
        let session = Session::new(stream.get_ref().1, verifier.verification(), shown);
        Ok((stream, session))
    }

    pub(super) fn tap(&self) -> Option<Arc<dyn Tap>> {
        self.tap.clone()
    }

    pub(super) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets)
    }

    pub(super) fn minimum(&self) -> Version {
        self.settings.minimum
    }

    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.settings.credentials.clone()
    }

    pub(super) fn trust(&self) -> Result<Trust, TlsError> {
        self.ready().map(|(trust, _)| trust.clone())
    }

    fn ready(&self) -> Result<&(Trust, ClientConfig), TlsError> {
        let base = self.base.get_or_init(|| self.base());
        base.as_ref().map_err(|error| TlsError::Setup(error.clone()))
    }

    /// What rustls is asked to trust and do, without what belongs to one connection.
    fn base(&self) -> Result<(Trust, ClientConfig), TlsConfigError> {
        let provider = provider();
        let trust = Trust::new(self.settings.roots.store()?, Arc::clone(&provider));
        let anybody = Reference::new("invalid");
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(self.settings.minimum))
            .map_err(|error| TlsConfigError::Refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(trust.clone(), anybody, false)))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.key_log = Arc::clone(&self.secrets) as Arc<_>;
        Ok((trust, config))
    }

    /// The name to check, and the one for SNI. They differ if the name to check is no host name, such as a
    /// wildcard that is to be taken by its letters.
    pub(super) fn names(&self, domain: &str) -> Result<(Reference, ServerName<'static>), TlsError> {
        let sni = |reference: &Reference| match reference {
            Reference::Ip(ip) => Some(ServerName::IpAddress((*ip).into())),
            Reference::Domain(name) => ServerName::try_from(name.clone()).ok(),
        };
        let connected = Reference::new(domain);
        let expected = self.settings.name.as_deref().map(Reference::new);
        let name = expected.as_ref().and_then(sni).or_else(|| sni(&connected));
        match name {
            Some(name) => Ok((expected.unwrap_or(connected), name)),
            None => Err(TlsError::BadName(domain.to_owned())),
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Gives our certificate, and remembers whether it was asked for.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    credentials: Option<Credentials>,
    asked: AtomicBool,
}

impl OwnCertificate {
    pub fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, asked: AtomicBool::new(false) }
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub fn is_shown(&self) -> bool {
        self.is_asked() && self.credentials.is_some()
    }
}

impl ResolvesClientCert for OwnCertificate {
    /// One certificate is all there is, so it is shown whatever authorities the server names.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.credentials.as_ref().map(|own| Arc::clone(&own.0))
    }

    fn has_certs(&self) -> bool {
        self.credentials.is_some()
    }
}

/// Whether clients must show a certificate, and from whom (mutual TLS, RFC 5922 §7.4).
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; those who show none are taken as well.
    Optional(Roots),
    Required(Roots),
}

/// What connections that we accept are made of.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub credentials: Credentials,
    pub clients: ClientAuth,
    pub minimum: Version,
}

/// Accepts TLS connections.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    minimum: Version,
}

impl ServerTls {
    /// The tap is given the secrets.
    pub fn new(settings: ServerSettings, tap: Option<Arc<dyn Tap>>) -> Result<Self, TlsConfigError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(settings.minimum))
            .map_err(|error| TlsConfigError::Refused(error.to_string()))?;
        let verifier = |roots: &Roots, mandatory| {
            roots.store().map(|store| Arc::new(ClientVerifier::new(Trust::new(store, provider), mandatory)))
        };
        let builder = match &settings.clients {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional(roots) => builder.with_client_cert_verifier(verifier(roots, false)?),
            ClientAuth::Required(roots) => builder.with_client_cert_verifier(verifier(roots, true)?),
        };
        let own = SingleCertAndKey::from(Arc::clone(&settings.credentials.0));
        let mut config = builder.with_cert_resolver(Arc::new(own));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.key_log = Arc::new(Secrets::new(tap));
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), minimum: settings.minimum })
    }

    /// Makes the handshake over a connection that a client has opened.
    ///
    /// There is no time limit here. Dropping the future drops the connection.
    pub async fn accept<S>(&self, stream: S) -> Result<(server::TlsStream<S>, Session), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.acceptor.accept(stream).await.map_err(|error| {
            let minimum = self.minimum;
            of_handshake(&error, Situation { client: false, minimum, asked_in_vain: false, shown: true })
        })?;
        let connection = stream.get_ref().1;
        let verification = match connection.peer_certificates() {
            Some(_) => Verification::Client,
            None => Verification::NoCertificate,
        };
        let session = Session::new(connection, verification, true);
        Ok((stream, session))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("minimum", &self.minimum).finish_non_exhaustive()
    }
}

/// The versions to speak, the newest first.
pub(super) fn versions(minimum: Version) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static NEWEST: [&SupportedProtocolVersion; 1] = [&TLS13];
    match minimum {
        Version::Tls12 => &BOTH,
        Version::Tls13 => &NEWEST,
    }
}

/// Named in each builder, never installed for the process: a library must not choose for others.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

fn add(store: &mut RootCertStore, text: &[u8], path: &Path) -> Result<(), TlsConfigError> {
    for certificate in certificates(text, path)? {
        store
            .add(certificate)
            .map_err(|error| TlsConfigError::BadCertificate { path: path.into(), what: error.to_string() })?;
    }
    Ok(())
}

fn certificates(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsConfigError::NoCertificate(path.into())),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsConfigError::Malformed { path: path.into(), what: error.to_string() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsConfigError> {
    fs::read(path).map_err(|error| TlsConfigError::Read { path: path.into(), kind: error.kind() })
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

/// Stands where the name of a file would.
const IN_MEMORY: &str = "memory";
