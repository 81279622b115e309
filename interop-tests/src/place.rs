//! Addresses that nobody else uses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::Trouble;

/// The name of a Unix socket in a folder of its own.
const SOCKET_FILE: &str = "socket";

/// What makes an address of a scheme.
type Reserve = fn(&str) -> std::io::Result<Place>;

macro_rules! transports {
    ($($(#[$doc:meta])* $wire:ident, $scheme:literal, $reserve:path, $lead:expr;)*) => {
        /// A transport of the matrix.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Wire {
            $($(#[$doc])* $wire,)*
        }

        impl Wire {
            /// Scheme, what makes an address, and what stands in front of each message's length.
            const fn row(self) -> (&'static str, Reserve, &'static [u8]) {
                match self {
                    $(Wire::$wire => ($scheme, $reserve, $lead),)*
                }
            }
        }
    };
}

// The one list of transports: a line here puts one into every test.
transports! {
    /// TCP over the loopback interface.
    Tcp, "tcp", reserve_port, &[];
    /// Unix sockets; each message begins with a type byte (R24).
    Ipc, "ipc", reserve_path, &[1];
    /// WebSocket over the loopback interface.
    Ws, "ws", reserve_port, &[];
    /// TLS over TCP, both sides with certificates; inside it is TCP's mapping (R73).
    Tls, "tls+tcp", reserve_secure_port, &[];
    /// WebSocket inside TLS, both sides with certificates; inside it is that of ws (R73).
    Wss, "wss", reserve_secure_port, &[];
}

impl Wire {
    /// The transports that every test goes through.
    pub const ALL: &[Wire] = &[Wire::Tcp, Wire::Ipc, Wire::Ws];

    /// The transports inside TLS, which conversations go through.
    pub const SECURE: &[Wire] = &[Wire::Tls, Wire::Wss];

    /// As it is written in addresses and in the table.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether it is WebSocket.
    pub fn is_web_socket(self) -> bool {
        matches!(self, Wire::Ws | Wire::Wss)
    }

    /// What stands in front of each message's length; there is no such length over ws.
    pub fn frame_lead(self) -> &'static [u8] {
        self.row().2
    }
}

/// An address that is reserved while this lives.
///
/// The system chose the port, and a bound socket that never listens keeps it: with SO_REUSEADDR on both, a
/// peer may still bind and listen there, but the system gives the port to nobody else, neither to a bind
/// nor to an outgoing connection. Without that a connector whose listener is away could be given that very
/// port and reach itself.
pub struct Place {
    address: String,
    port: Option<Socket>,
    folder: Option<TempDir>,
    is_secure: bool,
}

impl Place {
    /// Reserve an address.
    pub fn reserve(wire: Wire) -> Result<Place, Trouble> {
        let (scheme, reserve, _) = wire.row();
        reserve(scheme).map_err(|e| format!("reserving an address for {scheme}: {e}"))
    }

    /// As `bind` and `connect` take it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The file of a Unix socket.
    pub fn path(&self) -> Option<PathBuf> {
        let folder = self.folder.as_ref().filter(|_| self.port.is_none())?;
        Some(folder.path().join(SOCKET_FILE))
    }

    /// The port, or 0 where there is none.
    pub fn port(&self) -> std::io::Result<u16> {
        let Some(port) = &self.port else { return Ok(0) };
        Ok(port.local_addr()?.as_socket().map_or(0, |a| a.port()))
    }

    /// What a peer must be told before it binds or connects.
    pub fn preparation(&self) -> Option<String> {
        let folder = self.folder.as_ref().filter(|_| self.is_secure)?;
        Some(format!("tls {}", folder.path().display()))
    }
}

fn reserve_port(scheme: &str) -> std::io::Result<Place> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let mut place = Place { address: String::new(), port: Some(socket), folder: None, is_secure: false };
    place.address = format!("{scheme}://127.0.0.1:{}", place.port()?);
    Ok(place)
}

/// With certificates for this one place.
fn reserve_secure_port(scheme: &str) -> std::io::Result<Place> {
    let folder = tempfile::Builder::new().prefix("spmsg-interop-").tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    let (authority, cert, key) = certificates().map_err(std::io::Error::other)?;
    write("ca.pem", &authority)?;
    write("cert.pem", &cert)?;
    write("key.pem", &key)?;
    write("both.pem", &format!("{cert}{key}"))?;
    Ok(Place { folder: Some(folder), is_secure: true, ..reserve_port(scheme)? })
}

/// An authority, a certificate of it for this host by name and address, and its key.
fn certificates() -> Result<(String, String, String), rcgen::Error> {
    let mut params = rcgen::CertificateParams::new(Vec::new())?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "interop authority");
    let key = rcgen::KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = rcgen::Issuer::new(params, key);
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let key = rcgen::KeyPair::generate()?;
    let cert = params.signed_by(&key, &issuer)?.pem();
    Ok((authority, cert, key.serialize_pem()))
}

fn reserve_path(scheme: &str) -> std::io::Result<Place> {
    let folder = tempfile::Builder::new().prefix("spmsg-interop-").tempdir()?;
    let address = format!("{scheme}://{}", folder.path().join(SOCKET_FILE).display());
    Ok(Place { address, port: None, folder: Some(folder), is_secure: false })
}
