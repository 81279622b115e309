//! [`Tails`]: connections whose last few frames nobody has written yet.
//!
//! A sender that is in full flow leaves what it appended last to whoever turns the reactor, which looks after a moment:
//! most often the sender has written it itself by then, together with much that came later. So no message costs a
//! wake-up, and none waits longer than a fixed time. The same alarm sees to it that the buffers of a burst are given back.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use parking_lot::Mutex;

use super::source::Source;
use crate::sys::Alarm;

pub(super) struct Tails {
    waiting: Mutex<Waiting>,
    /// There are tails: looked at without the lock by threads that are about to block.
    any: AtomicBool,
    /// `None` where the system has nothing that counts in microseconds.
    alarm: Option<Alarm>,
}

#[derive(Default)]
struct Waiting {
    tails: Vec<Weak<dyn Source>>,
    /// Those whose buffers are to be given back once they rest.
    bursts: Vec<Weak<dyn Source>>,
    /// When the alarm goes off.
    due: Option<Instant>,
}

impl Tails {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let alarm = match Alarm::new() {
            Ok(alarm) => Some(alarm),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        if let Some(alarm) = &alarm {
            registry.register(&mut SourceFd(&alarm.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(Tails { waiting: Mutex::new(Waiting::default()), any: AtomicBool::new(false), alarm })
    }

    /// Has `source` written in `delay` at the latest. Returns whether somebody has to turn at once for that.
    pub(super) fn add(&self, source: Weak<dyn Source>, delay: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.tails.push(source);
        self.any.store(true, Ordering::SeqCst);
        self.set_alarm(&mut waiting, Instant::now() + delay);
        self.alarm.is_none()
    }

    /// Has `source` tidied up after `delay`, or with the next tail where there is no alarm.
    pub(super) fn tidy_later(&self, source: Weak<dyn Source>, delay: Duration) {
        let mut waiting = self.waiting.lock();
        waiting.bursts.push(source);
        if self.alarm.is_none() {
            self.any.store(true, Ordering::SeqCst);
        }
        self.set_alarm(&mut waiting, Instant::now() + delay);
    }

    /// Has it go off at `due`, if it does not before.
    fn set_alarm(&self, waiting: &mut Waiting, due: Instant) {
        if let Some(alarm) = &self.alarm
            && waiting.due.is_none_or(|at| due < at)
        {
            waiting.due = Some(due);
            alarm.set(due.saturating_duration_since(Instant::now()));
        }
    }

    pub(super) fn alarm(&self) -> Option<&Alarm> {
        self.alarm.as_ref()
    }

    /// Whether they can wait: for the alarm.
    pub(super) fn can_wait(&self) -> bool {
        self.alarm.is_some()
    }

    /// The alarm went off, or may have: has those written, and tidied up, that are due.
    pub(super) fn look(&self, now: Instant) {
        let Waiting { tails, bursts, .. } = self.take();
        let tails = Later::of(tails, |source| source.write_tail(Some(now)));
        let bursts = Later::of(bursts, |source| source.tidy(Some(now)));
        let Some(due) = [tails.due, bursts.due].into_iter().flatten().min() else { return };
        let mut waiting = self.waiting.lock();
        if !tails.sources.is_empty() {
            self.any.store(true, Ordering::SeqCst);
        }
        waiting.tails.extend(tails.sources);
        waiting.bursts.extend(bursts.sources);
        self.set_alarm(&mut waiting, due);
    }

    /// Has all of them written.
    #[inline]
    pub(super) fn write(&self) {
        if self.any.load(Ordering::SeqCst) {
            self.write_all();
        }
    }

    #[inline(never)]
    fn write_all(&self) {
        let (tails, bursts) = {
            let mut waiting = self.waiting.lock();
            self.any.store(false, Ordering::SeqCst);
            // Nobody else would call them.
            let bursts = if self.can_wait() { Vec::new() } else { std::mem::take(&mut waiting.bursts) };
            (std::mem::take(&mut waiting.tails), bursts)
        };
        Later::of(tails, |source| source.write_tail(None));
        Later::of(bursts, |source| source.tidy(None));
    }

    fn take(&self) -> Waiting {
        let mut waiting = self.waiting.lock();
        self.any.store(false, Ordering::SeqCst);
        std::mem::take(&mut *waiting)
    }
}

/// What is not due yet.
#[derive(Default)]
struct Later {
    sources: Vec<Weak<dyn Source>>,
    due: Option<Instant>,
}

impl Later {
    /// Calls all that are still there.
    fn of(sources: Vec<Weak<dyn Source>>, call: impl Fn(Arc<dyn Source>) -> Option<Instant>) -> Later {
        let mut later = Later::default();
        for weak in sources {
            if let Some(due) = weak.upgrade().and_then(&call) {
                later.due = Some(later.due.map_or(due, |first| first.min(due)));
                later.sources.push(weak);
            }
        }
        later
    }
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use mio::{Events, Poll};

    use super::*;
    use crate::engine::source::{Ready, Turn};

    const ALARM: Token = Token(7);
    const LONG: Duration = Duration::from_secs(3600);

    /// Is due at a time; counts what was done.
    struct Wire {
        due: Instant,
        written: AtomicUsize,
        tidied: AtomicUsize,
    }

    impl Wire {
        fn new(due: Instant) -> Arc<Wire> {
            Arc::new(Wire { due, written: AtomicUsize::new(0), tidied: AtomicUsize::new(0) })
        }

        fn call(&self, what: &AtomicUsize, now: Option<Instant>) -> Option<Instant> {
            if now.is_some_and(|now| now < self.due) {
                return Some(self.due);
            }
            what.fetch_add(1, Ordering::Relaxed);
            None
        }

        fn done(&self) -> (usize, usize) {
            (self.written.load(Ordering::Relaxed), self.tidied.load(Ordering::Relaxed))
        }
    }

    impl Source for Wire {
        fn ready(self: Arc<Self>, _: Ready, _: &mut Turn<'_>) {}
        fn timer(self: Arc<Self>, _: &mut Turn<'_>) {}
        fn write_tail(self: Arc<Self>, now: Option<Instant>) -> Option<Instant> {
            self.call(&self.written, now)
        }
        fn tidy(self: Arc<Self>, now: Option<Instant>) -> Option<Instant> {
            self.call(&self.tidied, now)
        }
    }

    fn weak(wire: &Arc<Wire>) -> Weak<dyn Source> {
        Arc::<Wire>::downgrade(wire)
    }

    fn until_alarm(poll: &mut Poll) {
        let mut events = Events::with_capacity(4);
        while events.is_empty() {
            poll.poll(&mut events, Some(LONG)).expect("no signal");
        }
    }

    #[test]
    fn a_tail_does_not_wait_for_what_is_due_later() {
        let mut poll = Poll::new().expect("a poll");
        let tails = Tails::new(poll.registry(), ALARM).expect("an alarm");
        let now = Instant::now();
        let (burst, slow, fast) = (Wire::new(now + LONG), Wire::new(now + LONG), Wire::new(now));
        tails.tidy_later(weak(&burst), LONG);
        tails.add(weak(&slow), LONG);
        tails.add(weak(&fast), Duration::from_millis(1));
        until_alarm(&mut poll);
        tails.look(Instant::now());
        assert_eq!([burst.done(), slow.done(), fast.done()], [(0, 0), (0, 0), (1, 0)]);
        // What is left has an alarm again, and so has what comes then.
        tails.add(weak(&fast), Duration::from_millis(1));
        until_alarm(&mut poll);
        tails.look(now + LONG);
        assert_eq!([burst.done(), slow.done(), fast.done()], [(0, 1), (1, 0), (2, 0)]);
    }

    #[test]
    fn who_is_about_to_block_writes_tails_and_leaves_buffers() {
        let poll = Poll::new().expect("a poll");
        let tails = Tails::new(poll.registry(), ALARM).expect("an alarm");
        let wire = Wire::new(Instant::now() + LONG);
        tails.tidy_later(weak(&wire), LONG);
        tails.write();
        assert_eq!(wire.done(), (0, 0), "no tail");
        tails.add(weak(&wire), LONG);
        tails.write();
        tails.write();
        assert_eq!(wire.done(), (1, 0));
        drop(wire);
        tails.add(Weak::<Wire>::new(), Duration::ZERO);
        tails.look(Instant::now() + LONG);
    }
}
