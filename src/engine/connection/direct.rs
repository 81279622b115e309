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

use super::{Connection, Phase, Reading};
use crate::engine::source::{Notice, Recipient};
use crate::engine::tempo::{self, may_spin};
use crate::engine::trial::Trial;
use crate::limits::{DIRECT_LEASE, DIRECT_LEASE_MAX, DIRECT_READ_BYTES, SPIN_IF_WAITED_BELOW};

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
    /// Looks in a row that found that the lease was used.
    looks: u8,
    /// To read into, while it is on.
    buffer: Vec<u8>,
    last_began: Option<Instant>,
    /// Somebody waits for what comes next.
    waits_since: Option<Instant>,
    /// How long it took until the last came that was waited for, and that the reactor brought.
    last_wait: Duration,
    trial: Trial,
    spinning: Trial,
}

impl Direct {
    /// For how long the lease is.
    fn lease(&self) -> Duration {
        let times = 1_u32.checked_shl(u32::from(self.looks)).unwrap_or(u32::MAX);
        DIRECT_LEASE.saturating_mul(times).min(DIRECT_LEASE_MAX)
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
    began: Instant,
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

impl Connection {
    /// The right to read, if that is likely to bring just the message that the caller waits for, and soon. From here on
    /// input is not watched.
    #[inline(always)]
    pub(crate) fn read_directly(self: &Arc<Self>, now: Instant) -> Option<Reader> {
        if !self.outbound.awaits_answer() || self.inbound.is_full() || self.is_signed() {
            return None;
        }
        let mut reading = self.reading.lock();
        let last_began = reading.direct.last_began.replace(now);
        let since = last_began.map_or(Duration::MAX, |began| now.saturating_duration_since(began));
        let is_fit = matches!(reading.phase, Phase::Open { .. })
            && reading.leftover.is_empty()
            && !reading.hung_up
            && !reading.last_was_large
            && !reading.decoder.is_mid_frame();
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
        let spins = since < SPIN_IF_WAITED_BELOW && may_spin() && direct.spinning.takes();
        let buffer = std::mem::take(&mut direct.buffer);
        Some(Reader { connection: Arc::clone(self), buffer, began: now, spins })
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

    #[cfg(all(test, not(loom)))]
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
            direct.looks = direct.looks.saturating_add(1);
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
    /// `recipient` if it is one message. What else comes goes the usual way.
    #[inline(always)]
    pub(crate) fn wait(self, recipient: &mut dyn Recipient) -> Directly {
        let Reader { connection, mut buffer, began, spins } = self;
        let (read, found) = connection.receive(&mut buffer, began, spins);
        let mut guard = connection.reading.lock();
        let reading = &mut *guard;
        if let Some(found) = found {
            reading.direct.spinning.ended(found);
        }
        let is_nothing = read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if is_nothing && !connection.is_watched.load(Ordering::SeqCst) {
            cold_path();
            drop(guard);
            return Directly::Nothing(Reader { connection, buffer, began, spins: false });
        }
        connection.end_work(reading);
        match read {
            Ok(()) if connection.hand_sole(reading, &buffer, recipient, None) => {
                let direct = &mut reading.direct;
                direct.trial.ended(true);
                direct.buffer = buffer;
                direct.waits_since = None;
                return Directly::Served;
            }
            Ok(()) if matches!(reading.phase, Phase::Open { .. }) => {
                cold_path();
                // Nothing at all is the end of the stream, which is found again.
                reading.leftover = buffer;
                reading.leftover_at = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                cold_path();
                reading.direct.buffer = buffer;
                return Directly::Interrupted;
            }
            Ok(()) | Err(_) => (),
        }
        cold_path();
        connection.end_direct(reading);
        Directly::Otherwise
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
    /// Reads what is there, or the first that comes; and whether it was found by spinning, if that was tried.
    #[inline]
    fn receive(&self, buffer: &mut Vec<u8>, began: Instant, spins: bool) -> (io::Result<()>, Option<bool>) {
        let mut now = began;
        let look = || match self.stream.receive(buffer, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            read => Some(read),
        };
        let spun = if spins { self.reactor.alone(|| tempo::spin(&mut now, look)) } else { None };
        match spun {
            Some(Some(read)) => (read, Some(true)),
            Some(None) => (self.stream.receive(buffer, true), Some(false)),
            None => (self.stream.receive(buffer, true), None),
        }
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
