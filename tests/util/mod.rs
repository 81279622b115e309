//! What the integration tests share: waiting for events, addresses nobody else uses, peers that speak SP by
//! hand.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

pub mod ledger;
pub mod process;
pub mod raw;
pub mod ws;
pub mod ws_frames;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spmsg::{Mode, Protocol, Socket};
use tempfile::TempDir;

/// How long anything that must happen may take on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Short enough to be waited for where nothing may happen.
pub const QUIET: Duration = Duration::from_millis(150);

/// Waits for `done`, which must come true within [`DEADLINE`].
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until `socket` has exactly `count` pipes.
#[track_caller]
pub fn wait_for_pipes(socket: &Socket, count: u64) {
    let pipes = || socket.statistics().expect("an open socket").current_connections;
    let end = Instant::now() + DEADLINE;
    while pipes() != count {
        assert!(Instant::now() < end, "{:?} has {} pipes, not {count}", socket.protocol(), pipes());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A cooked socket whose blocking calls end with an error instead of hanging the test.
pub fn socket(protocol: Protocol) -> Socket {
    patient(protocol, Mode::Cooked)
}

/// A raw socket whose blocking calls end with an error instead of hanging the test.
pub fn raw_socket(protocol: Protocol) -> Socket {
    patient(protocol, Mode::Raw)
}

fn patient(protocol: Protocol, mode: Mode) -> Socket {
    let builder = Socket::builder(protocol, mode).send_timeout(DEADLINE).recv_timeout(DEADLINE);
    let socket = builder.build().expect("valid options");
    if protocol == Protocol::Sub {
        socket.subscribe("").expect("SUB has subscriptions");
    }
    socket
}

/// A carrier of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Inproc,
    Ipc,
    Tcp,
}

impl Carrier {
    pub const ALL: [Carrier; 3] = [Carrier::Inproc, Carrier::Ipc, Carrier::Tcp];
    pub const NETWORK: [Carrier; 2] = [Carrier::Ipc, Carrier::Tcp];

    /// An address to bind that nobody else uses.
    pub fn fresh(self) -> Fresh {
        match self {
            Carrier::Inproc => Fresh { address: inproc_address(), folder: None },
            Carrier::Ipc => {
                let folder = tempfile::tempdir().expect("a folder for the socket");
                Fresh { address: format!("ipc://{}/s", folder.path().display()), folder: Some(folder) }
            }
            Carrier::Tcp => Fresh { address: "tcp://127.0.0.1:0".into(), folder: None },
        }
    }
}

/// An address, and the folder it lives in.
pub struct Fresh {
    pub address: String,
    folder: Option<TempDir>,
}

/// A name that no other test of this process uses.
pub fn inproc_address() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("inproc://test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Binds `socket` to a fresh address; keep the second part as long as the address is used.
#[track_caller]
pub fn bind(socket: &Socket, carrier: Carrier) -> (String, Fresh) {
    let fresh = carrier.fresh();
    let address = socket.bind(&fresh.address).expect("a fresh address can be bound").address().to_owned();
    (address, fresh)
}

/// Binds `first`, connects `second`, and waits until both have a pipe more.
#[track_caller]
pub fn link(first: &Socket, second: &Socket, carrier: Carrier) -> Fresh {
    let pipes = |socket: &Socket| socket.statistics().expect("an open socket").current_connections;
    let (before, other) = (pipes(first), pipes(second));
    let (address, fresh) = bind(first, carrier);
    second.connect(&address).expect("a bound address can be connected to");
    wait_for_pipes(first, before + 1);
    wait_for_pipes(second, other + 1);
    fresh
}

/// `len` bytes in which a shift by one shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// The body of the next message.
#[track_caller]
pub fn recv(socket: &Socket) -> Vec<u8> {
    socket.recv().expect("a message").body().to_vec()
}

/// The error of an operation that must fail with the system's error `kind`.
#[track_caller]
pub fn expect_os<T: std::fmt::Debug>(result: Result<T, spmsg::Error>, kind: std::io::ErrorKind) {
    match result {
        Err(spmsg::Error::Os { ref source, .. }) => assert_eq!(source.kind(), kind, "{source}"),
        other => panic!("expected {kind:?}, got {other:?}"),
    }
}
