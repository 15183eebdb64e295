//! The decision about a peer's certificate: the chain by webpki (RFC 5280), the purpose (RFC 5280 §4.2.1.12,
//! RFC 5924), the names by [`identity`](super::identity) (RFC 5922 §7).
//!
//! [`Trust::server`] and [`Trust::client`] are plain functions of certificates, name and time; the two verifiers at the
//! foot plug them into rustls.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext,
};

use super::{
    certificate::{Certificate, Unreadable, Usage},
    error::{Refusal, Why},
    identity::{Mismatch, Name, Names, Reference},
    session::Verification,
};

/// The roots that chains must lead to, and the algorithms that count.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    pub(super) fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider }
    }

    /// Whether a server with these certificates, its own first, is `expected` at this time, and by which of its
    /// names (RFC 5922 §7.3).
    pub fn server(
        &self,
        chain: &[CertificateDer<'_>],
        expected: &Reference,
        now: SystemTime,
    ) -> Result<Name, Refusal> {
        self.named(chain, expected, now, Names::find)
    }

    /// The same for a server of HTTP (RFC 9525 §6).
    pub fn web_server(
        &self,
        chain: &[CertificateDer<'_>],
        expected: &Reference,
        now: SystemTime,
    ) -> Result<Name, Refusal> {
        self.named(chain, expected, now, Names::find_web)
    }

    fn named(
        &self,
        chain: &[CertificateDer<'_>],
        expected: &Reference,
        now: SystemTime,
        find: fn(&Names, &Reference) -> Result<Name, Mismatch>,
    ) -> Result<Name, Refusal> {
        let certificate = self.path(chain, Some(expected), now, Purpose::Server)?;
        match find(&certificate.names, expected) {
            Ok(name) => Ok(name),
            Err(mismatch) => Err(Refusal {
                why: Why::Name(mismatch),
                expected: Some(expected.clone()),
                certificate: Some(Box::new(certificate)),
                intermediates: chain.len().saturating_sub(1),
            }),
        }
    }

    /// Whether a client's certificates are valid at this time, and whom they name: there is no name to compare
    /// with, so all that count are the result (RFC 5922 §7.4).
    pub fn client(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<Vec<Name>, Refusal> {
        self.path(chain, None, now, Purpose::Client).map(|certificate| certificate.names.counting())
    }

    /// Everything but the names.
    fn path(
        &self,
        chain: &[CertificateDer<'_>],
        expected: Option<&Reference>,
        now: SystemTime,
        purpose: Purpose,
    ) -> Result<Certificate, Refusal> {
        let refuse = |why, certificate| Refusal {
            why,
            expected: expected.cloned(),
            certificate,
            intermediates: chain.len().saturating_sub(1),
        };
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err(refuse(Why::Unreadable(Unreadable::NotX509), None));
        };
        let certificate = Certificate::read(leaf).map_err(|what| refuse(Why::Unreadable(what), None))?;
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let verified = EndEntityCert::try_from(leaf).and_then(|leaf| {
            leaf.verify_for_usage(
                self.provider.signature_verification_algorithms.all,
                &self.roots.roots,
                intermediates,
                UnixTime::since_unix_epoch(since_epoch),
                purpose,
                None,
                None,
            )
            .map(drop)
        });
        match verified {
            Ok(()) => Ok(certificate),
            Err(error) => {
                let why = judge(&error, &certificate, now, purpose);
                Err(refuse(why, Some(Box::new(certificate))))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    Server,
    Client,
}

/// Asked for each certificate of the chain that has the extension, because authorities may restrict what they
/// sign. Without it everything is allowed, which RFC 5924 recommends for SIP as well.
impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            let oid = purpose?.to_decoded_oid();
            let usage = usage_of(&oid);
            let suits = match self {
                Self::Server => usage.suits_server(),
                Self::Client => usage.suits_client(),
            };
            if suits {
                return Ok(());
            }
            present.push(oid);
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = match self {
            Self::Server => KeyUsage::server_auth(),
            Self::Client => KeyUsage::client_auth(),
        };
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}

fn usage_of(oid: &[usize]) -> Usage {
    let numbers: Vec<String> = oid.iter().map(usize::to_string).collect();
    Usage::of_oid(&numbers.join("."))
}

/// webpki's verdict in our words. It looks at the peer's certificate first, then upwards, so an error of validity is
/// the peer's own if the peer's dates are wrong.
fn judge(error: &webpki::Error, certificate: &Certificate, now: SystemTime, purpose: Purpose) -> Why {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => match certificate {
            Certificate { not_after, .. } if *not_after < now => Why::Expired { not_after: *not_after, now },
            Certificate { not_before, .. } if *not_before > now => {
                Why::NotYetValid { not_before: *not_before, now }
            }
            _ => Why::IntermediateExpired,
        },
        Error::UnknownIssuer => Why::UnknownIssuer,
        Error::EndEntityUsedAsCa => {
            Why::Chain("what signed it is not the certificate of an authority".into())
        }
        Error::CaUsedAsEndEntity => Why::CaAsLeaf,
        Error::RequiredEkuNotFoundContext(context) => {
            let usages = context.present.iter().map(|oid| usage_of(oid)).collect();
            match purpose {
                Purpose::Server => Why::NotForServers(usages),
                Purpose::Client => Why::NotForClients(usages),
            }
        }
        Error::InvalidSignatureForPublicKey => Why::BadSignature,
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | Error::SignatureAlgorithmMismatch => Why::WeakAlgorithm,
        Error::CertRevoked | Error::CertDistrusted => Why::Revoked,
        Error::UnsupportedCertVersion => Why::OldVersion,
        Error::NameConstraintViolation | Error::PathLenConstraintViolated => Why::Constraint,
        other => Why::Chain(other.to_string()),
    }
}

/// Decides about one server for rustls, and remembers the verdict.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    trust: Trust,
    expected: Reference,
    /// Everything is accepted, with a warning.
    insecure: bool,
    /// The rules of HTTP count, not those of SIP.
    web: bool,
    verdict: OnceLock<Result<Name, Refusal>>,
}

impl ServerVerifier {
    pub fn new(trust: Trust, expected: Reference, insecure: bool) -> Self {
        Self { trust, expected, insecure, web: false, verdict: OnceLock::new() }
    }

    /// The same by the rules of HTTP, if it is so.
    pub fn web(self, web: bool) -> Self {
        Self { web, ..self }
    }

    /// After the handshake: how it went.
    pub fn verification(&self) -> Verification {
        match self.verdict.get() {
            Some(Ok(name)) => Verification::Server(name.clone()),
            Some(Err(refusal)) => Verification::Insecure(Box::new(refusal.clone())),
            None => Verification::NoCertificate,
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    /// The name that rustls gives is the one for SNI; ours is the one the user gave.
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judge = if self.web { Trust::web_server } else { Trust::server };
        let verdict = judge(&self.trust, &chain(leaf, intermediates), &self.expected, system_time(now));
        match self.verdict.get_or_init(|| verdict) {
            Ok(_) if self.insecure => {
                tracing::warn!("--tls-insecure is not needed: the peer is verified as {}", self.expected);
            }
            Ok(_) => {}
            Err(refusal) if self.insecure => {
                tracing::warn!("--tls-insecure: the peer may be anybody; {refusal}");
            }
            Err(refusal) => return Err(refused(refusal.clone())),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Decides about clients for rustls.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    trust: Trust,
    mandatory: bool,
    /// The authorities a client is told to choose a certificate by.
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub fn new(trust: Trust, mandatory: bool) -> Self {
        let hints = trust.roots.subjects();
        Self { trust, mandatory, hints }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verdict = self.trust.client(&chain(leaf, intermediates), system_time(now));
        verdict.map(|_| ClientCertVerified::assertion()).map_err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.trust.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The refusal travels through rustls and is found again by [`outcome`](super::outcome).
fn refused(refusal: Refusal) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(refusal))).into()
}

fn chain<'a>(leaf: &CertificateDer<'a>, intermediates: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    [std::slice::from_ref(leaf), intermediates].concat()
}

fn system_time(now: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs())
}
