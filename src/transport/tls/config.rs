//! [`TlsConfig`]: what a socket trusts and who it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::verify::{Anybody, Clients, Servers};
use super::{TlsError, provider, system_roots};
use crate::limits::TLS_FILE_MAX_BYTES;

/// What is asked of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsAuth {
    /// Nothing. A connecting side that asks for nothing is encrypted, and does not know to whom.
    None,
    /// A listening side asks for a certificate, accepts a peer without, and refuses one whose certificate is bad. A
    /// connecting side goes on in any case; [`PeerIdentity`](crate::PeerIdentity) is there only if the certificate
    /// was good.
    Optional,
    /// A certificate that leads to a trusted authority and, on the connecting side, names the host.
    Required,
}

/// Authorities, certificate, key and what is asked of peers, for `tls+tcp://`.
///
/// Set it with [`Options::set_tls`](crate::Options::set_tls) or [`Builder::tls`](crate::Builder::tls) before
/// [`bind`](crate::Socket::bind) and [`connect`](crate::Socket::connect): an endpoint keeps the one that the socket
/// had when the endpoint was made, so that endpoints of one socket may differ. Clones share what they hold:
/// [`reload`](TlsConfig::reload) and [`replace`](TlsConfig::replace) reach every endpoint, whose new connections use
/// the new certificates from then on; those that exist go on undisturbed.
///
/// A connecting side needs nothing: it trusts the system's authorities and requires a good certificate for the host
/// in the address. A listening side needs a certificate and its key, and asks nothing of its peers unless told.
/// Sessions are resumed where the peer can; TLS 1.2 and 1.3 are spoken, early data is not. May be used from any
/// thread. Keys are never shown, not by `Debug` either.
///
/// ```
/// use spmsg::{TlsAuth, TlsConfig, TlsError};
/// let client = TlsConfig::default();
/// let strict = TlsConfig::builder().auth(TlsAuth::Required).server_name("db.example.org").build()?;
/// let missing = TlsConfig::builder().ca_file("/nowhere/ca.pem").build();
/// assert!(matches!(missing, Err(TlsError::File { .. })));
/// # let _ = (client, strict);
/// # Ok::<(), spmsg::TlsError>(())
/// ```
#[derive(Clone, Default)]
pub struct TlsConfig {
    store: Arc<Mutex<Store>>,
    auth: Option<TlsAuth>,
    server_name: Option<Arc<str>>,
    made: Arc<Mutex<Made>>,
}

/// The parts that can be replaced at any time.
#[derive(Clone, Default)]
struct Store {
    ca: Option<(Source, Arc<RootCertStore>)>,
    chain: Option<(Source, Vec<CertificateDer<'static>>)>,
    key: Option<(Source, Arc<PrivateKeyDer<'static>>)>,
    /// The last pair that fitted.
    identity: Option<Arc<CertifiedKey>>,
    version: u64,
}

/// What the handshakes of one version use.
#[derive(Default)]
struct Made {
    version: u64,
    client: Option<(Arc<ClientConfig>, Option<Arc<Servers>>)>,
    server: Option<Arc<ServerConfig>>,
}

#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

/// What one PEM text is for.
///
/// ```
/// use spmsg::compat::{self, TlsPart};
/// let pair = spmsg::Pair::new()?;
/// let missing = compat::set_tls_file(pair.socket(), TlsPart::Authorities, b"/nowhere/ca.pem");
/// assert!(matches!(missing, Err(spmsg::Error::Os { .. })));
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPart {
    /// Certificates of authorities that are trusted.
    Authorities,
    /// The own certificate, and behind it those that lead to the authority.
    Certificate,
    /// The private key of the own certificate.
    Key,
}

impl TlsPart {
    fn name(self) -> &'static str {
        match self {
            TlsPart::Authorities => "certificate authorities",
            TlsPart::Certificate => "certificate",
            TlsPart::Key => "private key",
        }
    }
}

impl Source {
    fn read(&self, part: TlsPart) -> Result<Vec<u8>, TlsError> {
        match self {
            Source::Memory(pem) => Ok(pem.to_vec()),
            Source::File(path) => read_bounded(path).map_err(|source| TlsError::File {
                part: part.name(),
                path: path.clone(),
                source: Arc::new(source),
            }),
        }
    }

