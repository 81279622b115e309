//! Locks and atomics of the code whose hand-overs a model checker goes through: parking_lot's and the standard
//! library's, and loom's under `--cfg loom`, with the few methods that are used.

#[cfg(not(all(test, loom)))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    pub(crate) use parking_lot::{Condvar, Mutex};
}

#[cfg(not(all(test, loom)))]
pub(crate) use real::*;

#[cfg(all(test, loom))]
pub(crate) use model::*;

#[cfg(all(test, loom))]
mod model {
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    pub(crate) use loom::sync::atomic::Ordering;
    use loom::sync::{self, atomic};

    /// Without poisoning, like parking_lot's.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// Its guard is `None` only while the thread waits for a [`Condvar`].
    pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>, &'a Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(inner: T) -> Self {
            Mutex(sync::Mutex::new(inner))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().expect("no thread has panicked")), self)
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("not waiting")
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("not waiting")
        }
    }

    #[derive(Debug)]
    pub(crate) struct Condvar(sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Condvar(sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let held = guard.0.take().expect("not waiting");
            guard.0 = Some(self.0.wait(held).expect("no thread has panicked"));
        }

        /// The model knows no time: the limit is over at once.
        pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
            drop(guard.0.take());
            loom::thread::yield_now();
            guard.0 = guard.1.lock().0;
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    // loom takes sequentially consistent loads and stores for acquire and release, and would find bugs that are none.
    // Operations that read and write are in one order, as these are among their like.
    macro_rules! atomics {
        ($($name:ident: $value:ty, $unchanged:ident $neutral:expr;)*) => {$(
            #[derive(Debug, Default)]
            pub(crate) struct $name(atomic::$name);

            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    $name(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, ordering: Ordering) -> $value {
                    match ordering {
                        Ordering::SeqCst => self.0.$unchanged($neutral, ordering),
                        weaker => self.0.load(weaker),
                    }
                }

                pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                    match ordering {
                        Ordering::SeqCst => _ = self.0.swap(value, ordering),
                        weaker => self.0.store(value, weaker),
                    }
                }
            }
        )*};
    }

    atomics! {
        AtomicBool: bool, fetch_or false;
        AtomicUsize: usize, fetch_add 0;
    }

    impl AtomicBool {
        pub(crate) fn swap(&self, value: bool, ordering: Ordering) -> bool {
            self.0.swap(value, ordering)
        }
    }

    impl AtomicUsize {
        pub(crate) fn fetch_add(&self, value: usize, ordering: Ordering) -> usize {
            self.0.fetch_add(value, ordering)
        }

        pub(crate) fn fetch_sub(&self, value: usize, ordering: Ordering) -> usize {
            self.0.fetch_sub(value, ordering)
        }
    }
}
