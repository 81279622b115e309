//! Control data: records behind one another, each a header of 16 bytes, its data, and padding to a multiple
//! of 8.

use std::ffi::{c_int, c_void};

use spmsg::WsMessageType;

use crate::errno::Errno;
use crate::guard::guard;
use crate::message::Chunk;
use crate::pointer;
use crate::symbol::{
    NN_MSG, NN_WS, NN_WS_MSG_TYPE, NN_WS_MSG_TYPE_BINARY, NN_WS_MSG_TYPE_TEXT, PROTO_SP, SP_HDR,
};
use crate::transfer::nn_msghdr;

/// Header of a control record; its data follows at once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct nn_cmsghdr {
    /// Bytes of header and data.
    pub cmsg_len: usize,
    /// Who defines the type: PROTO_SP, or a transport.
    pub cmsg_level: c_int,
    /// What the data is.
    pub cmsg_type: c_int,
}

const HEADER_BYTES: usize = size_of::<nn_cmsghdr>();
const WORD_BYTES: usize = size_of::<usize>();

/// The record at an offset, if all of it lies within the control data.
fn record(control: &[u8], at: usize) -> Option<(nn_cmsghdr, &[u8])> {
    let rest = control.get(at..)?;
    let header = rest.get(..HEADER_BYTES)?;
    let (len, tail) = header.split_at(WORD_BYTES);
    let (level, kind) = tail.split_at(size_of::<c_int>());
    let header = nn_cmsghdr {
        cmsg_len: usize::from_ne_bytes(len.try_into().ok()?),
        cmsg_level: c_int::from_ne_bytes(level.try_into().ok()?),
        cmsg_type: c_int::from_ne_bytes(kind.try_into().ok()?),
    };
    let padded = header.cmsg_len.checked_next_multiple_of(WORD_BYTES)?;
    // The padding must be there, too; the data ends where the length says.
    rest.get(..padded)?;
    Some((header, rest.get(HEADER_BYTES..header.cmsg_len)?))
}

/// The offset of the record behind the one at `at`, or of the first one. `None` at the end, at a record
/// that is shorter than its own header, or that reaches beyond the end.
fn next(control: &[u8], at: Option<usize>) -> Option<usize> {
    let candidate = match at {
        None => 0,
        Some(at) => at.checked_add(record(control, at)?.0.cmsg_len.checked_next_multiple_of(WORD_BYTES)?)?,
    };
    record(control, candidate).map(|_| candidate)
}

/// The data of the first record of this level and type.
fn find(control: &[u8], level: c_int, kind: c_int) -> Option<&[u8]> {
    let mut at = next(control, None);
    while let Some((header, data)) = at.and_then(|at| record(control, at)) {
        if (header.cmsg_level, header.cmsg_type) == (level, kind) {
            return Some(data);
        }
        at = next(control, at);
    }
    None
}

/// The routing header in the control data of a message to be sent: the content of the first such record,
/// empty if there is none or it makes no sense.
pub(crate) fn routing_header(control: &[u8]) -> &[u8] {
    find(control, PROTO_SP, SP_HDR).and_then(inner).unwrap_or_default()
}

/// What the control data of a message to be sent says about its type for WebSocket peers: the first byte of
/// the first such record. Other values than the two types say nothing.
pub(crate) fn ws_type_in(control: &[u8]) -> Option<WsMessageType> {
    find(control, NN_WS, NN_WS_MSG_TYPE)?.first().and_then(|byte| ws_type(*byte))
}

/// The type with this number in C.
pub(crate) fn ws_type(number: u8) -> Option<WsMessageType> {
    match c_int::from(number) {
        NN_WS_MSG_TYPE_TEXT => Some(WsMessageType::Text),
        NN_WS_MSG_TYPE_BINARY => Some(WsMessageType::Binary),
        _ => None,
    }
}

/// The data of a routing record: a length and so many bytes.
fn inner(data: &[u8]) -> Option<&[u8]> {
    let (len, bytes) = data.split_at_checked(WORD_BYTES)?;
    bytes.get(..usize::from_ne_bytes(len.try_into().ok()?))
}

