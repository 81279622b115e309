//! Errors as numbers, and numbers as text.

use std::ffi::{CStr, c_char, c_int};
use std::io;

use spmsg::Error;
use spmsg::compat::{Cause, cause};

use crate::guard::guard;
use crate::symbol::{EFSM, ETERM};

/// An error number of the system's `errno.h` or of nanomsg's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

impl From<Error> for Errno {
    #[cold]
    fn from(error: Error) -> Self {
        Errno(match cause(&error) {
            Cause::Closed => libc::EBADF,
            Cause::WouldBlock => libc::EAGAIN,
            Cause::TimedOut => libc::ETIMEDOUT,
            Cause::Interrupted => libc::EINTR,
            Cause::State => EFSM,
            Cause::Unsupported => libc::ENOTSUP,
            Cause::NoSuchOption => libc::ENOPROTOOPT,
            Cause::Invalid => libc::EINVAL,
            Cause::NameTooLong => libc::ENAMETOOLONG,
            Cause::UnknownTransport => libc::EPROTONOSUPPORT,
            Cause::NoSuchDevice => libc::ENODEV,
            Cause::Os(error) => os(error),
        })
    }
}

/// The system's own number, or the nearest one for an error that std or the library made.
fn os(error: &io::Error) -> c_int {
    if let Some(number) = error.raw_os_error() {
        return number;
    }
    match error.kind() {
        io::ErrorKind::AddrInUse => libc::EADDRINUSE,
        io::ErrorKind::AddrNotAvailable => libc::EADDRNOTAVAIL,
        io::ErrorKind::PermissionDenied => libc::EACCES,
        io::ErrorKind::NotFound => libc::ENOENT,
        io::ErrorKind::OutOfMemory => libc::ENOMEM,
        io::ErrorKind::TimedOut => libc::ETIMEDOUT,
        io::ErrorKind::Unsupported => libc::ENOTSUP,
        io::ErrorKind::InvalidInput => libc::EINVAL,
        _ => libc::EIO,
    }
}

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as location;
#[cfg(any(target_os = "linux", target_os = "emscripten", target_os = "redox"))]
use libc::__errno_location as location;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as location;

pub(crate) fn set(number: Errno) {
    // SAFETY: the C library returns a valid pointer to the calling thread's errno.
    unsafe { *location() = number.0 };
}

pub(crate) fn get() -> c_int {
    // SAFETY: as above.
    unsafe { *location() }
}

/// The calling thread's errno, for programs whose C library has another one than ours.
#[unsafe(no_mangle)]
pub extern "C" fn nn_errno() -> c_int {
    get()
}

/// The text of an error number, never NULL; the library's own numbers have texts, others are the system's.
/// Static for numbers that exist; of others valid until the thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn nn_strerror(errnum: c_int) -> *const c_char {
    guard(|| Ok(text(errnum)))
}

fn text(number: c_int) -> *const c_char {
    const TERMINATED: &CStr = c"Nanomsg library was terminated";
    const STATE: &CStr = c"Operation cannot be performed in this state";
    const UNKNOWN: &CStr = c"Unknown error";
    match number {
        ETERM => TERMINATED.as_ptr(),
        EFSM => STATE.as_ptr(),
        _ => {
            // SAFETY: strerror takes any number.
            let text = unsafe { libc::strerror(number) };
            if text.is_null() { UNKNOWN.as_ptr() } else { text }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use spmsg::{AddressError, Protocol};

    fn text_of(number: c_int) -> CString {
        // SAFETY: nn_strerror returns a NUL-terminated text, copied before the next call.
        unsafe { CStr::from_ptr(nn_strerror(number)) }.to_owned()
    }

    #[test]
    fn every_error_has_its_documented_number() {
        let protocol = Protocol::Pull;
        let malformed = AddressError::Malformed { address: "x".into(), why: "y" };
        let unknown = AddressError::UnknownTransport { scheme: "x".into() };
        let device = AddressError::NoSuchDevice { host: "x".into(), accepted: "y" };
        let table = [
            (Error::Closed, libc::EBADF),
            (Error::WouldBlock, libc::EAGAIN),
            (Error::TimedOut, libc::ETIMEDOUT),
            (Error::Interrupted, libc::EINTR),
            (Error::State("x"), 156_384_766),
            (Error::Unsupported { protocol, operation: "send" }, libc::ENOTSUP),
            (Error::Header { protocol, len: 4 }, libc::EINVAL),
            (Error::Address(AddressError::TooLong { len: 200, max: 127 }), libc::ENAMETOOLONG),
            (Error::Address(malformed), libc::EINVAL),
            (Error::Address(unknown), libc::EPROTONOSUPPORT),
            (Error::Address(device), libc::ENODEV),
            (Error::Address(AddressError::IpcPathTooLong { len: 108, max: 107 }), libc::ENAMETOOLONG),
            (Error::OptionValue { option: "x", value: "y".into(), expected: "z" }, libc::EINVAL),
            (Error::NoSuchOption { protocol, option: "x" }, libc::ENOPROTOOPT),
            (Error::NotSubscribed(3), libc::EINVAL),
            (Error::NoSuchEndpoint(3), libc::EINVAL),
            (Error::Device("x"), libc::EINVAL),
        ];
        for (error, number) in table {
            let text = error.to_string();
            assert_eq!(Errno::from(error), Errno(number), "{text}");
        }
    }

    #[test]
    fn errors_of_the_system_keep_their_number() {
        let number = |source: io::Error| {
            Errno::from(Error::Os { operation: "bind to", subject: String::new(), source }).0
        };
        for code in [libc::EADDRINUSE, libc::EACCES, libc::ENOTDIR, libc::EMFILE, 77] {
            assert_eq!(number(io::Error::from_raw_os_error(code)), code);
        }
        assert_eq!(number(io::ErrorKind::AddrInUse.into()), libc::EADDRINUSE);
        assert_eq!(number(io::Error::other("resolver")), libc::EIO);
    }

    #[test]
    fn own_numbers_have_own_texts_and_the_rest_the_systems() {
        assert_eq!(text_of(ETERM).to_bytes(), b"Nanomsg library was terminated");
        assert_eq!(text_of(EFSM).to_bytes(), b"Operation cannot be performed in this state");
        for (number, text) in
            [(libc::EINVAL, "Invalid argument"), (libc::EPROTONOSUPPORT, "Protocol not supported")]
        {
            assert_eq!(text_of(number).to_bytes(), text.as_bytes());
        }
        for number in [0, -1, i32::MIN, i32::MAX, ETERM - 1, EFSM + 1] {
            assert!(!text_of(number).is_empty(), "{number}");
        }
    }
}
