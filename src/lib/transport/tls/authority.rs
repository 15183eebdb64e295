//! Certificates for tests, made when they are needed: an authority, and what it signs.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType, string::Ia5String,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// An authority of one's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, as PEM. `certificate` has what leads to the authority as well.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub uris: Vec<&'static str>,
    pub dns: Vec<&'static str>,
    pub ips: Vec<&'static str>,
    pub common_name: &'static str,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub ca: bool,
    /// Days from now.
    pub valid: (i64, i64),
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            uris: vec![],
            dns: vec![],
            ips: vec![],
            common_name: "",
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            ca: false,
            valid: (-1, 30),
        }
    }
}

/// id-kp-sipDomain (RFC 5924).
pub fn sip_domain() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20])
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let params = authority_params(name);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("parameters of ours");
        let pem = issuer.pem();
        Self { issuer, pem }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str) -> Self {
        let issuer = CertifiedIssuer::signed_by(authority_params(name), key(), &self.issuer)
            .expect("parameters of ours");
        let pem = issuer.pem();
        Self { issuer, pem }
    }

    pub fn issue(&self, leaf: &Leaf) -> Issued {
        let key = key();
        let certificate = leaf.params().signed_by(&key, &self.issuer).expect("parameters of ours");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// For `example.com` by its DNS name, valid.
    pub fn usual(&self) -> Issued {
        self.issue(&Leaf { dns: vec!["example.com"], ..Leaf::default() })
    }
}

impl Leaf {
    /// Signed by itself.
    pub fn self_signed(&self) -> Issued {
        let key = key();
        let certificate = self.params().self_signed(&key).expect("parameters of ours");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn params(&self) -> CertificateParams {
        let text = |text: &&str| Ia5String::try_from(*text).expect("ASCII");
        let mut params = CertificateParams::default();
        params.subject_alt_names.extend(self.uris.iter().map(|uri| SanType::URI(text(uri))));
        params.subject_alt_names.extend(self.dns.iter().map(|name| SanType::DnsName(text(name))));
        let ips = self.ips.iter().map(|ip| SanType::IpAddress(ip.parse().expect("an address")));
        params.subject_alt_names.extend(ips);
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !self.common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, self.common_name);
        }
        params.extended_key_usages = self.usages.clone();
        if self.ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.not_before = in_days(self.valid.0).into();
        params.not_after = in_days(self.valid.1).into();
        params
    }
}

/// A server that speaks TLS 1.2 only, as many phones and PBXs do.
pub fn tls12(issued: &Issued) -> tokio_rustls::TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM of ours");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM of ours");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("supported")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they belong together");
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("random numbers")
}

fn in_days(days: i64) -> SystemTime {
    let distance = Duration::from_secs(days.unsigned_abs() * 86_400);
    match days < 0 {
        true => SystemTime::now() - distance,
        false => SystemTime::now() + distance,
    }
}
