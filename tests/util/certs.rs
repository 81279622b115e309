//! Certificates of all kinds, made afresh by the test that needs them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use spmsg::{TlsConfig, TlsConfigBuilder};

/// An authority.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM form.
pub struct Identity {
    pub cert: String,
    pub key: String,
}

/// The period in which a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Now,
    Past,
    Future,
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("valid names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate of `name` for the hosts `names`.
    pub fn issue(&self, name: &str, names: &[&str]) -> Identity {
        self.issue_for(name, names, Period::Now)
    }

    pub fn issue_for(&self, name: &str, names: &[&str], period: Period) -> Identity {
        let mut params = params(name, names);
        match period {
            Period::Now => (),
            Period::Past => {
                params.not_before = rcgen::date_time_ymd(2001, 1, 1);
                params.not_after = rcgen::date_time_ymd(2002, 1, 1);
            }
            Period::Future => {
                params.not_before = rcgen::date_time_ymd(4001, 1, 1);
                params.not_after = rcgen::date_time_ymd(4002, 1, 1);
            }
        }
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Identity { cert, key: key.serialize_pem() }
    }

    /// A client that trusts this authority only.
    pub fn client(&self) -> TlsConfigBuilder {
        TlsConfig::builder().ca_pem(&self.pem)
    }
}

impl Identity {
    /// Nobody but itself vouches for it.
    pub fn self_signed(name: &str, names: &[&str]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let cert = params(name, names).self_signed(&key).expect("a certificate").pem();
        Identity { cert, key: key.serialize_pem() }
    }

    fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("PEM");
        (vec![chain], PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("PEM"))
    }

    /// A server that is this one.
    pub fn server(&self) -> TlsConfigBuilder {
        TlsConfig::builder().cert_pem(&self.cert).key_pem(&self.key)
    }
}

/// The cryptography of peers that are played by hand.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a client by hand uses.
pub fn hand_client(authority: &Authority, identity: Option<&Identity>) -> rustls::ClientConfig {
    hand_client_of(authority, identity, rustls::DEFAULT_VERSIONS)
}

pub fn hand_client_of(
    authority: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM")).expect("an authority");
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.der();
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    }
}

/// What a server by hand uses.
pub fn hand_server(identity: &Identity) -> rustls::ServerConfig {
    let (chain, key) = identity.der();
    rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair")
}
