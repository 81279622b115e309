//! Messages out and in: nn_send, nn_recv, nn_sendmsg, nn_recvmsg.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::time::Duration;

use spmsg::compat::{self, Wait};
use spmsg::limits::INLINE_BODY_BYTES;
use spmsg::{Error, Message, SendError};

use crate::cmsg;
use crate::errno::Errno;
use crate::guard::guard;
use crate::message::Chunk;
use crate::pointer::{self, Array};
use crate::symbol::{NN_DONTWAIT, NN_MSG};
use crate::table::{self, Entry};

/// One part of a message's body.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct nn_iovec {
    /// Where the part is. With NN_MSG as length: a pointer to the pointer of a message buffer.
    pub iov_base: *mut c_void,
    /// Its size in bytes, or NN_MSG.
    pub iov_len: usize,
}

/// A message in parts, and its control data.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct nn_msghdr {
    /// The parts of the body.
    pub msg_iov: *mut nn_iovec,
    /// How many there are.
    pub msg_iovlen: c_int,
    /// Control data, or NULL for none. With NN_MSG as length: a pointer to the pointer of a message buffer.
    pub msg_control: *mut c_void,
    /// Size of the control data in bytes, or NN_MSG.
    pub msg_controllen: usize,
}

/// Sends `len` bytes, or with NN_MSG as `len` the message buffer whose pointer `buf` points to.
///
/// Returns the size of the body. With NN_MSG the library owns the buffer then; on failure the caller still
/// does. `flags` is 0 or NN_DONTWAIT. Without NN_DONTWAIT a body of 256 KiB or more to a single peer may hold
/// the call up 10 ms longer where the wire is full. Errors: EBADF, EFAULT, EINVAL, ENOTSUP, EFSM, EAGAIN,
/// ETIMEDOUT, EINTR, ENOMEM, EMSGSIZE beyond what an int can return.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_send(s: c_int, buf: *const c_void, len: usize, flags: c_int) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        if len != NN_MSG {
            // SAFETY: the caller's buffer, as the interface demands.
            return send_plain(&entry, unsafe { pointer::bytes(buf, len) }?, flags);
        }
        let part = nn_iovec { iov_base: buf.cast_mut(), iov_len: len };
        // SAFETY: the caller's buffer, as the interface demands.
        let outgoing = unsafe { Outgoing::of_one(part) }?;
        outgoing.send(&entry, flags)
    })
}

/// Sends a message in parts, with control data.
///
/// As nn_send, which see. A message buffer is the only part or no part (EINVAL). On success the library
/// owns buffers for body and control data; on failure both are still the caller's. Errors also: EINVAL for
/// NULL, EMSGSIZE for a negative number of parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_sendmsg(s: c_int, msghdr: *const nn_msghdr, flags: c_int) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        // SAFETY: the caller's header and what it designates, as the interface demands.
        unsafe {
            let (header, parts) = header_of(msghdr)?;
            let mut outgoing = Outgoing::of(&parts)?;
            if let Some(control) = cmsg::control_of(&header) {
                outgoing.message.set_header(cmsg::routing_header(control));
                outgoing.message.set_ws_type(cmsg::ws_type_in(control));
            }
            outgoing.control = cmsg::control_chunk(&header);
            outgoing.send(&entry, flags)
        }
    })
}

/// Sends a body that is copied straight to where it leaves from, or not at all when it is large and the wire free.
#[inline]
fn send_plain(entry: &Entry, body: &[u8], flags: c_int) -> Result<c_int, Errno> {
    let wait = wait(flags);
    let len = check_len(body.len())?;
    match compat::send_body(&entry.socket, body, wait) {
        Ok(()) => Ok(len),
        Err(Error::Closed) => Err(table::closed(&[entry], patience(wait, entry.values.send_timeout()))),
        Err(error) => Err(error.into()),
    }
}

/// The message header and the array of its parts.
///
/// # Safety
/// The header, if not NULL, and its array are the caller's.
unsafe fn header_of(msghdr: *const nn_msghdr) -> Result<(nn_msghdr, Array<nn_iovec>), Errno> {
    // SAFETY: as the caller promises.
    let header = unsafe { pointer::read(msghdr) }.map_err(|_| Errno(libc::EINVAL))?;
    if header.msg_iovlen < 0 {
        return Err(Errno(libc::EMSGSIZE));
    }
    // SAFETY: as the caller promises.
    Ok((header, unsafe { Array::new(header.msg_iov, header.msg_iovlen) }?))
}

/// A message on its way out, and what the application gives up when it is sent.
struct Outgoing {
    message: Message,
    body: Option<Chunk>,
    control: Option<Chunk>,
}

