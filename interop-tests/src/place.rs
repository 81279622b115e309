//! Addresses that nobody else uses.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::Trouble;

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
            /// Every transport that the tests go through.
            pub const ALL: &[Wire] = &[$(Wire::$wire),*];

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
}

impl Wire {
    /// As it is written in addresses and in the table.
    pub fn name(self) -> &'static str {
        self.row().0
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
    _port: Option<Socket>,
    _folder: Option<TempDir>,
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
}

fn reserve_port(scheme: &str) -> std::io::Result<Place> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let port = socket.local_addr()?.as_socket().map_or(0, |a| a.port());
    Ok(Place { address: format!("{scheme}://127.0.0.1:{port}"), _port: Some(socket), _folder: None })
}

fn reserve_path(scheme: &str) -> std::io::Result<Place> {
    let folder = tempfile::Builder::new().prefix("spmsg-interop-").tempdir()?;
    let address = format!("{scheme}://{}/socket", folder.path().display());
    Ok(Place { address, _port: None, _folder: Some(folder) })
}
