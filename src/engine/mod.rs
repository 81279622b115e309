//! The engine: I/O threads, and everything that happens on them.
//!
//! An [`Engine`] owns reactors; each is turned by a thread of its own, or by the program when there is none. Sockets
//! use the default engine unless they are built with another.

mod backoff;
mod connection;
mod credit;
mod endpoint;
mod inproc;
mod jobs;
mod listener;
mod outbound;
mod outside;
mod pace;
mod process;
mod reactor;
mod socket_core;
mod source;
mod sync;
mod tails;
mod tempo;
mod timers;
mod trial;
mod turns;
mod waiters;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::limits::{IO_THREADS_DEFAULT, IO_THREADS_MAX};
use crate::sys;

pub(crate) use credit::Credit;
pub(crate) use endpoint::EndpointInfo;
pub(crate) use jobs::{Job, Jobs};
pub(crate) use outbound::Room;
pub(crate) use process::process;
pub(crate) use reactor::Reactor;
pub use socket_core::Statistics;
pub(crate) use socket_core::{Bed, Core, Link, Patience};
pub use tempo::{SPIN_VARIABLE, set_spinning};

/// Environment variable with the number of I/O threads of the default engine, 1 to 64.
///
/// ```
/// assert_eq!(spmsg::IO_THREADS_VARIABLE, "SPMSG_IO_THREADS");
/// ```
pub const IO_THREADS_VARIABLE: &str = "SPMSG_IO_THREADS";

/// I/O threads and what they look after.
///
/// Programs seldom need one: sockets share a default engine with one thread, which starts with the first socket that
/// needs it and ends with the last. Build one to give a group of sockets threads of their own, or none at all:
///
/// ```
/// use std::time::Duration;
/// let engine = spmsg::Engine::new(0)?;
/// let rep = spmsg::Rep::builder().engine(&engine).build()?;
/// let address = rep.bind("tcp://127.0.0.1:0")?.address().to_string();
/// let req = spmsg::Req::builder().engine(&engine).build()?;
/// req.connect(&address)?;
/// req.send("ping")?;
/// let request = loop {
///     match rep.try_recv() {
///         Ok(message) => break message,
///         Err(spmsg::Error::WouldBlock) => engine.turn(Some(Duration::from_secs(1)))?,
///         Err(error) => return Err(error.into()),
///     }
/// };
/// assert_eq!(request.body(), b"ping");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    /// The first worker's.
    reactor: Arc<Reactor>,
    /// Never fewer than there were.
    workers: Mutex<Vec<Worker>>,
    /// How many those are, for who cannot wait for the lock.
    reactors: AtomicUsize,
    /// Threads asked for; new connections go to the first so many reactors.
    threads: AtomicUsize,
    next: AtomicUsize,
    generation: u64,
}

struct Worker {
    reactor: Arc<Reactor>,
    thread: Option<JoinHandle<()>>,
}

/// The default engine, counted.
pub(crate) struct Shared {
    engine: Engine,
    users: usize,
}

