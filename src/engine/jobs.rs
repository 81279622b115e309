//! What is to be done once a socket's lock is released: wake-ups, writes, and calls into other sockets.
//!
//! No two sockets' locks are ever held together: whoever holds one notes the rest here, and [`run`] does it
//! afterwards, in order, including what that brings forth.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::connection::Connection;
use super::inproc;
use super::socket_core::Core;
use super::source::Notice;
use super::waiters::Waker;
use crate::protocol::PipeId;

pub(crate) enum Job {
    /// Wake a thread or a future.
    Wake(Waker),
    /// Write what waits for this connection, now, on this thread.
    Flush(Arc<Connection>),
    /// Have it written in a moment, if it is not by then.
    FlushSoon(Arc<Connection>),
    /// Have the I/O thread read on.
    Resume(Arc<Connection>),
    /// Have the I/O thread end it: the peer broke the rules of the pattern.
    Break(Arc<Connection>),
    /// Hand the messages of an inproc lane to the socket at its end.
    Pump(inproc::End),
    /// The peer at this end is gone.
    PeerGone(inproc::End),
    /// The inproc pipe has room again.
    Writable(Arc<Core>, PipeId),
    /// An inproc name may have partners that fit now.
    Pair(Arc<inproc::Name>),
}

/// Nearly always one or two.
pub(crate) type Jobs = SmallVec<[Job; 2]>;

/// Does all of it. Called without any socket's lock.
#[inline]
pub(crate) fn run(jobs: &mut Jobs) {
    if !jobs.is_empty() {
        run_all(jobs);
    }
}

fn run_all(jobs: &mut Jobs) {
    let mut next = Jobs::new();
    for job in jobs.drain(..) {
        run_one(job, &mut next);
    }
    if !next.is_empty() {
        run_what_follows(next);
    }
}

/// What the first jobs brought forth, and so on, in order.
#[cold]
fn run_what_follows(mut more: Jobs) {
    let mut queue: VecDeque<Job> = VecDeque::new();
    loop {
        queue.extend(more.drain(..));
        match queue.pop_front() {
            Some(job) => run_one(job, &mut more),
            None => return,
        }
    }
}

fn run_one(job: Job, jobs: &mut Jobs) {
    match job {
        Job::Wake(waker) => waker.wake(),
        Job::Flush(connection) => connection.flush_into(jobs),
        Job::FlushSoon(connection) => connection.flush_soon(),
        Job::Resume(connection) => connection.tell(Notice::Resume),
        Job::Break(connection) => connection.tell(Notice::Break),
        Job::Pump(end) => inproc::pump(&end, jobs),
        Job::PeerGone(end) => inproc::peer_gone(&end, jobs),
        Job::Writable(core, pipe) => core.pipe_writable(pipe, jobs),
        Job::Pair(name) => inproc::pair(&name, Instant::now(), jobs),
    }
}