    fn malformed(&self, part: TlsPart, why: impl fmt::Display) -> TlsError {
        let place = match self {
            Source::File(path) => path.display().to_string(),
            Source::Memory(_) => "what was given".to_owned(),
        };
        TlsError::Malformed { part: part.name(), place, why: why.to_string() }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let max = TLS_FILE_MAX_BYTES + 1;
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(path)?, max as u64), &mut text)?;
    if text.len() > TLS_FILE_MAX_BYTES {
        let why = format!("it has more than {TLS_FILE_MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(text)
}

impl Store {
    /// Reads one part. On an error nothing is changed.
    fn set(&mut self, part: TlsPart, source: Source) -> Result<(), TlsError> {
        let pem = source.read(part)?;
        match part {
            TlsPart::Authorities => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(&pem, part, &source)? {
                    roots.add(certificate).map_err(|error| source.malformed(part, error))?;
                }
                self.ca = Some((source, Arc::new(roots)));
            }
            TlsPart::Certificate => self.chain = Some((source.clone(), certificates(&pem, part, &source)?)),
            TlsPart::Key => {
                let key = PrivateKeyDer::from_pem_slice(&pem)
                    .map_err(|error| source.malformed(part, format!("no key in PEM form: {error}")))?;
                provider()
                    .key_provider
                    .load_private_key(key.clone_key())
                    .map_err(|error| source.malformed(part, error))?;
                self.key = Some((source, Arc::new(key)));
            }
        }
        if let Ok(Some(identity)) = self.pair() {
            self.identity = Some(identity);
        }
        self.version += 1;
        Ok(())
    }

    /// Certificate and key, if both are there; an error if they do not belong together.
    fn pair(&self) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
        match (&self.chain, &self.key) {
            (Some((place, chain)), Some((_, key))) => {
                let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider());
                match certified {
                    Ok(certified) => Ok(Some(Arc::new(certified))),
                    Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch),
                    Err(error) => Err(place.malformed(TlsPart::Certificate, error)),
                }
            }
            _ => Ok(None),
        }
    }

    fn sources(&self) -> impl Iterator<Item = (TlsPart, Source)> {
        let ca = self.ca.as_ref().map(|(source, _)| (TlsPart::Authorities, source.clone()));
        let chain = self.chain.as_ref().map(|(source, _)| (TlsPart::Certificate, source.clone()));
        let key = self.key.as_ref().map(|(source, _)| (TlsPart::Key, source.clone()));
        [ca, chain, key].into_iter().flatten()
    }
}

fn certificates(
    pem: &[u8],
    part: TlsPart,
    source: &Source,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| source.malformed(part, error))?;
    if found.is_empty() {
        return Err(source.malformed(part, "there is no certificate in PEM form"));
    }
    Ok(found)
}