impl Engine {
    /// An engine with `threads` I/O threads, at most 64. With none the program calls [`turn`](Engine::turn); blocking
    /// calls of its sockets turn it themselves.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads.
    ///
    /// ```
    /// let engine = spmsg::Engine::new(2)?;
    /// assert_eq!(engine.threads(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(threads: usize) -> io::Result<Engine> {
        let reactor = Reactor::new()?;
        let inner = Inner {
            workers: Mutex::new(vec![Worker { reactor: Arc::clone(&reactor), thread: None }]),
            reactors: AtomicUsize::new(1),
            reactor,
            threads: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            generation: sys::generation(),
        };
        let engine = Engine { inner: Arc::new(inner) };
        engine.set_threads(threads)?;
        Ok(engine)
    }

    /// How many I/O threads new connections are spread over.
    pub fn threads(&self) -> usize {
        self.inner.threads.load(Ordering::Acquire)
    }

    /// Changes the number of I/O threads while the engine runs. New threads take new connections at once; asking for
    /// fewer leaves the connections of the others where they are. At most 64; an engine that has threads keeps one.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads; what was started before stays.
    ///
    /// ```
    /// let engine = spmsg::Engine::new(1)?;
    /// engine.set_threads(4)?;
    /// assert_eq!(engine.threads(), 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_threads(&self, threads: usize) -> io::Result<()> {
        let mut workers = self.inner.workers.lock();
        let threads = threads.min(IO_THREADS_MAX).max(usize::from(self.threads() > 0));
        while workers.len() < threads {
            workers.push(Worker { reactor: Reactor::new()?, thread: None });
            self.inner.reactors.store(workers.len(), Ordering::Release);
        }
        for (number, worker) in workers.iter_mut().enumerate().take(threads) {
            if worker.thread.is_none() {
                let reactor = Arc::clone(&worker.reactor);
                worker.thread = Some(sys::spawn_masked(format!("spmsg-io-{number}"), move || reactor.run())?);
            }
        }
        self.inner.threads.store(threads, Ordering::Release);
        Ok(())
    }

    /// Waits for events until `timeout` (`None`: until there are some) and handles them. Any thread may call this,
    /// also several at once: one waits for events, the others for that one.
    ///
    /// # Errors
    /// The system's, from waiting for events; `NotConnected` in a forked child, where the engine is the parent's.
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        if self.inner.generation != sys::generation() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.inner.reactor.turn(timeout)
    }

    /// How often the engine's threads have looked for events: an idle engine does not.
    pub fn turns(&self) -> usize {
        self.inner.workers.lock().iter().map(|worker| worker.reactor.turns()).sum()
    }

    /// The reactor that all connections share, if they do.
    pub(crate) fn only_reactor(&self) -> Option<&Arc<Reactor>> {
        (self.inner.reactors.load(Ordering::Acquire) == 1).then_some(&self.inner.reactor)
    }

    /// What was left for a moment later is done now.
    pub(crate) fn hurry(&self) {
        if let Some(reactor) = self.only_reactor() {
            return reactor.hurry();
        }
        for worker in self.inner.workers.lock().iter() {
            worker.reactor.hurry();
        }
    }

    /// The reactor for a new connection or endpoint: each in turn.
    pub(crate) fn reactor(&self) -> Arc<Reactor> {
        let workers = self.inner.workers.lock();
        let among = self.threads().clamp(1, workers.len());
        let at = self.inner.next.fetch_add(1, Ordering::Relaxed) % among;
        Arc::clone(&workers[at].reactor)
    }

    /// The default engine, started if need be. Give it back with [`release_default`](Engine::release_default).
    pub(crate) fn acquire_default() -> io::Result<Engine> {
        let mut slot = process().engine.lock();
        if let Some(shared) = slot.as_mut() {
            shared.users += 1;
            return Ok(shared.engine.clone());
        }
        let wanted = std::env::var(IO_THREADS_VARIABLE).ok().and_then(|text| text.trim().parse().ok());
        let threads =
            wanted.unwrap_or_else(|| DEFAULT_THREADS.load(Ordering::Relaxed)).clamp(1, IO_THREADS_MAX);
        let engine = Engine::new(threads)?;
        *slot = Some(Shared { engine: engine.clone(), users: 1 });
        Ok(engine)
    }

    /// One user less; the last one ends the threads and waits for them.
    pub(crate) fn release_default() {
        let mut slot = process().engine.lock();
        if let Some(shared) = slot.as_mut() {
            shared.users -= 1;
            if shared.users > 0 {
                return;
            }
        }
        let last = slot.take();
        drop(slot);
        if let Some(shared) = last {
            shared.engine.inner.stop_threads();
        }
    }
}

static DEFAULT_THREADS: AtomicUsize = AtomicUsize::new(IO_THREADS_DEFAULT);

/// Sets how many I/O threads the default engine has, now if it runs and whenever it starts: 1 to 64, default 1. The
/// environment variable [`IO_THREADS_VARIABLE`] wins at the start.
///
/// # Errors
/// The system's, when it is out of descriptors or threads.
///
/// ```
/// spmsg::set_io_threads(2)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn set_io_threads(threads: usize) -> io::Result<()> {
    let threads = threads.clamp(1, IO_THREADS_MAX);
    DEFAULT_THREADS.store(threads, Ordering::Relaxed);
    match process().engine.lock().as_ref() {
        Some(shared) => shared.engine.set_threads(threads),
        None => Ok(()),
    }
}

impl Inner {
    /// Ends the threads and waits for them. Sockets that are closed may still hold the engine; they need none.
    fn stop_threads(&self) {
        let mut threads = Vec::new();
        for worker in self.workers.lock().iter_mut() {
            worker.reactor.stop();
            threads.extend(worker.thread.take());
        }
        let me = std::thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != me) {
            // The thread catches panics itself; there is nothing to report.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.generation == sys::generation() {
            self.stop_threads();
        } else {
            // In a forked child the threads do not exist and the descriptors are the parent's.
            std::mem::forget(std::mem::take(self.workers.get_mut()));
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("threads", &self.threads()).finish()
    }
}
