//! What the application receives.

use std::hint::cold_path;
use std::mem::MaybeUninit;

use super::waiting::{Direction, Patience, Waiting};
use super::{Core, State};
use crate::engine::jobs::{self, Jobs};
use crate::engine::reactor::Reactor;
use crate::engine::source::Recipient;
use crate::error::Error;
use crate::frames::Taken;
use crate::message::Message;
use crate::protocol::{PipeId, RecvRefusal};

impl Core {
    /// Receives, waiting as `patience` says.
    #[inline(always)]
    pub(crate) fn recv(&self, patience: Patience) -> Result<Message, Error> {
        // Made where it is wanted, and not handed through: that would cost more than the rest.
        let mut message = Message::new();
        self.recv_message(patience, &mut message)?;
        Ok(message)
    }

    /// The same, into a message that is new.
    #[inline(never)]
    fn recv_message(&self, patience: Patience, mut message: &mut Message) -> Result<(), Error> {
        self.recv_to(patience, &mut message)
    }

    /// Receives, and has `take` look at the message while the socket is locked.
    pub(crate) fn recv_with<R>(
        &self,
        patience: Patience,
        take: impl FnOnce(Taken<'_>) -> R,
    ) -> Result<R, Error> {
        let mut sight = Sight { take: Some(take), taken: None };
        self.recv_to(patience, &mut sight)?;
        // Whoever has received has taken.
        sight.taken.ok_or(Error::WouldBlock)
    }

    /// Receives a body, as much of it as `place` has room for, and returns its length.
    #[inline]
    pub(crate) fn recv_into(
        &self,
        patience: Patience,
        place: &mut [MaybeUninit<u8>],
    ) -> Result<usize, Error> {
        let mut target = Target { place, len: 0 };
        self.recv_to(patience, &mut target)?;
        Ok(target.len)
    }

    fn recv_to(&self, mut patience: Patience, want: &mut impl Want) -> Result<(), Error> {
        let mut waited = None;
        loop {
            let moves = self.mail.moves();
            match self.try_recv_to(want, waited.take()) {
                Ok(()) => return Ok(()),
                Err(Refused::Pattern(RecvRefusal::Empty)) if patience.waits() => (),
                Err(refused) => return Err(self.refused(refused)),
            }
            let mut caller = Caller { socket: self, want, is_served: false };
            let wait = self.wait(Direction::Recv, moves, &mut patience, Some(&mut caller));
            if caller.is_served {
                return Ok(());
            }
            waited = wait?;
        }
    }

    #[cold]
    fn refused(&self, why: Refused) -> Error {
        match why {
            Refused::Closed => Error::Closed,
            Refused::Pattern(RecvRefusal::Empty) => {
                self.hurry();
                Error::WouldBlock
            }
            Refused::Pattern(RecvRefusal::Expired) => Error::TimedOut,
            Refused::Pattern(RecvRefusal::State) => {
                Error::State("nothing to receive: send a request or survey first")
            }
            Refused::Pattern(RecvRefusal::Unsupported) => {
                Error::Unsupported { protocol: self.protocol, operation: "receive" }
            }
        }
    }

    /// Nothing was there, and nobody will wait here: room that was made must be used all the same.
    fn hurry(&self) {
        self.watch_input();
        if let Some(lease) = self.engine.get() {
            lease.engine.hurry();
        }
    }

    /// `waited` is how the caller waited for this; it waits no longer.
    #[inline]
    fn try_recv_to(&self, want: &mut impl Want, waited: Option<Waiting>) -> Result<(), Refused> {
        if self.is_inherited() {
            cold_path();
            return Err(Refused::Closed);
        }
        let mut jobs = Jobs::new();
        let mut place = None;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        // A wake-up that comes to nothing here is passed on by settling. If there is nothing to settle nobody could use it.
        let has_waited = waited.map(|waited| state.unregister(waited)).is_some();
        if state.closed {
            cold_path();
            drop(guard);
            if has_waited {
                self.left.notify_all();
            }
            return Err(Refused::Closed);
        }
        let has_mail = self.mail.there_is() && !state.pattern.readiness().recv;
        // To receive where no deadline runs takes no clock.
        let due = if self.timed { state.pattern.next_timeout() } else { None };
        let now = if due.is_some() || has_mail { self.now() } else { self.born };
        let mut is_as_before = true;
        if has_mail {
            self.look_into_lane(state, now, &mut jobs);
            is_as_before = false;
        }
        // A deadline that has passed counts even if the engine is late to say so.
        if due.is_some_and(|at| at <= now) {
            cold_path();
            state.pattern.handle_timeout(&mut state.fx, now);
            is_as_before = false;
        }
        let received = state.pattern.recv_taken(&mut state.fx, now, &mut place).map(|taken| {
            state.stats.received(taken.body().len());
            want.take(taken);
        });
        is_as_before &= matches!(received, Err(RecvRefusal::Empty)) && state.fx.is_empty();
        if !is_as_before {
            self.settle(state, now, &mut jobs);
            if !state.pattern.readiness().recv {
                state.pattern.tidy();
            }
        }
        self.mail.look_yourself(!self.timed && state.is_undisturbed());
        let is_watched_from_outside = state.recv_level.has_descriptor() && !state.recv_level.is_set();
        drop(guard);
        jobs::run(jobs);
        if is_watched_from_outside {
            cold_path();
            self.hurry();
        }
        received.map_err(Refused::Pattern)
    }

    /// Hands what a connection read straight to the caller that reads and waits for it. False if it has to go the usual
    /// way. `turned` is the reactor that the caller turns, if it does not just read the connection.
    pub(crate) fn hand(
        &self,
        pipe: PipeId,
        payload: Taken<'_>,
        recipient: &mut dyn Recipient,
        turned: Option<&Reactor>,
    ) -> bool {
        let mut jobs = Jobs::new();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed || state.pipes.get(pipe).is_none() {
            cold_path();
            return false;
        }
        let passed = match payload {
            Taken::Body(payload, kind) => {
                state.pattern.pass(pipe, payload).map(|body| Taken::Body(body, kind))
            }
            Taken::Message(message) => {
                let header = state.pattern.header_of(pipe, message.body());
                let is_passed = header
                    .is_some_and(|len| state.pattern.passed(pipe, message.body()) && message.trim_front(len));
                is_passed.then_some(Taken::Message(message))
            }
        };
        let Some(passed) = passed else {
            cold_path();
            return false;
        };
        let len = passed.body().len();
        recipient.take(passed);
        state.served(len, turned, &mut jobs);
        drop(guard);
        jobs::run(jobs);
        true
    }

    /// How long the header is of the payload of this pipe that begins with `front`, if its body may be read to where the
    /// caller wants it that reads, and then [`hand_placed`](Core::hand_placed).
    pub(crate) fn header_of(&self, pipe: PipeId, front: &[u8]) -> Option<usize> {
        let state = self.state.lock();
        if state.closed || state.pipes.get(pipe).is_none() {
            return None;
        }
        state.pattern.header_of(pipe, front)
    }

    /// The caller that reads has a body of `len` bytes, whatever has happened to the socket meanwhile; unless it is an
    /// answer, and another caller has given up the request. `turned` as for [`hand`](Core::hand).
    pub(crate) fn hand_placed(
        &self,
        pipe: PipeId,
        front: &[u8],
        len: usize,
        recipient: &mut dyn Recipient,
        turned: Option<&Reactor>,
    ) {
        let mut jobs = Jobs::new();
        let mut state = self.state.lock();
        if state.pattern.passed(pipe, front) {
            recipient.take_placed(len);
            state.served(len, turned, &mut jobs);
        }
        let closed = state.closed;
        drop(state);
        if closed {
            self.left.notify_all();
        }
        jobs::run(jobs);
    }
}

/// Why nothing was received.
enum Refused {
    Closed,
    Pattern(RecvRefusal),
}

impl State {
    /// A guest of the reactor, or who reads directly if none is turned, has a message of `len` bytes and waits no longer.
    fn served(&mut self, len: usize, turned: Option<&Reactor>, jobs: &mut Jobs) {
        self.stats.received(len);
        self.unregister(if turned.is_some() { Waiting::Guest(Direction::Recv) } else { Waiting::Reader });
        // Whoever has received may answer.
        self.announce(turned, jobs);
    }
}

/// What a caller does with the message that it wants.
trait Want {
    /// Called under the socket's lock, once.
    fn take(&mut self, taken: Taken<'_>);

    /// As [`Recipient::place`].
    fn place(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
        None
    }

    /// As [`Recipient::take_placed`].
    fn take_placed(&mut self, _len: usize) {}
}

/// Looks at it.
struct Sight<F, R> {
    take: Option<F>,
    taken: Option<R>,
}

impl<R, F: FnOnce(Taken<'_>) -> R> Want for Sight<F, R> {
    fn take(&mut self, taken: Taken<'_>) {
        self.taken = self.take.take().map(|take| take(taken));
    }
}

impl Want for &mut Message {
    fn take(&mut self, taken: Taken<'_>) {
        taken.move_to(self);
    }
}

/// Wants the body here.
struct Target<'a> {
    place: &'a mut [MaybeUninit<u8>],
    len: usize,
}

impl Want for Target<'_> {
    fn take(&mut self, taken: Taken<'_>) {
        let body = taken.body();
        self.len = body.len();
        let len = body.len().min(self.place.len());
        if let (Some(place), Some(body)) = (self.place.get_mut(..len), body.get(..len)) {
            place.write_copy_of_slice(body);
        }
    }

