//! Direct reading: who waits for what only this connection can bring reads it there, and the reactor ignores the
//! descriptor meanwhile. That saves the way through the poll, and nobody has to turn.
//!
//! The caller that is served will be back in a moment, so the reactor goes on ignoring the connection until the lease is
//! over, or somebody else wants to know of input: [`watch_input`](Connection::watch_input).

use std::hint::cold_path;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::reading::Step;
use super::{Connection, Phase, Reading};
use crate::engine::source::{Notice, Recipient, Task, Turn};
use crate::engine::sync::AtomicBool;
use crate::engine::tempo::{self, Sink, may_spin};
use crate::engine::trial::Trial;
use crate::frames::Frames;
use crate::limits::{
    BODY_TAIL_BYTES, DIRECT_LEASE, DIRECT_LEASE_MAX, DIRECT_READ_BYTES, SPIN_IF_WAITED_BELOW,
};

/// What a connection knows of those who read directly.
#[derive(Debug, Default)]
pub(super) struct Direct {
    /// Somebody is at it: nobody else reads.
    pub(super) is_at_work: bool,
    /// Somebody else was called to read meanwhile, and will not be again for what lies there.
    pub(super) was_called: bool,
    /// The reactor was told to ignore the connection, and nobody here has told it otherwise.
    is_on: bool,
    /// Somebody came since the lease began.
    was_used: bool,
    /// Looks in a row that found that the lease was used, by somebody who waited for an answer.
    looks: u8,
    /// The last who came waits for an answer.
    awaits_answer: bool,
    /// To read into, while it is on.
    buffer: Vec<u8>,
    last_began: Option<Instant>,
    /// Somebody waits for what comes next.
    waits_since: Option<Instant>,
    /// How long it took until the last came that was waited for, and that the reactor brought.
    last_wait: Duration,
    trial: Trial,
    spinning: Trial,
    sink: Sink,
}

impl Direct {
    /// For how long the lease is.
    fn lease(&self) -> Duration {
        let times = 1_u32.checked_shl(u32::from(self.looks)).unwrap_or(u32::MAX);
        DIRECT_LEASE.saturating_mul(times).min(DIRECT_LEASE_MAX)
    }

    /// Whoever was at it has its message.
    #[inline]
    fn served(&mut self, buffer: Vec<u8>) {
        self.trial.ended(true);
        self.buffer = buffer;
        self.waits_since = None;
    }

    /// Something came, through the reactor.
    pub(super) fn came(&mut self, now: Instant) {
        if let Some(since) = self.waits_since.take() {
            self.last_wait = now.saturating_duration_since(since);
        }
    }
}

/// The right, and the duty, to read a connection directly: [`wait`](Reader::wait) or [`give_up`](Reader::give_up).
#[must_use]
pub(crate) struct Reader {
    connection: Arc<Connection>,
    buffer: Vec<u8>,
    /// How much is read to the buffer at once; nothing while the rest of a large body is awaited, which has one of its own.
    window: usize,
    began: Instant,
    /// Since the wait before this one began.
    since: Duration,
    awaits_answer: bool,
    spins: bool,
}

/// How a wait at the connection ended.
pub(crate) enum Directly {
    /// The recipient has its message.
    Served,
    /// Nothing came, and nobody else wants to know of input: the reader may wait again.
    Nothing(Reader),
    /// There is something else to do, or there was nothing for too long.
    Otherwise,
    /// A signal handler ran.
    Interrupted,
}

impl Reading {
    /// How much who reads directly reads to its buffer.
    #[inline]
    fn window(&self) -> usize {
        if self.decoder.is_mid_frame() && self.decoder.body_front().is_some() {
            0
        } else if self.last_was_large {
            // Behind a large message comes another one, most likely, which is read in place.
            BODY_TAIL_BYTES
        } else {
            DIRECT_READ_BYTES
        }
    }
}

