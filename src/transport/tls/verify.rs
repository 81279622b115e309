//! Who is trusted: webpki's verification, with a better word for self-signed certificates, and the mode in which a
//! connecting side goes on although it failed.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::identity::is_self_issued;
use super::refusal::Refusal;
use super::{TlsError, provider};

/// Says of a self-signed certificate that it is one, unless something else is wrong with it that says more.
fn refine(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let says_more = matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
                | CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. }
        )
    );
    if !says_more && is_self_issued(certificate) { Refusal::SelfSigned.into() } else { error }
}

/// The methods that the traits of both sides have: signatures are webpki's business altogether.
macro_rules! signatures_by_inner {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.inner.verify_tls12_signature(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.inner.verify_tls13_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.inner.supported_verify_schemes()
        }
    };
}

/// Verifies servers.
#[derive(Debug)]
pub(super) struct Servers {
    inner: Arc<WebPkiServerVerifier>,
    /// Goes on in any case; who is really there is asked again afterwards.
    lenient: bool,
}

impl Servers {
    pub(super) fn new(roots: Arc<RootCertStore>, lenient: bool) -> Result<Servers, TlsError> {
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
        Ok(Servers { inner: inner.map_err(|_| TlsError::NoAuthority)?, lenient })
    }

    /// Whether the server is the one that was asked for.
    pub(super) fn vouches_for(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> bool {
        let Some((first, rest)) = chain.split_first() else { return false };
        self.inner.verify_server_cert(first, rest, name, &[], UnixTime::now()).is_ok()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(_) if self.lenient => Ok(ServerCertVerified::assertion()),
            other => other.map_err(|error| refine(error, end_entity)),
        }
    }

    signatures_by_inner!();
}

/// Accepts any server: the connection is encrypted, and nobody knows to whom.
#[derive(Debug)]
pub(super) struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies clients.
#[derive(Debug)]
pub(super) struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    pub(super) fn new(roots: Arc<RootCertStore>, required: bool) -> Result<Clients, TlsError> {
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        Ok(Clients { inner: builder.build().map_err(|_| TlsError::NoAuthority)? })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now);
        verified.map_err(|error| refine(error, end_entity))
    }

    signatures_by_inner!();
}
