//! From a certificate to the [`PeerIdentity`] that it proves.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::limits::PEER_NAMES_MAX;
use crate::peer::PeerIdentity;

/// What the certificate says about its owner.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> PeerIdentity {
    let parsed = X509Certificate::from_der(certificate.as_ref()).ok().map(|(_, parsed)| parsed);
    PeerIdentity {
        subject: parsed.as_ref().map(|parsed| parsed.subject().to_string()).unwrap_or_default(),
        names: parsed.as_ref().map(names).unwrap_or_default(),
        fingerprint: sha256(certificate.as_ref()),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    // A SHA-256 has 32 bytes.
    digest.as_ref().try_into().unwrap_or_default()
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = alternative.value.general_names.iter().filter_map(name);
    names.take(PEER_NAMES_MAX).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => ip_address(bytes).map(|ip| ip.to_string()),
        _ => None,
    }
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Whether the certificate claims to be signed by itself.
pub(super) fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate.as_ref())
        .is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_told_by_subject_names_and_fingerprint() {
        let names = ["node7.example.org".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut wanted = rcgen::CertificateParams::new(names.to_vec()).expect("valid names");
        wanted.distinguished_name = rcgen::DistinguishedName::new();
        wanted.distinguished_name.push(rcgen::DnType::CommonName, "node7");
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = wanted.self_signed(&key).expect("a certificate");
        let identity = super::identity(certificate.der());
        assert_eq!(identity.subject(), "CN=node7");
        assert_eq!(identity.names(), names);
        assert_eq!(identity.fingerprint(), &sha256(certificate.der()));
        assert_ne!(identity.fingerprint(), &[0; 32]);
        assert!(is_self_issued(certificate.der()));
        assert!(format!("{identity:?}").contains("CN=node7"));
    }

    #[test]
    fn garbage_has_a_fingerprint_and_nothing_else() {
        let identity = super::identity(&CertificateDer::from(vec![1, 2, 3]));
        assert_eq!((identity.subject(), identity.names().len()), ("", 0));
        assert!(!is_self_issued(&CertificateDer::from(vec![1, 2, 3])));
    }
}
