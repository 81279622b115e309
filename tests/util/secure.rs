//! What the tests of TLS share: sockets with certificates, who may not come together, and a peer that speaks TLS by
//! hand. The test file has the modules `certs` and `util`.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use spmsg::{Endpoint, Protocol, Socket, TlsConfig};
use tempfile::TempDir;

use crate::certs::{Authority, Identity, Period};
use crate::util::raw::header;
use crate::util::{DEADLINE, pattern, recv, socket, wait_for_pipes, wait_until};

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

/// Servers whose certificate does not prove that they are at 127.0.0.1, and what the connecting side and the listening
/// one say of each.
fn impostors(authority: &Authority) -> [(Identity, &'static str, &'static str); 5] {
    let here = &["127.0.0.1"];
    [
        (
            authority.issue_for("old", here, Period::Past),
            "certificate has expired",
            "our certificate has expired",
        ),
        (authority.issue_for("new", here, Period::Future), "is not valid yet", "our certificate"),
        (Identity::self_signed("self", here), "is self-signed", "does not accept our certificate"),
        (
            Authority::new("Other Authority").issue("stranger", here),
            "signed by an authority that is not trusted here",
            "does not trust the authority",
        ),
        (
            authority.issue("elsewhere", &["elsewhere.example.org"]),
            "is for another host: expected 127.0.0.1, it names",
            "does not accept our certificate",
        ),
    ]
}

/// No server at `address` gets away with a certificate that is no good, and both sides say why.
#[track_caller]
pub fn expect_impostors_refused(address: &str) {
    let authority = Authority::new("Test Authority");
    let client = authority.client().build().unwrap();
    for (identity, reason, told) in impostors(&authority) {
        let (listening, connecting) = refused_at(address, &identity.server().build().unwrap(), &client);
        assert!(connecting.contains(reason), "{connecting}");
        assert!(listening.contains(told), "{listening}");
    }
}

/// Both sides send `count` large messages at the same time, and get the other's whole.
pub fn cross_large_messages(made: &Pipe, count: usize) {
    let body = pattern(700_000);
    std::thread::scope(|scope| {
        for side in [&made.bound, &made.connected] {
            scope.spawn(|| (0..count).for_each(|_| side.send(body.clone()).unwrap()));
            scope.spawn(|| {
                for number in 0..count {
                    assert!(side.recv().unwrap().body() == body, "message {number}");
                }
            });
        }
    });
}

/// What one side of each pipe sends just before it closes arrives; the sides take turns.
#[track_caller]
pub fn expect_nothing_lost_by_close(pipe: impl Fn() -> Pipe) {
    for round in 0..20 {
        let made = pipe();
        let (closing, staying) =
            if round % 2 == 0 { (made.bound, made.connected) } else { (made.connected, made.bound) };
        for number in 0..50_u8 {
            closing.send(vec![number; 3_000]).unwrap();
        }
        closing.close().unwrap();
        for number in 0..50_u8 {
            assert_eq!(staying.recv().unwrap().body(), [number; 3_000], "round {round}");
        }
    }
}

/// All that `push` accepted for `peer` before it was closed arrives, and then the regular end, however slowly it is read.
#[track_caller]
pub fn expect_all_before_close<P>(
    push: Socket,
    mut peer: P,
    next: fn(&mut P) -> Vec<u8>,
    hand: fn(&mut P) -> &mut Hand,
) {
    for number in 0..300_u32 {
        push.send([&number.to_be_bytes()[..], &pattern(9_996)].concat()).unwrap();
    }
    let closer = std::thread::spawn(move || push.close());
    for number in 0..300_u32 {
        assert_eq!(next(&mut peer)[..4], number.to_be_bytes());
        if number % 10 == 0 {
            // What makes the reader slow; the outcome does not depend on it.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let mut rest = Vec::new();
    hand(&mut peer).read_to_end(&mut rest).expect("close_notify in front of the end");
    assert_eq!(rest, b"", "and nothing of the session's");
    drop(peer);
    closer.join().unwrap().unwrap();
}

/// A PULL whose certificate lies in files, to be renewed while it listens.
pub struct Renewable {
    pub authority: Authority,
    pub config: TlsConfig,
    pub bound: Socket,
    listener: Endpoint,
    folder: TempDir,
}

impl Renewable {
    /// Bound to `address` with a certificate of the name `name`.
    pub fn bind(address: &str, name: &str) -> Renewable {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("Test Authority");
        let files = [CERT, KEY].map(|file| folder.path().join(file));
        write_files(&folder, &authority.issue(name, &["127.0.0.1"]));
        let config = TlsConfig::builder().cert_file(&files[0]).key_file(&files[1]).build().unwrap();
        let bound = with_tls(Protocol::Pull, &config);
        let listener = bound.bind(address).unwrap();
        Renewable { authority, config, bound, listener, folder }
    }

    /// Changes the files, and nothing else.
    pub fn write(&self, name: &str) {
        write_files(&self.folder, &self.authority.issue(name, &["127.0.0.1"]));
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join(KEY)
    }

    /// A PUSH that just connected, and whose certificate it was shown.
    #[track_caller]
    pub fn join(&self) -> (Socket, String) {
        let push = with_tls(Protocol::Push, &self.authority.client().build().unwrap());
        let dialer = push.connect(self.listener.address()).unwrap();
        wait_for_pipes(&push, 1);
        let subject = dialer.peers().unwrap()[0].subject().to_owned();
        (push, subject)
    }

    /// These, as [`Renewable::join`] made them, can still send, and the first never lost its connection.
    #[track_caller]
    pub fn expect_served(&self, pushes: [&Socket; 2]) {
        for push in pushes {
            push.send("still here").unwrap();
            assert_eq!(recv(&self.bound), b"still here");
        }
        assert_eq!(pushes[0].statistics().unwrap().broken_connections, 0);
    }
}

const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";

fn write_files(folder: &TempDir, identity: &Identity) {
    std::fs::write(folder.path().join(CERT), &identity.cert).unwrap();
    std::fs::write(folder.path().join(KEY), &identity.key).unwrap();
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
