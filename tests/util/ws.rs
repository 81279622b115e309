//! Peers that speak WebSocket by hand, over plain sockets of std.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// Lengths around those at which the head of a frame grows, and at which the library changes its ways; all of them are
/// received by default.
#[rustfmt::skip]
pub const SIZES: [usize; 15] =
    [0, 1, 62, 63, 125, 126, 16_383, 16_384, 16_385, 32_767, 32_768, 65_535, 65_536, 65_537, 1 << 20];

const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
const ACCEPT: &str = "Bz3qJYTGdOe8gUSpLosEdiLKDrk=";

/// A request for an upgrade to `target`, with `token` as subprotocol.
pub fn request(target: &str, token: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {token}\r\n\r\n"
    )
}

/// One frame as it came, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub mask: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

/// The other end of a connection, under the test's full control.
pub struct WsPeer<S = TcpStream> {
    pub stream: S,
}

impl WsPeer {
    fn new(stream: TcpStream) -> WsPeer {
        stream.set_nonblocking(false).expect("a blocking stream");
        stream.set_nodelay(true).expect("a tcp option");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout above zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout above zero");
        WsPeer { stream }
    }

    /// Connects to `ws://ip:port/...` and says nothing.
    #[track_caller]
    pub fn connect(address: &str) -> WsPeer {
        let place = address.strip_prefix("ws://").expect("a ws address");
        let place = place.split('/').next().unwrap_or(place);
        WsPeer::new(TcpStream::connect(place).expect("a listener"))
    }

    /// Connects and upgrades with `token`.
    #[track_caller]
    pub fn join(address: &str, token: &str) -> WsPeer {
        let mut peer = WsPeer::connect(address);
        peer.send(request("/", token).as_bytes());
        let head = peer.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// Nothing arrives for `wait`, not even the end.
    #[track_caller]
    pub fn expect_quiet(&mut self, wait: Duration) {
        self.stream.set_read_timeout(Some(wait)).expect("a timeout above zero");
        let mut byte = [0];
        let read = self.stream.read(&mut byte);
        self.stream.set_read_timeout(Some(DEADLINE)).expect("a timeout above zero");
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            other => panic!("{other:?} {byte:02x?} instead of silence"),
        }
    }

    pub fn shutdown(&self) {
        // Fails only when the other side was quicker.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl<S: Read + Write> WsPeer<S> {
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the peer reads");
    }

    /// Everything up to an empty line.
    #[track_caller]
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        String::from_utf8(head).expect("ASCII")
    }

    /// Reads a request and answers it as a server of `token`.
    #[track_caller]
    pub fn accept_upgrade(&mut self, token: &str) {
        let request = self.head();
        let key = field(&request, "Sec-WebSocket-Key");
        self.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {token}\r\n\r\n",
                accept(&key)
            )
            .as_bytes(),
        );
    }

    /// The next frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        self.try_frame().expect("a whole frame")
    }

    pub fn try_frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let len = match head[1] & 0x7f {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len)?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len)?;
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        let mut mask = None;
        if head[1] & 0x80 != 0 {
            let mut bytes = [0; 4];
            self.stream.read_exact(&mut bytes)?;
            mask = Some(bytes);
        }
        let mut payload = vec![0; usize::try_from(len).expect("a sane length")];
        self.stream.read_exact(&mut payload)?;
        let key = mask.unwrap_or_default();
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        Ok(Frame { first: head[0], mask, payload })
    }

    /// Frames up to the end of a message: their count and what they carried.
    #[track_caller]
    pub fn message(&mut self) -> (usize, Vec<u8>) {
        let (mut count, mut body) = (0, Vec::new());
        loop {
            let frame = self.frame();
            count += 1;
            body.extend(frame.payload);
            if frame.first & 0x80 != 0 {
                return (count, body);
            }
        }
    }

    /// The stream ends here, without a byte and without a reset.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut byte = [0];
        let read = self.stream.read(&mut byte).expect("a regular end");
        assert_eq!(read, 0, "a byte {byte:02x?} instead of the end");
    }
}

/// The value of a header field.
#[track_caller]
pub fn field(head: &str, name: &str) -> String {
    let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
}

/// What proves that a server understood `key`, by way of a listener of ours: it knows how.
pub fn accept(key: &str) -> String {
    if key == KEY {
        return ACCEPT.into();
    }
    let pair = spmsg::Pair::new().expect("a socket");
    let address = pair.bind("ws://127.0.0.1:0").expect("a port").address().to_owned();
    let mut asking = WsPeer::connect(&address);
    asking.send(request("/", "pair.sp.nanomsg.org").replace(KEY, key).as_bytes());
    field(&asking.head(), "Sec-WebSocket-Accept")
}

/// Somebody to connect to.
pub struct WsListener {
    listener: TcpListener,
    pub address: String,
}

impl WsListener {
    pub fn bind() -> WsListener {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a non-blocking listener");
        let address = format!("ws://{}", listener.local_addr().expect("its address"));
        WsListener { listener, address }
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> WsPeer {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return WsPeer::new(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < end, "nobody connects to {}", self.address);
                }
                Err(error) => panic!("accept: {error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
