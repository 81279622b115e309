//! [`Parker`]: one thread's sleep, ended by another thread, a deadline, or a signal handler.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use super::event::{Event, Waited};
use super::generation;

const AWAKE: u8 = 0;
const NOTIFIED: u8 = 1;
const ASLEEP: u8 = 2;

/// A sleeping place. A wake-up of somebody who is awake costs no system call, and is remembered.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU8,
    event: Event,
    generation: u64,
}

/// How a sleep ended. `Woken` may be spurious: the sleeper checks what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Park {
    Woken,
    TimedOut,
    Interrupted,
}

thread_local! {
    static MINE: RefCell<Option<Arc<Parker>>> = const { RefCell::new(None) };
}

impl Parker {
    /// The calling thread's parker, made at its first sleep. Fails when the process is out of descriptors.
    pub(crate) fn current() -> io::Result<Arc<Parker>> {
        let make = || {
            Ok(Arc::new(Parker {
                state: AtomicU8::new(AWAKE),
                event: Event::new()?,
                generation: generation(),
            }))
        };
        // A thread that is being torn down has no thread-local storage left: it gets a parker for this sleep alone.
        MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            match &*mine {
                // After a fork the parent's thread sleeps on the very same descriptor.
                Some(parker) if parker.generation == generation() => Ok(Arc::clone(parker)),
                _ => Ok(Arc::clone(mine.insert(make()?))),
            }
        })
        .unwrap_or_else(|_| make())
    }

    /// Ends the sleep of this parker's thread, or its next one.
    pub(crate) fn unpark(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == ASLEEP {
            self.event.set();
        }
    }

    /// Sleeps until woken, until `deadline` (`None`: for ever), or until a signal handler ran. Only the parker's
    /// own thread may call this.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> Park {
        if self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            self.state.store(AWAKE, Ordering::SeqCst);
            return Park::Woken;
        }
        let waited = self.event.wait(deadline.map(|at| at.saturating_duration_since(Instant::now())));
        if self.state.swap(AWAKE, Ordering::SeqCst) == NOTIFIED {
            // The waker writes after it changed the state: wait for that write, or it would end the next sleep.
            if waited != Waited::Set {
                while self.event.wait(None) != Waited::Set {}
            }
            self.event.clear();
            return Park::Woken;
        }
        match waited {
            Waited::Interrupted => Park::Interrupted,
            Waited::Set | Waited::TimedOut => Park::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_wake_up_before_the_sleep_is_remembered() {
        let parker = Parker::current().expect("a descriptor");
        parker.unpark();
        assert_eq!(parker.park(None), Park::Woken);
        assert_eq!(parker.park(Some(Instant::now() + Duration::from_millis(1))), Park::TimedOut);
    }

    #[test]
    fn another_thread_ends_the_sleep() {
        let parker = Parker::current().expect("a descriptor");
        let other = Arc::clone(&parker);
        let waker = std::thread::spawn(move || other.unpark());
        assert_eq!(parker.park(Some(Instant::now() + Duration::from_secs(10))), Park::Woken);
        waker.join().expect("the waking thread ends");
    }
}
