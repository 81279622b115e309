//! tls+tcp: TLS over tcp, a carrier like any other. What runs inside is not its business.

mod config;
mod identity;
mod refusal;
mod stream;
mod verify;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, OnceLock};

use mio::{Registry, Token};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Connection, RootCertStore, ServerConnection};

pub use config::{TlsAuth, TlsConfig, TlsConfigBuilder, TlsPart};
use stream::TlsStream;

use super::{Acceptor, Candidate, Connector, SocketStream, Stream, StreamOptions, tcp};
use crate::address::{RemoteHost, TcpBind, TcpConnect};

/// Why a [`TlsConfig`] cannot be used.
///
/// ```
/// let error = spmsg::TlsConfig::builder().key_file("/nowhere/key.pem").build().unwrap_err();
/// assert!(error.to_string().contains("/nowhere/key.pem"), "errors name the file: {error}");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read (the system's errno).
    #[error("cannot read the {part} from {}: {source}", path.display())]
    File {
        /// What it was to hold.
        part: &'static str,
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// It was read and is not what it should be (EINVAL).
    #[error("{place} is no good as {part}: {why}")]
    Malformed {
        /// What it was to hold.
        part: &'static str,
        /// The file, or that it came from memory.
        place: String,
        /// What is wrong; never anything of a key.
        why: String,
    },
    /// Certificate and key are of different pairs (EINVAL).
    #[error("the certificate and the private key do not belong together")]
    Mismatch,
    /// A listening side needs both, a connecting one both or none (EINVAL).
    #[error("a certificate and its private key are needed, both of them")]
    NoCertificate,
    /// Peers are to be verified, and nobody is trusted (EINVAL).
    #[error("no certificate authority is trusted: name one to verify peers with")]
    NoAuthority,
    /// (EINVAL)
    #[error("{0:?} is neither a host name nor an IP address, so no certificate can be for it")]
    ServerName(String),
    /// The cryptography cannot be set up (EINVAL).
    #[error("TLS cannot be set up: {0}")]
    Unusable(String),
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> io::Error {
        let kind = match &error {
            TlsError::File { source, .. } => source.kind(),
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    }
}

/// The cryptography. Handed over each time: the process-wide choice is the program's.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// The authorities that the system trusts, read once.
fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        // Whatever cannot be parsed is not trusted; the others still are.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(Arc::clone(roots)) }
}

pub(crate) struct TlsAcceptor {
    tcp: tcp::TcpAcceptor,
    scheme: &'static str,
    config: TlsConfig,
}

/// Binds and listens; `scheme` is for the address that peers are told.
pub(super) fn listen(
    address: &TcpBind,
    scheme: &'static str,
    options: &StreamOptions,
) -> io::Result<TlsAcceptor> {
    let config = options.tls.clone();
    // What is missing must be known here, not when the first peer comes.
    config.server()?;
    Ok(TlsAcceptor { tcp: tcp::listen(address, options)?, scheme, config })
}

impl Acceptor for TlsAcceptor {
    fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        self.tcp.register(registry, token)
    }

    fn deregister(&self, registry: &Registry) {
        self.tcp.deregister(registry);
    }

    fn accept(&self, options: &StreamOptions) -> io::Result<Box<dyn Stream>> {
        let socket = self.tcp.accept_socket(options)?;
        let tls = ServerConnection::new(self.config.server()?).map_err(|error| refusal::failure(&error))?;
        // A client that showed a certificate was verified, or refused.
        Ok(Box::new(TlsStream::new(socket, Connection::Server(tls), Box::new(|_| true))))
    }

    fn local_address(&self) -> String {
        format!("{}://{}", self.scheme, self.tcp.local())
    }

    fn close(&self) {
        self.tcp.close();
    }
}

/// The connecting side of an endpoint, with the configuration that the socket had when it was made.
pub(crate) struct TlsConnector {
    name: ServerName<'static>,
    config: TlsConfig,
}

pub(super) fn connector(address: &TcpConnect, options: &StreamOptions) -> io::Result<TlsConnector> {
    let config = options.tls.clone();
    let name = match &address.remote {
        RemoteHost::Ip(literal) => config.name_for(&literal.ip.to_string())?,
        RemoteHost::Name(name) => config.name_for(name)?,
    };
    config.client()?;
    Ok(TlsConnector { name, config })
}

impl Connector for TlsConnector {
    fn connect(&self, candidate: &Candidate, options: &StreamOptions) -> io::Result<Box<dyn Stream>> {
        let (config, servers) = self.config.client()?;
        let name = self.name.clone();
        let tls = ClientConnection::new(config, name.clone()).map_err(|error| refusal::failure(&error))?;
        let recheck = Box::new(move |chain: &[CertificateDer<'_>]| {
            servers.as_ref().is_some_and(|servers| servers.vouches_for(chain, &name))
        });
        let socket = SocketStream::connect(candidate, options)?;
        Ok(Box::new(TlsStream::new(socket, Connection::Client(tls), recheck)))
    }
}
