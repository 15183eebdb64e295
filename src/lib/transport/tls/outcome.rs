//! What rustls reports, as a [`TlsError`].
//!
//! Nothing here guesses from text: each variant of rustls that a peer can bring about has its row, and the test
//! table holds those that matter.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::{
    error::{Refusal, TlsError},
    version::Version,
};

/// What is known beside the error itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Situation {
    /// We are the client of this connection.
    pub client: bool,
    pub minimum: Version,
    /// The peer has asked for a certificate and we had none.
    pub asked_in_vain: bool,
    /// We have shown a certificate.
    pub shown: bool,
}

impl TlsError {
    /// Why a read or write over an established TLS connection failed; `None` if the failure is not of TLS. A peer that
    /// refuses our certificate says so only here in TLS 1.3.
    pub fn of_connection(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<Error>()?;
        // Which side asks whom for a certificate is told by the alert itself.
        let situation =
            Situation { client: true, minimum: Version::Tls12, asked_in_vain: false, shown: true };
        Some(of_rustls(inner, situation))
    }
}

/// Why a handshake failed.
pub(super) fn of_handshake(error: &io::Error, situation: Situation) -> TlsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(inner) => of_rustls(inner, situation),
        None if error.kind() == io::ErrorKind::UnexpectedEof => TlsError::Eof,
        None => TlsError::Io(error.kind()),
    }
}

fn of_rustls(error: &Error, situation: Situation) -> TlsError {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<Refusal>() {
                Some(refusal) => refusal.clone().into(),
                None => TlsError::Misbehaved { what: error.to_string() },
            }
        }
        Error::AlertReceived(alert) => of_alert(*alert, situation),
        Error::PeerIncompatible(what) => of_incompatible(what, situation),
        Error::NoCertificatesPresented => TlsError::NoClientCertificate,
        // Not even the header of a record makes sense. Inside one, it is a broken peer.
        Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
            | rustls::InvalidMessage::UnknownProtocolVersion
            | rustls::InvalidMessage::MessageTooLarge,
        ) => TlsError::NotTls,
        other => TlsError::Misbehaved { what: other.to_string() },
    }
}

fn of_incompatible(what: &PeerIncompatible, situation: Situation) -> TlsError {
    match what {
        // A version is chosen by the server; ours tells what the client offered at most.
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::SupportedVersionsExtensionRequired => too_old(situation),
        PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => too_old(situation),
        // A client without groups or points offers no key exchange but the one by RSA.
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NoKxGroupsInCommon => TlsError::ObsoleteCipher,
        other => TlsError::Misbehaved { what: Error::from(other.clone()).to_string() },
    }
}

fn too_old(situation: Situation) -> TlsError {
    match situation.minimum {
        Version::Tls12 => TlsError::PeerTooOld { version: "1.1" },
        Version::Tls13 => TlsError::BelowMinimum,
    }
}

fn of_alert(alert: AlertDescription, situation: Situation) -> TlsError {
    match alert {
        AlertDescription::ProtocolVersion => too_old(situation),
        AlertDescription::CertificateRequired => TlsError::ClientCertificateRequired,
        // TLS 1.2 has no alert of its own for it (RFC 5246 §7.4.6).
        AlertDescription::HandshakeFailure | AlertDescription::NoCertificate if situation.asked_in_vain => {
            TlsError::ClientCertificateRequired
        }
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            TlsError::NothingInCommon
        }
        AlertDescription::UnrecognisedName => TlsError::UnrecognizedName,
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied
            if situation.shown =>
        {
            TlsError::OurCertificateRefused { alert: name(alert).unwrap_or("unknown") }
        }
        // Over so soon without a word: as good as closing the connection.
        AlertDescription::CloseNotify => TlsError::Eof,
        other => TlsError::Alert { alert: name(other).map_or_else(|| number(other), str::to_owned) },
    }
}

fn number(alert: AlertDescription) -> String {
    format!("number {}", u8::from(alert))
}

/// The names of RFC 8446 §6 and RFC 5246 §7.2.
pub(super) fn name(alert: AlertDescription) -> Option<&'static str> {
    alert_name(u8::from(alert))
}

pub(super) const fn alert_name(alert: u8) -> Option<&'static str> {
    Some(match alert {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustls_says_in_our_words() {
        let plain = Situation { client: true, minimum: Version::Tls12, asked_in_vain: false, shown: false };
        let asked = Situation { asked_in_vain: true, ..plain };
        let shown = Situation { shown: true, ..plain };
        let strict = Situation { minimum: Version::Tls13, ..plain };
        for (error, situation, expected) in [
            (Error::AlertReceived(AlertDescription::HandshakeFailure), plain, TlsError::NothingInCommon),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                asked,
                TlsError::ClientCertificateRequired,
            ),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                shown,
                TlsError::ClientCertificateRequired,
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                shown,
                TlsError::OurCertificateRefused { alert: "unknown_ca" },
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                plain,
                TlsError::Alert { alert: "unknown_ca".into() },
            ),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                plain,
                TlsError::PeerTooOld { version: "1.1" },
            ),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), strict, TlsError::BelowMinimum),
            (Error::AlertReceived(AlertDescription::UnrecognisedName), plain, TlsError::UnrecognizedName),
            (
                Error::AlertReceived(AlertDescription::from(200)),
                plain,
                TlsError::Alert { alert: "number 200".into() },
            ),
            (
                PeerIncompatible::ServerDoesNotSupportTls12Or13.into(),
                plain,
                TlsError::PeerTooOld { version: "1.1" },
            ),
            (PeerIncompatible::NoCipherSuitesInCommon.into(), plain, TlsError::ObsoleteCipher),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), plain, TlsError::NotTls),
            (Error::NoCertificatesPresented, plain, TlsError::NoClientCertificate),
        ] {
            assert_eq!(of_rustls(&error, situation), expected, "{error:?}");
        }
    }

    #[test]
    fn what_is_no_tls_is_left_to_others() {
        assert_eq!(TlsError::of_connection(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
        let alert = io::Error::other(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(TlsError::of_connection(&alert), Some(TlsError::ClientCertificateRequired));
    }
}
