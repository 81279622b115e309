//! Peers that speak SP by hand, over plain sockets of std.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use spmsg::Protocol;
use tempfile::TempDir;

use super::{Carrier, DEADLINE};

/// The SP header of a socket with this protocol number.
pub fn header(number: u16) -> [u8; 8] {
    let [high, low] = number.to_be_bytes();
    [0, b'S', b'P', 0, high, low, 0, 0]
}

/// A stream of either carrier.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub fn set_read_timeout(&self, timeout: Duration) {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
        .expect("a timeout above zero");
    }

    fn set_write_timeout(&self, timeout: Duration) {
        match self {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        }
        .expect("a timeout above zero");
    }

    pub fn shutdown(&self, how: Shutdown) {
        match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        }
        .expect("a connected stream");
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The other end of a connection, under the test's full control.
pub struct RawPeer {
    pub stream: Stream,
}

impl RawPeer {
    fn new(stream: Stream) -> RawPeer {
        if let Stream::Tcp(stream) = &stream {
            stream.set_nodelay(true).expect("a tcp option");
        }
        stream.set_read_timeout(DEADLINE);
        stream.set_write_timeout(DEADLINE);
        RawPeer { stream }
    }

    /// Connects to `tcp://ip:port` or `ipc://path` and says nothing.
    #[track_caller]
    pub fn connect(address: &str) -> RawPeer {
        let stream = match address.split_once("://") {
            Some(("tcp", place)) => TcpStream::connect(place).map(Stream::Tcp),
            Some(("ipc", path)) => UnixStream::connect(path).map(Stream::Unix),
            _ => panic!("no raw peer for {address}"),
        };
        RawPeer::new(stream.unwrap_or_else(|error| panic!("cannot connect to {address}: {error}")))
    }

    /// Connects as a socket of `protocol` and exchanges headers.
    #[track_caller]
    pub fn join(address: &str, protocol: Protocol) -> RawPeer {
        let mut peer = RawPeer::connect(address);
        peer.greet(protocol);
        peer
    }

    /// Exchanges headers as a socket of `protocol`.
    #[track_caller]
    pub fn greet(&mut self, protocol: Protocol) {
        self.send(&header(protocol.number()));
        self.expect(&header(protocol.peer().number()));
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the peer reads");
    }

    /// `payload` as this carrier frames it.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.head(payload.len() as u64);
        frame.extend_from_slice(payload);
        frame
    }

    /// What stands before a payload of `len` bytes.
    pub fn head(&self, len: u64) -> Vec<u8> {
        let mut head = if matches!(self.stream, Stream::Unix(_)) { vec![1] } else { Vec::new() };
        head.extend_from_slice(&len.to_be_bytes());
        head
    }

    #[track_caller]
    pub fn send_message(&mut self, payload: &[u8]) {
        let frame = self.frame(payload);
        self.send(&frame);
    }

    #[track_caller]
    pub fn expect(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        self.stream.read_exact(&mut got).expect("the expected bytes");
        assert_eq!(got, bytes);
    }

    /// Reads one frame and returns its payload.
    #[track_caller]
    pub fn expect_message(&mut self) -> Vec<u8> {
        if matches!(self.stream, Stream::Unix(_)) {
            self.expect(&[1]);
        }
        let mut len = [0; 8];
        self.stream.read_exact(&mut len).expect("a length");
        let mut payload = vec![0; usize::try_from(u64::from_be_bytes(len)).expect("a sane length")];
        self.stream.read_exact(&mut payload).expect("a whole payload");
        payload
    }

    /// The connection ends here, with no byte before its end. A reset counts: the peer may have left bytes of
    /// ours unread.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => (),
            Ok(_) => panic!("a byte {byte:02x?} instead of the end"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// Nothing arrives for `wait`, not even the end.
    #[track_caller]
    pub fn expect_quiet(&mut self, wait: Duration) {
        self.stream.set_read_timeout(wait);
        let mut byte = [0];
        let read = self.stream.read(&mut byte);
        self.stream.set_read_timeout(DEADLINE);
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            other => panic!("{other:?} {byte:02x?} instead of silence"),
        }
    }

    /// Everything until the end of the stream.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("a regular end of the stream");
        bytes
    }
}

/// Somebody to connect to.
pub struct RawListener {
    listener: Listener,
    pub address: String,
    _folder: Option<TempDir>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl RawListener {
    pub fn bind(carrier: Carrier) -> RawListener {
        match carrier {
            Carrier::Inproc => panic!("inproc has no raw peers"),
            Carrier::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                listener.set_nonblocking(true).expect("a non-blocking listener");
                let address = format!("tcp://{}", listener.local_addr().expect("its address"));
                RawListener { listener: Listener::Tcp(listener), address, _folder: None }
            }
            Carrier::Ipc => {
                let folder = tempfile::tempdir().expect("a folder for the socket");
                let path = folder.path().join("s");
                let listener = UnixListener::bind(&path).expect("a socket file");
                listener.set_nonblocking(true).expect("a non-blocking listener");
                let address = format!("ipc://{}", path.display());
                RawListener { listener: Listener::Unix(listener), address, _folder: Some(folder) }
            }
        }
    }

    /// The next connection, if there is one now.
    pub fn try_accept(&self) -> Option<RawPeer> {
        let accepted = match &self.listener {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| {
                stream.set_nonblocking(false).expect("a blocking stream");
                Stream::Tcp(stream)
            }),
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| {
                stream.set_nonblocking(false).expect("a blocking stream");
                Stream::Unix(stream)
            }),
        };
        match accepted {
            Ok(stream) => Some(RawPeer::new(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        }
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> RawPeer {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.try_accept() {
                Some(peer) => return peer,
                None => assert!(Instant::now() < end, "nobody connects to {}", self.address),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
