//! The sockets of this process by their numbers.
//!
//! Numbers are small, dense and reused, the last one freed first, because programs index arrays with them.
//! A number is taken until nn_close has finished, so that no other socket gets it while callers are still
//! leaving the old one.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use spmsg::Socket;
use spmsg::compat::{self, Wait};

use crate::errno::Errno;
use crate::option::Values;
use crate::slot::{Held, Removed, Slot};
use crate::symbol::ETERM;

/// Sockets a process can have at a time; nanomsg's compile-time default.
const SOCKETS_MAX: usize = 512;
/// What nn_close waits for callers that have been woken and are on their way out of the call.
const LEAVING_MAX: Duration = Duration::from_secs(1);
/// How often it looks; a caller on its way out tells nobody.
const LEAVING_LOOK: Duration = Duration::from_millis(1);

/// One open socket.
pub(crate) struct Entry {
    pub(crate) socket: Socket,
    /// Options as the program set them.
    pub(crate) values: Values,
    /// nn_close or nn_term has begun for this socket.
    gone: AtomicBool,
}

impl Entry {
    pub(crate) fn new(socket: Socket) -> Entry {
        Entry { socket, values: Values::default(), gone: AtomicBool::new(false) }
    }
}

/// The table of a process, reached through [`table`].
pub(crate) struct Table {
    slots: Vec<Slot>,
    books: Mutex<Books>,
    /// A number was freed, a socket is going, or nn_term is over.
    changed: Condvar,
    /// The thread that runs the exit handler, 0 before.
    exiting: AtomicUsize,
}

/// Which numbers are taken, and whether more may be.
#[derive(Default)]
struct Books {
    /// The next number is the last one.
    free: Vec<u16>,
    /// nn_socket or nn_init was called: from then on nn_term has something to end.
    used: bool,
    terminated: bool,
    /// Calls of nn_term that have not returned.
    terminations: usize,
    /// Threads inside nn_close and nn_term.
    closers: Vec<usize>,
}

impl Books {
    fn taken(&self) -> usize {
        SOCKETS_MAX.saturating_sub(self.free.len())
    }

    /// When no socket is open, numbering starts at 0 again.
    fn free_number(&mut self, number: usize) {
        self.free.extend(u16::try_from(number));
        if self.taken() == 0 {
            self.free = all_numbers();
        }
    }
}

fn all_numbers() -> Vec<u16> {
    (0..SOCKETS_MAX as u16).rev().collect()
}

/// A place for a new socket: no other can be opened, and the library not terminated, while it is held.
pub(crate) struct Vacancy<'a> {
    table: &'a Table,
    books: MutexGuard<'a, Books>,
}