impl Outgoing {
    /// # Safety
    /// The parts designate readable memory, or with NN_MSG a message buffer.
    unsafe fn of(parts: &Array<nn_iovec>) -> Result<Outgoing, Errno> {
        if parts.len() == 1 {
            // SAFETY: as the caller promises.
            return parts
                .iter()
                .next()
                .map_or(Err(Errno(libc::EINVAL)), |part| unsafe { Outgoing::of_one(part) });
        }
        let mut total = 0usize;
        for part in parts.iter() {
            if part.iov_len == NN_MSG {
                return Err(Errno(libc::EINVAL));
            }
            if part.iov_base.is_null() && part.iov_len > 0 {
                return Err(Errno(libc::EFAULT));
            }
            total = total.checked_add(part.iov_len).ok_or(Errno(libc::EINVAL))?;
        }
        let mut body = room_for(total)?;
        for part in parts.iter() {
            // SAFETY: as the caller promises.
            body.extend_from_slice(unsafe { pointer::bytes(part.iov_base, part.iov_len) }?);
        }
        Ok(Outgoing { message: Message::from(body), body: None, control: None })
    }

    /// # Safety
    /// The part designates readable memory, or with NN_MSG a message buffer.
    unsafe fn of_one(part: nn_iovec) -> Result<Outgoing, Errno> {
        if part.iov_len == NN_MSG {
            // SAFETY: with NN_MSG the part designates the pointer of a message buffer, as the caller
            // promises.
            let chunk = unsafe {
                let pointer = pointer::read(part.iov_base.cast::<*mut c_void>())?;
                Chunk::from_pointer(pointer).ok_or(Errno(libc::EFAULT))?
            };
            check_len(chunk.len())?;
            // SAFETY: the buffer is the caller's and stays unchanged during the call.
            let small = (chunk.len() <= INLINE_BODY_BYTES)
                .then(|| Message::copy_from_slice(unsafe { chunk.bytes() }));
            let message = small.unwrap_or_else(|| Message::from(chunk.share()));
            return Ok(Outgoing { message, body: Some(chunk), control: None });
        }
        // SAFETY: as the caller promises.
        let bytes = unsafe { pointer::bytes(part.iov_base, part.iov_len) }?;
        let message = if bytes.len() <= INLINE_BODY_BYTES {
            Message::copy_from_slice(bytes)
        } else {
            let mut body = room_for(bytes.len())?;
            body.extend_from_slice(bytes);
            Message::from(body)
        };
        Ok(Outgoing { message, body: None, control: None })
    }

    /// Sends; what the application gave up is freed, or kept alive by the message, only if that succeeds.
    fn send(self, entry: &Entry, flags: c_int) -> Result<c_int, Errno> {
        let len = check_len(self.message.len())?;
        let wait = wait(flags);
        match compat::send(&entry.socket, self.message, wait) {
            Ok(()) => (),
            Err(SendError { error: Error::Closed, message }) => {
                // Before the wait at the end of the process, during which the application may free its
                // buffer.
                drop(message);
                return Err(table::closed(&[entry], patience(wait, entry.values.send_timeout())));
            }
            Err(refused) => return Err(refused.error.into()),
        }
        for chunk in self.body.into_iter().chain(self.control) {
            // SAFETY: the application's reference, which it gives up with a successful send.
            unsafe { chunk.release() };
        }
        Ok(len)
    }
}

/// Bodies that an int cannot count cannot be reported either.
fn check_len(len: usize) -> Result<c_int, Errno> {
    c_int::try_from(len).map_err(|_| Errno(libc::EMSGSIZE))
}

fn room_for(len: usize) -> Result<Vec<u8>, Errno> {
    check_len(len)?;
    let mut body = Vec::new();
    body.try_reserve_exact(len).map_err(|_| Errno(libc::ENOMEM))?;
    Ok(body)
}

/// Bits other than NN_DONTWAIT are ignored, as nanomsg does.
fn wait(flags: c_int) -> Wait {
    if flags & NN_DONTWAIT != 0 { Wait::No } else { Wait::AsSet }
}

/// How long a call with this option lasts at most.
fn patience(wait: Wait, timeout: Option<Duration>) -> Wait {
    if wait == Wait::No { Wait::No } else { Wait::For(timeout) }
}

/// Receives into `len` bytes; what does not fit is dropped. With NN_MSG as `len` the pointer of a new
/// message buffer is stored in `*buf`, to be freed with nn_freemsg.
///
/// Returns the size of the whole body. Errors: EBADF, EFAULT, ENOTSUP, EFSM, EAGAIN, ETIMEDOUT, EINTR,
/// ENOMEM (for the new buffer; the message is lost).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_recv(s: c_int, buf: *mut c_void, len: usize, flags: c_int) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        let part = nn_iovec { iov_base: buf, iov_len: len };
        check_part(&part)?;
        if len != NN_MSG {
            // SAFETY: the caller's buffer, as the interface demands.
            return recv_into(&entry, flags, unsafe { pointer::place(buf, len) }).map(returned_len);
        }
        recv_with(&entry, flags, |body| {
            // SAFETY: the caller's buffer, as the interface demands.
            unsafe { deliver(std::iter::once(part), body) }?;
            Ok(returned_len(body.len()))
        })?
    })
}

