//! Socket options: nn_setsockopt and nn_getsockopt, on every level.
//!
//! Integer options are rows of one table. What the program set is kept beside the socket, so that it reads
//! back exactly that, whatever the library makes of it.

use std::ffi::{c_int, c_void};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use spmsg::{Error, Mode, Options, Protocol, Socket, compat};

use crate::cmsg;
use crate::errno::Errno;
use crate::guard::guard;
use crate::pointer;
use crate::symbol::*;
use crate::table::{self, Entry};

/// Bytes of an integer option.
const INT_BYTES: usize = size_of::<c_int>();

/// One integer option.
struct Row {
    level: c_int,
    option: c_int,
    default: c_int,
    range: RangeInclusive<c_int>,
    apply: fn(&Socket, c_int) -> Result<(), Error>,
}

const ANY: RangeInclusive<c_int> = c_int::MIN..=c_int::MAX;
const FROM_0: RangeInclusive<c_int> = 0..=c_int::MAX;
const FROM_1: RangeInclusive<c_int> = 1..=c_int::MAX;
const FLAG: RangeInclusive<c_int> = 0..=1;
const PRIORITY: RangeInclusive<c_int> = 1..=16;

const ROWS: usize = 18 + cfg!(feature = "tls") as usize;

#[rustfmt::skip]
static TABLE: [Row; ROWS] = [
    Row { level: NN_SOL_SOCKET, option: NN_SNDTIMEO, default: -1, range: ANY,
        apply: |s, v| change(s, |o| Ok(o.set_send_timeout(time(v)))) },
    Row { level: NN_SOL_SOCKET, option: NN_RCVTIMEO, default: -1, range: ANY,
        apply: |s, v| change(s, |o| Ok(o.set_recv_timeout(time(v)))) },
    Row { level: NN_SOL_SOCKET, option: NN_SNDBUF, default: 131_072, range: FROM_1,
        apply: |s, v| change(s, |o| o.set_send_buffer(size(v))) },
    Row { level: NN_SOL_SOCKET, option: NN_RCVBUF, default: 131_072, range: FROM_1,
        apply: |s, v| change(s, |o| o.set_recv_buffer(size(v))) },
    Row { level: NN_SOL_SOCKET, option: NN_RECONNECT_IVL, default: 100, range: FROM_0,
        apply: |s, v| change(s, |o| Ok(o.set_reconnect(time(v).unwrap_or_default()))) },
    Row { level: NN_SOL_SOCKET, option: NN_RECONNECT_IVL_MAX, default: 0, range: FROM_0,
        apply: |s, v| change(s, |o| Ok(o.set_reconnect_max(time(v).unwrap_or_default()))) },
    Row { level: NN_SOL_SOCKET, option: NN_SNDPRIO, default: 8, range: PRIORITY,
        apply: |s, v| change(s, |o| o.set_send_priority(byte(v))) },
    Row { level: NN_SOL_SOCKET, option: NN_RCVPRIO, default: 8, range: PRIORITY,
        apply: |s, v| change(s, |o| o.set_recv_priority(byte(v))) },
    Row { level: NN_SOL_SOCKET, option: NN_IPV4ONLY, default: 1, range: FLAG,
        apply: |s, v| change(s, |o| Ok(o.set_ipv4_only(v == 1))) },
    Row { level: NN_SOL_SOCKET, option: NN_RCVMAXSIZE, default: 1_048_576, range: -1..=c_int::MAX,
        apply: |s, v| change(s, |o| Ok(o.set_recv_max(usize::try_from(v).ok()))) },
    Row { level: NN_SOL_SOCKET, option: NN_MAXTTL, default: 8, range: 1..=255,
        apply: |s, v| change(s, |o| o.set_max_ttl(byte(v))) },
    // A negative time means no bound in nanomsg's manual: as long as the library waits at all.
    Row { level: NN_SOL_SOCKET, option: NN_LINGER, default: 0, range: ANY,
        apply: |s, v| change(s, |o| Ok(o.set_linger(time(v).unwrap_or(Duration::MAX)))) },
    // Reads 0 until it is set, though connections do send small messages at once: programs rely on either.
    Row { level: NN_TCP, option: NN_TCP_NODELAY, default: 0, range: FLAG,
        apply: |s, v| change(s, |o| Ok(o.set_tcp_nodelay(v == 1))) },
    Row { level: NN_WS, option: NN_WS_MSG_TYPE, default: NN_WS_MSG_TYPE_BINARY,
        range: NN_WS_MSG_TYPE_TEXT..=NN_WS_MSG_TYPE_BINARY,
        apply: |s, v| change(s, |o| Ok(o.set_ws_message_type(cmsg::ws_type(byte(v)).unwrap_or_default()))) },
    Row { level: NN_IPC, option: NN_IPC_OUTBUFSZ, default: 4096, range: ANY, apply: only_kept },
    Row { level: NN_IPC, option: NN_IPC_INBUFSZ, default: 4096, range: ANY, apply: only_kept },
    Row { level: NN_REQ, option: NN_REQ_RESEND_IVL, default: 60_000, range: FROM_0,
        apply: |s, v| s.set_resend_interval(time(v).unwrap_or_default()) },
    Row { level: NN_SURVEYOR, option: NN_SURVEYOR_DEADLINE, default: 1000, range: FROM_0,
        apply: |s, v| s.set_survey_deadline(time(v).unwrap_or_default()) },
    #[cfg(feature = "tls")]
    Row { level: NN_TLS, option: NN_TLS_AUTH, default: -1, range: -1..=2, apply: crate::tls::set_auth },
];

