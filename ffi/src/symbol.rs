//! nanomsg's constants: one list, from which the rest of this package takes them by name, and programs by
//! index.
//!
//! Bindings read the table from index 0 until it ends and make constants of it, so order and content are
//! fixed.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::errno::Errno;
use crate::guard::guard;
use crate::pointer;

/// Where nanomsg's own error numbers begin, above any system's.
const NN_HAUSNUMERO: c_int = 156_384_712;

// Constants that the table lacks.
/// Level and type of the control record with a message's routing header.
pub(crate) const PROTO_SP: c_int = 1;
pub(crate) const SP_HDR: c_int = 1;
/// As a length: the buffer is one of nn_allocmsg.
pub(crate) const NN_MSG: usize = usize::MAX;
pub(crate) const NN_IPC_SEC_ATTR: c_int = 1;
pub(crate) const NN_IPC_OUTBUFSZ: c_int = 2;
pub(crate) const NN_IPC_INBUFSZ: c_int = 3;
/// The level of TLS and its options: our own, so they have no row. -5 was nanomsg's once.
#[cfg(feature = "tls")]
pub(crate) const NN_TLS: c_int = -6;
#[cfg(feature = "tls")]
pub(crate) const NN_TLS_CA_FILE: c_int = 1;
#[cfg(feature = "tls")]
pub(crate) const NN_TLS_CERT_FILE: c_int = 2;
#[cfg(feature = "tls")]
pub(crate) const NN_TLS_KEY_FILE: c_int = 3;
#[cfg(feature = "tls")]
pub(crate) const NN_TLS_SERVER_NAME: c_int = 4;
#[cfg(feature = "tls")]
pub(crate) const NN_TLS_AUTH: c_int = 5;

/// One row of the table.
struct Symbol {
    name: &'static CStr,
    value: c_int,
    ns: c_int,
    kind: c_int,
    unit: c_int,
}

/// What nn_symbol_info tells about a constant.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct nn_symbol_properties {
    /// The constant's value.
    pub value: c_int,
    /// Its name; static.
    pub name: *const c_char,
    /// What it belongs to, NN_NS_*.
    pub ns: c_int,
    /// Type of the option's value, NN_TYPE_*.
    pub r#type: c_int,
    /// Unit of the option's value, NN_UNIT_*.
    pub unit: c_int,
}

/// Makes a constant of each row, and the table of all.
macro_rules! symbols {
    ($($name:ident = $value:expr, $ns:ident, $kind:ident, $unit:ident;)*) => {
        $(pub(crate) const $name: c_int = $value;)*

        static SYMBOLS: &[Symbol] = &[$(Symbol {
            name: {
                const BYTES: &[u8] = concat!(stringify!($name), "\0").as_bytes();
                const NAME: &CStr = match CStr::from_bytes_with_nul(BYTES) {
                    Ok(name) => name,
                    Err(_) => panic!("a name has no NUL"),
                };
                NAME
            },
            value: $name,
            ns: symbols!(@ns $ns),
            kind: symbols!(@kind $kind),
            unit: symbols!(@unit $unit),
        }),*];
    };
    (@ns NAMESPACE) => { NN_NS_NAMESPACE };
    (@ns VERSION) => { NN_NS_VERSION };
    (@ns DOMAIN) => { NN_NS_DOMAIN };
    (@ns TRANSPORT) => { NN_NS_TRANSPORT };
    (@ns PROTOCOL) => { NN_NS_PROTOCOL };
    (@ns OPTION_LEVEL) => { NN_NS_OPTION_LEVEL };
    (@ns SOCKET_OPTION) => { NN_NS_SOCKET_OPTION };
    (@ns TRANSPORT_OPTION) => { NN_NS_TRANSPORT_OPTION };
    (@ns OPTION_TYPE) => { NN_NS_OPTION_TYPE };
    (@ns OPTION_UNIT) => { NN_NS_OPTION_UNIT };
    (@ns FLAG) => { NN_NS_FLAG };
    (@ns ERROR) => { NN_NS_ERROR };
    (@ns LIMIT) => { NN_NS_LIMIT };
    (@ns EVENT) => { NN_NS_EVENT };
    (@ns STATISTIC) => { NN_NS_STATISTIC };
    (@kind NONE) => { NN_TYPE_NONE };
    (@kind INT) => { NN_TYPE_INT };
    (@kind STR) => { NN_TYPE_STR };
    (@unit NONE) => { NN_UNIT_NONE };
    (@unit BYTES) => { NN_UNIT_BYTES };
    (@unit MILLISECONDS) => { NN_UNIT_MILLISECONDS };
    (@unit PRIORITY) => { NN_UNIT_PRIORITY };
    (@unit BOOLEAN) => { NN_UNIT_BOOLEAN };
    (@unit COUNTER) => { NN_UNIT_COUNTER };
    (@unit MESSAGES) => { NN_UNIT_MESSAGES };
}

