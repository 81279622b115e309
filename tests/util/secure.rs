//! What the tests of TLS share: sockets with certificates, who may not come together, and a peer that speaks TLS by
//! hand. The test file has the modules `certs` and `util`.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use spmsg::{Endpoint, Protocol, Socket, TlsConfig};

use crate::certs::{Authority, Identity};
use crate::util::raw::header;
use crate::util::{DEADLINE, socket, wait_for_pipes, wait_until};

/// A socket with `config` whose blocking calls end.
pub fn with_tls(protocol: Protocol, config: &TlsConfig) -> Socket {
    let socket = socket(protocol);
    let options = socket.set_options(|options| {
        options.set_tls(config).set_reconnect(Duration::from_millis(20)).set_linger(DEADLINE);
        Ok(())
    });
    options.expect("an open socket");
    socket
}

/// An authority, and a server of its for 127.0.0.1 and localhost.
pub fn authority_and_server() -> (Authority, Identity) {
    let authority = Authority::new("Test Authority");
    let server = authority.issue("server", &["127.0.0.1", "localhost"]);
    (authority, server)
}

pub struct Pipe {
    pub bound: Socket,
    pub connected: Socket,
    pub listener: Endpoint,
    pub dialer: Endpoint,
}

/// A PAIR bound to `address` and one connected to it, with a pipe between them.
#[track_caller]
pub fn pipe_at(address: &str, listening: &TlsConfig, connecting: &TlsConfig) -> Pipe {
    let (bound, connected) = (with_tls(Protocol::Pair, listening), with_tls(Protocol::Pair, connecting));
    let listener = bound.bind(address).unwrap();
    let dialer = connected.connect(listener.address()).unwrap();
    wait_for_pipes(&bound, 1);
    wait_for_pipes(&connected, 1);
    Pipe { bound, connected, listener, dialer }
}

/// The reason of the endpoint's last failure, as soon as it has one.
#[track_caller]
pub fn failure(endpoint: &Endpoint) -> String {
    wait_until("a failure", || endpoint.last_failure().unwrap().is_some());
    endpoint.last_failure().unwrap().unwrap()
}

/// A side that listens at `address` and one that connects, which must not come together: the reasons of both, and that
/// the connecting side goes on trying.
#[track_caller]
pub fn refused_at(address: &str, listening: &TlsConfig, connecting: &TlsConfig) -> (String, String) {
    let (bound, connected) = (with_tls(Protocol::Pair, listening), with_tls(Protocol::Pair, connecting));
    let listener = bound.bind(address).unwrap();
    let dialer = connected.connect(listener.address()).unwrap();
    let failures = || {
        let statistics = connected.statistics().unwrap();
        statistics.connect_errors + statistics.broken_connections
    };
    wait_until("several attempts", || failures() >= 3);
    let reasons = (failure(&listener), failure(&dialer));
    for side in [&bound, &connected] {
        assert_eq!(side.statistics().unwrap().current_connections, 0, "{reasons:?}");
    }
    assert!(bound.statistics().unwrap().broken_connections >= 2, "{reasons:?}");
    reasons
}

/// Host and port of a listener.
pub fn place(endpoint: &Endpoint) -> &str {
    let (_, rest) = endpoint.address().split_once("://").expect("an address");
    rest.split('/').next().unwrap_or(rest)
}

/// Somebody who speaks TLS by hand.
pub struct Hand {
    pub tls: Connection,
    pub tcp: TcpStream,
}

impl Hand {
    pub fn new(tls: Connection, tcp: TcpStream) -> Hand {
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.set_write_timeout(Some(DEADLINE)).unwrap();
        Hand { tls, tcp }
    }

    pub fn connect(place: &str, config: &Arc<rustls::ClientConfig>) -> Hand {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        Hand::new(Connection::Client(tls), TcpStream::connect(place).unwrap()).shake()
    }

    pub fn accept(listener: &TcpListener, config: &Arc<rustls::ServerConfig>) -> Hand {
        let tls = ServerConnection::new(Arc::clone(config)).unwrap();
        Hand::new(Connection::Server(tls), listener.accept().unwrap().0).shake()
    }

    /// Until the handshake is over.
    pub fn shake(mut self) -> Hand {
        while self.tls.is_handshaking() {
            self.flush().unwrap();
            if self.tls.is_handshaking() {
                self.more().unwrap();
            }
        }
        self.flush().unwrap();
        self
    }

    /// Waits for something from the peer.
    pub fn more(&mut self) -> std::io::Result<()> {
        self.tls.read_tls(&mut self.tcp)?;
        self.tls.process_new_packets().map_err(std::io::Error::other)?;
        Ok(())
    }

    /// Exchanges SP headers.
    pub fn greet(&mut self, protocol: Protocol) {
        self.write_all(&header(protocol.number())).unwrap();
        let mut theirs = [0; 8];
        self.read_exact(&mut theirs).unwrap();
        assert_eq!(theirs, header(protocol.peer().number()));
    }

    pub fn send(&mut self, body: &[u8]) {
        let frame = [&(body.len() as u64).to_be_bytes(), body].concat();
        self.write_all(&frame).unwrap();
    }

    pub fn recv(&mut self) -> Vec<u8> {
        let mut len = [0; 8];
        self.read_exact(&mut len).unwrap();
        let mut body = vec![0; u64::from_be_bytes(len) as usize];
        self.read_exact(&mut body).unwrap();
        body
    }

    /// The record in which `bytes` would leave.
    pub fn record(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(bytes).unwrap();
        let mut record = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut record).unwrap();
        }
        record
    }
}

impl Read for Hand {
    fn read(&mut self, block: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.tls.reader().read(block) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.more()?,
                other => return other,
            }
        }
    }
}

impl Write for Hand {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.tls.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}
