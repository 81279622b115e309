//! Plays one end of a recorded conversation to a socket that has the other.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::{Conversation, End, Event, Piece};
use crate::Trouble;
use crate::cell::Stage;
use crate::peer::Peer;
use crate::place::{Place, Wire};
use crate::puppet::Puppet;
use crate::talk::Account;

/// How long to wait for bytes that must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to listen for bytes that must not.
const QUIET: Duration = Duration::from_millis(20);

/// A byte stream.
pub(super) trait Stream: Read + Write + Send {
    /// Bounds each read.
    fn set_patience(&self, time: Duration) -> std::io::Result<()>;
    /// A second handle on the same stream.
    fn twin(&self) -> std::io::Result<Box<dyn Stream>>;
    /// Ends it, both ways.
    fn end(&self);
}

macro_rules! stream {
    ($type:ty) => {
        impl Stream for $type {
            fn set_patience(&self, time: Duration) -> std::io::Result<()> {
                self.set_read_timeout(Some(time))
            }
            fn twin(&self) -> std::io::Result<Box<dyn Stream>> {
                Ok(Box::new(self.try_clone()?))
            }
            fn end(&self) {
                // It may have ended already.
                let _ = self.shutdown(std::net::Shutdown::Both);
            }
        }
    };
}

stream!(TcpStream);
stream!(UnixStream);

/// Something that accepts, at an address of its own.
pub(super) enum Gate {
    Tcp(TcpListener),
    Ipc { gate: UnixListener, _folder: tempfile::TempDir },
}

impl Gate {
    pub(super) fn open(wire: Wire) -> Result<(Gate, String), Trouble> {
        open_gate(wire).map_err(|e| format!("listening: {e}"))
    }

    /// The first connection; waits at most [`PATIENCE`].
    pub(super) fn accept(&self) -> Result<Box<dyn Stream>, Trouble> {
        let start = Instant::now();
        loop {
            let accepted = match self {
                Gate::Tcp(gate) => gate.accept().map(|(s, _)| Box::new(s) as Box<dyn Stream>),
                Gate::Ipc { gate, .. } => gate.accept().map(|(s, _)| Box::new(s) as Box<dyn Stream>),
            };
            match accepted {
                Ok(stream) => return Ok(stream),
                Err(e) if e.kind() == ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(1)); // std cannot accept with a deadline
                }
                Err(e) => return Err(format!("nobody connects: {e}")),
            }
        }
    }
}

fn open_gate(wire: Wire) -> std::io::Result<(Gate, String)> {
    match wire {
        Wire::Ipc => {
            let folder = tempfile::Builder::new().prefix("spmsg-interop-").tempdir()?;
            let path = folder.path().join("gate");
            let gate = UnixListener::bind(&path)?;
            gate.set_nonblocking(true)?;
            Ok((Gate::Ipc { gate, _folder: folder }, format!("ipc://{}", path.display())))
        }
        _ => {
            let gate = TcpListener::bind("127.0.0.1:0")?;
            gate.set_nonblocking(true)?;
            let address = format!("{}://{}", wire.name(), gate.local_addr()?);
            Ok((Gate::Tcp(gate), address))
        }
    }
}

/// Connect to what a peer bound.
pub(super) fn connect(wire: Wire, address: &str) -> Result<Box<dyn Stream>, Trouble> {
    let target = address.trim_start_matches(wire.name()).trim_start_matches("://");
    let stream: std::io::Result<Box<dyn Stream>> = match wire {
        Wire::Ipc => UnixStream::connect(target).map(|s| Box::new(s) as Box<dyn Stream>),
        _ => TcpStream::connect(target).map(|s| Box::new(s) as Box<dyn Stream>),
    };
    stream.map_err(|e| format!("{address}: {e}"))
}

/// Whether what is written goes out as it stands, or one byte at a time (R5, R21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Line by line.
    Whole,
    /// Byte by byte.
    Bytes,
}

struct Player<'a> {
    stream: Box<dyn Stream>,
    puppet: &'a mut Puppet,
    ours: End,
    cut: Cut,
    words: BTreeMap<String, [u8; 4]>,
    account: Account,
}

/// A socket of `peer` has the end `ours`; everything that the other end wrote is written to it, and
/// everything that it writes must be what was recorded.
pub fn play(
    stage: &mut Stage,
    conversation: &Conversation,
    peer: Peer,
    ours: End,
    cut: Cut,
) -> Result<Account, Trouble> {
    let mut puppet = stage.spawn(peer, ours.name())?;
    puppet.order(&format!("open {}", conversation.kind(ours)))?;
    let is_act = |event: &&Event| matches!(event, Event::Act(..));
    let before = conversation.events.iter().take_while(is_act).count();
    let (setup, events) = conversation.events.split_at(before);
    for event in setup {
        act(&mut puppet, ours, event)?;
    }
    let (stream, _keep) = join(conversation.wire, &mut puppet, ours)?;
    stream.set_patience(PATIENCE).map_err(|e| format!("the stream: {e}"))?;
    let (words, account) = (BTreeMap::new(), Account::default());
    let mut player = Player { stream, puppet: &mut puppet, ours, cut, words, account };
    for (event, number) in events.iter().zip(1..) {
        player.step(event).map_err(|e| format!("event {number}, {event:?}: {e}"))?;
    }
    if !matches!(events.last(), Some(Event::Close(_))) {
        player.expect_silence()?;
    }
    Ok(player.account)
}