symbols! {
    NN_NS_NAMESPACE = 0, NAMESPACE, NONE, NONE;
    NN_NS_VERSION = 1, NAMESPACE, NONE, NONE;
    NN_NS_DOMAIN = 2, NAMESPACE, NONE, NONE;
    NN_NS_TRANSPORT = 3, NAMESPACE, NONE, NONE;
    NN_NS_PROTOCOL = 4, NAMESPACE, NONE, NONE;
    NN_NS_OPTION_LEVEL = 5, NAMESPACE, NONE, NONE;
    NN_NS_SOCKET_OPTION = 6, NAMESPACE, NONE, NONE;
    NN_NS_TRANSPORT_OPTION = 7, NAMESPACE, NONE, NONE;
    NN_NS_OPTION_TYPE = 8, NAMESPACE, NONE, NONE;
    NN_NS_OPTION_UNIT = 9, NAMESPACE, NONE, NONE;
    NN_NS_FLAG = 10, NAMESPACE, NONE, NONE;
    NN_NS_ERROR = 11, NAMESPACE, NONE, NONE;
    NN_NS_LIMIT = 12, NAMESPACE, NONE, NONE;
    NN_NS_EVENT = 13, NAMESPACE, NONE, NONE;
    NN_NS_STATISTIC = 14, NAMESPACE, NONE, NONE;
    NN_TYPE_NONE = 0, OPTION_TYPE, NONE, NONE;
    NN_TYPE_INT = 1, OPTION_TYPE, NONE, NONE;
    NN_TYPE_STR = 2, OPTION_TYPE, NONE, NONE;
    NN_UNIT_NONE = 0, OPTION_UNIT, NONE, NONE;
    NN_UNIT_BYTES = 1, OPTION_UNIT, NONE, NONE;
    NN_UNIT_MILLISECONDS = 2, OPTION_UNIT, NONE, NONE;
    NN_UNIT_PRIORITY = 3, OPTION_UNIT, NONE, NONE;
    NN_UNIT_BOOLEAN = 4, OPTION_UNIT, NONE, NONE;
    NN_UNIT_COUNTER = 6, OPTION_UNIT, NONE, NONE;
    NN_UNIT_MESSAGES = 5, OPTION_UNIT, NONE, NONE;
    NN_VERSION_CURRENT = 6, VERSION, NONE, NONE;
    NN_VERSION_REVISION = 0, VERSION, NONE, NONE;
    NN_VERSION_AGE = 1, VERSION, NONE, NONE;
    AF_SP = 1, DOMAIN, NONE, NONE;
    AF_SP_RAW = 2, DOMAIN, NONE, NONE;
    NN_INPROC = -1, TRANSPORT, NONE, NONE;
    NN_IPC = -2, TRANSPORT, NONE, NONE;
    NN_TCP = -3, TRANSPORT, NONE, NONE;
    NN_WS = -4, TRANSPORT, NONE, NONE;
    NN_PAIR = 16, PROTOCOL, NONE, NONE;
    NN_PUB = 32, PROTOCOL, NONE, NONE;
    NN_SUB = 33, PROTOCOL, NONE, NONE;
    NN_REP = 49, PROTOCOL, NONE, NONE;
    NN_REQ = 48, PROTOCOL, NONE, NONE;
    NN_PUSH = 80, PROTOCOL, NONE, NONE;
    NN_PULL = 81, PROTOCOL, NONE, NONE;
    NN_SURVEYOR = 98, PROTOCOL, NONE, NONE;
    NN_RESPONDENT = 99, PROTOCOL, NONE, NONE;
    NN_BUS = 112, PROTOCOL, NONE, NONE;
    NN_SOCKADDR_MAX = 128, LIMIT, NONE, NONE;
    NN_SOL_SOCKET = 0, OPTION_LEVEL, NONE, NONE;
    NN_LINGER = 1, SOCKET_OPTION, INT, MILLISECONDS;
    NN_SNDBUF = 2, SOCKET_OPTION, INT, BYTES;
    NN_RCVBUF = 3, SOCKET_OPTION, INT, BYTES;
    NN_RCVMAXSIZE = 16, SOCKET_OPTION, INT, BYTES;
    NN_SNDTIMEO = 4, SOCKET_OPTION, INT, MILLISECONDS;
    NN_RCVTIMEO = 5, SOCKET_OPTION, INT, MILLISECONDS;
    NN_RECONNECT_IVL = 6, SOCKET_OPTION, INT, MILLISECONDS;
    NN_RECONNECT_IVL_MAX = 7, SOCKET_OPTION, INT, MILLISECONDS;
    NN_SNDPRIO = 8, SOCKET_OPTION, INT, PRIORITY;
    NN_RCVPRIO = 9, SOCKET_OPTION, INT, PRIORITY;
    NN_SNDFD = 10, SOCKET_OPTION, INT, NONE;
    NN_RCVFD = 11, SOCKET_OPTION, INT, NONE;
    NN_DOMAIN = 12, SOCKET_OPTION, INT, NONE;
    NN_PROTOCOL = 13, SOCKET_OPTION, INT, NONE;
    NN_IPV4ONLY = 14, SOCKET_OPTION, INT, BOOLEAN;
    NN_SOCKET_NAME = 15, SOCKET_OPTION, STR, NONE;
    NN_MAXTTL = 17, SOCKET_OPTION, INT, NONE;
    NN_SUB_SUBSCRIBE = 1, TRANSPORT_OPTION, STR, NONE;
    NN_SUB_UNSUBSCRIBE = 2, TRANSPORT_OPTION, STR, NONE;
    NN_REQ_RESEND_IVL = 1, TRANSPORT_OPTION, INT, MILLISECONDS;
    NN_SURVEYOR_DEADLINE = 1, TRANSPORT_OPTION, INT, MILLISECONDS;
    NN_TCP_NODELAY = 1, TRANSPORT_OPTION, INT, BOOLEAN;
    NN_WS_MSG_TYPE = 1, TRANSPORT_OPTION, INT, NONE;
    NN_DONTWAIT = 1, FLAG, NONE, NONE;
    NN_WS_MSG_TYPE_TEXT = 1, FLAG, NONE, NONE;
    NN_WS_MSG_TYPE_BINARY = 2, FLAG, NONE, NONE;
    NN_POLLIN = 1, EVENT, NONE, NONE;
    NN_POLLOUT = 2, EVENT, NONE, NONE;
    EADDRINUSE = libc::EADDRINUSE, ERROR, NONE, NONE;
    EADDRNOTAVAIL = libc::EADDRNOTAVAIL, ERROR, NONE, NONE;
    EAFNOSUPPORT = libc::EAFNOSUPPORT, ERROR, NONE, NONE;
    EAGAIN = libc::EAGAIN, ERROR, NONE, NONE;
    EBADF = libc::EBADF, ERROR, NONE, NONE;
    ECONNREFUSED = libc::ECONNREFUSED, ERROR, NONE, NONE;
    EFAULT = libc::EFAULT, ERROR, NONE, NONE;
    EFSM = NN_HAUSNUMERO + 54, ERROR, NONE, NONE;
    EINPROGRESS = libc::EINPROGRESS, ERROR, NONE, NONE;
    EINTR = libc::EINTR, ERROR, NONE, NONE;
    EINVAL = libc::EINVAL, ERROR, NONE, NONE;
    EMFILE = libc::EMFILE, ERROR, NONE, NONE;
    ENAMETOOLONG = libc::ENAMETOOLONG, ERROR, NONE, NONE;
    ENETDOWN = libc::ENETDOWN, ERROR, NONE, NONE;
    ENOBUFS = libc::ENOBUFS, ERROR, NONE, NONE;
    ENODEV = libc::ENODEV, ERROR, NONE, NONE;
    ENOMEM = libc::ENOMEM, ERROR, NONE, NONE;
    ENOPROTOOPT = libc::ENOPROTOOPT, ERROR, NONE, NONE;
    ENOTSOCK = libc::ENOTSOCK, ERROR, NONE, NONE;
    ENOTSUP = libc::ENOTSUP, ERROR, NONE, NONE;
    EPROTO = libc::EPROTO, ERROR, NONE, NONE;
    EPROTONOSUPPORT = libc::EPROTONOSUPPORT, ERROR, NONE, NONE;
    ETERM = NN_HAUSNUMERO + 53, ERROR, NONE, NONE;
    ETIMEDOUT = libc::ETIMEDOUT, ERROR, NONE, NONE;
    EACCES = libc::EACCES, ERROR, NONE, NONE;
    ECONNABORTED = libc::ECONNABORTED, ERROR, NONE, NONE;
    ECONNRESET = libc::ECONNRESET, ERROR, NONE, NONE;
    EHOSTUNREACH = libc::EHOSTUNREACH, ERROR, NONE, NONE;
    EMSGSIZE = libc::EMSGSIZE, ERROR, NONE, NONE;
    ENETRESET = libc::ENETRESET, ERROR, NONE, NONE;
    ENETUNREACH = libc::ENETUNREACH, ERROR, NONE, NONE;
    ENOTCONN = libc::ENOTCONN, ERROR, NONE, NONE;
    NN_STAT_ESTABLISHED_CONNECTIONS = 101, STATISTIC, INT, COUNTER;
    NN_STAT_ACCEPTED_CONNECTIONS = 102, STATISTIC, INT, COUNTER;
    NN_STAT_DROPPED_CONNECTIONS = 103, STATISTIC, INT, COUNTER;
    NN_STAT_BROKEN_CONNECTIONS = 104, STATISTIC, INT, COUNTER;
    NN_STAT_CONNECT_ERRORS = 105, STATISTIC, INT, COUNTER;
    NN_STAT_BIND_ERRORS = 106, STATISTIC, INT, COUNTER;
    NN_STAT_ACCEPT_ERRORS = 107, STATISTIC, INT, COUNTER;
    NN_STAT_MESSAGES_SENT = 301, STATISTIC, INT, MESSAGES;
    NN_STAT_MESSAGES_RECEIVED = 302, STATISTIC, INT, MESSAGES;
    NN_STAT_BYTES_SENT = 303, STATISTIC, INT, BYTES;
    NN_STAT_BYTES_RECEIVED = 304, STATISTIC, INT, BYTES;
    NN_STAT_CURRENT_CONNECTIONS = 201, STATISTIC, INT, NONE;
    NN_STAT_INPROGRESS_CONNECTIONS = 202, STATISTIC, INT, NONE;
    NN_STAT_CURRENT_SND_PRIORITY = 401, STATISTIC, INT, PRIORITY;
    NN_STAT_CURRENT_EP_ERRORS = 203, STATISTIC, INT, NONE;
}

