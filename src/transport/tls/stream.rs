//! [`TlsStream`]: TLS over a [`SocketStream`], as a state machine on whichever thread reads or writes.
//!
//! Three locks, always taken in this order and none of them across the other direction's system call:
//!
//! * `input` belongs to the thread that reads: ciphertext from the kernel that TLS has not taken yet.
//! * `output` belongs to the thread that writes, and fixes the order of records on the wire: ciphertext that the
//!   kernel has not taken yet.
//! * `tls`, the keys of both directions, is held to encrypt or to decrypt and never in a system call.

use std::io::{self, BufRead, IoSlice, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mio::{Registry, Token};
use parking_lot::{Mutex, MutexGuard};
use rustls::Connection as Tls;
use rustls::pki_types::CertificateDer;
use smallvec::SmallVec;

use super::identity::identity;
use super::refusal::{Refusal, failure};
use crate::limits::{GATHER_SLICES_MAX, IDLE_BUFFER_KEEP_BYTES, TLS_READ_BYTES, TLS_WRITE_BYTES};
use crate::peer::PeerIdentity;
use crate::transport::{Handshake, SocketStream, Stream};

/// Whether the certificates that a peer showed are good: where the handshake goes on without.
pub(super) type Recheck = Box<dyn Fn(&[CertificateDer<'_>]) -> bool + Send + Sync>;

pub(crate) struct TlsStream {
    socket: SocketStream,
    input: Mutex<Input>,
    output: Mutex<Output>,
    tls: Mutex<Tls>,
    recheck: Recheck,
    /// Set when the handshake is over.
    peer: OnceLock<Option<Arc<PeerIdentity>>>,
}

/// What was read from the kernel and not decrypted.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    at: usize,
    /// The peer's end of the stream was read.
    ended: bool,
}

impl Input {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Ciphertext into the emptied buffer; the number of bytes as in a read.
    fn fill(&mut self, socket: &SocketStream) -> io::Result<usize> {
        self.bytes.clear();
        self.at = 0;
        self.bytes.reserve_exact(TLS_READ_BYTES);
        let got = socket.read_body(&mut self.bytes, TLS_READ_BYTES, &mut []);
        if got.is_err() {
            // Idle connections hold no buffer.
            self.bytes = Vec::new();
        }
        let (got, _) = got?;
        self.ended = got == 0;
        Ok(got)
    }
}

/// What was encrypted and not written.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    at: usize,
    /// Bytes of the engine's that `bytes` holds: they count as written when all of it is.
    owed: usize,
    /// The end was announced; the socket's follows when `bytes` is written.
    ending: bool,
}

impl Output {
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Takes what TLS wants to send. To be called with the lock of TLS held and no other way round.
    fn take(&mut self, tls: &mut Tls) -> io::Result<()> {
        while tls.wants_write() {
            tls.write_tls(&mut self.bytes)?;
        }
        Ok(())
    }

    /// Writes until nothing is left or the kernel takes no more.
    fn push(&mut self, socket: &SocketStream) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            match socket.write(&[IoSlice::new(rest)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        self.at = 0;
        self.bytes.clear();
        if std::mem::take(&mut self.ending) {
            socket.shutdown_write();
        }
        Ok(())
    }
}

impl TlsStream {
    /// `tls` begins, or awaits the beginning, as soon as the socket is connected.
    pub(super) fn new(socket: SocketStream, mut tls: Tls, recheck: Recheck) -> TlsStream {
        // What is encrypted at a time is bounded here, by TLS_WRITE_BYTES.
        tls.set_buffer_limit(None);
        TlsStream {
            socket,
            input: Mutex::new(Input::default()),
            output: Mutex::new(Output::default()),
            tls: Mutex::new(tls),
            recheck,
            peer: OnceLock::new(),
        }
    }

    /// Gives TLS some ciphertext and has it decrypted. What it wants to send in answer leaves at once if nobody is
    /// writing, and otherwise in front of what is written next: alerts that say why this peer is not wanted, or that
    /// keys are not negotiated anew. There are few, TLS itself sees to that.
    fn feed(&self, input: &mut Input, tls: &mut MutexGuard<'_, Tls>) -> io::Result<()> {
        let mut rest = input.rest();
        let before = rest.len();
        tls.read_tls(&mut rest)?;
        let taken = before - rest.len();
        input.at += taken;
        let processed = tls.process_new_packets();
        if tls.wants_write()
            && let Some(mut output) = self.output.try_lock()
        {
            // What the kernel does not take now leaves with the next write; what it cannot take, nobody misses.
            let _ = output.take(tls).and_then(|()| output.push(&self.socket));
        }
        match processed {
            Ok(_) if taken == 0 && before > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Hands decrypted bytes to `sink`, which says how many it took and takes none when it is full. The sum; nothing
    /// at all is the end of the stream.
    fn receive(&self, mut sink: impl FnMut(&[u8]) -> usize) -> io::Result<usize> {
        let mut input = self.input.lock();
        loop {
            match self.decrypt(&mut input, &mut sink)? {
                Some(received) => return Ok(received),
                // An end without close_notify is as good as one with it: messages say themselves where they end (R76).
                None if input.ended => return Ok(0),
                None => drop(input.fill(&self.socket)?),
            }
        }
    }

    /// `None` when more ciphertext is needed.
    fn decrypt(&self, input: &mut Input, sink: &mut impl FnMut(&[u8]) -> usize) -> io::Result<Option<usize>> {
        let mut tls = self.tls.lock();
        let mut received = 0;
        loop {
            let mut reader = tls.reader();
            match reader.fill_buf() {
                // The peer has said that it is done.
                Ok([]) => return Ok(Some(received)),
                Ok(bytes) => {
                    let taken = sink(bytes);
                    reader.consume(taken);
                    received += taken;
                    if taken == 0 {
                        return Ok(Some(received));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if input.rest().is_empty() {
                        return Ok((received > 0).then_some(received));
                    }
                    match self.feed(input, &mut tls) {
                        // What came before the error is delivered; the error comes again.
                        Err(_) if received > 0 => return Ok(Some(received)),
                        fed => fed?,
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One step of the handshake, until it is over or needs the peer.
    fn shake(&self) -> io::Result<bool> {
        let mut input = self.input.lock();
        loop {
            let handshaking = {
                let mut output = self.output.lock();
                let mut tls = self.tls.lock();
                output.take(&mut tls)?;
                let handshaking = tls.is_handshaking();
                drop(tls);
                match output.push(&self.socket) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    other => other?,
                }
                handshaking
            };
            if !handshaking {
                return Ok(true);
            }
            if input.rest().is_empty() {
                match input.fill(&self.socket) {
                    Ok(0) => return Err(Refusal::Vanished.into()),
                    Ok(_) => (),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                }
            }
            self.feed(&mut input, &mut self.tls.lock())?;
        }
    }

    /// Whom the handshake proved to be there.
    fn identify(&self) -> Option<Arc<PeerIdentity>> {
        let chain: Vec<CertificateDer<'static>> = self.tls.lock().peer_certificates()?.to_vec();
        if !(self.recheck)(&chain) {
            return None;
        }
        chain.first().map(|certificate| Arc::new(identity(certificate)))
    }

    /// Announces the end and writes what is left, as far as the kernel takes it. In the middle of a handshake there
    /// is nothing whose end could be announced.
    fn announce_end(&self, output: &mut Output) {
        if self.peer.get().is_some() {
            let mut tls = self.tls.lock();
            tls.send_close_notify();
            // Fails for lack of memory only, and a Vec does not say so.
            let _ = output.take(&mut tls);
        }
        output.ending = true;
        let _ = output.push(&self.socket);
    }

    /// Whether the kernel has taken all; tries again if it had not.
    fn is_written(&self) -> bool {
        let mut output = self.output.lock();
        output.is_empty() || output.push(&self.socket).is_ok()
    }
}

/// The front of `slices`, at most [`TLS_WRITE_BYTES`] of it.
fn front<'a>(slices: &'a [IoSlice<'a>]) -> SmallVec<[IoSlice<'a>; GATHER_SLICES_MAX]> {
    let mut room = TLS_WRITE_BYTES;
    let mut front = SmallVec::new();
    for slice in slices {
        let part = slice.get(..slice.len().min(room)).unwrap_or_default();
        room -= part.len();
        front.push(IoSlice::new(part));
        if room == 0 {
            break;
        }
    }
    front
}

impl Stream for TlsStream {
    fn register(&self, registry: &Registry, token: Token, write: bool) -> io::Result<()> {
        self.socket.register(registry, token, write)
    }

    fn reregister(&self, registry: &Registry, token: Token, write: bool) -> io::Result<()> {
        self.socket.reregister(registry, token, write)
    }

    fn deregister(&self, registry: &Registry) {
        self.socket.deregister(registry);
    }

    fn watches_writability_on_demand(&self) -> bool {
        self.socket.watches_writability_on_demand()
    }

    fn await_room(&self, timeout: Duration) -> bool {
        self.socket.await_room(timeout)
    }

    fn finish_connect(&self) -> io::Result<bool> {
        self.socket.finish_connect()
    }

    fn handshake(&self) -> io::Result<Handshake> {
        if !self.shake()? {
            return Ok(Handshake::Unfinished);
        }
        self.peer.get_or_init(|| self.identify());
        Ok(Handshake::Over)
    }

    fn peer(&self) -> Option<&Arc<PeerIdentity>> {
        self.peer.get()?.as_ref()
    }

    fn read(&self, block: &mut [u8]) -> io::Result<usize> {
        let mut at = 0;
        self.receive(|bytes| {
            let room = block.get_mut(at..).unwrap_or_default();
            let taken = copy(bytes, room);
            at += taken;
            taken
        })
    }

    fn read_body(&self, buffer: &mut Vec<u8>, missing: usize, tail: &mut [u8]) -> io::Result<(usize, usize)> {
        let len = missing.min(buffer.capacity() - buffer.len());
        let tail = if len == missing { tail } else { &mut [] };
        let (mut in_body, mut in_tail) = (0, 0);
        self.receive(|bytes| {
            let front = bytes.get(..bytes.len().min(len - in_body)).unwrap_or_default();
            buffer.extend_from_slice(front);
            in_body += front.len();
            let rest = bytes.get(front.len()..).unwrap_or_default();
            let behind = copy(rest, tail.get_mut(in_tail..).unwrap_or_default());
            in_tail += behind;
            front.len() + behind
        })?;
        Ok((in_body, in_tail))
    }

    /// Encrypts a bounded part and writes it. A part that the kernel does not take whole is kept, and counts as
    /// written only when it is: until then the answer is `WouldBlock`, and the same bytes must come first again.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut output = self.output.lock();
        if output.owed == 0 {
            let mut tls = self.tls.lock();
            // Small slices share records, large ones are split over several.
            output.owed = tls.writer().write_vectored(&front(slices))?;
            output.take(&mut tls)?;
        }
        output.push(&self.socket)?;
        if output.bytes.capacity() > IDLE_BUFFER_KEEP_BYTES && output.owed < IDLE_BUFFER_KEEP_BYTES {
            output.bytes = Vec::new();
        }
        Ok(std::mem::take(&mut output.owed))
    }

    fn shutdown_write(&self) {
        self.announce_end(&mut self.output.lock());
    }

    fn shutdown(&self) {
        // Somebody who is writing just now writes to a lost connection.
        if let Some(mut output) = self.output.try_lock() {
            self.announce_end(&mut output);
        }
        self.socket.shutdown();
    }

    fn has_arrived(&self) -> bool {
        self.is_written() && self.socket.has_arrived()
    }

    fn is_settled(&self) -> bool {
        self.is_written() && self.socket.is_settled()
    }
}

/// Copies as much as fits; the number of bytes.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) {
        to.copy_from_slice(from);
    }
    len
}