/// What an address needs to stay.
type Keep = (Option<Gate>, Option<Place>);

fn join(wire: Wire, puppet: &mut Puppet, ours: End) -> Result<(Box<dyn Stream>, Keep), Trouble> {
    if ours == End::Connector {
        let (gate, address) = Gate::open(wire)?;
        puppet.order(&format!("connect {address}"))?;
        let stream = gate.accept()?;
        return Ok((stream, (Some(gate), None)));
    }
    let place = Place::reserve(wire)?;
    puppet.order(&format!("bind {}", place.address()))?;
    Ok((connect(wire, place.address())?, (None, Some(place))))
}

fn act(puppet: &mut Puppet, ours: End, event: &Event) -> Result<(), Trouble> {
    let Event::Act(end, command, wanted) = event else { return Ok(()) };
    if *end != ours {
        return Ok(());
    }
    let answer = puppet.request(command)?;
    // Not every peer tells the length of what it sent.
    let is_same = answer == *wanted || (wanted.starts_with("ok") && answer.starts_with("ok"));
    if is_same { Ok(()) } else { Err(format!("{command}: wanted {wanted}, got {answer}")) }
}

impl Player<'_> {
    fn step(&mut self, event: &Event) -> Result<(), Trouble> {
        match event {
            Event::Act(..) => act(self.puppet, self.ours, event),
            Event::Bytes(end, pieces) if *end == self.ours => self.expect(pieces),
            Event::Bytes(_, pieces) => self.write(pieces),
            Event::Close(end) if *end == self.ours => self.expect_end(),
            Event::Close(_) => {
                self.stream.end();
                Ok(())
            }
        }
    }

    fn write(&mut self, pieces: &[Piece]) -> Result<(), Trouble> {
        let mut bytes = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Byte(byte) => bytes.push(*byte),
                Piece::Word(name, then) => {
                    bytes.extend_from_slice(self.words.entry(name.clone()).or_insert(*then));
                }
            }
        }
        self.account.messages += 1;
        self.account.bytes += bytes.len() as u64;
        let step = if self.cut == Cut::Whole { bytes.len() } else { 1 };
        bytes
            .chunks(step.max(1))
            .try_for_each(|part| self.stream.write_all(part).map_err(|e| format!("writing: {e}")))
    }

    fn expect(&mut self, pieces: &[Piece]) -> Result<(), Trouble> {
        for (piece, at) in pieces.iter().zip(0..) {
            match piece {
                Piece::Byte(wanted) => {
                    let [got] = self.read(at)?;
                    if got != *wanted {
                        return Err(format!("at {at}: wanted {wanted:02x}, got {got:02x}"));
                    }
                }
                Piece::Word(name, then) => self.expect_word(at, name, *then)?,
            }
        }
        self.account.messages += 1;
        self.account.bytes += pieces.len() as u64;
        Ok(())
    }

    /// A word of our choice must be of the same kind, a word that was seen before must be the same.
    fn expect_word(&mut self, at: usize, name: &str, then: [u8; 4]) -> Result<(), Trouble> {
        let got: [u8; 4] = self.read(at)?;
        let known = *self.words.entry(name.to_owned()).or_insert(got);
        if got == known && got[0] & 0x80 == then[0] & 0x80 {
            return Ok(());
        }
        Err(format!("at {at}: {name} is {got:02x?}, wanted {known:02x?}, recorded as {then:02x?}"))
    }

    fn read<const N: usize>(&mut self, at: usize) -> Result<[u8; N], Trouble> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(|e| format!("at {at}: {e}"))?;
        Ok(bytes)
    }

    fn expect_end(&mut self) -> Result<(), Trouble> {
        let mut more = [0; 64];
        match self.stream.read(&mut more) {
            Ok(0) => Ok(()),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(()),
            Ok(n) => Err(format!("wanted the end, got {:02x?}", &more[..n])),
            Err(e) => Err(format!("wanted the end: {e}")),
        }
    }

    fn expect_silence(&mut self) -> Result<(), Trouble> {
        self.stream.set_patience(QUIET).map_err(|e| format!("the stream: {e}"))?;
        let mut more = [0; 64];
        match self.stream.read(&mut more) {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
            Ok(n) => Err(format!("wanted silence, got {:02x?} ({n} bytes)", &more[..n])),
            Err(e) => Err(format!("wanted silence: {e}")),
        }
    }
}
