//! Statistics: what nn_get_statistic reports, moving exactly when nanomsg's do.

use std::io;

use super::Core;
use crate::engine::connection::End;

/// Counters of a socket. All start at zero; headers never count as bytes.
///
/// ```
/// let (a, b) = (spmsg::Pair::new()?, spmsg::Pair::new()?);
/// a.bind("inproc://statistics-doc")?;
/// b.connect("inproc://statistics-doc")?;
/// b.send("abc")?;
/// let statistics = b.statistics()?;
/// assert_eq!((statistics.messages_sent, statistics.bytes_sent), (1, 3));
/// assert_eq!(statistics.current_connections, 1);
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections this side established: the operating system's connect succeeded, or an inproc pairing.
    pub established_connections: u64,
    /// Connections accepted by bound endpoints.
    pub accepted_connections: u64,
    /// Live connections ended from this side.
    pub dropped_connections: u64,
    /// Connections that failed: lost, refused by a peer's or our own pattern, or against the rules.
    pub broken_connections: u64,
    /// Failed connection attempts; failed name look-ups are not counted.
    pub connect_errors: u64,
    /// Failed binds.
    pub bind_errors: u64,
    /// Failed accepts.
    pub accept_errors: u64,
    /// Pipes: connections past the header exchange and taken by the pattern.
    pub current_connections: u64,
    /// Connections being established.
    pub in_progress_connections: u64,
    /// Endpoints whose last attempt failed.
    pub current_endpoint_errors: u64,
    /// Successful sends, dropped messages included.
    pub messages_sent: u64,
    /// Successful receives.
    pub messages_received: u64,
    /// Body bytes of successful sends.
    pub bytes_sent: u64,
    /// Body bytes of successful receives.
    pub bytes_received: u64,
    /// PUSH and REQ: best priority with a writable pipe, -1 when there is none; 0 for other patterns.
    pub current_send_priority: i64,
}

impl Statistics {
    pub(super) fn sent(&mut self, bytes: usize) {
        self.messages_sent += 1;
        self.bytes_sent += bytes as u64;
    }

    pub(super) fn received(&mut self, bytes: usize) {
        self.messages_received += 1;
        self.bytes_received += bytes as u64;
    }

    fn progress_ended(&mut self) {
        self.in_progress_connections = self.in_progress_connections.saturating_sub(1);
    }
}

impl Core {
    /// The counters as they are now.
    pub(crate) fn statistics(&self) -> Result<Statistics, crate::error::Error> {
        self.open_state(|state| {
            let mut stats = state.stats.clone();
            stats.current_connections = state.pipes.len() as u64;
            stats.current_endpoint_errors = state.endpoints.values().filter(|e| e.failing).count() as u64;
            stats.current_send_priority = state.pattern.send_priority();
            stats
        })
    }

    pub(crate) fn count_accepted(&self) {
        self.state.lock().stats.accepted_connections += 1;
    }

    pub(crate) fn count_accept_error(&self) {
        self.state.lock().stats.accept_errors += 1;
    }

    pub(crate) fn count_connecting(&self) {
        self.state.lock().stats.in_progress_connections += 1;
    }

    pub(crate) fn count_connected(&self) {
        let mut state = self.state.lock();
        state.stats.established_connections += 1;
        state.stats.progress_ended();
    }

    /// The system refused a connection at once.
    pub(crate) fn count_connect_error(&self) {
        let mut state = self.state.lock();
        state.stats.connect_errors += 1;
        state.stats.progress_ended();
    }

    pub(crate) fn count_dropped(&self) {
        self.state.lock().stats.dropped_connections += 1;
    }

    /// A connection is over. `was_connected` says whether the operating system had got that far.
    pub(crate) fn count_end(&self, end: &End, was_connected: bool) {
        match end {
            End::ConnectFailed(_) => self.count_connect_error(),
            // Ended from this side while still connecting.
            End::Local if !was_connected => self.state.lock().stats.progress_ended(),
            End::Local | End::Goodbye => (),
            End::NotSecured(_)
            | End::Untrusted(_)
            | End::Eof
            | End::Truncated
            | End::Io(_)
            | End::Wire(_)
            | End::Silent
            | End::Pattern
            | End::Refused
            | End::Overloaded => {
                self.state.lock().stats.broken_connections += 1;
            }
        }
    }

    pub(crate) fn count_inproc(&self, bound: bool) {
        let mut state = self.state.lock();
        if bound {
            state.stats.accepted_connections += 1;
        } else {
            state.stats.established_connections += 1;
            state.stats.progress_ended();
        }
    }

    /// The endpoint's last attempt failed; reported the first time, and again only after it recovered.
    pub(crate) fn endpoint_failed(&self, endpoint: u32, address: &str, error: &io::Error) {
        let text = crate::sys::error_text(error);
        let first = match self.state.lock().endpoints.get_mut(&endpoint) {
            Some(endpoint) => {
                endpoint.failure = Some(text.clone());
                !std::mem::replace(&mut endpoint.failing, true)
            }
            None => false,
        };
        if first {
            self.report(address, &text);
        }
    }

    /// A connection ended in a way that somebody should look into.
    pub(crate) fn connection_failed(&self, endpoint: u32, address: &str, end: &End) {
        if let Some(endpoint) = self.state.lock().endpoints.get_mut(&endpoint) {
            endpoint.failure = Some(end.to_string());
        }
        self.report(address, end);
    }

    /// What the endpoint last failed of.
    pub(crate) fn last_failure(&self, endpoint: u32) -> Result<Option<String>, crate::error::Error> {
        let failure = |state: &mut super::State| state.endpoints.get(&endpoint).map(|e| e.failure.clone());
        self.open_state(failure)?.ok_or(crate::error::Error::NoSuchEndpoint(endpoint))
    }

    /// One line on stderr, if the program asked for that (NN_PRINT_ERRORS); nanomsg's form.
    pub(crate) fn report(&self, address: &str, what: &dyn std::fmt::Display) {
        let name = {
            let state = self.state.lock();
            if !state.options.print_errors {
                return;
            }
            String::from_utf8_lossy(&state.options.name).into_owned()
        };
        let place = address.split_once("://").map_or(address, |(_, rest)| rest);
        eprintln!("nanomsg: socket.{name}[{place}]: Error: {what}");
    }

    pub(crate) fn endpoint_recovered(&self, endpoint: u32) {
        if let Some(endpoint) = self.state.lock().endpoints.get_mut(&endpoint) {
            endpoint.failing = false;
        }
    }
}
