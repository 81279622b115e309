//! What connections and lanes deliver, and how pipes come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Core, Link, Pipes, State};
use crate::engine::EndpointInfo;
use crate::engine::connection::{Connection, End};
use crate::engine::inproc;
use crate::engine::jobs::Jobs;
use crate::engine::reactor::Reactor;
use crate::frames::Frames;
use crate::limits::FRAMES_SPARE_MAX_BYTES;
use crate::message::Message;
use crate::protocol::{Effects, Pattern, PipeId};

impl Core {
    /// A connection hands over what it read, in order, in a turn of `turned`. The jobs are for the caller, once it holds
    /// no lock.
    pub(crate) fn deliver(
        &self,
        pipe: PipeId,
        frames: &mut Frames,
        turned: Option<&Reactor>,
        now: Instant,
    ) -> Jobs {
        let mut jobs = Jobs::new();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            return jobs;
        }
        let State { pipes, pattern, fx, .. } = state;
        let whole = hand_over(pipes, &mut **pattern, fx, pipe, frames);
        if !whole {
            while let Some((taken, _)) = frames.pop() {
                state.handle_message(pipe, taken.into_message(), now, &mut jobs);
            }
        }
        self.settle_turning(state, turned, now, &mut jobs);
        drop(guard);
        jobs
    }

    /// The same for a lane of inproc, emptied under this socket's lock so that order is kept.
    pub(crate) fn deliver_lane(&self, pipe: PipeId, end: &inproc::End, jobs: &mut Jobs) {
        let now = self.now();
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.take_lane(pipe, end, now, jobs);
        self.settle(&mut state, now, jobs);
        drop(state);
        self.mail.moved();
    }

    /// Has the pattern see all that was sent to this socket, and has it told of what comes from now on.
    pub(super) fn see_all(&self, state: &mut State, jobs: &mut Jobs) {
        self.mail.look_yourself(false);
        if self.mail.there_is() {
            let now = self.now();
            self.look_into_lane(state, now, jobs);
            self.settle(state, now, jobs);
        }
    }

    /// Only a socket with one pipe is not told what is sent to it.
    pub(super) fn look_into_lane(&self, state: &mut State, now: Instant, jobs: &mut Jobs) {
        self.mail.looking();
        if let Some((pipe, end)) = state.pipes.only_inproc() {
            let end = end.clone();
            state.take_lane(pipe, &end, now, jobs);
        }
    }

    /// Offers a pipe to the pattern; the error says why it is not wanted.
    pub(crate) fn attach(
        &self,
        link: Link,
        endpoint: EndpointInfo,
        now: Instant,
        jobs: &mut Jobs,
    ) -> Result<PipeId, End> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed || !state.endpoints.contains_key(&endpoint.id) {
            return Err(End::Local);
        }
        self.see_all(state, jobs);
        if link.is_network() && state.orphans.is_full() {
            return Err(End::Overloaded);
        }
        let recv_bound = state.options.recv_buffer;
        let pipe = state.pipes.add(endpoint.id, link, recv_bound);
        if state.pattern.handle_attach(&mut state.fx, now, pipe, endpoint.priorities).is_err() {
            state.pipes.remove(pipe);
            return Err(End::Refused);
        }
        self.settle(state, now, jobs);
        Ok(pipe)
    }

    /// The pipe is gone. False when it was let go from this side before.
    pub(crate) fn detach(&self, pipe: PipeId, now: Instant, jobs: &mut Jobs) -> bool {
        self.let_go_of(pipe, now, jobs, true)
    }

    /// Takes back a pipe whose other end was refused. Whoever was refused before fits no better now: trying them
    /// again would bring the same refusal, for ever.
    pub(crate) fn retract(&self, pipe: PipeId, now: Instant, jobs: &mut Jobs) {
        self.let_go_of(pipe, now, jobs, false);
    }

    fn let_go_of(&self, pipe: PipeId, now: Instant, jobs: &mut Jobs, retry: bool) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.closed {
            return false;
        }
        self.see_all(state, jobs);
        if state.forget_pipe(pipe, now).is_none() {
            return false;
        }
        self.settle(state, now, jobs);
        if retry {
            state.retry_inproc(jobs);
        }
        true
    }

    /// The pipe's queue has room again.
    pub(crate) fn pipe_writable(&self, pipe: PipeId, jobs: &mut Jobs) {
        let now = Instant::now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.closed && state.pipes.get(pipe).is_some() {
            state.pattern.handle_writable(&mut state.fx, now, pipe);
            self.settle(state, now, jobs);
        }
        drop(guard);
        self.mail.moved();
    }

    /// Counts a new connection among those that close waits for. False when its endpoint, or the socket, is closed:
    /// who closes that ends the connections that are here, and stops making new ones only then (R237).
    pub(crate) fn add_connection(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.state.lock();
        if state.closed || !state.endpoints.contains_key(&connection.endpoint()) {
            return false;
        }
        state.connections.insert(Arc::as_ptr(connection) as usize, Arc::clone(connection));
        self.has_network.store(true, Ordering::Release);
        true
    }

    pub(crate) fn remove_connection(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock();
        let removed = state.connections.remove(&(Arc::as_ptr(connection) as usize));
        self.has_network.store(!state.connections.is_empty(), Ordering::Release);
        drop(state);
        self.left.notify_all();
        drop(removed);
    }
}

impl State {
    /// Whether nobody waits for the socket to become readable, and one peer on inproc is all it has.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.pipes.only_inproc().is_some()
            && self.recv_waiters.is_empty()
            && self.watchers.is_empty()
            && !self.recv_level.has_descriptor()
    }

    fn take_lane(&mut self, pipe: PipeId, end: &inproc::End, now: Instant, jobs: &mut Jobs) {
        end.take(&mut self.block);
        let State { block, pipes, pattern, fx, .. } = self;
        let is_whole = hand_over(pipes, &mut **pattern, fx, pipe, block);
        if is_whole {
            self.carry_out(now, jobs);
        } else {
            self.take_one_by_one(pipe, now, jobs);
        }
        self.block.clear();
        if self.block.capacity() > FRAMES_SPARE_MAX_BYTES {
            self.block.shrink(FRAMES_SPARE_MAX_BYTES);
        }
    }

    #[inline(never)]
    fn take_one_by_one(&mut self, pipe: PipeId, now: Instant, jobs: &mut Jobs) {
        let mut block = std::mem::take(&mut self.block);
        while let Some((taken, _)) = block.pop() {
            self.handle_message(pipe, taken.into_message(), now, jobs);
        }
        self.block = block;
    }

    fn handle_message(&mut self, pipe: PipeId, message: Message, now: Instant, jobs: &mut Jobs) {
        if self.pipes.get(pipe).is_none() {
            // The pipe was let go of while this was on its way, or by what came just before: nobody will take it, so it
            // must not count as left behind.
            return self.orphans.release(pipe, message.payload_len());
        }
        self.pattern.handle_message(&mut self.fx, now, pipe, message);
        self.carry_out(now, jobs);
    }
}

/// Hands a block to the pattern as a whole, if that can be.
fn hand_over(
    pipes: &Pipes,
    pattern: &mut dyn Pattern,
    fx: &mut Effects,
    pipe: PipeId,
    block: &mut Frames,
) -> bool {
    !block.has_headers() && pipes.get(pipe).is_some() && pattern.handle_block(fx, pipe, block)
}
