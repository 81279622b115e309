//! Closing: from any thread, at any time, any number of times, in bounded time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Core, Link};
use crate::engine::Engine;
use crate::engine::connection::Connection;
use crate::engine::jobs::{self, Jobs};
use crate::engine::source::Notice;
use crate::error::Error;
use crate::limits::{CLOSE_MARGIN, DRAIN_LOOK_FIRST, THREADLESS_TURN};

impl Core {
    /// Begins to close: blocked callers return [`Error::Closed`], pipes are gone for their peers on inproc, network
    /// connections deliver what was accepted until the linger time is over. Returns when that is.
    pub(crate) fn begin_close(self: &Arc<Self>) -> Result<Instant, Error> {
        let mut jobs = Jobs::new();
        let now = Instant::now();
        let (endpoints, connections, linger) = self.open_state(|state| {
            state.closed = true;
            for link in state.let_go(|_| true, now) {
                if let Link::Inproc(end) = link {
                    end.leave(&mut jobs);
                }
            }
            // Nothing new is transmitted from here on.
            state.fx.transmit.clear();
            state.fx.release.clear();
            state.tell_everybody(&mut jobs);
            let connections: Vec<Arc<Connection>> = state.connections.values().cloned().collect();
            (std::mem::take(&mut state.endpoints), connections, state.options.linger)
        })?;
        self.mail.moved();
        for endpoint in endpoints.values() {
            self.stop(endpoint);
        }
        let deadline = now + linger;
        for connection in connections {
            connection.tell(Notice::Drain(deadline));
        }
        jobs::run(jobs);
        Ok(deadline)
    }

    /// Waits until every connection is over and every blocked caller has left; what is left at `deadline` is cut off.
    pub(crate) fn finish_close(self: &Arc<Self>, deadline: Instant) {
        self.finish(deadline, true);
    }

    /// The same, but blocked callers may stay: the process ends, perhaps from inside such a call.
    pub(crate) fn finish_close_at_exit(self: &Arc<Self>, deadline: Instant) {
        let reactor = self.engine.get().and_then(|lease| lease.engine.only_reactor());
        match reactor {
            // A signal handler that interrupted this thread's own turn: it will never be over.
            Some(reactor) if reactor.is_turned_by_this_thread() => self.deliver_without_reactor(deadline),
            _ => self.finish(deadline, false),
        }
    }

    fn deliver_without_reactor(&self, deadline: Instant) {
        let mut waiting: Vec<_> = self.state.lock().connections.values().cloned().collect();
        loop {
            waiting.retain(|connection| !connection.deliver_without_reactor());
            let left = deadline.saturating_duration_since(Instant::now());
            if waiting.is_empty() || left == Duration::ZERO {
                return;
            }
            std::thread::sleep(left.min(DRAIN_LOOK_FIRST));
        }
    }

    fn finish(self: &Arc<Self>, deadline: Instant, callers_too: bool) {
        if !self.wait_until_empty(deadline, callers_too) {
            let late: Vec<_> = self.state.lock().connections.values().cloned().collect();
            for connection in late {
                connection.tell(Notice::Abort);
            }
            self.wait_until_empty(Instant::now() + CLOSE_MARGIN, callers_too);
        }
        self.state.lock().drop_descriptors();
        self.finished.store(true, Ordering::SeqCst);
        self.return_lease();
    }

    /// A bind or connect that found the socket closed: its lease may have come too late for close to see.
    pub(super) fn return_late_lease(&self) {
        if self.finished.load(Ordering::SeqCst) {
            self.return_lease();
        }
    }

    fn return_lease(&self) {
        if self.engine.get().is_some_and(|lease| lease.default)
            && !self.lease_returned.swap(true, Ordering::AcqRel)
        {
            Engine::release_default();
        }
    }

    fn wait_until_empty(&self, deadline: Instant, callers_too: bool) -> bool {
        loop {
            let mut state = self.state.lock();
            if state.connections.is_empty() && (state.blocked == 0 || !callers_too) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            match self.is_threadless() {
                None => drop(self.left.wait_for(&mut state, left)),
                Some(engine) => {
                    drop(state);
                    // Nobody else moves the bytes that have to leave. An error shows again at the next turn.
                    let _ = engine.turn(Some(left.min(THREADLESS_TURN)));
                }
            }
        }
    }
}