const SEND_TIMEOUT: usize = 0;
const RECV_TIMEOUT: usize = 1;

fn change(
    socket: &Socket,
    change: impl for<'a> FnOnce(&'a mut Options) -> Result<&'a mut Options, Error>,
) -> Result<(), Error> {
    socket.set_options(|options| change(options).map(drop))
}

/// An option without effect on this system; a closed socket refuses it like any other.
fn only_kept(socket: &Socket, _value: c_int) -> Result<(), Error> {
    change(socket, |options| Ok(options))
}

/// Milliseconds; `None` for a negative number of them.
fn time(value: c_int) -> Option<Duration> {
    u64::try_from(value).ok().map(Duration::from_millis)
}

fn size(value: c_int) -> usize {
    usize::try_from(value).unwrap_or_default()
}

fn byte(value: c_int) -> u8 {
    u8::try_from(value).unwrap_or_default()
}

/// Option values of one socket, as the program set them.
pub(crate) struct Values {
    ints: [AtomicI32; ROWS],
    /// NN_IPC_SEC_ATTR: a pointer, kept and given back.
    security: AtomicUsize,
    /// The texts of NN_TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: crate::tls::Texts,
    /// What is applied last is also what is read.
    setting: Mutex<()>,
}

impl Default for Values {
    fn default() -> Self {
        Values {
            ints: std::array::from_fn(|row| AtomicI32::new(TABLE[row].default)),
            security: AtomicUsize::new(0),
            #[cfg(feature = "tls")]
            tls: crate::tls::Texts::default(),
            setting: Mutex::new(()),
        }
    }
}

impl Values {
    /// NN_SNDTIMEO; `None` for ever.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        time(self.ints[SEND_TIMEOUT].load(Ordering::Relaxed))
    }

    /// NN_RCVTIMEO; `None` for ever.
    pub(crate) fn recv_timeout(&self) -> Option<Duration> {
        time(self.ints[RECV_TIMEOUT].load(Ordering::Relaxed))
    }
}

/// The row of an integer option, if the socket has it. Options of protocols exist on their cooked sockets
/// only.
fn row_of(entry: &Entry, level: c_int, option: c_int) -> Result<usize, Errno> {
    let exists = level <= 0
        || entry.socket.mode() == Mode::Cooked && level == c_int::from(entry.socket.protocol().number());
    let row = TABLE.iter().position(|row| (row.level, row.option) == (level, option));
    row.filter(|_| exists).ok_or(Errno(libc::ENOPROTOOPT))
}

/// Sets an option. Integer values take exactly 4 bytes.
///
/// Errors, in this order: EBADF, EFAULT for NULL with a length, EINVAL for the length, ENOPROTOOPT for an
/// option that is unknown, read-only or not of this socket, EINVAL for the value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_setsockopt(
    s: c_int,
    level: c_int,
    option: c_int,
    optval: *const c_void,
    optvallen: usize,
) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        // SAFETY: the caller's value, as the interface demands.
        let value = unsafe { pointer::bytes(optval, optvallen) }?;
        set(&entry, level, option, value)?;
        Ok(0)
    })
}

fn set(entry: &Entry, level: c_int, option: c_int, value: &[u8]) -> Result<(), Errno> {
    match level {
        NN_SOL_SOCKET if option == NN_SOCKET_NAME => return set_name(entry, value),
        NN_SUB if entry.socket.protocol() == Protocol::Sub => return subscribe(entry, option, value),
        #[cfg(feature = "tls")]
        NN_TLS if option != NN_TLS_AUTH => return crate::tls::set(entry, option, value),
        #[cfg(feature = "tls")]
        NN_TLS => (),
        // Whether a protocol has an option is asked before its size; with the others it is the other way
        // round.
        1.. => drop(row_of(entry, level, option)?),
        NN_SOL_SOCKET | NN_TCP | NN_WS | NN_IPC => (),
        _ => return Err(Errno(libc::ENOPROTOOPT)),
    }
    let too_long = value.len() > INT_BYTES && level != NN_IPC;
    let int = value.first_chunk().filter(|_| !too_long).ok_or(Errno(libc::EINVAL))?;
    if (level, option) == (NN_IPC, NN_IPC_SEC_ATTR) {
        let pointer = value.first_chunk().ok_or(Errno(libc::EINVAL))?;
        entry.values.security.store(usize::from_ne_bytes(*pointer), Ordering::Relaxed);
        return Ok(());
    }
    set_int(entry, row_of(entry, level, option)?, c_int::from_ne_bytes(*int))
}

