//! Who waits for a socket to become ready: threads, futures, and polls over several sockets.

use std::collections::VecDeque;
use std::sync::Arc;

use super::reactor::Reactor;
use crate::sys::Parker;

/// A way to wake somebody; waking more often than needed is harmless, the woken look for themselves.
#[derive(Clone)]
pub(crate) enum Waker {
    Thread(Arc<Parker>),
    /// A thread that turns this reactor while it waits.
    Turner(Arc<Reactor>),
    /// Futures register themselves here.
    #[cfg_attr(not(test), expect(dead_code, reason = "the blocking interface has no futures"))]
    Task(std::task::Waker),
}

impl Waker {
    /// Never called under a socket's lock: it may be a system call, or a program's executor.
    pub(crate) fn wake(self) {
        match self {
            Waker::Thread(parker) => parker.unpark(),
            Waker::Turner(reactor) => reactor.nudge(),
            Waker::Task(waker) => waker.wake(),
        }
    }
}

/// Names one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitId(u64);

/// First come, first woken.
#[derive(Default)]
pub(crate) struct WaitQueue {
    waiting: VecDeque<(WaitId, Waker)>,
    next: u64,
}

impl WaitQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn add(&mut self, waker: Waker) -> WaitId {
        let id = WaitId(self.next);
        self.next = self.next.wrapping_add(1);
        self.waiting.push_back((id, waker));
        id
    }

    /// Forgets a registration. False when it has been woken: whoever leaves without using that wake-up passes it on.
    pub(crate) fn remove(&mut self, id: WaitId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| *waiting != id);
        self.waiting.len() != before
    }

    /// Takes the one that has waited longest.
    pub(crate) fn take_one(&mut self) -> Option<Waker> {
        self.waiting.pop_front().map(|(_, waker)| waker)
    }

    /// Takes everybody.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.waiting.drain(..).map(|(_, waker)| waker)
    }
}

/// Callers that wait as guests of the reactor and turn it themselves: what their turn brings wakes nobody. One sits there
/// at a time, but another may be on its way out while the next sits down.
#[derive(Default)]
pub(crate) struct Guests {
    count: usize,
    /// Theirs, since the first.
    reactor: Option<Arc<Reactor>>,
}

impl Guests {
    pub(crate) fn add(&mut self, reactor: &Arc<Reactor>) {
        self.count += 1;
        if self.reactor.is_none() {
            self.reactor = Some(Arc::clone(reactor));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn remove(&mut self) {
        self.count -= 1;
    }

    /// Whether there are some, and the way to wake them if they have to be told: they know what their own reactor does.
    pub(crate) fn waker(&self, turned: Option<&Reactor>) -> Option<Option<Waker>> {
        if self.count == 0 {
            return None;
        }
        let is_theirs = |reactor: &&Arc<Reactor>| {
            !turned.is_some_and(|turned| std::ptr::eq(turned, &raw const ***reactor))
        };
        Some(self.reactor.as_ref().filter(is_theirs).map(|reactor| Waker::Turner(Arc::clone(reactor))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_in_order_and_knows_threads_and_futures() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let mut queue = WaitQueue::default();
        let first = queue.add(Waker::Task(Arc::clone(&count).into()));
        let second = queue.add(Waker::Thread(Parker::current().expect("a descriptor")));
        queue.take_one().expect("the first").wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(!queue.remove(first), "it was woken");
        assert!(queue.remove(second));
        assert!(queue.is_empty());
    }
}
