//! What a server of TLS shows to whoever asks: its certificates, and which versions and ciphers it takes.
//!
//! Several connections are opened, one after the other: one as a program would open it, but with any certificate
//! accepted for the moment, then one for each version. The old ones get a hello only ([`hello`](super::hello)).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    super::{
        FlowError, Protocol,
        stream::{self, Watched},
    },
    certificate::Certificate,
    config::{ClientTls, OwnCertificate, provider, versions},
    error::TlsError,
    hello::{self, Old, Reply},
    identity::{Name, Reference},
    outcome::{Situation, of_handshake},
    session::{Session, Verification},
    verify::ServerVerifier,
};
use crate::message::Side;

/// What came to light about a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Findings {
    /// The name it had to prove.
    pub expected: Reference,
    /// Its certificate first, then what it sent with it; empty if the handshake did not come so far.
    pub chain: Vec<Certificate>,
    /// Whether a program would go on, and by which name.
    pub verdict: Result<Name, TlsError>,
    /// What the connection would be like.
    pub session: Option<Session>,
    /// Whether it asks for a certificate of the client.
    pub asks_client: bool,
    /// `1.3`, `1.2`, `1.1` and `1.0`: whether they are accepted, if that could be found out.
    pub versions: [(&'static str, Option<bool>); 4],
    /// Whether TLS 1.2 with key exchange by RSA encryption is accepted: without forward secrecy, and never used
    /// here.
    pub rsa_key_exchange: Option<bool>,
}

impl ClientTls {
    /// Examines the server at `addr` as the server of `domain`; no step takes longer than `within`.
    ///
    /// Fails if there is no connection to the address, or nothing to examine.
    pub async fn inspect(
        &self,
        domain: &str,
        addr: SocketAddr,
        within: Duration,
    ) -> Result<Findings, InspectError> {
        let first = self.attempt(domain, addr, within, versions(self.minimum())).await?;
        let Attempt { expected, chain, outcome, asked } = first;
        let mut findings = Findings {
            expected: expected.clone(),
            chain: chain.iter().filter_map(|der| Certificate::read(der).ok()).collect(),
            verdict: Err(TlsError::Eof),
            session: None,
            asks_client: asked,
            versions: [("1.3", None), ("1.2", None), ("1.1", None), ("1.0", None)],
            rsa_key_exchange: None,
        };
        // A server that wants no TLS at all is not asked six times.
        if outcome.as_ref().is_err_and(|error| *error == TlsError::NotTls) {
            return Err(InspectError::Tls(TlsError::NotTls));
        }
        for (at, version) in [(0, &TLS13), (1, &TLS12)] {
            let accepted = self.takes(domain, addr, within, version).await;
            set(&mut findings.versions, at, accepted);
        }
        let sni = match &expected {
            Reference::Domain(name) => Some(name.as_str()),
            Reference::Ip(_) => None,
        };
        for (at, old) in [(2, Old::Tls11), (3, Old::Tls10)] {
            set(&mut findings.versions, at, takes_old(addr, sni, within, old).await);
        }
        findings.rsa_key_exchange = takes_old(addr, sni, within, Old::RsaOnly).await;
        if findings.rsa_key_exchange == Some(true) {
            set(&mut findings.versions, 1, Some(true));
        }
        let trusted = match chain.is_empty() {
            true => None,
            false => Some(self.trust()?.server(&chain, &expected, SystemTime::now())),
        };
        findings.verdict = match (outcome, trusted) {
            (_, Some(Err(refusal))) => Err(refusal.into()),
            (Ok(mut session), Some(Ok(name))) => {
                session.verification = Verification::Server(name.clone());
                findings.session = Some(session);
                Ok(name)
            }
            (Err(error), _) => Err(findings.explain(error)),
            // A handshake that succeeds has shown a certificate.
            (Ok(_), None) => Err(TlsError::Eof),
        };
        Ok(findings)
    }

    /// A handshake that accepts any certificate and keeps it.
    async fn attempt(
        &self,
        domain: &str,
        addr: SocketAddr,
        within: Duration,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Attempt, InspectError> {
        let (expected, server_name) = self.names(domain)?;
        let trust = self.trust()?;
        let witness = Arc::new(Witness {
            signatures: ServerVerifier::new(trust, expected.clone(), false),
            seen: Mutex::default(),
        });
        let own = Arc::new(OwnCertificate::new(self.credentials()));
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|error| TlsError::Misbehaved { what: error.to_string() })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<_>)
            .with_no_client_auth();
        config.client_auth_cert_resolver = Arc::clone(&own) as Arc<_>;
        config.key_log = self.secrets();
        let stream = self.open(addr, within).await?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(server_name, stream);
        let outcome = match timeout(within, handshake).await {
            Err(_) => Err(TlsError::Silent),
            Ok(Ok(mut stream)) => {
                let session = Session::new(stream.get_ref().1, Verification::NoCertificate, own.is_shown());
                // In TLS 1.3 a server says only now what it thinks of the client's certificate, or of none.
                let read = match own.is_asked() {
                    true => timeout(within.min(SECOND_THOUGHTS), stream.read(&mut [0])).await,
                    false => Ok(Ok(0)),
                };
                match read.map(|read| read.map_err(|error| TlsError::of_connection(&error))) {
                    Ok(Err(Some(error))) => Err(error),
                    _ => Ok(session),
                }
            }
            Ok(Err(error)) => {
                let situation = Situation {
                    client: true,
                    minimum: self.minimum(),
                    asked_in_vain: own.is_asked() && !own.is_shown(),
                    shown: own.is_shown(),
                };
                Err(of_handshake(&error, situation))
            }
        };
        let chain = std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Attempt { expected, chain, outcome, asked: own.is_asked() })
    }

    async fn open(&self, addr: SocketAddr, within: Duration) -> Result<Watched<TcpStream>, InspectError> {
        let opened = timeout(within, stream::open(None, addr)).await.unwrap_or(Err(FlowError::TimedOut));
        let stream = opened.map_err(|error| InspectError::Flow(addr, error))?;
        // Only for the capture; a socket without an address is in none.
        let local = stream.local_addr().unwrap_or(addr);
        Ok(Watched::new(stream, Protocol::Tls, Side::Opened, (local, addr), self.tap()))
    }

    /// Whether the server goes along with this version as far as its certificate.
    async fn takes(
        &self,
        domain: &str,
        addr: SocketAddr,
        within: Duration,
        version: &'static SupportedProtocolVersion,
    ) -> Option<bool> {
        let attempt = self.attempt(domain, addr, within, &[version]).await.ok()?;
        match attempt.outcome {
            _ if !attempt.chain.is_empty() => Some(true),
            Err(
                TlsError::PeerTooOld { .. }
                | TlsError::BelowMinimum
                | TlsError::NothingInCommon
                | TlsError::ObsoleteCipher
                | TlsError::Alert { .. }
                | TlsError::Eof,
            ) => Some(false),
            _ => None,
        }
    }
}

