//! Addresses that nobody else uses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::Outcome;

/// Hands out addresses and keeps them free for the daemons until it is dropped.
///
/// A port is kept by a bound socket that never listens: with SO_REUSEADDR on both, a daemon may still listen
/// there, but the system gives the port to nobody else.
pub struct Places {
    folder: TempDir,
    ports: Vec<Socket>,
}

impl Places {
    pub fn new() -> Outcome<Places> {
        Ok(Places { folder: tempfile::Builder::new().prefix("spmsg-demo-").tempdir()?, ports: Vec::new() })
    }

    /// The folder of all ipc addresses.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A tcp address on the loopback interface.
    pub fn tcp(&mut self) -> Outcome<String> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let port = socket.local_addr()?.as_socket().ok_or("a bound socket without an address")?.port();
        self.ports.push(socket);
        Ok(format!("tcp://127.0.0.1:{port}"))
    }

    /// An ipc address.
    pub fn ipc(&self, name: &str) -> String {
        format!("ipc://{}", self.folder().join(name).display())
    }
}