impl Connection {
    /// The right to read, if that is likely to bring what the caller waits for, and soon. From here on
    /// input is not watched.
    #[inline(always)]
    pub(crate) fn read_directly(self: &Arc<Self>, now: Instant) -> Option<Reader> {
        if self.inbound.is_full() || self.is_signed() {
            return None;
        }
        let awaits_answer = self.outbound.awaits_answer();
        let mut reading = self.reading.lock();
        let last_began = reading.direct.last_began.replace(now);
        let since = last_began.map_or(Duration::MAX, |began| now.saturating_duration_since(began));
        let is_fit = matches!(reading.phase, Phase::Open { .. })
            && reading.leftover.is_empty()
            && !reading.hung_up
            && (awaits_answer || !reading.last_was_large);
        let direct = &mut reading.direct;
        direct.waits_since.get_or_insert(now);
        if since >= DIRECT_LEASE {
            // The conversation was over, which nobody is to blame for.
            direct.is_on = false;
        }
        if !is_fit || direct.is_at_work || since >= DIRECT_LEASE || direct.last_wait >= DIRECT_LEASE {
            cold_path();
            return None;
        }
        let is_watched = self.is_watched.load(Ordering::SeqCst);
        if direct.is_on && is_watched {
            // Somebody else wanted to know of input.
            cold_path();
            direct.is_on = false;
            direct.trial.ended(false);
        }
        if !direct.trial.takes() {
            cold_path();
            return None;
        }
        if is_watched {
            cold_path();
            if !self.stream.leave_to_reader(self.reactor.registry(), *self.token.get()?) {
                return None;
            }
            // In this order: whoever finds it set believes that the reactor looks.
            self.is_watched.store(false, Ordering::SeqCst);
            direct.is_on = true;
            let has_memory = direct.buffer.try_reserve_exact(DIRECT_READ_BYTES).is_ok();
            if !has_memory || self.outbound.is_blocked() {
                drop(reading);
                self.watch_input();
                return None;
            }
            if reading.timer.is_none() {
                reading.direct.looks = 0;
                reading.timer = Some(self.add_timer(now + DIRECT_LEASE));
            }
        }
        let direct = &mut reading.direct;
        direct.is_at_work = true;
        direct.was_used = true;
        direct.awaits_answer = awaits_answer;
        let spins = since < SPIN_IF_WAITED_BELOW
            && may_spin()
            && (awaits_answer || direct.sink.may_spin())
            && direct.spinning.takes();
        let buffer = std::mem::take(&mut direct.buffer);
        let window = reading.window();
        Some(Reader { connection: Arc::clone(self), buffer, window, began: now, since, awaits_answer, spins })
    }

    /// The reactor looks for input again, if it does not. Anybody may say so at any time: two never read at once.
    pub(crate) fn watch_input(&self) {
        if self.is_watched.swap(true, Ordering::SeqCst) {
            return;
        }
        let write = !self.stream.watches_writability_on_demand();
        self.watch_writability(write);
        if !write && self.outbound.is_blocked() {
            self.watch_writability(true);
        }
    }

