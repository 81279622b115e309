//! Addresses that nobody else uses.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::Trouble;

/// A transport of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// TCP over the loopback interface.
    Tcp,
    /// Unix sockets.
    Ipc,
}

impl Wire {
    /// As it is written in addresses and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Wire::Tcp => "tcp",
            Wire::Ipc => "ipc",
        }
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
        match wire {
            Wire::Tcp => reserve_port().map_err(|e| format!("reserving a port: {e}")),
            Wire::Ipc => reserve_path().map_err(|e| format!("making a folder: {e}")),
        }
    }

    /// As `bind` and `connect` take it.
    pub fn address(&self) -> &str {
        &self.address
    }
}

fn reserve_port() -> std::io::Result<Place> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let port = socket.local_addr()?.as_socket().map_or(0, |a| a.port());
    Ok(Place { address: format!("tcp://127.0.0.1:{port}"), _port: Some(socket), _folder: None })
}

fn reserve_path() -> std::io::Result<Place> {
    let folder = tempfile::Builder::new().prefix("spmsg-interop-").tempdir()?;
    let address = format!("ipc://{}/socket", folder.path().display());
    Ok(Place { address, _port: None, _folder: Some(folder) })
}
