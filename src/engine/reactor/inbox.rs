//! [`Inbox`]: tasks for whoever turns. That there are none is seen without the lock, by the one who looks each time.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::engine::source::Task;

#[derive(Default)]
pub(super) struct Inbox {
    tasks: Mutex<Vec<Task>>,
    /// Changed under the lock. Whoever adds a task looks afterwards whom to call, and whoever goes to sleep looks here
    /// after saying so: one of the two sees the other.
    any: AtomicBool,
}

impl Inbox {
    pub(super) fn push(&self, task: Task) {
        let mut tasks = self.tasks.lock();
        tasks.push(task);
        self.any.store(true, Ordering::SeqCst);
    }

    /// Takes all of `more`.
    pub(super) fn append(&self, more: &mut Vec<Task>) {
        let mut tasks = self.tasks.lock();
        tasks.append(more);
        self.any.store(!tasks.is_empty(), Ordering::SeqCst);
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    pub(super) fn any(&self, is: impl Fn(&Task) -> bool) -> bool {
        !self.is_empty() && self.tasks.lock().iter().any(is)
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn len(&self) -> usize {
        self.tasks.lock().len()
    }

    /// Moves all to `out`, which is empty.
    pub(super) fn take(&self, out: &mut Vec<Task>) {
        if self.is_empty() {
            return;
        }
        let mut tasks = self.tasks.lock();
        self.any.store(false, Ordering::SeqCst);
        std::mem::swap(out, &mut tasks);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn task() -> Task {
        Task::Run(Box::new(|_| ()))
    }

    #[test]
    fn what_is_in_it_is_known_without_the_lock() {
        let (inbox, mut out, mut more) = (Inbox::default(), Vec::new(), vec![task(), task()]);
        assert!(inbox.is_empty() && !inbox.any(|_| true));
        inbox.append(&mut Vec::new());
        assert!(inbox.is_empty());
        inbox.push(task());
        inbox.append(&mut more);
        assert!(!inbox.is_empty() && inbox.any(|_| true) && !inbox.any(|_| false));
        inbox.take(&mut out);
        assert_eq!((inbox.is_empty(), out.len(), more.len()), (true, 3, 0));
        out.clear();
        inbox.take(&mut out);
        assert!(out.is_empty());
    }
}
