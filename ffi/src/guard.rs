//! The one exit: what a C function returns and leaves in `errno`, and where a panic ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::errno::{self, Errno};

/// What a C function returns when it has failed; follows from the type, so no function chooses.
pub(crate) trait Failure {
    const FAILED: Self;
}

impl Failure for i32 {
    const FAILED: i32 = -1;
}

impl Failure for u64 {
    const FAILED: u64 = u64::MAX;
}

impl<T> Failure for *mut T {
    const FAILED: *mut T = std::ptr::null_mut();
}

impl<T> Failure for *const T {
    const FAILED: *const T = std::ptr::null();
}

impl Failure for () {
    const FAILED: () = ();
}

/// Runs the body of a C function. `errno` is set after everything the body held is gone, so nothing
/// overwrites it.
///
/// A panic would abort the program at the boundary; it is a defect of ours, reported as ENOTRECOVERABLE.
#[inline]
pub(crate) fn guard<T: Failure>(body: impl FnOnce() -> Result<T, Errno>) -> T {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(payload) => {
            // Dropping a payload may panic again.
            std::mem::forget(payload);
            Errno(libc::ENOTRECOVERABLE)
        }
    };
    errno::set(failure);
    T::FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_leaves_errno_alone() {
        errno::set(Errno(libc::EDOM));
        assert_eq!(guard(|| Ok(7)), 7);
        assert_eq!(errno::get(), libc::EDOM);
    }

    #[test]
    fn failure_is_a_value_of_the_type_and_errno() {
        assert_eq!(guard::<i32>(|| Err(Errno(libc::EBADF))), -1);
        assert_eq!(errno::get(), libc::EBADF);
        assert_eq!(guard::<u64>(|| Err(Errno(libc::EINVAL))), u64::MAX);
        assert_eq!(errno::get(), libc::EINVAL);
        assert!(guard::<*mut u8>(|| Err(Errno(libc::ENOMEM))).is_null());
        assert!(guard::<*const u8>(|| Err(Errno(libc::ENOMEM))).is_null());
    }

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guard::<i32>(|| std::panic::resume_unwind(Box::new("defect"))), -1);
        assert_eq!(errno::get(), libc::ENOTRECOVERABLE);
    }
}
