//! Why a TLS connection came to nothing, said so that the reader knows which certificate to look at.

use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error};

/// Reasons of our own, beside those of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the peer closed the connection during the TLS handshake")]
    Vanished,
    /// Instead of an unknown issuer, which would be true but no help.
    #[error("the peer's certificate is self-signed and not among the trusted ones")]
    SelfSigned,
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, refusal)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(refusal))))
    }
}

/// A failure of TLS as the engine sees it: `InvalidData`, with the reason as text.
pub(super) fn failure(error: &Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason(error))
}

/// What went wrong, and at whom.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => format!("the peer refused the TLS connection: {}", alert_text(*alert)),
        Error::NoCertificatesPresented => "the peer showed no certificate, and one is required".to_owned(),
        Error::InvalidMessage(what) => format!("the peer does not speak TLS: {what:?}"),
        Error::PeerIncompatible(what) => format!("the peer has no TLS version or cipher in common: {what:?}"),
        Error::PeerMisbehaved(what) => format!("the peer broke the rules of TLS: {what:?}"),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            format!("the peer broke the rules of TLS: {error}")
        }
        Error::DecryptError => "what the peer sent was damaged or forged on its way".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    let what = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::Revoked => "has been revoked",
        CertificateError::UnknownIssuer => "is signed by an authority that is not trusted here",
        CertificateError::BadSignature => "has a signature that is wrong",
        CertificateError::BadEncoding => "cannot be parsed",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not meant for this side of a connection"
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let shown = if presented.is_empty() { "none".to_owned() } else { presented.join(", ") };
            return format!(
                "the peer's certificate is for another host: expected {expected}, it names {shown}"
            );
        }
        CertificateError::NotValidForName => "is for another host",
        CertificateError::Other(other) => return other.to_string(),
        other => return format!("the peer's certificate is not accepted: {other}"),
    };
    format!("the peer's certificate {what}")
}

fn alert_text(alert: AlertDescription) -> String {
    let known = match alert {
        AlertDescription::UnknownCA => "it does not trust the authority that signed our certificate",
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::CertificateRevoked => "our certificate has been revoked",
        AlertDescription::CertificateRequired => "it requires a certificate, and none was shown",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "it does not accept our certificate",
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.2 or 1.3",
        AlertDescription::HandshakeFailure => {
            "it found nothing that both sides can do, or misses a certificate"
        }
        AlertDescription::UnrecognisedName => "it does not serve that name",
        other => return format!("alert {other:?}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_tell_one_bad_certificate_from_another() {
        let refused = |error| reason(&Error::InvalidCertificate(error));
        assert_eq!(refused(CertificateError::Expired), "the peer's certificate has expired");
        assert_eq!(refused(CertificateError::NotValidYet), "the peer's certificate is not valid yet");
        assert!(refused(CertificateError::UnknownIssuer).contains("authority that is not trusted"));
        assert!(refused(CertificateError::NotValidForName).contains("another host"));
        assert!(reason(&Refusal::SelfSigned.into()).contains("self-signed"));
    }

    #[test]
    fn alerts_say_what_the_peer_misses() {
        let text = reason(&Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(
            text,
            "the peer refused the TLS connection: it requires a certificate, and none was shown"
        );
        assert!(reason(&Error::AlertReceived(AlertDescription::InternalError)).contains("InternalError"));
    }
}