fn row(index: c_int) -> Option<&'static Symbol> {
    SYMBOLS.get(usize::try_from(index).ok()?)
}

/// The name of the constant with this index, and its value in `*value` unless that is NULL. Static.
///
/// Indices go from 0 without gaps; beyond the last, and below 0, the result is NULL and errno EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_symbol(i: c_int, value: *mut c_int) -> *const c_char {
    guard(|| {
        let symbol = row(i).ok_or(Errno(libc::EINVAL))?;
        if !value.is_null() {
            // SAFETY: not NULL, so the caller's int, as the interface demands.
            unsafe { pointer::write(value, symbol.value) }?;
        }
        Ok(symbol.name.as_ptr())
    })
}

/// Stores the first `buflen` bytes of what there is to know about the constant with this index.
///
/// Returns the bytes stored, at most the structure's size; 0, without an error, for an index that does not
/// exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_symbol_info(i: c_int, buf: *mut nn_symbol_properties, buflen: c_int) -> c_int {
    guard(|| {
        let Some(symbol) = row(i) else { return Ok(0) };
        let Symbol { name, value, ns, kind, unit } = *symbol;
        let info = nn_symbol_properties { value, name: name.as_ptr(), ns, r#type: kind, unit };
        let len = usize::try_from(buflen).unwrap_or(0).min(size_of_val(&info));
        if buf.is_null() {
            return Ok(0);
        }
        // SAFETY: at most the structure's bytes are read, padding included, and at most `buflen` are
        // written, which the caller has.
        unsafe {
            std::ptr::copy_nonoverlapping((&raw const info).cast::<u8>(), buf.cast::<c_void>().cast(), len)
        };
        Ok(len as c_int)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno;
    use std::ptr::null_mut;

    const FULL: c_int = size_of::<nn_symbol_properties>() as c_int;

    fn info(index: c_int, len: c_int) -> (c_int, nn_symbol_properties) {
        let mut info =
            nn_symbol_properties { value: -77, name: c"".as_ptr(), ns: -77, r#type: -77, unit: -77 };
        // SAFETY: a whole structure, of which at most its size is written.
        (unsafe { nn_symbol_info(index, &raw mut info, len) }, info)
    }

    fn name(at: *const c_char) -> &'static str {
        // SAFETY: names are static and NUL-terminated.
        unsafe { CStr::from_ptr(at) }.to_str().expect("ASCII")
    }

    #[test]
    fn the_table_has_121_rows_in_order() {
        assert_eq!(SYMBOLS.len(), 121);
        let some = [
            (0, "NN_NS_NAMESPACE", 0),
            (6, "NN_NS_SOCKET_OPTION", 6),
            (23, "NN_UNIT_COUNTER", 6),
            (25, "NN_VERSION_CURRENT", 6),
            (33, "NN_WS", -4),
            (37, "NN_REP", 49),
            (49, "NN_RCVMAXSIZE", 16),
            (62, "NN_MAXTTL", 17),
            (74, "EADDRINUSE", libc::EADDRINUSE),
            (81, "EFSM", 156_384_766),
            (96, "ETERM", 156_384_765),
            (120, "NN_STAT_CURRENT_EP_ERRORS", 203),
        ];
        for (index, expected, value) in some {
            let mut got = -77;
            // SAFETY: a valid int.
            let at = unsafe { nn_symbol(index, &raw mut got) };
            assert_eq!((name(at), got), (expected, value));
        }
    }

    #[test]
    fn both_functions_tell_the_same() {
        for index in 0..SYMBOLS.len() as c_int {
            let mut value = -77;
            // SAFETY: a valid int.
            let at = unsafe { nn_symbol(index, &raw mut value) };
            let (stored, info) = info(index, FULL);
            assert_eq!((stored, info.value, name(info.name)), (FULL, value, name(at)));
        }
        let (_, subscribe) = info(63, FULL);
        assert_eq!(
            (subscribe.ns, subscribe.r#type, subscribe.unit),
            (NN_NS_TRANSPORT_OPTION, NN_TYPE_STR, 0)
        );
        let (_, priority) = info(54, FULL);
        assert_eq!((priority.ns, priority.r#type, priority.unit), (NN_NS_SOCKET_OPTION, NN_TYPE_INT, 3));
    }

    #[test]
    fn indices_outside_are_einval_or_nothing() {
        for index in [-1, 121, 2000, c_int::MIN, c_int::MAX] {
            errno::set(Errno(0));
            // SAFETY: NULL is allowed.
            assert!(unsafe { nn_symbol(index, null_mut()) }.is_null());
            assert_eq!(errno::get(), libc::EINVAL);
            assert_eq!(info(index, FULL).0, 0);
        }
    }

    #[test]
    fn information_is_cut_to_the_callers_structure() {
        assert_eq!(info(6, 0).0, 0);
        assert_eq!(info(6, -5).0, 0);
        assert_eq!(info(6, 1000).0, FULL);
        let (stored, cut) = info(6, 4);
        assert_eq!((stored, cut.value, cut.ns), (4, 6, -77));
        // SAFETY: NULL is answered with nothing.
        assert_eq!(unsafe { nn_symbol_info(6, null_mut(), FULL) }, 0);
    }
}