    /// Whether the reactor looks for input.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::SeqCst)
    }

    /// As if direct reading had never been in vain.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn forget_trials(&self) {
        self.reading.lock().direct.trial = Trial::default();
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_read_directly(&self) -> bool {
        self.reading.lock().direct.is_at_work
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn awaits_answer(&self) -> bool {
        self.outbound.awaits_answer()
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn lease(&self) -> Duration {
        let reading = self.reading.lock();
        if reading.timer.is_some() { reading.direct.lease() } else { Duration::ZERO }
    }

    /// A lease is over: the reactor looks for input again unless somebody is at work here, or was since it began.
    pub(super) fn end_lease(&self, now: Instant) {
        let mut reading = self.reading.lock();
        let direct = &mut reading.direct;
        let is_used = std::mem::take(&mut direct.was_used) || direct.is_at_work;
        if is_used && !self.is_watched.load(Ordering::SeqCst) {
            // What nobody asks for comes whether somebody is there or not: it should not lie long.
            direct.looks = if direct.awaits_answer { direct.looks.saturating_add(1) } else { 0 };
            let lease = direct.lease();
            reading.timer = Some(self.add_timer(now + lease));
            return;
        }
        direct.is_on = false;
        direct.buffer = Vec::new();
        drop(reading);
        self.watch_input();
    }
}

impl Reader {
    /// Sleeps until something comes, for [`DIRECT_WAIT_MAX`](crate::limits::DIRECT_WAIT_MAX) at most, and hands it to
    /// `recipient` if it is a message.
    #[inline(always)]
    pub(crate) fn wait(mut self, recipient: &mut dyn Recipient) -> Directly {
        let (read, spun) = self.receive();
        let connection = &*self.connection;
        let mut guard = connection.reading.lock();
        let reading = &mut *guard;
        if let Some((found, took)) = spun {
            reading.direct.spinning.ended(found);
            if !self.awaits_answer {
                reading.direct.sink.spun(took, self.since);
            }
        }
        if read.is_ok() && connection.hand_sole(reading, &self.buffer, recipient, None) {
            connection.end_work(reading);
            reading.direct.served(self.buffer);
            return Directly::Served;
        }
        cold_path();
        match read {
            // Nothing at all is the end of the stream, which is found again.
            Ok(()) if !self.buffer.is_empty() || self.window == 0 => {
                drop(guard);
                return self.read_on(recipient);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !connection.is_watched() => {
                drop(guard);
                self.spins = false;
                return Directly::Nothing(self);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                connection.end_work(reading);
                reading.direct.buffer = self.buffer;
                return Directly::Interrupted;
            }
            Ok(()) | Err(_) => (),
        }
        connection.end_work(reading);
        connection.end_direct(reading);
        Directly::Otherwise
    }

    /// Reads what is there, or the first that comes; and whether it was found by spinning, and how long that took, if it
    /// was tried.
    #[inline]
    fn receive(&mut self) -> (io::Result<()>, Option<(bool, Duration)>) {
        let Reader { connection, buffer, window, began, spins, .. } = self;
        let (stream, reactor) = (&connection.stream, &connection.reactor);
        let mut now = *began;
        let look = || match stream.receive(buffer, *window, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            read => Some(read),
        };
        let spun = if *spins { reactor.alone(|| tempo::spin(&mut now, look)) } else { None };
        match spun {
            Some(Some(read)) => (read, Some((true, now.saturating_duration_since(*began)))),
            Some(None) => (stream.receive(buffer, *window, true), Some((false, Duration::ZERO))),
            None => (stream.receive(buffer, *window, true), None),
        }
    }

    /// What came is not just one message: does with it what a turn would do, and reads on until there is a message or the
    /// stream has no more.
    #[cold]
    fn read_on(mut self, recipient: &mut dyn Recipient) -> Directly {
        let connection = Arc::clone(&self.connection);
        let mut guard = connection.reading.lock();
        let reading = &mut *guard;
        let got = self.buffer.len();
        self.buffer.resize(DIRECT_READ_BYTES, 0);
        let mut turn = Turn {
            now: Instant::now(),
            block: &mut self.buffer,
            // What is delivered takes its memory along.
            frames: &mut Frames::default(),
            relief: &AtomicBool::new(false),
            recipient: Some(&mut *recipient),
            has_place: false,
            has_more: false,
            has_enough: false,
        };
        let is_open = matches!(reading.phase, Phase::Open { .. });
        let mut step = match got {
            _ if !is_open => Step::Pause,
            0 => Step::Progress(0),
            _ => connection.decode_block(reading, got, &mut turn),
        };
        while let Step::Progress(_) = step
            && reading.leftover.is_empty()
            && !turn.has_more
            && turn.recipient.as_ref().is_some_and(|recipient| recipient.waits_at(&connection.core))
        {
            step = connection.read_step(reading, &mut turn);
        }
        // What was not handed over may wait where the caller finds it.
        let is_there = turn.has_more;
        let is_served = recipient.is_served();
        let ended = if is_served { Directly::Served } else { Directly::Otherwise };
        if matches!(step, Step::End(_) | Step::Part(..)) {
            // Nobody reads from now on.
            drop(guard);
            connection.leave_end_to_turn(step);
            return ended;
        }
        // More than fits is more than is worth being read here, if it is not one large body.
        let is_large = reading.last_was_large || reading.window() == 0;
        let is_too_much = got == DIRECT_READ_BYTES && !is_large || !reading.leftover.is_empty();
        if is_open && !is_too_much && (is_served || is_there) {
            connection.end_work(reading);
            reading.direct.served(self.buffer);
        } else if is_open && !is_too_much && !connection.is_watched() {
            self.window = reading.window();
            self.spins = false;
            drop(guard);
            return Directly::Nothing(self);
        } else {
            connection.end_work(reading);
            reading.direct.buffer = self.buffer;
            connection.end_direct(reading);
        }
        ended
    }

    /// There is something else to do first.
    #[cold]
    pub(crate) fn give_up(self) {
        let mut reading = self.connection.reading.lock();
        self.connection.end_work(&mut reading);
        self.connection.end_direct(&mut reading);
    }
}

impl Connection {
    /// What only a turn may do: nobody reads any more, and the connection ends.
    fn leave_end_to_turn(self: &Arc<Self>, last: Step) {
        let me = Arc::clone(self);
        let end = move |turn: &mut Turn<'_>| match last {
            Step::Part(words, end) => me.part(&words, &end, turn),
            Step::End(end) => {
                let end = me.reading.lock().end_here(end);
                me.end(end, turn);
            }
            Step::Progress(_) | Step::Pause | Step::Drained => (),
        };
        self.reactor.submit(Task::Run(Box::new(end)));
    }

    /// Others may read again, and do if they were called for something that came behind what was read here.
    #[inline]
    fn end_work(&self, reading: &mut Reading) {
        reading.direct.is_at_work = false;
        if std::mem::take(&mut reading.direct.was_called)
            && let Some(me) = self.me.upgrade()
        {
            cold_path();
            me.tell(Notice::Resume);
        }
    }

    /// Direct reading was in vain.
    #[cold]
    fn end_direct(&self, reading: &mut Reading) {
        reading.direct.is_on = false;
        reading.direct.trial.ended(false);
        if reading.phase == Phase::Closed {
            return;
        }
        self.watch_input();
        // Input that was read is no event.
        if !reading.leftover.is_empty()
            && let Some(me) = self.me.upgrade()
        {
            me.tell(Notice::Resume);
        }
    }
}
