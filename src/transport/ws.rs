//! ws: a carrier of bytes with a WebSocket session on top. The carrier is another transport's, tcp's for
//! `ws://`; what is here gives its listener the address and the path of a WebSocket server.

use std::io;
use std::sync::Arc;

use mio::{Registry, Token};

use super::{Acceptor, Stream, StreamOptions};
use crate::address::{WsBind, WsConnect};
use crate::wire::SessionKind;
use crate::wire::ws::Role;

struct WsAcceptor {
    scheme: &'static str,
    path: Option<Box<str>>,
    carrier: Box<dyn Acceptor>,
}

/// A listener of `carrier` under the name of a WebSocket server.
pub(super) fn acceptor(
    scheme: &'static str,
    carrier: Box<dyn Acceptor>,
    address: &WsBind,
) -> Box<dyn Acceptor> {
    Box::new(WsAcceptor { scheme, path: address.path.clone(), carrier })
}

/// What the bytes of accepted connections mean.
pub(super) fn server(address: &WsBind) -> SessionKind {
    SessionKind::WebSocket(Arc::new(Role::Server { path: address.path.clone() }))
}

/// What the bytes of connections to `address` mean.
pub(super) fn client(address: &WsConnect) -> SessionKind {
    let (host, target) = (address.host.clone(), address.target.clone());
    SessionKind::WebSocket(Arc::new(Role::Client { host, target }))
}

/// Bytes that nobody can guess.
pub(crate) fn secret() -> io::Result<[u8; 16]> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    Ok(secret)
}

impl Acceptor for WsAcceptor {
    fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        self.carrier.register(registry, token)
    }

    fn deregister(&self, registry: &Registry) {
        self.carrier.deregister(registry);
    }

    fn accept(&self, options: &StreamOptions) -> io::Result<Box<dyn Stream>> {
        self.carrier.accept(options)
    }

    fn local_address(&self) -> String {
        let carrier = self.carrier.local_address();
        let place = carrier.split_once("://").map_or(&*carrier, |(_, place)| place);
        format!("{}://{place}{}", self.scheme, self.path.as_deref().unwrap_or_default())
    }

    fn close(&self) {
        self.carrier.close();
    }
}
