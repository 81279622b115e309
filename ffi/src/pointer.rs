//! The one entry: C pointers become values and slices, or an error.
//!
//! What a pointer designates is not assumed to be aligned, because C programs cast buffers of bytes; it is
//! only assumed to be there, which is the caller's promise and the reason why every function here is
//! unsafe.

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;

use crate::errno::Errno;

/// `len` bytes. NULL is fine for none.
///
/// # Errors
/// EFAULT for NULL with a length; EINVAL for a length that no object has.
///
/// # Safety
/// `at` is NULL or designates `len` readable bytes that nobody writes while the slice is in use.
pub(crate) unsafe fn bytes<'a>(at: *const c_void, len: usize) -> Result<&'a [u8], Errno> {
    match (at.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno(libc::EFAULT)),
        (false, len) if isize::try_from(len).is_err() => Err(Errno(libc::EINVAL)),
        // SAFETY: not NULL, not longer than an object can be, readable as the caller promises; bytes need
        // no alignment.
        (false, len) => Ok(unsafe { std::slice::from_raw_parts(at.cast(), len) }),
    }
}

/// A place for `len` bytes, whatever is there now; for more than an object can have, for so many. NULL is a place for none.
///
/// # Safety
/// `at` is NULL or designates `len` writable bytes that nobody else uses while the slice is in use.
pub(crate) unsafe fn place<'a>(at: *mut c_void, len: usize) -> &'a mut [MaybeUninit<u8>] {
    let len = isize::try_from(len).map_or(isize::MAX.unsigned_abs(), |_| len);
    if at.is_null() {
        return &mut [];
    }
    // SAFETY: not NULL, not longer than an object can be, writable as the caller promises; bytes need no alignment.
    unsafe { std::slice::from_raw_parts_mut(at.cast(), len) }
}

/// A text without its NUL, cut off after `max` bytes.
///
/// # Errors
/// EINVAL for NULL.
///
/// # Safety
/// `at` is NULL or designates a NUL-terminated text.
pub(crate) unsafe fn text<'a>(at: *const c_char, max: usize) -> Result<&'a [u8], Errno> {
    if at.is_null() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: strnlen stops at the NUL, which is there as the caller promises; so many bytes are readable.
    unsafe { bytes(at.cast(), libc::strnlen(at, max)) }
}

/// A copy of what the pointer designates.
///
/// # Errors
/// EFAULT for NULL.
///
/// # Safety
/// `at` is NULL or designates a readable `T`, aligned or not.
pub(crate) unsafe fn read<T: Copy>(at: *const T) -> Result<T, Errno> {
    if at.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: not NULL; readable as the caller promises.
    Ok(unsafe { at.read_unaligned() })
}

/// Stores a value.
///
/// # Errors
/// EFAULT for NULL.
///
/// # Safety
/// `at` is NULL or designates a writable `T`, aligned or not.
pub(crate) unsafe fn write<T: Copy>(at: *mut T, value: T) -> Result<(), Errno> {
    if at.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: not NULL; writable as the caller promises.
    unsafe { at.write_unaligned(value) };
    Ok(())
}

/// Copies as much of `data` as fits into `len` bytes, and returns how much that was. NULL takes nothing.
///
/// # Safety
/// `at` is NULL or designates `len` writable bytes that do not overlap `data`.
pub(crate) unsafe fn copy_to(at: *mut c_void, len: usize, data: &[u8]) -> usize {
    if at.is_null() {
        return 0;
    }
    let len = len.min(data.len());
    // SAFETY: readable because `len` is at most the slice's length, writable and apart as the caller
    // promises.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), at.cast(), len) };
    len
}

/// An array in C: so many `T` behind one another, aligned or not.
pub(crate) struct Array<T> {
    at: *mut T,
    len: usize,
}

impl<T: Copy> Array<T> {
    /// # Errors
    /// EFAULT for NULL with a length. A negative length is the caller's to refuse; it counts as none here.
    ///
    /// # Safety
    /// `at` is NULL or designates `len` elements that stay readable, and writable if [`set`](Array::set) is
    /// called, as long as the array is in use.
    pub(crate) unsafe fn new(at: *mut T, len: c_int) -> Result<Array<T>, Errno> {
        let len = usize::try_from(len).unwrap_or(0);
        if at.is_null() && len > 0 {
            return Err(Errno(libc::EFAULT));
        }
        Ok(Array { at, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        // SAFETY: within the array, which is readable as `new`'s caller promised.
        (0..self.len).map(|index| unsafe { self.at.wrapping_add(index).read_unaligned() })
    }

    /// Stores an element; one beyond the end is ignored.
    pub(crate) fn set(&self, index: usize, value: T) {
        if index < self.len {
            // SAFETY: within the array, which is writable as `new`'s caller promised.
            unsafe { self.at.wrapping_add(index).write_unaligned(value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    #[test]
    fn null_and_absurd_lengths_are_errors() {
        let byte = 7u8;
        let at: *const c_void = (&raw const byte).cast();
        // SAFETY: NULL, or one readable byte with a length of 0 or 1 wherever the memory is touched.
        unsafe {
            assert_eq!(bytes(null(), 0), Ok(&[][..]));
            assert_eq!(bytes(null(), 1), Err(Errno(libc::EFAULT)));
            assert_eq!(bytes(at, 0), Ok(&[][..]));
            assert_eq!(bytes(at, 1), Ok(&[7][..]));
            assert_eq!(bytes(at, usize::MAX), Err(Errno(libc::EINVAL)));
            assert_eq!(text(null(), 5), Err(Errno(libc::EINVAL)));
            assert_eq!(read::<c_int>(null()), Err(Errno(libc::EFAULT)));
            assert_eq!(write::<c_int>(null_mut(), 1), Err(Errno(libc::EFAULT)));
            assert_eq!(copy_to(null_mut(), 5, b"abc"), 0);
            assert!(place(null_mut(), 5).is_empty());
            assert!(Array::<c_int>::new(null_mut(), 1).is_err());
            assert_eq!(Array::<c_int>::new(null_mut(), 0).map(|array| array.len()), Ok(0));
        }
    }

    #[test]
    fn texts_end_at_the_nul_or_the_limit() {
        // SAFETY: a NUL-terminated literal.
        unsafe {
            assert_eq!(text(c"inproc://a".as_ptr(), 128), Ok(&b"inproc://a"[..]));
            assert_eq!(text(c"inproc://a".as_ptr(), 6), Ok(&b"inproc"[..]));
        }
    }

    #[test]
    fn arrays_may_lie_anywhere() {
        let mut raw = [0u8; 13];
        // SAFETY: three ints fit behind the first byte.
        let array =
            unsafe { Array::<c_int>::new(raw.as_mut_ptr().wrapping_add(1).cast(), 3) }.expect("not NULL");
        array.set(0, 1);
        array.set(2, -1);
        array.set(3, 99);
        assert_eq!(array.iter().collect::<Vec<_>>(), [1, 0, -1]);
        assert_eq!((array.len(), raw[0]), (3, 0));
    }
}