impl Vacancy<'_> {
    /// The number the socket will have.
    ///
    /// # Errors
    /// EMFILE when all are taken.
    pub(crate) fn number(&self) -> Result<usize, Errno> {
        self.books.free.last().map(|number| usize::from(*number)).ok_or(Errno(libc::EMFILE))
    }

    /// Makes the socket known by that number.
    pub(crate) fn fill(mut self, entry: Entry) -> Result<c_int, Errno> {
        let number = self.number()?;
        self.books.free.pop();
        self.table.slots[number].fill(entry);
        Ok(number as c_int)
    }
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            slots: (0..SOCKETS_MAX).map(|_| Slot::new()).collect(),
            books: Mutex::new(Books { free: all_numbers(), ..Books::default() }),
            changed: Condvar::new(),
            exiting: AtomicUsize::new(0),
        }
    }

    /// Begins to open a socket.
    ///
    /// # Errors
    /// ETERM after nn_term.
    pub(crate) fn vacancy(&self) -> Result<Vacancy<'_>, Errno> {
        let mut books = self.books.lock();
        books.used = true;
        if books.terminated { Err(Errno(ETERM)) } else { Ok(Vacancy { table: self, books }) }
    }

    fn slot(&self, number: c_int) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()?)
    }

    /// The socket with this number.
    ///
    /// # Errors
    /// EBADF.
    pub(crate) fn find(&self, number: c_int) -> Result<Held<'_>, Errno> {
        self.slot(number).and_then(Slot::find).ok_or(Errno(libc::EBADF))
    }

    /// Closes a socket and frees its number once every caller has left it.
    ///
    /// # Errors
    /// EBADF, also while another thread closes it.
    pub(crate) fn close(&self, number: c_int) -> Result<(), Errno> {
        let slot = self.slot(number).ok_or(Errno(libc::EBADF))?;
        let closer = Closer::enter(self);
        let entry = slot.remove().ok_or(Errno(libc::EBADF))?;
        self.announce_end(&entry);
        // Closed before by the exit handler: then nothing is left to do.
        let _ = entry.socket.close();
        self.let_callers_leave(entry);
        closer.leave(&[number as usize]);
        Ok(())
    }

    /// Closes all sockets under one deadline, and refuses new ones until [`restart`](Table::restart).
    /// Returns when no socket is left, those that other threads are closing included. Does nothing before
    /// the first socket.
    pub(crate) fn terminate(&self) {
        {
            let mut books = self.books.lock();
            if !books.used {
                return;
            }
            books.terminated = true;
            books.terminations += 1;
        }
        let closer = Closer::enter(self);
        let taken = self.slots.iter().enumerate().filter_map(|(n, slot)| Some((n, slot.remove()?)));
        let (numbers, entries): (Vec<usize>, Vec<Removed<'_>>) = taken.unzip();
        entries.iter().for_each(|entry| self.announce_end(entry));
        compat::close_all(entries.iter().map(|entry| &entry.socket));
        entries.into_iter().for_each(|entry| self.let_callers_leave(entry));
        closer.leave(&numbers);
        let mut books = self.books.lock();
        while books.taken() > 0 {
            self.changed.wait(&mut books);
        }
        books.terminations -= 1;
        self.changed.notify_all();
    }

    /// Allows sockets again after [`terminate`](Table::terminate), for which it waits.
    pub(crate) fn restart(&self) {
        let mut books = self.books.lock();
        while books.terminations > 0 {
            self.changed.wait(&mut books);
        }
        books.used = true;
        books.terminated = false;
    }

    fn announce_end(&self, entry: &Entry) {
        entry.gone.store(true, Ordering::SeqCst);
        // Under the lock, or a caller that has just looked would miss it.
        let _books = self.books.lock();
        self.changed.notify_all();
    }

    /// Waits until nobody is in a call on the socket: its engine ends with it.
    fn let_callers_leave(&self, entry: Removed<'_>) {
        entry.free(Instant::now() + LEAVING_MAX, || {
            self.changed.wait_for(&mut self.books.lock(), LEAVING_LOOK);
        });
    }

    /// The process ends: what was accepted leaves within the linger time. The sockets keep their numbers,
    /// and threads that use them see nothing of it, see [`closed`](Table::closed).
    pub(crate) fn flush_at_exit(&self) {
        self.exiting.store(this_thread(), Ordering::SeqCst);
        let entries: Vec<Held<'_>> = self.slots.iter().filter_map(Slot::find).collect();
        compat::close_all_at_exit(entries.iter().map(|entry| &entry.socket));
        // A socket that another thread is closing has something to deliver, too. An exit from a signal
        // handler may have interrupted an nn_close of this very thread, which will never go on.
        let me = this_thread();
        let mut books = self.books.lock();
        while books.closers.iter().any(|closer| *closer != me) {
            self.changed.wait(&mut books);
        }
    }

    /// What a call gets from sockets that turn out to be closed: EBADF.
    ///
    /// Not so when the exit handler closed them. The program did not, and a thread of it that runs until
    /// the very end, as threads do that nobody joins, must not be surprised by an error. It gets what a
    /// silent peer would give: EAGAIN, or ETIMEDOUT in time, or nothing at all until the program closes one
    /// of the sockets.
    pub(crate) fn closed(&self, entries: &[&Entry], timeout: Wait) -> Errno {
        let exiting = self.exiting.load(Ordering::SeqCst);
        if exiting == 0 || exiting == this_thread() {
            return Errno(libc::EBADF);
        }
        let deadline = match timeout {
            Wait::No => return Errno(libc::EAGAIN),
            Wait::AsSet | Wait::For(None) => None,
            Wait::For(Some(timeout)) => Instant::now().checked_add(timeout),
        };
        let mut books = self.books.lock();
        while !entries.iter().any(|entry| entry.gone.load(Ordering::SeqCst)) {
            match deadline {
                None => self.changed.wait(&mut books),
                Some(at) if self.changed.wait_until(&mut books, at).timed_out() => {
                    return Errno(libc::ETIMEDOUT);
                }
                Some(_) => (),
            }
        }
        Errno(libc::EBADF)
    }
}

/// A thread inside nn_close or nn_term, entered in the books.
struct Closer<'a> {
    table: &'a Table,
}

impl<'a> Closer<'a> {
    fn enter(table: &'a Table) -> Closer<'a> {
        table.books.lock().closers.push(this_thread());
        Closer { table }
    }

    /// Frees numbers and leaves.
    fn leave(self, numbers: &[usize]) {
        let mut books = self.table.books.lock();
        numbers.iter().for_each(|number| books.free_number(*number));
    }
}

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        let me = this_thread();
        let mut books = self.table.books.lock();
        if let Some(at) = books.closers.iter().position(|closer| *closer == me) {
            books.closers.swap_remove(at);
        }
        self.table.changed.notify_all();
    }
}

fn this_thread() -> usize {
    // SAFETY: takes nothing, never fails.
    unsafe { libc::pthread_self() as usize }
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

fn forget() {
    TABLE.store(std::ptr::null_mut(), Ordering::Release);
}

/// The table of this process, if a socket was ever asked for in it.
pub(crate) fn existing() -> Option<&'static Table> {
    let current = TABLE.load(Ordering::Acquire);
    // SAFETY: only `table` stores here, pointers from Box::into_raw to tables that are never freed.
    unsafe { current.as_ref() }
}

