//! Message buffers: memory with a hidden header, which the library recognises, counts references to, and
//! takes over without copying.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::errno::Errno;
use crate::guard::guard;

/// What applications get is aligned for every C type.
const ALIGN: usize = 16;
/// In front of the user's bytes, padded so that they stay aligned.
const HEADER_BYTES: usize = 32;
const ALIVE: u64 = 0x73_706d_7367_6d73;
const FREED: u64 = 0x66_7265_6564_6d73;

#[repr(C)]
struct Header {
    /// [`ALIVE`]; tells a buffer of ours from other memory, as well as that can be told.
    magic: u64,
    /// Bytes of the message.
    size: usize,
    /// Bytes that were allocated for it, at least `size`.
    capacity: usize,
    references: AtomicUsize,
}

const _: () = assert!(size_of::<Header>() <= HEADER_BYTES && HEADER_BYTES.is_multiple_of(ALIGN));

/// A message buffer, by the pointer the application knows. Copies of this are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk(NonNull<u8>);

impl Chunk {
    /// A buffer with one reference and any content.
    ///
    /// # Errors
    /// ENOMEM, also for a size that cannot exist.
    pub(crate) fn allocate(size: usize) -> Result<Chunk, Errno> {
        let layout = layout(size).ok_or(Errno(libc::ENOMEM))?;
        // SAFETY: the layout is not empty, it has the header.
        let block = NonNull::new(unsafe { alloc(layout) }).ok_or(Errno(libc::ENOMEM))?;
        let header = Header { magic: ALIVE, size, capacity: size, references: AtomicUsize::new(1) };
        // SAFETY: the block has room for the header, and is aligned for it.
        unsafe { block.cast::<Header>().write(header) };
        // SAFETY: within the block.
        Ok(Chunk(unsafe { block.add(HEADER_BYTES) }))
    }

    /// A buffer with a copy of `bytes`.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Chunk, Errno> {
        let chunk = Chunk::allocate(bytes.len())?;
        // SAFETY: the new buffer has so many bytes, and nobody else knows it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), chunk.0.as_ptr(), bytes.len()) };
        Ok(chunk)
    }

    /// The buffer behind an application's pointer; `None` for NULL and for what is recognisably no buffer.
    ///
    /// # Safety
    /// `pointer` is NULL or came from [`pointer`](Chunk::pointer) of a buffer that was not freed.
    pub(crate) unsafe fn from_pointer(pointer: *mut c_void) -> Option<Chunk> {
        let chunk = Chunk(NonNull::new(pointer.cast())?);
        if !pointer.addr().is_multiple_of(ALIGN) || pointer.addr() < HEADER_BYTES {
            return None;
        }
        (chunk.header().magic == ALIVE).then_some(chunk)
    }

    pub(crate) fn pointer(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// The user pointer is only ever made from a living buffer, see `from_pointer` and `allocate`.
    fn header<'a>(self) -> &'a Header {
        // SAFETY: the header lies right in front of the user's bytes, is initialised, and lives as long as
        // the buffer.
        unsafe { self.0.sub(HEADER_BYTES).cast::<Header>().as_ref() }
    }

    pub(crate) fn len(self) -> usize {
        self.header().size
    }

    /// The message.
    ///
    /// # Safety
    /// Nobody writes or frees the buffer while the slice is in use.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: so many bytes were allocated; nobody else touches them as the caller promises.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.len()) }
    }

    /// The message as another reference to the same bytes.
    pub(crate) fn share(self) -> Bytes {
        self.header().references.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Share(self))
    }

    /// Gives one reference back; the last one frees.
    ///
    /// # Safety
    /// The reference is the caller's, who does not use it again.
    pub(crate) unsafe fn release(self) {
        if self.header().references.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        // The layout was valid when the buffer was made.
        let Some(layout) = layout(self.header().capacity) else { return };
        // SAFETY: the block and its layout as they were allocated; this was the last reference.
        unsafe {
            let block = self.0.sub(HEADER_BYTES);
            (&raw mut (*block.cast::<Header>().as_ptr()).magic).write_volatile(FREED);
            dealloc(block.as_ptr(), layout);
        }
    }

    /// Makes the message shorter in place.
    ///
    /// # Safety
    /// The caller holds the only reference.
    unsafe fn truncate(self, size: usize) {
        // SAFETY: nobody else looks at the header as the caller promises.
        unsafe { (*self.0.sub(HEADER_BYTES).cast::<Header>().as_ptr()).size = size };
    }
}

fn layout(size: usize) -> Option<Layout> {
    // At least one byte, so that every pointer is another one.
    Layout::from_size_align(HEADER_BYTES.checked_add(size.max(1))?, ALIGN).ok()
}

/// A reference that the library holds.
struct Share(Chunk);

// SAFETY: whoever handed the buffer over does not touch it any more; the count is atomic.
unsafe impl Send for Share {}

impl AsRef<[u8]> for Share {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the application neither writes nor frees what it has handed over.
        unsafe { self.0.bytes() }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // SAFETY: the reference taken in `share`.
        unsafe { self.0.release() };
    }
}

/// A message buffer of `size` bytes, aligned for every type, with any content. `type` must be 0.
///
/// To be handed to a send as NN_MSG or freed by nn_freemsg, by any thread. Errors: EINVAL, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn nn_allocmsg(size: usize, r#type: c_int) -> *mut c_void {
    guard(|| if r#type == 0 { Ok(Chunk::allocate(size)?.pointer()) } else { Err(Errno(libc::EINVAL)) })
}

