//! Sending and receiving of one socket, message by message and in runs.

use std::time::{Duration, Instant};

use spmsg::{Error, Protocol};

use crate::content::{Run, Tally, show};
use crate::seat::{Failure, PROBE, Seat, failure};

/// How long a raw question waits for its answers before it is asked again.
const RAW_PATIENCE: Duration = Duration::from_millis(600);

fn unexpected(body: &[u8]) -> Failure {
    format!("unexpected message of {} bytes {}", body.len(), show(body))
}

/// Nothing comes until the deadline.
pub fn quiet(seat: &mut Seat, deadline: Instant) -> Result<(), Failure> {
    match seat.receive_content(deadline) {
        Err(Error::TimedOut) => Ok(()),
        Err(error) => Err(failure(&error)),
        Ok(body) => Err(unexpected(&body)),
    }
}

/// Receive until this probe comes.
pub fn seek(seat: &mut Seat, wanted: &[u8], deadline: Instant) -> Result<(), Failure> {
    loop {
        let body = seat.receive(deadline).map_err(|error| failure(&error))?;
        if body == wanted {
            return Ok(());
        }
        if !body.starts_with(PROBE.as_bytes()) {
            return Err(unexpected(&body));
        }
    }
}

fn mismatch(run: &Run, index: u64, body: &[u8]) -> Failure {
    let want = run.content(run.seed(), index);
    let (shown, got) = (show(&want), show(body));
    format!("mismatch at {index}: wanted {} bytes {shown} got {} bytes {got}", want.len(), body.len())
}

/// Send all of them.
pub fn burst(seat: &mut Seat, run: &Run) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    for index in run.from..run.end {
        let body = run.content(run.seed(), index);
        tally.add(&body);
        seat.transmit(body, run.deadline)?;
    }
    Ok(tally)
}

/// Receive exactly these, in order.
pub fn drain(seat: &mut Seat, run: &Run) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    for index in run.from..run.end {
        let body = seat
            .receive_content(run.deadline)
            .map_err(|error| format!("{} ({} came)", failure(&error), tally.count))?;
        if !run.matches(index, &body) {
            return Err(mismatch(run, index, &body));
        }
        tally.add(&body);
    }
    Ok(tally)
}

/// Like [`drain`], but messages may be missing, and the last one that came may come again.
pub fn sift(seat: &mut Seat, run: &Run) -> Result<Tally, Failure> {
    let (mut tally, mut next) = (Tally::new(), run.from);
    while next < run.end {
        let body = seat.receive_content(run.deadline).map_err(|error| failure(&error))?;
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

/// The answers of all voices to one question; false when it is to be asked again.
fn collect(seat: &mut Seat, run: &Run, index: u64, voices: u64) -> Result<bool, Failure> {
    let may_repeat = seat.is_raw() || seat.socket.protocol() == Protocol::Surveyor;
    let until = if seat.is_raw() { run.deadline.min(Instant::now() + RAW_PATIENCE) } else { run.deadline };
    let mut missing: Vec<u64> = (0..voices).collect();
    while !missing.is_empty() {
        let body = match seat.receive(until) {
            Ok(body) => body,
            Err(Error::TimedOut | Error::State(_)) if may_repeat && Instant::now() < run.deadline => {
                return Ok(false);
            }
            Err(error) => return Err(failure(&error)),
        };
        if !seat.is_current() {
            continue;
        }
        let Some(at) = missing.iter().position(|v| run.content(run.seed() + 1 + v, index) == body) else {
            return Err(mismatch(run, index, &body));
        };
        missing.swap_remove(at);
    }
    Ok(true)
}

/// Send each question and wait for its answers; a survey whose time is up is sent again.
pub fn ask(seat: &mut Seat, run: &Run, voices: u64) -> Result<Tally, Failure> {
    let (mut tally, mut index) = (Tally::new(), run.from);
    while index < run.end {
        let body = run.content(run.seed(), index);
        seat.prepare_question();
        seat.transmit(body.clone(), run.deadline)?;
        if collect(seat, run, index, voices)? {
            tally.add(&body);
            index += 1;
        } else {
            tally.repeats += 1;
        }
    }
    Ok(tally)
}

/// Answer message number `index` of this seed, if this socket is one that answers.
fn answer(seat: &mut Seat, run: &Run, seed: u64, index: u64) -> Result<(), Failure> {
    if !seat.answers() {
        return Ok(());
    }
    seat.prepare_answer();
    seat.transmit(run.content(seed, index), run.deadline)
}

/// Receive everything of several streams, each in order; the one before may come again.
pub fn gather(seat: &mut Seat, run: &Run, rank: u64) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    let mut next = vec![run.from; run.seeds.len()];
    while tally.count < (run.end - run.from) * run.seeds.len() as u64 {
        let body = seat
            .receive_content(run.deadline)
            .map_err(|error| format!("{} ({} came)", failure(&error), tally.count))?;
        let Some((which, index)) = identify(run, &next, &body) else {
            return Err(mismatch(run, next[0], &body));
        };
        if index == next[which] {
            tally.add(&body);
            next[which] += 1;
        } else {
            tally.repeats += 1;
        }
        answer(seat, run, run.seeds[which] + 1 + rank, index)?;
    }
    Ok(tally)
}

/// The stream whose next message this is, or whose last one it is again.
fn identify(run: &Run, next: &[u64], body: &[u8]) -> Option<(usize, u64)> {
    let is = |which: usize, index: u64| run.content(run.seeds[which], index) == body;
    let fresh = (0..next.len()).find(|i| next[*i] < run.end && is(*i, next[*i]));
    let again = || (0..next.len()).find(|i| next[*i] > 0 && is(*i, next[*i] - 1));
    fresh.map(|i| (i, next[i])).or_else(|| again().map(|i| (i, next[i] - 1)))
}

/// Receive whatever part of a stream comes to this socket within the time, and say which numbers they were.
pub fn glean(seat: &mut Seat, run: &Run, rank: u64) -> Result<String, Failure> {
    let (mut came, mut next) = (Vec::new(), run.from);
    while next < run.end {
        let body = match seat.receive_content(run.deadline) {
            Ok(body) => body,
            Err(Error::TimedOut) => break,
            Err(error) => return Err(failure(&error)),
        };
        let Some(index) = (next..run.end).find(|index| run.matches(*index, &body)) else {
            return Err("glean: not in the stream, or out of order".to_owned());
        };
        answer(seat, run, run.seed() + 1 + rank, index)?;
        came.push(index.to_string());
        next = index + 1;
    }
    Ok(if came.is_empty() { "-".to_owned() } else { came.join(",") })
}