/// Receives a message in parts, with control data.
///
/// As nn_recv, which see. A message buffer is the only part or no part (EINVAL). The header is not changed;
/// control data is delivered if its first record fits, or in a new message buffer. Errors also: EINVAL for
/// NULL, EMSGSIZE for a negative number of parts; none of these takes a message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_recvmsg(s: c_int, msghdr: *mut nn_msghdr, flags: c_int) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        // SAFETY: the caller's header and what it designates, as the interface demands.
        unsafe {
            let (header, parts) = header_of(msghdr)?;
            parts.iter().try_for_each(|part| check_part(&part))?;
            if parts.len() > 1 && parts.iter().any(|part| part.iov_len == NN_MSG) {
                return Err(Errno(libc::EINVAL));
            }
            let message = recv(&entry, flags)?;
            // What can fail comes first, and both succeed or nothing is written.
            let control = control_for(&header, &message)?;
            let delivered = deliver(parts.iter(), message.body());
            control.deliver(&header, delivered.is_ok());
            delivered?;
            Ok(returned_len(message.len()))
        }
    })
}

fn check_part(part: &nn_iovec) -> Result<(), Errno> {
    if part.iov_base.is_null() && part.iov_len > 0 { Err(Errno(libc::EFAULT)) } else { Ok(()) }
}

fn recv(entry: &Entry, flags: c_int) -> Result<Message, Errno> {
    let wait = wait(flags);
    compat::recv(&entry.socket, wait).map_err(|error| errno_of(error, entry, wait))
}

/// Receives a body into `place`, as far as that reaches; the length of all of it.
#[inline]
fn recv_into(entry: &Entry, flags: c_int, place: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    let wait = wait(flags);
    compat::recv_into(&entry.socket, place, wait).map_err(|error| errno_of(error, entry, wait))
}

/// Receives, and has `take` copy the body from where it lies.
fn recv_with<R>(entry: &Entry, flags: c_int, take: impl FnOnce(&[u8]) -> R) -> Result<R, Errno> {
    let wait = wait(flags);
    compat::recv_body(&entry.socket, wait, take).map_err(|error| errno_of(error, entry, wait))
}

#[cold]
fn errno_of(error: Error, entry: &Entry, wait: Wait) -> Errno {
    match error {
        Error::Closed => table::closed(&[entry], patience(wait, entry.values.recv_timeout())),
        error => error.into(),
    }
}

/// A body larger than an int can count can only come from a program of this machine that is not C.
fn returned_len(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

/// Copies a body into the parts, in order, as far as they reach, or into a message buffer.
///
/// # Safety
/// The parts designate writable memory.
unsafe fn deliver(parts: impl Iterator<Item = nn_iovec>, mut body: &[u8]) -> Result<(), Errno> {
    for part in parts {
        if part.iov_len == NN_MSG {
            // SAFETY: with NN_MSG the part designates a writable pointer, as the caller promises.
            return unsafe { pointer::write(part.iov_base.cast(), Chunk::copy_of(body)?.pointer()) };
        }
        // SAFETY: as the caller promises.
        let copied = unsafe { pointer::copy_to(part.iov_base, part.iov_len, body) };
        body = body.get(copied..).unwrap_or_default();
    }
    Ok(())
}

/// Control data ready to be delivered.
enum Control {
    Nothing,
    Copied(Vec<u8>),
    Buffer(Chunk),
}

/// Makes the control data that a received message has, in the form that the caller wants.
fn control_for(header: &nn_msghdr, message: &Message) -> Result<Control, Errno> {
    if header.msg_control.is_null() {
        return Ok(Control::Nothing);
    }
    let mut data = cmsg::control_data(message.header(), message.ws_type())?;
    if header.msg_controllen == NN_MSG {
        return Ok(Control::Buffer(Chunk::copy_of(&data)?));
    }
    data.truncate(cmsg::deliverable(&data, header.msg_controllen));
    Ok(if data.is_empty() { Control::Nothing } else { Control::Copied(data) })
}

impl Control {
    /// Writes the control data where the caller wants it, or frees it when the call fails.
    ///
    /// # Safety
    /// The header is the one that this was made for, and its memory for control data is writable.
    unsafe fn deliver(self, header: &nn_msghdr, succeeded: bool) {
        // SAFETY: as the caller promises; a buffer that nobody gets to know is freed by its only reference.
        unsafe {
            match self {
                Control::Copied(data) if succeeded => {
                    pointer::copy_to(header.msg_control, header.msg_controllen, &data);
                }
                Control::Buffer(chunk) if succeeded => {
                    // Not NULL: there would be no control data.
                    let _ = pointer::write(header.msg_control.cast(), chunk.pointer());
                }
                Control::Buffer(chunk) => chunk.release(),
                Control::Copied(_) | Control::Nothing => (),
            }
        }
    }
}