    fn place(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
        Some(self.place)
    }

    fn take_placed(&mut self, len: usize) {
        self.len = len;
    }
}

/// A caller that waits for a message.
struct Caller<'a, W> {
    socket: &'a Core,
    want: &'a mut W,
    is_served: bool,
}

impl<W: Want> Recipient for Caller<'_, W> {
    fn waits_at(&self, socket: &Core) -> bool {
        std::ptr::eq(self.socket, socket) && !self.is_served
    }

    fn is_served(&self) -> bool {
        self.is_served
    }

    fn can_answer(&self) -> bool {
        self.socket.protocol().can_send()
    }

    fn take(&mut self, taken: Taken<'_>) {
        self.want.take(taken);
        self.is_served = true;
    }

    fn place(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
        self.want.place()
    }

    fn take_placed(&mut self, len: usize) {
        self.want.take_placed(len);
        self.is_served = true;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::super::Patience;
    use super::*;
    use crate::address::{BindAddress, IpcName};
    use crate::engine::Engine;
    use crate::engine::turns::tests::wait_until;
    use crate::limits::{BODY_BY_REFERENCE_BYTES, BODY_TAIL_BYTES};
    use crate::options::Options;
    use crate::sys::as_space;
    use crate::{Mode, Protocol, Socket};

    /// A PULL and its PUSH.
    fn connected() -> (Socket, Socket) {
        connected_as(Protocol::Pull, Protocol::Push)
    }

    fn connected_as(bound: Protocol, connected: Protocol) -> (Socket, Socket) {
        let [bound, connected] = [bound, connected].map(|protocol| Socket::new(protocol, Mode::Cooked));
        let place = bound.bind("tcp://127.0.0.1:0").expect("a port");
        connected.connect(place.address()).expect("an address");
        let has_one = || connected.statistics().is_ok_and(|stats| stats.established_connections == 1);
        wait_until("connected", has_one);
        (bound, connected)
    }

    /// A buffer that notes how it was filled.
    struct Noting<'a> {
        target: Target<'a>,
        placed: bool,
    }

    impl Want for Noting<'_> {
        fn take(&mut self, taken: Taken<'_>) {
            self.target.take(taken);
        }

        fn place(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
            self.target.place()
        }

        fn take_placed(&mut self, len: usize) {
            self.placed = true;
            self.target.take_placed(len);
        }
    }

    #[test]
    fn a_large_body_is_read_to_where_it_is_wanted() {
        let (pull, push) = connected();
        // It goes over the wire as one, and is there as a whole or not at all.
        let body = vec![7; BODY_BY_REFERENCE_BYTES + 2 * BODY_TAIL_BYTES];
        for (room, fits) in [(body.len(), true), (body.len() - 1, false)] {
            let mut place = vec![MaybeUninit::uninit(); room];
            let mut rounds = 0;
            wait_until("a body is read to its place, if it fits", || {
                let target = Target { place: &mut place, len: 0 };
                let mut noting = Noting { target, placed: false };
                std::thread::scope(|scope| {
                    scope.spawn(|| push.send(&body[..]).expect("a peer"));
                    let patience = Patience::for_timeout(Some(Duration::from_secs(5)), false);
                    pull.core().recv_to(patience, &mut noting).expect("it comes");
                });
                assert_eq!(noting.target.len, body.len());
                rounds += 1;
                assert!(fits || !noting.placed);
                noting.placed || !fits && rounds == 100
            });
        }
    }

    #[test]
    fn so_are_the_bodies_of_large_requests_and_of_their_answers() {
        let (rep, req) = connected_as(Protocol::Rep, Protocol::Req);
        let body: Vec<u8> = (0..BODY_BY_REFERENCE_BYTES + 2 * BODY_TAIL_BYTES).map(|at| at as u8).collect();
        let patience = || Patience::for_timeout(Some(Duration::from_secs(5)), false);
        let receive = |socket: &Socket| {
            let mut place = vec![0; body.len() + 1];
            let target = Target { place: as_space(&mut place), len: 0 };
            let mut noting = Noting { target, placed: false };
            socket.core().recv_to(patience(), &mut noting).expect("it comes");
            let (len, placed) = (noting.target.len, noting.placed);
            (place[..len] == body, placed)
        };
        let (mut asked, mut answered) = (false, false);
        wait_until("both are read to their place", || {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (is_whole, placed) = receive(&rep);
                    assert!(is_whole);
                    asked |= placed;
                    rep.send(&body[..]).expect("somebody has asked");
                });
                req.send(&body[..]).expect("a peer");
                let (is_whole, placed) = receive(&req);
                assert!(is_whole);
                answered |= placed;
            });
            asked && answered
        });
        for socket in [&rep, &req] {
            let stats = socket.statistics().expect("an open socket");
            assert_eq!(stats.bytes_received, stats.messages_received * body.len() as u64);
        }
    }

    /// What it would cost to read on: memory that is asked for and given back for each message, and a copy.
    #[test]
    fn what_is_behind_a_large_body_stays_in_the_kernel_until_the_next_turn() {
        let engine = Engine::new(0).expect("descriptors");
        let pull = Core::new(Protocol::Pull, Mode::Cooked, Options::default(), Some(engine.clone()));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        pull.bind(&BindAddress::Ipc(IpcName::Path(path.clone()))).expect("a socket file");
        let mut peer = UnixStream::connect(path).expect("a listener");
        peer.write_all(&[0, b'S', b'P', 0, 0, 80, 0, 0]).expect("room");
        let at_once = Some(Duration::ZERO);
        wait_until("a pipe", || {
            engine.turn(at_once).expect("a turn");
            pull.state.lock().pipes.len() == 1
        });
        let body = vec![7; BODY_BY_REFERENCE_BYTES + BODY_TAIL_BYTES];
        let frame = [&[1][..], &(body.len() as u64).to_be_bytes(), &body].concat();
        let mut write = |count| (0..count).for_each(|_| peer.write_all(&frame).expect("room"));
        let mut place = vec![MaybeUninit::uninit(); body.len()];
        // That large ones come is known from the first.
        write(1);
        engine.turn(at_once).expect("a turn");
        assert_eq!(pull.recv_into(Patience::Never, &mut place).expect("a message"), body.len());

        let reactor = engine.reactor();
        let behind = 3;
        write(behind);
        for _ in 0..20 {
            write(1);
            let mut noting = Noting { target: Target { place: &mut place, len: 0 }, placed: false };
            let mut caller = Caller { socket: &pull, want: &mut noting, is_served: false };
            {
                // As a guest that sits in the place.
                let mut state = pull.state.lock();
                state.recv_guests.add(&reactor);
                state.blocked += 1;
            }
            reactor.turn_for(at_once, Some(&mut caller)).expect("a turn");
            assert!(caller.is_served && noting.placed);
            assert!(!pull.readiness().expect("an open socket").recv, "one was read, and no more");
            assert_eq!(reactor.tasks(), 1, "reading on is told once");
        }
        // Nothing new comes: what was told brings it.
        engine.turn(at_once).expect("a turn");
        let rest = (0..behind).map(|_| pull.recv_into(Patience::Never, &mut place).expect("a message"));
        assert_eq!(rest.sum::<usize>(), behind * body.len());
        assert!(matches!(pull.recv(Patience::Never), Err(Error::WouldBlock)));
        drop(pull.begin_close());
    }

    /// Nobody would notice but those who look at the time.
    #[test]
    fn who_waits_and_turns_is_handed_what_comes_first() {
        let (pull, push) = connected();
        let core = pull.core();
        // Who comes to sit down finds the I/O thread there, now and then.
        let mut count: u64 = 0;
        wait_until("a message is handed over", || {
            let mut sight = Sight { take: Some(|taken: Taken<'_>| taken.body().to_vec()), taken: None };
            let mut caller = Caller { socket: core, want: &mut sight, is_served: false };
            let mut patience = Patience::for_timeout(Some(Duration::from_secs(5)), false);
            std::thread::scope(|scope| {
                scope.spawn(|| [b"first", b"later"].map(|body| push.send(body).expect("a peer")));
                let waited = core.wait(Direction::Recv, core.mail.moves(), &mut patience, Some(&mut caller));
                let waited = waited.expect("something comes");
                assert!(!(caller.is_served && waited.is_some()), "it waits no longer");
                let mut state = core.state.lock();
                if let Some(waited) = waited {
                    state.unregister(waited);
                }
                assert_eq!(state.blocked, 0);
            });
            let is_handed = caller.is_served;
            let first = sight.taken.take();
            let mut next =
                || core.recv(Patience::for_timeout(None, false)).expect("it comes").body().to_vec();
            assert_eq!([first.unwrap_or_else(&mut next), next()], [b"first", b"later"]);
            count += 2;
            is_handed
        });
        let stats = pull.statistics().expect("an open socket");
        assert_eq!((stats.messages_received, stats.bytes_received), (count, 5 * count));
    }
}