/// Control data of a received message: a record with its routing header, and behind it one with its type if a
/// WebSocket peer sent it. Zeros as padding, which the records' lengths cover, as in nanomsg.
///
/// # Errors
/// ENOMEM.
pub(crate) fn control_data(routing_header: &[u8], ws_type: Option<WsMessageType>) -> Result<Vec<u8>, Errno> {
    let first = HEADER_BYTES + (WORD_BYTES + routing_header.len()).next_multiple_of(WORD_BYTES);
    let second = if ws_type.is_some() { HEADER_BYTES + WORD_BYTES } else { 0 };
    let mut control = Vec::new();
    control.try_reserve_exact(first + second).map_err(|_| Errno(libc::ENOMEM))?;
    control.extend_from_slice(&first.to_ne_bytes());
    control.extend_from_slice(&PROTO_SP.to_ne_bytes());
    control.extend_from_slice(&SP_HDR.to_ne_bytes());
    control.extend_from_slice(&routing_header.len().to_ne_bytes());
    control.extend_from_slice(routing_header);
    control.resize(first, 0);
    if let Some(ws_type) = ws_type {
        let number = match ws_type {
            WsMessageType::Text => NN_WS_MSG_TYPE_TEXT,
            WsMessageType::Binary => NN_WS_MSG_TYPE_BINARY,
        };
        control.extend_from_slice(&second.to_ne_bytes());
        control.extend_from_slice(&NN_WS.to_ne_bytes());
        control.extend_from_slice(&NN_WS_MSG_TYPE.to_ne_bytes());
        control.push(number as u8);
        control.resize(first + second, 0);
    }
    Ok(control)
}

/// So many bytes of control data are worth delivering into `room`: all of them, or what fits if the first
/// record does.
pub(crate) fn deliverable(control: &[u8], room: usize) -> usize {
    let first = record(control, 0).map_or(0, |(header, _)| header.cmsg_len);
    if first <= room { control.len().min(room) } else { 0 }
}

/// Where a message header's control data lies, and how much there is. `None` if there is none.
///
/// # Safety
/// The header's pointers are valid for what it says about them.
pub(crate) unsafe fn control_of<'a>(header: &nn_msghdr) -> Option<&'a [u8]> {
    if header.msg_control.is_null() {
        return None;
    }
    if header.msg_controllen == NN_MSG {
        // SAFETY: with NN_MSG it designates a pointer to a message buffer, which the caller keeps during
        // the call.
        return unsafe { Some(control_chunk(header)?.bytes()) };
    }
    // SAFETY: so many bytes, as the caller promises.
    unsafe { pointer::bytes(header.msg_control, header.msg_controllen) }.ok()
}

/// The message buffer with the control data, if it is in one.
///
/// # Safety
/// As [`control_of`].
pub(crate) unsafe fn control_chunk(header: &nn_msghdr) -> Option<Chunk> {
    if header.msg_controllen != NN_MSG {
        return None;
    }
    // SAFETY: with NN_MSG it is NULL or designates a pointer to a message buffer, as the caller promises.
    unsafe { Chunk::from_pointer(pointer::read(header.msg_control.cast::<*mut c_void>()).ok()?) }
}