fn set_int(entry: &Entry, index: usize, value: c_int) -> Result<(), Errno> {
    let row = &TABLE[index];
    if !row.range.contains(&value) {
        return Err(Errno(libc::EINVAL));
    }
    let _one_at_a_time = entry.values.setting.lock();
    (row.apply)(&entry.socket, value)?;
    // Bindings rely on reading 0 whatever was set.
    let reads = if row.option == NN_LINGER && row.level == NN_SOL_SOCKET { 0 } else { value };
    entry.values.ints[index].store(reads, Ordering::Relaxed);
    Ok(())
}

fn set_name(entry: &Entry, value: &[u8]) -> Result<(), Errno> {
    Ok(change(&entry.socket, |options| options.set_name(value))?)
}

fn subscribe(entry: &Entry, option: c_int, topic: &[u8]) -> Result<(), Errno> {
    match option {
        NN_SUB_SUBSCRIBE => entry.socket.subscribe(topic)?,
        NN_SUB_UNSUBSCRIBE => entry.socket.unsubscribe(topic)?,
        _ => return Err(Errno(libc::ENOPROTOOPT)),
    }
    Ok(())
}

/// Reads an option: stores as much of its value as fits into `*optvallen` bytes, and its full size in
/// `*optvallen`.
///
/// Errors: EBADF, EFAULT, ENOPROTOOPT; EINVAL for a buffer too small for NN_REQ_RESEND_IVL or
/// NN_SURVEYOR_DEADLINE; EMFILE when NN_SNDFD or NN_RCVFD, which are made when first read, cannot be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_getsockopt(
    s: c_int,
    level: c_int,
    option: c_int,
    optval: *mut c_void,
    optvallen: *mut usize,
) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        // SAFETY: the caller's length, as the interface demands.
        let room = unsafe { pointer::read(optvallen) }?;
        if optval.is_null() {
            return Err(Errno(libc::EFAULT));
        }
        let value = get(&entry, level, option, room)?;
        let full =
            if level == NN_SOL_SOCKET && option == NN_SOCKET_NAME { text_len(&value) } else { value.len() };
        // SAFETY: the caller's buffer has as many bytes as the caller's length says.
        unsafe {
            pointer::copy_to(optval, room, &value);
            pointer::write(optvallen, full)?;
        }
        Ok(0)
    })
}

/// The bytes of an option's value. `room` is what the caller can take.
fn get(entry: &Entry, level: c_int, option: c_int, room: usize) -> Result<Vec<u8>, Errno> {
    let socket = &entry.socket;
    let int = match (level, option) {
        (NN_SOL_SOCKET, NN_SOCKET_NAME) => return name(socket, room),
        (NN_IPC, NN_IPC_SEC_ATTR) => {
            return Ok(entry.values.security.load(Ordering::Relaxed).to_ne_bytes().to_vec());
        }
        #[cfg(feature = "tls")]
        (NN_TLS, NN_TLS_CA_FILE..=NN_TLS_SERVER_NAME) => return crate::tls::get(entry, option),
        (NN_SOL_SOCKET, NN_DOMAIN) if socket.mode() == Mode::Raw => AF_SP_RAW,
        (NN_SOL_SOCKET, NN_DOMAIN) => AF_SP,
        (NN_SOL_SOCKET, NN_PROTOCOL) => c_int::from(socket.protocol().number()),
        (NN_SOL_SOCKET, NN_SNDFD | NN_RCVFD) => descriptor(socket, option == NN_RCVFD)?,
        _ => {
            let row = row_of(entry, level, option)?;
            if level > 0 && room < INT_BYTES {
                return Err(Errno(libc::EINVAL));
            }
            entry.values.ints[row].load(Ordering::Relaxed)
        }
    };
    Ok(int.to_ne_bytes().to_vec())
}

fn descriptor(socket: &Socket, recv: bool) -> Result<c_int, Errno> {
    compat::descriptor(socket, recv).map_err(|error| match error {
        // A direction the protocol lacks is an option the socket lacks.
        Error::Unsupported { .. } => Errno(libc::ENOPROTOOPT),
        error => error.into(),
    })
}

