//! Host names, looked up off the I/O threads: the system's resolver blocks.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidate, tcp};
use crate::address::LocalHost;
use crate::limits::RESOLVER_THREADS_MAX;
use crate::sys;

/// What to look up.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) local: Option<LocalHost>,
    pub(crate) ipv4_only: bool,
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Looks `query` up on a thread of its own and calls `done` there with every address found. Fails at once when too
/// many look-ups hang already: the endpoint tries again after its back-off.
pub(crate) fn lookup(
    query: Query,
    done: impl FnOnce(io::Result<Vec<Candidate>>) + Send + 'static,
) -> io::Result<()> {
    if RUNNING.fetch_add(1, Ordering::AcqRel) >= RESOLVER_THREADS_MAX {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many name look-ups are under way"));
    }
    let running = Running;
    sys::spawn_masked("spmsg-resolve".into(), move || {
        let found = find(&query);
        // The slot is free before `done`, which may ask for the next look-up.
        drop(running);
        done(found);
    })
    .map(drop)
}

fn find(query: &Query) -> io::Result<Vec<Candidate>> {
    let found = (&*query.host, query.port).to_socket_addrs()?;
    let candidates: io::Result<Vec<_>> = found
        .filter(|found| found.is_ipv4() || !query.ipv4_only)
        .map(|found| tcp::candidate(query.local.as_ref(), found))
        .collect();
    match candidates {
        Ok(none) if none.is_empty() => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} has no address of a family that is switched on", query.host),
        )),
        other => other,
    }
}