/// Changes the size of a message buffer: in place to a smaller one, by moving to a larger one, whose bytes
/// beyond the old size are undefined. NULL allocates. On failure (ENOMEM) the result is NULL and the buffer
/// as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_reallocmsg(msg: *mut c_void, size: usize) -> *mut c_void {
    guard(|| {
        if msg.is_null() {
            return Ok(Chunk::allocate(size)?.pointer());
        }
        // SAFETY: the caller's buffer, as the interface demands.
        let old = unsafe { Chunk::from_pointer(msg) }.ok_or(Errno(libc::EFAULT))?;
        if size <= old.len() {
            // SAFETY: the buffer is the caller's alone.
            unsafe { old.truncate(size) };
            return Ok(msg);
        }
        let new = Chunk::allocate(size)?;
        // SAFETY: two buffers, the new one larger; the old one is the caller's alone, and given up here.
        unsafe {
            std::ptr::copy_nonoverlapping(old.0.as_ptr(), new.0.as_ptr(), old.len());
            old.release();
        }
        Ok(new.pointer())
    })
}

/// Frees a message buffer, by any thread, also after nn_term. NULL is no buffer and costs nothing. Returns 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_freemsg(msg: *mut c_void) -> c_int {
    guard(|| {
        if msg.is_null() {
            return Ok(0);
        }
        // SAFETY: the caller's buffer and reference, as the interface demands.
        unsafe { Chunk::from_pointer(msg).ok_or(Errno(libc::EFAULT))?.release() };
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno;
    use std::ptr::null_mut;

    fn filled(size: usize) -> *mut c_void {
        let msg = nn_allocmsg(size, 0);
        assert!(!msg.is_null());
        // SAFETY: a buffer of so many bytes.
        unsafe { std::ptr::write_bytes(msg.cast::<u8>(), 7, size) };
        msg
    }

    fn chunk(msg: *mut c_void) -> Chunk {
        // SAFETY: tests pass living buffers.
        unsafe { Chunk::from_pointer(msg) }.expect("a buffer")
    }

    #[test]
    fn buffers_are_aligned_and_know_their_size() {
        for size in [0, 1, 2, 15, 16, 17, 1000, 1 << 20] {
            let msg = filled(size);
            assert_eq!(msg.addr() % ALIGN, 0);
            assert_eq!(chunk(msg).len(), size);
            // SAFETY: the buffer is this test's.
            assert_eq!(unsafe { nn_freemsg(msg) }, 0);
        }
        assert_ne!(chunk(filled(0)), chunk(filled(0)));
    }

    #[test]
    fn sizes_that_cannot_be_are_enomem_and_types_einval() {
        for size in [usize::MAX, usize::MAX - 1, usize::MAX - HEADER_BYTES, usize::MAX / 2 + 1] {
            errno::set(Errno(0));
            assert!(nn_allocmsg(size, 0).is_null());
            assert_eq!(errno::get(), libc::ENOMEM);
        }
        assert!(nn_allocmsg(1, 333).is_null());
        assert_eq!(errno::get(), libc::EINVAL);
    }

    #[test]
    fn smaller_stays_larger_moves_and_failure_changes_nothing() {
        let msg = filled(8);
        // SAFETY: buffers of this test, each used until it is given up.
        unsafe {
            assert_eq!(nn_reallocmsg(msg, 8), msg);
            assert_eq!(nn_reallocmsg(msg, 5), msg);
            assert_eq!(chunk(msg).len(), 5);
            assert!(nn_reallocmsg(msg, usize::MAX - 2).is_null());
            assert_eq!(errno::get(), libc::ENOMEM);
            assert_eq!(chunk(msg).bytes(), [7; 5]);
            // Within the capacity, but larger than the message: moves all the same.
            let moved = nn_reallocmsg(msg, 6);
            assert_ne!(moved, msg);
            assert_eq!(chunk(moved).len(), 6);
            assert_eq!(chunk(moved).bytes()[..5], [7; 5]);
            assert_eq!(nn_freemsg(moved), 0);
        }
    }

    #[test]
    fn null_is_nothing_to_free_and_grows_from_nothing() {
        // SAFETY: NULL is allowed in both.
        unsafe {
            assert_eq!(nn_freemsg(null_mut()), 0);
            let msg = nn_reallocmsg(null_mut(), 9);
            assert_eq!(chunk(msg).len(), 9);
            assert_eq!(nn_freemsg(msg), 0);
        }
    }

    #[test]
    fn what_is_recognisably_no_buffer_is_efault() {
        #[repr(align(16))]
        struct Foreign([u8; 64]);
        let mut memory = Foreign([0; 64]);
        for offset in [32, 33, 40] {
            let inside = memory.0.as_mut_ptr().wrapping_add(offset).cast();
            // SAFETY: 32 readable bytes lie in front of the pointer, which is all that is looked at.
            assert_eq!(unsafe { nn_freemsg(inside) }, -1);
            assert_eq!(errno::get(), libc::EFAULT);
        }
    }

    #[test]
    fn a_shared_buffer_lives_until_the_last_reference() {
        let msg = filled(100);
        let bytes = chunk(msg).share();
        assert_eq!(bytes.as_ptr(), msg.cast::<u8>().cast_const());
        let again = bytes.clone();
        drop(bytes);
        // SAFETY: the reference of nn_allocmsg.
        assert_eq!(unsafe { nn_freemsg(msg) }, 0);
        assert_eq!(again, [7; 100].as_slice());
        drop(again);
        let msg = filled(3);
        drop(chunk(msg).share());
        // SAFETY: still alive, the share was a second reference.
        unsafe {
            assert_eq!(chunk(msg).bytes(), [7; 3]);
            assert_eq!(nn_freemsg(msg), 0);
        }
    }
}