/// The table of this process. A forked child gets a new one: the parent's may be locked by threads that do
/// not exist in the child, and its sockets are not the child's, so it is forgotten and not freed.
pub(crate) fn table() -> &'static Table {
    if let Some(table) = existing() {
        return table;
    }
    compat::on_fork(forget);
    let fresh = Box::into_raw(Box::new(Table::new()));
    match TABLE.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: from Box::into_raw above, never freed from now on.
        Ok(_) => unsafe { &*fresh },
        Err(others) => {
            // SAFETY: from Box::into_raw above, and shared with nobody.
            drop(unsafe { Box::from_raw(fresh) });
            // SAFETY: as in `existing`; the exchange failed because it was not NULL.
            unsafe { &*others }
        }
    }
}

/// The socket with this number.
///
/// # Errors
/// EBADF.
pub(crate) fn find(number: c_int) -> Result<Held<'static>, Errno> {
    existing().ok_or(Errno(libc::EBADF))?.find(number)
}

/// The error of a call that found these sockets closed, see [`Table::closed`].
#[cold]
pub(crate) fn closed(entries: &[&Entry], timeout: Wait) -> Errno {
    existing().map_or(Errno(libc::EBADF), |table| table.closed(entries, timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spmsg::{Mode, Protocol};

    fn open(table: &Table) -> Result<c_int, Errno> {
        table.vacancy()?.fill(Entry::new(Socket::new(Protocol::Pair, Mode::Cooked)))
    }

    #[test]
    fn numbers_are_a_stack_that_starts_at_zero() {
        let table = Table::new();
        assert_eq!([open(&table), open(&table), open(&table)], [Ok(0), Ok(1), Ok(2)]);
        assert_eq!((table.close(0), table.close(1)), (Ok(()), Ok(())));
        assert_eq!([open(&table), open(&table), open(&table)], [Ok(1), Ok(0), Ok(3)]);
    }

    #[test]
    fn numbering_restarts_when_the_last_socket_closes() {
        let table = Table::new();
        for _ in 0..3 {
            assert_eq!([open(&table), open(&table)], [Ok(0), Ok(1)]);
            assert_eq!((table.close(0), table.close(1)), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn r243_foreign_numbers_are_ebadf() {
        let table = Table::new();
        assert_eq!(open(&table), Ok(0));
        for number in [-1, 1, 511, 512, 100_000, c_int::MIN, c_int::MAX] {
            assert_eq!(table.find(number).err(), Some(Errno(libc::EBADF)), "{number}");
            assert_eq!(table.close(number), Err(Errno(libc::EBADF)), "{number}");
        }
        assert_eq!((table.close(0), table.close(0)), (Ok(()), Err(Errno(libc::EBADF))));
        assert!(table.books.lock().closers.is_empty());
    }

    #[test]
    fn a_full_table_is_emfile() {
        let table = Table::new();
        for number in 0..SOCKETS_MAX as c_int {
            assert_eq!(open(&table), Ok(number));
        }
        assert_eq!(open(&table), Err(Errno(libc::EMFILE)));
        assert_eq!(table.close(77), Ok(()));
        assert_eq!(open(&table), Ok(77));
    }

    #[test]
    fn r243_terminating_closes_all_until_the_restart() {
        let table = Table::new();
        table.terminate();
        assert_eq!([open(&table), open(&table)], [Ok(0), Ok(1)], "before the first socket it does nothing");
        let entry = table.find(1).expect("open");
        std::thread::scope(|scope| {
            // The entry held here must not keep the call from returning.
            scope.spawn(|| table.terminate()).join().expect("no panic");
        });
        assert!(entry.socket.options().is_err());
        assert_eq!(open(&table), Err(Errno(ETERM)));
        assert_eq!(table.find(0).err(), Some(Errno(libc::EBADF)));
        table.terminate();
        table.restart();
        assert_eq!(open(&table), Ok(0));
    }

    #[test]
    fn at_exit_other_threads_see_silent_peers_and_the_exiting_one_closed_sockets() {
        let table = Table::new();
        assert_eq!(open(&table), Ok(0));
        let entry = table.find(0).expect("open");
        table.flush_at_exit();
        assert!(entry.socket.options().is_err());
        assert_eq!(table.closed(&[&entry], Wait::No), Errno(libc::EBADF));
        std::thread::scope(|scope| {
            let other = |wait: Wait| {
                scope.spawn({
                    let (t, e) = (&table, &entry);
                    move || t.closed(&[e], wait)
                })
            };
            assert_eq!(other(Wait::No).join().ok(), Some(Errno(libc::EAGAIN)));
            assert_eq!(
                other(Wait::For(Some(Duration::from_millis(1)))).join().ok(),
                Some(Errno(libc::ETIMEDOUT))
            );
            let endless = other(Wait::For(None));
            assert_eq!(table.close(0), Ok(()));
            assert_eq!(endless.join().ok(), Some(Errno(libc::EBADF)));
        });
    }
}
