//! [`Parker`]: one thread's sleep, ended by another thread, a deadline, or a signal handler.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::sleep::{Sleep, Slept};

const AWAKE: u32 = 0;
const NOTIFIED: u32 = 1;
const ASLEEP: u32 = 2;

/// A sleeping place. A wake-up of somebody who is awake costs no system call, and is remembered.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU32,
    sleep: Sleep,
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
    /// The calling thread's parker, made at its first sleep. Where sleeping takes a descriptor it fails
    /// when the process is out of them.
    pub(crate) fn current() -> io::Result<Arc<Parker>> {
        let make = || Ok(Arc::new(Parker { state: AtomicU32::new(AWAKE), sleep: Sleep::new()? }));
        // A thread that is being torn down has no thread-local storage left: it gets a parker for this
        // sleep alone.
        MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            match &*mine {
                Some(parker) if !parker.sleep.is_inherited() => Ok(Arc::clone(parker)),
                _ => Ok(Arc::clone(mine.insert(make()?))),
            }
        })
        .unwrap_or_else(|_| make())
    }

    /// Ends the sleep of this parker's thread, or its next one.
    pub(crate) fn unpark(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == ASLEEP {
            self.sleep.wake(&self.state);
        }
    }

    /// Sleeps until woken, until `deadline` (`None`: for ever), or until a signal handler ran. Only the
    /// parker's own thread may call this.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> Park {
        if self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            self.state.store(AWAKE, Ordering::SeqCst);
            return Park::Woken;
        }
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let slept = self.sleep.wait(&self.state, ASLEEP, left);
        if self.state.swap(AWAKE, Ordering::SeqCst) == NOTIFIED {
            self.sleep.settle(slept);
            return Park::Woken;
        }
        match slept {
            Slept::Interrupted => Park::Interrupted,
            Slept::TimedOut => Park::TimedOut,
            Slept::Woken => Park::Woken,
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
