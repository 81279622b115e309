//! The lines that a process prints, waited for with a deadline.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long any one thing in the demo may take.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Lines from a pipe, read by a thread of its own.
pub struct Lines {
    receiver: Receiver<String>,
}

impl Lines {
    pub fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Lines { receiver }
    }

    /// The next line; `None` at the end or when `deadline` has passed.
    pub fn next(&self, deadline: Instant) -> Option<String> {
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }

    /// The next `count` lines, or fewer at the end or after [`PATIENCE`].
    pub fn take(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        (0..count).map_while(|_| self.next(deadline)).collect()
    }

    /// Whether the end came before `deadline`; lines before it are dropped.
    pub fn ended(&self, deadline: Instant) -> bool {
        loop {
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}
