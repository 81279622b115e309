//! Sending and receiving of one socket, message by message and in runs.

use std::time::{Duration, Instant};

use spmsg::{Error, Protocol, Socket};

use crate::content::{Run, Tally, show};

/// How a probe begins.
pub const PROBE: &str = "spmsg-interop probe ";

/// What follows `err ` in an answer.
pub type Failure = String;

/// spmsg's errors under the names that nanomsg has for them.
pub fn failure(error: &Error) -> Failure {
    let name = match error {
        Error::TimedOut => "ETIMEDOUT",
        Error::WouldBlock => "EAGAIN",
        Error::Closed => "EBADF",
        Error::State(_) => "EFSM",
        Error::Unsupported { .. } => "ENOTSUP",
        Error::Os { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => "EADDRINUSE",
        _ => "other",
    };
    format!("{name} {error}")
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn receive(socket: &Socket, deadline: Instant) -> Result<Vec<u8>, Error> {
    socket.recv_timeout(left(deadline)).map(|message| message.body().to_vec())
}

/// Receive whatever is not a probe: those only prove that a path exists.
pub fn receive_content(socket: &Socket, deadline: Instant) -> Result<Vec<u8>, Error> {
    loop {
        let body = receive(socket, deadline)?;
        if !body.starts_with(PROBE.as_bytes()) {
            return Ok(body);
        }
        if Instant::now() >= deadline {
            return Err(Error::TimedOut);
        }
    }
}

/// Send, and name the failure.
pub fn transmit(socket: &Socket, body: Vec<u8>, deadline: Instant) -> Result<(), Failure> {
    socket.send_timeout(body, left(deadline)).map_err(|refused| failure(&refused.error))
}

fn unexpected(body: &[u8]) -> Failure {
    format!("unexpected message of {} bytes {}", body.len(), show(body))
}

/// Nothing comes until the deadline.
pub fn quiet(socket: &Socket, deadline: Instant) -> Result<(), Failure> {
    match receive_content(socket, deadline) {
        Err(Error::TimedOut) => Ok(()),
        Err(error) => Err(failure(&error)),
        Ok(body) => Err(unexpected(&body)),
    }
}

/// Receive until this probe comes.
pub fn seek(socket: &Socket, wanted: &[u8], deadline: Instant) -> Result<(), Failure> {
    loop {
        let body = receive(socket, deadline).map_err(|error| failure(&error))?;
        if body == wanted {
            return Ok(());
        }
        if !body.starts_with(PROBE.as_bytes()) {
            return Err(unexpected(&body));
        }
    }
}

fn mismatch(run: &Run, index: u64, body: &[u8]) -> Failure {
    let want = run.content(run.seed, index);
    let (shown, got) = (show(&want), show(body));
    format!("mismatch at {index}: wanted {} bytes {shown} got {} bytes {got}", want.len(), body.len())
}

/// Send all of them.
pub fn burst(socket: &Socket, run: &Run) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    for index in run.from..run.end {
        let body = run.content(run.seed, index);
        tally.add(&body);
        transmit(socket, body, run.deadline)?;
    }
    Ok(tally)
}

/// Receive exactly these, in order.
pub fn drain(socket: &Socket, run: &Run) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    for index in run.from..run.end {
        let body = receive_content(socket, run.deadline)
            .map_err(|error| format!("{} ({} came)", failure(&error), tally.count))?;
        if !run.matches(index, &body) {
            return Err(mismatch(run, index, &body));
        }
        tally.add(&body);
    }
    Ok(tally)
}

/// Like [`drain`], but messages may be missing, and the last one that came may come again.
pub fn sift(socket: &Socket, run: &Run) -> Result<Tally, Failure> {
    let (mut tally, mut next) = (Tally::new(), run.from);
    while next < run.end {
        let body = receive_content(socket, run.deadline).map_err(|error| failure(&error))?;
        if let Some(index) = (next..run.end).find(|index| run.matches(*index, &body)) {
            tally.add(&body);
            next = index + 1;
        } else if next > 0 && run.matches(next - 1, &body) {
            tally.repeats += 1;
        } else {
            return Err(mismatch(run, next, &body));
        }
    }
    Ok(tally)
}

/// The answers of all voices to one question; false when the survey's time was up first.
fn collect(socket: &Socket, run: &Run, index: u64, voices: u64) -> Result<bool, Failure> {
    let mut missing: Vec<u64> = (0..voices).collect();
    while !missing.is_empty() {
        let body = match receive(socket, run.deadline) {
            Ok(body) => body,
            Err(Error::TimedOut | Error::State(_))
                if socket.protocol() == Protocol::Surveyor && Instant::now() < run.deadline =>
            {
                return Ok(false);
            }
            Err(error) => return Err(failure(&error)),
        };
        let Some(at) = missing.iter().position(|v| run.content(run.seed + 1 + v, index) == body) else {
            return Err(mismatch(run, index, &body));
        };
        missing.swap_remove(at);
    }
    Ok(true)
}

/// Send each question and wait for its answers; a survey whose time is up is sent again.
pub fn ask(socket: &Socket, run: &Run, voices: u64) -> Result<Tally, Failure> {
    let (mut tally, mut index) = (Tally::new(), run.from);
    while index < run.end {
        let body = run.content(run.seed, index);
        transmit(socket, body.clone(), run.deadline)?;
        if collect(socket, run, index, voices)? {
            tally.add(&body);
            index += 1;
        } else {
            tally.repeats += 1;
        }
    }
    Ok(tally)
}

/// Reply to each question; a repeat of the one before is answered again.
pub fn answer(socket: &Socket, run: &Run, rank: u64) -> Result<Tally, Failure> {
    let (mut tally, mut next) = (Tally::new(), run.from);
    while next < run.end {
        let body = receive_content(socket, run.deadline).map_err(|error| failure(&error))?;
        let heard = if run.matches(next, &body) {
            tally.add(&body);
            next
        } else if next > 0 && run.matches(next - 1, &body) {
            tally.repeats += 1;
            next - 1
        } else {
            return Err(mismatch(run, next, &body));
        };
        transmit(socket, run.content(run.seed + 1 + rank, heard), run.deadline)?;
        next = heard + 1;
    }
    Ok(tally)
}