/// The name, with zeros behind it as far as the caller's buffer goes.
fn name(socket: &Socket, room: usize) -> Result<Vec<u8>, Errno> {
    let mut name = socket.options()?.name().to_vec();
    name.truncate(text_len(&name));
    if name.len() < room {
        name.try_reserve_exact(room - name.len()).map_err(|_| Errno(libc::ENOMEM))?;
        name.resize(room, 0);
    }
    Ok(name)
}

/// Bytes before the first NUL.
pub(crate) fn text_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(protocol: Protocol, mode: Mode) -> Entry {
        Entry::new(Socket::new(protocol, mode))
    }

    fn read_int(entry: &Entry, level: c_int, option: c_int) -> Result<c_int, Errno> {
        let value = get(entry, level, option, INT_BYTES)?;
        Ok(c_int::from_ne_bytes(value.try_into().expect("4 bytes")))
    }

    #[test]
    fn timeouts_are_the_rows_their_places_say() {
        assert_eq!(TABLE[SEND_TIMEOUT].option, NN_SNDTIMEO);
        assert_eq!(TABLE[RECV_TIMEOUT].option, NN_RCVTIMEO);
        let entry = entry(Protocol::Pair, Mode::Cooked);
        assert_eq!(entry.values.send_timeout(), None);
        set(&entry, NN_SOL_SOCKET, NN_RCVTIMEO, &0i32.to_ne_bytes()).expect("valid");
        assert_eq!(entry.values.recv_timeout(), Some(Duration::ZERO));
    }

    #[test]
    fn r107_defaults_are_within_their_ranges_and_those_of_the_library() {
        for row in &TABLE {
            assert!(row.range.contains(&row.default), "{} {}", row.level, row.option);
        }
        let options = Options::default();
        let entry = entry(Protocol::Pair, Mode::Cooked);
        let reads = |option| read_int(&entry, NN_SOL_SOCKET, option).expect("exists");
        assert_eq!(size(reads(NN_SNDBUF)), options.send_buffer());
        assert_eq!(size(reads(NN_RCVBUF)), options.recv_buffer());
        assert_eq!(time(reads(NN_RECONNECT_IVL)), Some(options.reconnect()));
        assert_eq!(Some(size(reads(NN_RCVMAXSIZE))), options.recv_max());
        assert_eq!(byte(reads(NN_MAXTTL)), options.max_ttl());
        assert_eq!(byte(reads(NN_SNDPRIO)), options.send_priority());
    }

    #[test]
    fn what_is_set_reaches_the_library_and_reads_back() {
        let entry = entry(Protocol::Pair, Mode::Cooked);
        set(&entry, NN_SOL_SOCKET, NN_RCVMAXSIZE, &(-1i32).to_ne_bytes()).expect("valid");
        set(&entry, NN_SOL_SOCKET, NN_LINGER, &250i32.to_ne_bytes()).expect("valid");
        set(&entry, NN_TCP, NN_TCP_NODELAY, &0i32.to_ne_bytes()).expect("valid");
        let options = entry.socket.options().expect("open");
        assert_eq!(options.recv_max(), None);
        assert_eq!(options.linger(), Duration::from_millis(250));
        assert!(!options.tcp_nodelay());
        assert_eq!(read_int(&entry, NN_SOL_SOCKET, NN_RCVMAXSIZE), Ok(-1));
        assert_eq!(read_int(&entry, NN_SOL_SOCKET, NN_LINGER), Ok(0));
    }

    #[test]
    fn r106_a_refused_value_changes_nothing() {
        let entry = entry(Protocol::Req, Mode::Cooked);
        for (level, option, value) in [(NN_SOL_SOCKET, NN_MAXTTL, 256), (NN_REQ, NN_REQ_RESEND_IVL, -1)] {
            let before = read_int(&entry, level, option);
            assert_eq!(set(&entry, level, option, &i32::to_ne_bytes(value)), Err(Errno(libc::EINVAL)));
            assert_eq!(read_int(&entry, level, option), before);
        }
    }

    #[test]
    fn names_end_at_a_nul() {
        let entry = entry(Protocol::Bus, Mode::Raw);
        set(&entry, NN_SOL_SOCKET, NN_SOCKET_NAME, b"ab\0cd").expect("short enough");
        assert_eq!(get(&entry, NN_SOL_SOCKET, NN_SOCKET_NAME, 4), Ok(b"ab\0\0".to_vec()));
        assert_eq!(set(&entry, NN_SOL_SOCKET, NN_SOCKET_NAME, &[b'n'; 64]), Err(Errno(libc::EINVAL)));
    }
}
