//! From the flags of TLS and the table `[tls]` of the configuration to what opens connections.

use std::sync::Arc;

use super::{args, config::Config, failure::Failure};
use crate::transport::{
    Tap,
    tls::{
        ClientAuth, ClientSettings, ClientTls, Credentials, Roots, ServerSettings, ServerTls, TlsConfigError,
    },
};

/// Files are read now, so that a mistake is told before anything is sent; the system's authorities only when a
/// connection is opened. The tap is given the secrets.
pub(super) fn client(
    args: &args::Tls,
    config: &Config,
    tap: Option<Arc<dyn Tap>>,
) -> Result<ClientTls, Failure> {
    settings(args, config).map(|settings| ClientTls::new(settings, tap)).map_err(Failure::usage)
}

/// For connections that are accepted; `None` without a certificate.
pub(super) fn server(
    args: &args::ListenTls,
    config: &Config,
    tap: Option<Arc<dyn Tap>>,
) -> Result<Option<ServerTls>, Failure> {
    let (certificate, key) = match &args.tls_cert {
        Some(certificate) => (certificate, args.tls_key.as_ref()),
        None => match &config.tls.cert {
            Some(certificate) => (certificate, args.tls_key.as_ref().or(config.tls.key.as_ref())),
            None => return Ok(None),
        },
    };
    let make = || {
        let clients = match args.tls_ca.as_slice() {
            [] => ClientAuth::None,
            paths => ClientAuth::Required(Roots::files(paths)?),
        };
        let credentials = Credentials::files(certificate, key.unwrap_or(certificate))?;
        let minimum = args.tls_min.or(config.tls.min).unwrap_or_default();
        ServerTls::new(ServerSettings { credentials, clients, minimum }, tap)
    };
    make().map(Some).map_err(Failure::usage)
}

fn settings(args: &args::Tls, config: &Config) -> Result<ClientSettings, TlsConfigError> {
    let config = &config.tls;
    let authorities = match (args.tls_ca.as_slice(), config.ca.as_deref()) {
        ([], Some(paths)) | (paths, _) => paths,
    };
    // A certificate and its key come from the same place.
    let (certificate, key) = match &args.tls_cert {
        Some(certificate) => (Some(certificate), args.tls_key.as_ref()),
        None => (config.cert.as_ref(), args.tls_key.as_ref().or(config.key.as_ref())),
    };
    Ok(ClientSettings {
        roots: match authorities {
            [] => Roots::Platform,
            paths => Roots::files(paths)?,
        },
        credentials: certificate
            .map(|certificate| Credentials::files(certificate, key.unwrap_or(certificate)))
            .transpose()?,
        name: args.tls_name.clone(),
        insecure: args.tls_insecure,
        minimum: args.tls_min.or(config.min).unwrap_or_default(),
    })
}
