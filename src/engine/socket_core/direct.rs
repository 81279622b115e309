//! Waiting at the one connection that can bring the message: see [`Reader`](crate::engine::connection::Reader).

use std::hint::cold_path;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::waiting::{Direction, Patience, Waiting};
use super::{Core, Link, State};
use crate::engine::connection::{Connection, Directly};
use crate::engine::reactor::Reactor;
use crate::engine::source::Recipient;
use crate::error::Error;
use crate::limits::{DIRECT_LEASE, DIRECT_WAIT_MAX};

impl Core {
    /// Waits for a message as [`wait`](Core::wait) does, if one connection is all there is to wait for. Otherwise that goes
    /// on. Nothing else reaches a thread that is at it, which looks up after [`DIRECT_WAIT_MAX`] each time.
    #[inline]
    pub(super) fn wait_directly(
        &self,
        reactor: &Arc<Reactor>,
        patience: &mut Patience,
        recipient: &mut dyn Recipient,
    ) -> Result<ControlFlow<Option<Waiting>>, Error> {
        let go_on = Ok(ControlFlow::Continue(()));
        if !reactor.has_thread() {
            return go_on;
        }
        let (connection, timeout) = self.open_state(|state| {
            let connection = if state.has_audience() { None } else { state.pipes.only_stream().cloned() };
            (connection, state.timeout(Direction::Recv))
        })?;
        patience.begin(timeout);
        let Some(connection) = connection else { return go_on };
        let now = Instant::now();
        let until = now + DIRECT_WAIT_MAX;
        if patience.deadline().is_some_and(|at| at < until) {
            return go_on;
        }
        // What is waited for may be the answer to it.
        reactor.write_tails();
        let Some(mut reader) = connection.read_directly(now) else { return go_on };
        // Before the look: who comes to wait later sees this, who came before is seen.
        self.reads_directly.store(true, Ordering::SeqCst);
        let begun = self.open_state(|state| {
            let begins = !state.has_audience() && self.is_all_there_is(state, until);
            begins.then(|| state.register_reader())
        });
        let Ok(Some(waiting)) = begun else {
            cold_path();
            reader.give_up();
            return begun.map(|_| ControlFlow::Continue(()));
        };
        loop {
            match reader.wait(recipient) {
                Directly::Served => return Ok(ControlFlow::Break(None)),
                Directly::Nothing(again) => {
                    cold_path();
                    if !self.waits_on(now, patience.deadline()) {
                        again.give_up();
                        return Ok(ControlFlow::Break(Some(waiting)));
                    }
                    reader = again;
                }
                Directly::Interrupted if patience.is_interruptible() => {
                    cold_path();
                    self.leave(waiting)?;
                    return Err(Error::Interrupted);
                }
                Directly::Otherwise | Directly::Interrupted => return Ok(ControlFlow::Break(Some(waiting))),
            }
        }
    }

    /// Whether who began to wait then, and found nothing until now, waits at the connection once more.
    fn waits_on(&self, began: Instant, deadline: Option<Instant>) -> bool {
        let now = Instant::now();
        let until = now + DIRECT_WAIT_MAX;
        now.saturating_duration_since(began) < DIRECT_LEASE
            && deadline.is_none_or(|at| at >= until)
            && self.open_state(|state| self.is_all_there_is(state, until)).unwrap_or(false)
    }

    /// Whether nothing but the one connection can bring what to do before then.
    #[inline]
    fn is_all_there_is(&self, state: &State, until: Instant) -> bool {
        let due = if self.timed { state.pattern.next_timeout() } else { None };
        state.pipes.len() == 1 && !state.can_proceed(Direction::Recv) && due.is_none_or(|at| at >= until)
    }

    /// Somebody wants to know of input who does not read directly: the reactor looks for it from now on. Called after
    /// that one is known to the socket.
    pub(super) fn watch_input(&self) {
        if !self.reads_directly.load(Ordering::SeqCst) || !self.reads_directly.swap(false, Ordering::SeqCst) {
            return;
        }
        let streams: Vec<Arc<Connection>> = {
            let state = self.state.lock();
            let stream = |link: &Link| match link {
                Link::Stream(connection) => Some(Arc::clone(connection)),
                Link::Inproc(_) => None,
            };
            state.pipes.iter().filter_map(|pipe| stream(&pipe.link)).collect()
        };
        streams.iter().for_each(|stream| stream.watch_input());
    }
}

impl State {
    /// Whether anybody waits for a message, or looks for one when it likes.
    #[inline]
    fn has_audience(&self) -> bool {
        !self.recv_waiters.is_empty()
            || !self.recv_guests.is_empty()
            || !self.watchers.is_empty()
            || self.recv_level.has_descriptor()
    }
}

#[cfg(all(test, not(loom), any(target_os = "linux", target_os = "android")))]
mod tests;
