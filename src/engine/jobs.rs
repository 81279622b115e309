//! What is to be done once a socket's lock is released: wake-ups, writes, and calls into other sockets.
//!
//! No two sockets' locks are ever held together: whoever holds one notes the rest here, and [`run`] does it
//! afterwards, in order, including what that brings forth.

use std::sync::Arc;
use std::time::Instant;

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

/// Nearly always none or one, which needs no memory of its own.
#[derive(Default)]
pub(crate) struct Jobs {
    first: Option<Job>,
    /// Those behind it; empty while there is no first.
    rest: Vec<Job>,
}

impl Jobs {
    pub(crate) fn new() -> Self {
        Jobs::default()
    }

    #[inline]
    pub(crate) fn push(&mut self, job: Job) {
        if self.first.is_none() { self.first = Some(job) } else { self.rest.push(job) }
    }

    /// How many wires are to be written to.
    pub(crate) fn wires(&self) -> usize {
        let is_write = |job: &&Job| matches!(job, Job::Flush(_) | Job::FlushSoon(_));
        self.first.iter().chain(&self.rest).filter(is_write).count()
    }
}

impl Extend<Job> for Jobs {
    fn extend<T: IntoIterator<Item = Job>>(&mut self, jobs: T) {
        jobs.into_iter().for_each(|job| self.push(job));
    }
}

/// Does all of it. Called without any socket's lock.
#[inline]
pub(crate) fn run(jobs: Jobs) {
    if jobs.first.is_some() {
        run_all(jobs);
    } else {
        // There is nothing in it, which need not be looked for again.
        std::mem::forget(jobs);
    }
}

#[inline(never)]
fn run_all(mut jobs: Jobs) {
    // What they bring forth comes behind all of them, and what that brings forth behind that.
    while let Some(first) = jobs.first.take() {
        let rest = std::mem::take(&mut jobs.rest);
        run_one(first, &mut jobs);
        for job in rest {
            run_one(job, &mut jobs);
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