impl Findings {
    /// An alert says little; what else the server takes says more.
    fn explain(&self, error: TlsError) -> TlsError {
        let takes =
            |wanted| self.versions.iter().any(|(version, taken)| *version == wanted && *taken == Some(true));
        let is_vague = matches!(
            error,
            TlsError::NothingInCommon | TlsError::PeerTooOld { .. } | TlsError::Alert { .. } | TlsError::Eof
        );
        match () {
            () if !is_vague || takes("1.3") => error,
            () if self.rsa_key_exchange == Some(true) && self.chain.is_empty() => TlsError::ObsoleteCipher,
            () if takes("1.2") => error,
            () if takes("1.1") => TlsError::PeerTooOld { version: "1.1" },
            () if takes("1.0") => TlsError::PeerTooOld { version: "1.0" },
            () => error,
        }
    }
}

/// Why nothing came to light.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no connection to the address.
    #[error("{1} by {0}/tcp")]
    Flow(SocketAddr, FlowError),
    #[error("{0}")]
    Tls(TlsError),
}

impl From<TlsError> for InspectError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

struct Attempt {
    expected: Reference,
    chain: Vec<CertificateDer<'static>>,
    outcome: Result<Session, TlsError>,
    asked: bool,
}

/// Accepts every certificate and keeps it; the server must have its key all the same.
#[derive(Debug)]
struct Witness {
    signatures: ServerVerifier,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(leaf).chain(intermediates).map(|der| der.clone().into_owned());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}

/// `None` if nothing can be said.
async fn takes_old(addr: SocketAddr, sni: Option<&str>, within: Duration, old: Old) -> Option<bool> {
    let asking = async {
        let mut stream = stream::open(None, addr).await.ok()?;
        stream.write_all(&hello::client_hello(old, sni, rand::random())).await.ok()?;
        let mut octets = Vec::new();
        // A server that only closes has said no as well.
        let read = stream.take(hello::REPLY as u64).read_to_end(&mut octets).await;
        Some((read.is_ok() || !octets.is_empty(), octets))
    };
    let (is_answered, octets) = timeout(within, asking).await.ok().flatten()?;
    match hello::reply(&octets, old) {
        Reply::Agreed => Some(true),
        Reply::Alert(_) | Reply::OtherVersion => Some(false),
        Reply::Other => (is_answered && octets.is_empty()).then_some(false),
    }
}

fn set(versions: &mut [(&'static str, Option<bool>); 4], at: usize, accepted: Option<bool>) {
    if let Some((_, taken)) = versions.get_mut(at) {
        *taken = accepted;
    }
}

/// How long a server may take to refuse a client's certificate.
const SECOND_THOUGHTS: Duration = Duration::from_millis(500);