impl TlsConfig {
    /// Nothing set; see [`TlsConfigBuilder`].
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder::default()
    }

    /// Reads the files again from which this was made, and uses what they hold now for connections to come. Blocks
    /// for as long as the file system does.
    ///
    /// # Errors
    /// As [`TlsConfigBuilder::build`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let sources: Vec<_> = self.store.lock().sources().collect();
        let mut fresh = Store::default();
        for (part, source) in sources {
            fresh.set(part, source)?;
        }
        self.take_over(fresh)
    }

    /// Takes over authorities, certificate and key of `newer` for connections to come; what is asked of peers and the
    /// server name stay.
    ///
    /// # Errors
    /// [`TlsError::Mismatch`] if certificate and key do not belong together; then everything stays as it was.
    pub fn replace(&self, newer: &TlsConfig) -> Result<(), TlsError> {
        let fresh = newer.store.lock().clone();
        self.take_over(fresh)
    }

    fn take_over(&self, mut fresh: Store) -> Result<(), TlsError> {
        fresh.identity = fresh.pair()?;
        let mut store = self.store.lock();
        fresh.version = store.version + 1;
        *store = fresh;
        Ok(())
    }

    /// The same authorities, certificate and key, shared; other demands on the peer. `None`: what the side does by
    /// default.
    pub(crate) fn with_auth(&self, auth: Option<TlsAuth>) -> TlsConfig {
        TlsConfig { auth, made: Arc::default(), ..self.clone() }
    }

    /// The same authorities, certificate and key, shared; another name to expect. `None`: the host of the address.
    pub(crate) fn with_server_name(&self, name: Option<&str>) -> Result<TlsConfig, TlsError> {
        if let Some(name) = name {
            parse_name(name)?;
        }
        Ok(TlsConfig { server_name: name.map(Arc::from), made: Arc::default(), ..self.clone() })
    }

    /// Reads one part from a file and uses it from now on. A certificate and a key that do not fit each other are
    /// kept, and the former pair stays in use until they do.
    pub(crate) fn set_file(&self, part: TlsPart, path: &Path) -> Result<(), TlsError> {
        self.store.lock().set(part, Source::File(path.to_owned()))
    }

    /// What a connecting handshake uses, and how to ask again whether the peer was good.
    pub(super) fn client(&self) -> Result<(Arc<ClientConfig>, Option<Arc<Servers>>), TlsError> {
        let store = self.store.lock().clone();
        let mut made = self.made(store.version);
        if made.client.is_none() {
            made.client = Some(self.make_client(&store)?);
        }
        made.client.clone().ok_or(TlsError::NoCertificate)
    }

    /// What a listening handshake uses.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let store = self.store.lock().clone();
        let mut made = self.made(store.version);
        if made.server.is_none() {
            made.server = Some(self.make_server(&store)?);
        }
        made.server.clone().ok_or(TlsError::NoCertificate)
    }

    fn made(&self, version: u64) -> parking_lot::MutexGuard<'_, Made> {
        let mut made = self.made.lock();
        if made.version != version {
            *made = Made { version, ..Made::default() };
        }
        made
    }

    fn make_client(&self, store: &Store) -> Result<(Arc<ClientConfig>, Option<Arc<Servers>>), TlsError> {
        let servers = match self.auth.unwrap_or(TlsAuth::Required) {
            TlsAuth::None => None,
            auth => {
                let roots = match &store.ca {
                    Some((_, roots)) => Arc::clone(roots),
                    None => system_roots()?,
                };
                Some(Arc::new(Servers::new(roots, auth == TlsAuth::Optional)?))
            }
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .dangerous();
        let builder = match &servers {
            Some(servers) => builder.with_custom_certificate_verifier(Arc::clone(servers) as _),
            None => builder.with_custom_certificate_verifier(Arc::new(Anybody)),
        };
        let config = match self.identity(store)? {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        Ok((Arc::new(config), servers))
    }

    fn make_server(&self, store: &Store) -> Result<Arc<ServerConfig>, TlsError> {
        let identity = self.identity(store)?.ok_or(TlsError::NoCertificate)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(error.to_string()))?;
        let builder = match self.auth.unwrap_or(TlsAuth::None) {
            TlsAuth::None => builder.with_no_client_auth(),
            auth => {
                // Whom a public authority knows is not for that reason a friend: this one must be named.
                let (_, roots) = store.ca.as_ref().ok_or(TlsError::NoAuthority)?;
                let clients = Clients::new(Arc::clone(roots), auth == TlsAuth::Required)?;
                builder.with_client_cert_verifier(Arc::new(clients))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.ticketer =
            rustls::crypto::ring::Ticketer::new().map_err(|error| TlsError::Unusable(error.to_string()))?;
        Ok(Arc::new(config))
    }

    fn identity(&self, store: &Store) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
        match &store.identity {
            Some(identity) => Ok(Some(Arc::clone(identity))),
            None => store.pair(),
        }
    }

    /// The name to expect of the peer at `host`.
    pub(super) fn name_for(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        parse_name(self.server_name.as_deref().unwrap_or(host))
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let plain = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(plain.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

impl fmt::Debug for TlsConfig {
    /// What is set, never what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store.lock();
        f.debug_struct("TlsConfig")
            .field("authorities", &store.ca.as_ref().map(|(_, roots)| roots.len()))
            .field("certificate", &store.chain.is_some())
            .field("key", &store.key.is_some())
            .field("auth", &self.auth)
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// Makes a [`TlsConfig`]. Files are read by [`build`](TlsConfigBuilder::build) and again by
/// [`TlsConfig::reload`].
///
/// ```
/// use spmsg::{TlsConfig, TlsError};
/// let refused = TlsConfig::builder().cert_pem(b"not PEM").build();
/// assert!(matches!(refused, Err(TlsError::Malformed { .. })));
/// ```
#[derive(Clone, Default)]
pub struct TlsConfigBuilder {
    parts: Vec<(TlsPart, Source)>,
    auth: Option<TlsAuth>,
    server_name: Option<String>,
}

impl TlsConfigBuilder {
    fn part(mut self, part: TlsPart, source: Source) -> Self {
        self.parts.push((part, source));
        self
    }

    /// Authorities to trust, in place of the system's: a PEM file with one certificate or more.
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.part(TlsPart::Authorities, Source::File(path.into()))
    }

    /// As [`ca_file`](TlsConfigBuilder::ca_file), from memory.
    pub fn ca_pem(self, pem: impl AsRef<[u8]>) -> Self {
        self.part(TlsPart::Authorities, Source::Memory(pem.as_ref().into()))
    }

    /// The own certificate, and behind it those that lead to the authority: a PEM file.
    pub fn cert_file(self, path: impl Into<PathBuf>) -> Self {
        self.part(TlsPart::Certificate, Source::File(path.into()))
    }

    /// As [`cert_file`](TlsConfigBuilder::cert_file), from memory.
    pub fn cert_pem(self, pem: impl AsRef<[u8]>) -> Self {
        self.part(TlsPart::Certificate, Source::Memory(pem.as_ref().into()))
    }

    /// The private key of the own certificate, not encrypted: a PEM file (PKCS #8, PKCS #1 or SEC 1).
    pub fn key_file(self, path: impl Into<PathBuf>) -> Self {
        self.part(TlsPart::Key, Source::File(path.into()))
    }

    /// As [`key_file`](TlsConfigBuilder::key_file), from memory.
    pub fn key_pem(self, pem: impl AsRef<[u8]>) -> Self {
        self.part(TlsPart::Key, Source::Memory(pem.as_ref().into()))
    }

    /// What is asked of peers. Default: a connecting side requires, a listening side asks for nothing.
    pub fn auth(mut self, auth: TlsAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// The name that the server's certificate must have, in place of the host in the address: a DNS name or an IP
    /// address. A DNS name is also told to the server (SNI).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`TlsError`] for the first part that cannot be read or parsed, for a key without its certificate or the other
    /// way round, and for a pair that does not belong together.
    pub fn build(self) -> Result<TlsConfig, TlsError> {
        let mut store = Store::default();
        for (part, source) in self.parts {
            store.set(part, source)?;
        }
        if store.chain.is_some() != store.key.is_some() {
            return Err(TlsError::NoCertificate);
        }
        let config = TlsConfig { auth: self.auth, ..TlsConfig::default() };
        config.take_over(store)?;
        config.with_server_name(self.server_name.as_deref())
    }
}

impl fmt::Debug for TlsConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.parts.iter().map(|(part, _)| part).collect();
        f.debug_struct("TlsConfigBuilder").field("parts", &parts).field("auth", &self.auth).finish()
    }
}