/// The control record behind `cmsg` in a message's control data, or the first one for NULL.
///
/// Returns NULL when there is none, or none that lies wholly within the control data. Errno is not touched.
/// Meant for the macros NN_CMSG_FIRSTHDR and NN_CMSG_NXTHDR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_cmsg_nxthdr_(mhdr: *const nn_msghdr, cmsg: *const nn_cmsghdr) -> *mut nn_cmsghdr {
    guard(|| {
        // SAFETY: the caller's header and what it designates, as the interface demands.
        let control = unsafe { pointer::read(mhdr).ok().and_then(|header| control_of(&header)) };
        let found = control.and_then(|control| {
            let at = match cmsg.is_null() {
                true => None,
                // A record in front of the control data is none of it; one behind it is found out later.
                false => Some(cmsg.addr().checked_sub(control.as_ptr().addr())?),
            };
            Some(control.as_ptr().wrapping_add(next(control, at)?))
        });
        Ok(found.map_or(std::ptr::null_mut(), |at| at.cast_mut().cast()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(control: &mut [u8], at: usize, len: usize, level: c_int, kind: c_int) {
        control[at..at + 8].copy_from_slice(&len.to_ne_bytes());
        control[at + 8..at + 12].copy_from_slice(&level.to_ne_bytes());
        control[at + 12..at + 16].copy_from_slice(&kind.to_ne_bytes());
    }

    fn walk(control: &[u8]) -> Vec<usize> {
        std::iter::successors(next(control, None), |at| next(control, Some(*at))).collect()
    }

    #[test]
    fn r220_control_data_is_one_padded_record() {
        for (len, expected) in [(0, 24), (4, 32), (8, 32), (9, 40), (1000, 1024)] {
            let header: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let control = control_data(&header, None).expect("memory");
            assert_eq!(control.len(), expected);
            assert_eq!(record(&control, 0).map(|(header, _)| header.cmsg_len), Some(expected));
            assert_eq!(walk(&control), [0]);
            assert_eq!(routing_header(&control), header);
            assert!(control[24 + len..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn type_of_a_websocket_message_is_a_record_behind_the_routing_header() {
        for (ws_type, number) in [(WsMessageType::Text, 1), (WsMessageType::Binary, 2)] {
            let control = control_data(b"head", Some(ws_type)).expect("memory");
            assert_eq!(walk(&control), [0, 32]);
            assert_eq!(control.len(), 32 + 24);
            assert_eq!(control[48..], [number, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!((routing_header(&control), ws_type_in(&control)), (&b"head"[..], Some(ws_type)));
            let room = [0, 31, 32, 40, 56, 1000].map(|room| deliverable(&control, room));
            assert_eq!(room, [0, 0, 32, 40, 56, 56]);
        }
        let mut control = control_data(b"", Some(WsMessageType::Text)).expect("memory");
        control[40] = 9;
        assert_eq!(ws_type_in(&control), None);
    }

    #[test]
    fn records_are_walked_to_the_last_that_fits() {
        let mut control = [0; 64];
        put(&mut control, 0, 17, 5, 1);
        put(&mut control, 24, 24, 5, 2);
        put(&mut control, 48, 16, 5, 3);
        assert_eq!(walk(&control), [0, 24, 48]);
        assert_eq!(walk(&control[..63]), [0, 24]);
        assert_eq!(walk(&control[..23]), []);
        assert_eq!(walk(&control[..15]), []);
        assert_eq!(walk(&[]), []);
    }

    #[test]
    fn impossible_lengths_end_the_walk() {
        for len in [0, 1, 15, usize::MAX, usize::MAX - 7, usize::MAX - 8, usize::MAX - 23, 129] {
            let mut control = [0; 128];
            put(&mut control, 0, len, 1, 1);
            assert_eq!(walk(&control), [], "{len}");
            assert_eq!(next(&control, Some(0)), None);
            put(&mut control, 0, 24, 1, 1);
            put(&mut control, 24, len, 1, 1);
            assert_eq!(walk(&control), [0], "{len}");
        }
        assert_eq!(next(&[0; 64], Some(usize::MAX)), None);
    }

    #[test]
    fn r221_a_record_counts_only_whole_and_only_if_its_own_length_fits() {
        let mut control = [0; 32];
        put(&mut control, 0, 28, PROTO_SP, SP_HDR);
        control[16..24].copy_from_slice(&4usize.to_ne_bytes());
        control[24..28].copy_from_slice(b"head");
        assert_eq!(routing_header(&control), b"head");
        assert_eq!(routing_header(&control[..28]), b"");
        for len in [5, 8, usize::MAX] {
            control[16..24].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(routing_header(&control), b"");
        }
    }

    #[test]
    fn the_first_routing_record_counts_and_what_follows_does_not_matter() {
        let mut control = vec![0xa7; 24];
        put(&mut control, 0, 24, 77, 1);
        control.extend(control_data(b"one", None).expect("memory"));
        control.extend(control_data(b"two", None).expect("memory"));
        control.extend([0xa7; 100]);
        assert_eq!(routing_header(&control), b"one");
    }

    /// Bytes that depend on `seed` alone (xorshift).
    fn random(seed: &mut u64, len: usize) -> Vec<u8> {
        let mut byte = || {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            (*seed >> 24) as u8
        };
        (0..len).map(|_| byte()).collect()
    }

    #[test]
    fn any_bytes_are_walked_within_bounds_and_to_an_end() {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for round in 0..20_000 {
            let mut control = random(&mut seed, round % 200);
            // Random lengths hardly ever fit: most rounds get small ones at plausible places.
            for at in (0..control.len().saturating_sub(7)).step_by(8) {
                if control[at] & 3 != 0 {
                    let len = usize::from(control[at]) % 64;
                    control[at..at + 8].copy_from_slice(&len.to_ne_bytes());
                }
            }
            let offsets = walk(&control);
            assert!(offsets.windows(2).all(|pair| pair[0] + HEADER_BYTES <= pair[1]));
            assert!(offsets.iter().all(|at| at + HEADER_BYTES <= control.len()));
            assert!(routing_header(&control).len() <= control.len());
            let odd = random(&mut seed, 8);
            let at = usize::from_ne_bytes(odd.try_into().expect("8 bytes"));
            assert!(next(&control, Some(at % 300)).is_none_or(|at| at + HEADER_BYTES <= control.len()));
            assert!(next(&control, Some(at)).is_none_or(|at| at + HEADER_BYTES <= control.len()));
        }
    }
}
