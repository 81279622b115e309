//! Frames (RFC 6455 section 5): heads, masks, control frames, close codes.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::limits::WS_CONTROL_MAX_BYTES;
use crate::message::WsMessageType;

/// Bytes of the longest head: two, an extended length, a mask.
pub(super) const HEAD_MAX_BYTES: usize = 2 + 8 + 4;
/// A mask's four bytes.
pub(super) type Mask = [u8; 4];

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// In place of a length: 16 bits of it follow.
const LENGTH_16: u8 = 126;
/// In place of a length: 64 bits of it follow.
const LENGTH_64: u8 = 127;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Data(WsMessageType),
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }

    fn number(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Data(WsMessageType::Text) => 1,
            Opcode::Data(WsMessageType::Binary) => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    fn from_number(number: u8) -> Option<Opcode> {
        Some(match number {
            0 => Opcode::Continuation,
            1 => Opcode::Data(WsMessageType::Text),
            2 => Opcode::Data(WsMessageType::Binary),
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<Mask>,
    /// Bytes of payload.
    pub(super) len: u64,
}

/// What the first bytes of a frame amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The head, and how many bytes it takes.
    Head(Head, usize),
    /// It takes so many bytes.
    Needs(usize),
}

/// Reads the head at the front of `bytes`. The error says what is wrong with it (R65).
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let [first, second, rest @ ..] = bytes else { return Ok(Parsed::Needs(2)) };
    if first & RSV != 0 {
        return Err("reserved bits are set, no extension was agreed on");
    }
    let opcode = Opcode::from_number(first & 0x0f).ok_or("the opcode is unknown")?;
    let (len, rest, len_bytes) = match second & LENGTH {
        LENGTH_16 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest, 2),
            None => return Ok(Parsed::Needs(2 + 2 + mask_bytes(*second))),
        },
        LENGTH_64 => match rest.split_first_chunk() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 8),
            None => return Ok(Parsed::Needs(2 + 8 + mask_bytes(*second))),
        },
        len => (u64::from(len), rest, 0),
    };
    let size = 2 + len_bytes + mask_bytes(*second);
    let mask = match (second & MASKED, rest.first_chunk()) {
        (0, _) => None,
        (_, Some(mask)) => Some(*mask),
        (_, None) => return Ok(Parsed::Needs(size)),
    };
    let fin = first & FIN != 0;
    if opcode.is_control() && !fin {
        return Err("a control frame is fragmented");
    }
    if opcode.is_control() && len > WS_CONTROL_MAX_BYTES as u64 {
        return Err("a control frame has more than 125 bytes");
    }
    if len > i64::MAX as u64 {
        return Err("the length has its highest bit set");
    }
    Ok(Parsed::Head(Head { fin, opcode, mask, len }, size))
}

fn mask_bytes(second: u8) -> usize {
    if second & MASKED == 0 { 0 } else { size_of::<Mask>() }
}

/// A head as bytes: an array, and how many of it count.
pub(super) struct Written {
    bytes: [u8; HEAD_MAX_BYTES],
    len: usize,
}

impl Written {
    fn put(&mut self, piece: &[u8]) {
        for (space, byte) in self.bytes.iter_mut().skip(self.len).zip(piece) {
            *space = *byte;
        }
        self.len = (self.len + piece.len()).min(HEAD_MAX_BYTES);
    }
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Head {
    /// The bytes, the length in its shortest form (R61).
    pub(super) fn write(&self) -> Written {
        let fin = if self.fin { FIN } else { 0 };
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        let mut head = Written { bytes: [0; HEAD_MAX_BYTES], len: 0 };
        head.put(&[fin | self.opcode.number()]);
        match self.len {
            0..126 => head.put(&[masked | self.len as u8]),
            126..0x1_0000 => {
                head.put(&[masked | LENGTH_16]);
                head.put(&(self.len as u16).to_be_bytes());
            }
            _ => {
                head.put(&[masked | LENGTH_64]);
                head.put(&self.len.to_be_bytes());
            }
        }
        if let Some(mask) = &self.mask {
            head.put(mask);
        }
        head
    }
}

/// Masks or unmasks `bytes`, which begin at `offset` of their frame's payload.
pub(super) fn apply(mask: Mask, offset: usize, bytes: &mut [u8]) {
    let mut mask = mask;
    mask.rotate_left(offset % size_of::<Mask>());
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Eight at a time in a plain loop: the compiler makes it as wide as the processor is.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// A whole control frame. `payload` is at most 125 bytes; what is beyond is left out.
pub(super) fn control(opcode: Opcode, payload: &[u8], mask: Option<Mask>) -> Bytes {
    let payload = payload.get(..WS_CONTROL_MAX_BYTES).unwrap_or(payload);
    let head = Head { fin: true, opcode, mask, len: payload.len() as u64 }.write();
    let mut frame = [head.as_ref(), payload].concat();
    if let (Some(mask), Some(payload)) = (mask, frame.get_mut(head.as_ref().len()..)) {
        apply(mask, 0, payload);
    }
    frame.into()
}

/// Codes of Close frames (RFC 6455 section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseCode {
    Protocol = 1002,
    InvalidText = 1007,
    TooLong = 1009,
    Internal = 1011,
}

/// A Close frame with a code of ours.
pub(super) fn close(code: CloseCode, mask: Option<Mask>) -> Bytes {
    control(Opcode::Close, &(code as u16).to_be_bytes(), mask)
}

/// Whether a peer may close with this code: the others are reserved, or must not appear on the wire.
pub(super) fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What only the two sides of a connection may know before it is used: where masks and the key come from.
pub(super) struct Secret([u64; 2]);

/// Numbers of masks are below this; those of replies begin here, so that the two halves never use the same.
const FIRST_REPLY: u64 = 1 << 62;

impl Secret {
    pub(super) fn new(bytes: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(bytes);
        Secret([number as u64, (number >> 64) as u64])
    }

    /// Sixteen bytes for the upgrade's key.
    pub(super) fn nonce(&self) -> [u8; 16] {
        let halves = [u64::MAX, u64::MAX - 1].map(|at| u128::from(siphash(self.0, at)));
        (halves[0] << 64 | halves[1]).to_le_bytes()
    }

    pub(super) fn masks_of_messages(&self) -> Masks {
        Masks { key: self.0, next: AtomicU64::new(0) }
    }

    pub(super) fn masks_of_replies(&self) -> Masks {
        Masks { key: self.0, next: AtomicU64::new(FIRST_REPLY) }
    }
}

/// A mask for each frame that nobody can predict who has not the secret, however many were seen (R59).
pub(super) struct Masks {
    key: [u64; 2],
    next: AtomicU64,
}

impl Masks {
    pub(super) fn next(&self) -> Mask {
        let number = siphash(self.key, self.next.fetch_add(1, Ordering::Relaxed));
        (number as u32).to_le_bytes()
    }
}

/// SipHash-2-4 of the eight bytes of `number`: a function that looks random to whoever does not have the key,
/// at the cost of a few nanoseconds.
fn siphash([k0, k1]: [u64; 2], number: u64) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    // The last block has the length, 8, in its highest byte.
    for block in [number, 8 << 56] {
        v[3] ^= block;
        rounds(&mut v, 2);
        v[0] ^= block;
    }
    v[2] ^= 0xff;
    rounds(&mut v, 4);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn rounds(v: &mut [u64; 4], count: usize) {
    for _ in 0..count {
        let [mut a, mut b, mut c, mut d] = *v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        *v = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn siphash_is_siphash() {
        let key = Secret::new(std::array::from_fn(|at| at as u8)).0;
        let number = u64::from_le_bytes(std::array::from_fn(|at| at as u8));
        assert_eq!(siphash(key, number).to_le_bytes(), [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93]);
    }

    #[test]
    fn a_nonce_is_two_numbers_that_no_mask_is_made_of() {
        let secret = Secret::new([1; 16]);
        let [low, high] = [u64::MAX - 1, u64::MAX].map(|at| siphash(secret.0, at).to_le_bytes());
        assert_eq!(secret.nonce()[..], [low, high].concat());
    }

    #[test]
    fn r59_masks_and_keys_differ_from_frame_to_frame_and_from_connection_to_connection() {
        let (one, two) = (Secret::new([1; 16]), Secret::new([2; 16]));
        let mut seen = std::collections::HashSet::new();
        for masks in [one.masks_of_messages(), one.masks_of_replies(), two.masks_of_messages()] {
            seen.extend((0..1000).map(|_| masks.next()));
        }
        // Of 3000 numbers of 32 bits a pair or two may be equal.
        assert!(seen.len() >= 2990, "{} different masks of 3000", seen.len());
        assert_ne!(one.nonce(), two.nonce());
    }

    #[test]
    fn r61_lengths_are_written_in_their_shortest_form() {
        let rows: [(u64, &[u8]); 7] = [
            (0, &[0x82, 0]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xff, 0xff]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (1 << 20, &[0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]),
            (1 << 40, &[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]),
        ];
        for (len, bytes) in rows {
            let opcode = Opcode::Data(WsMessageType::Binary);
            let head = Head { fin: true, opcode, mask: None, len };
            assert_eq!(head.write().as_ref(), bytes);
            assert_eq!(parse(bytes), Ok(Parsed::Head(head, bytes.len())));
            let masked = Head { mask: Some([1, 2, 3, 4]), ..head };
            let written = masked.write();
            assert_eq!(written.as_ref()[1], bytes[1] | 0x80);
            assert_eq!(written.as_ref()[bytes.len()..], [1, 2, 3, 4]);
            assert_eq!(parse(written.as_ref()), Ok(Parsed::Head(masked, bytes.len() + 4)));
        }
    }

    #[test]
    fn heads_say_how_many_bytes_they_take() {
        let opcode = Opcode::Data(WsMessageType::Text);
        assert_eq!(HEAD_MAX_BYTES, 14);
        for (len, size) in [(7, 6), (700, 8), (70_000, 14)] {
            let head = Head { fin: false, opcode, mask: Some([9; 4]), len };
            let written = head.write();
            assert_eq!(written.as_ref().len(), size);
            for cut in 0..size {
                let needs = if cut < 2 { 2 } else { size };
                assert_eq!(parse(&written.as_ref()[..cut]), Ok(Parsed::Needs(needs)));
            }
        }
    }

    #[test]
    fn r65_reserved_bits_unknown_opcodes_and_bad_control_frames_are_refused() {
        for first in 0..=u8::MAX {
            let (rsv, opcode, fin) = (first & 0x70, first & 0x0f, first & 0x80 != 0);
            let known = matches!(opcode, 0..=2 | 8..=10);
            let good = rsv == 0 && known && (fin || opcode < 8);
            assert_eq!(parse(&[first, 5]).is_ok(), good, "{first:#04x}");
        }
        for (opcode, len, good) in [(0x88, 125, true), (0x89, 126, false), (0x8a, 127, false)] {
            assert_eq!(parse(&[opcode, len, 0, 200, 0, 0, 0, 0, 0, 0]).is_ok(), good);
        }
    }

    #[test]
    fn lengths_with_the_highest_bit_are_refused() {
        for (first, good) in [(0x7f, true), (0x80, false), (0xff, false)] {
            assert_eq!(parse(&[0x82, 127, first, 0, 0, 0, 0, 0, 0, 0]).is_ok(), good);
            assert_eq!(parse(&[0x82, 127, first, 255, 255, 255, 255, 255, 255, 255]).is_ok(), good);
        }
    }

    #[test]
    fn close_codes_that_must_not_be_sent_are_known() {
        let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 3000, 3999, 4000, 4999];
        assert!(good.into_iter().all(is_close_code));
        let bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX];
        assert!(!bad.into_iter().any(is_close_code));
    }

    #[test]
    fn control_frames_are_the_vectors_of_the_mapping() {
        let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(control(Opcode::Pong, b"", None), [0x8a, 0].as_slice());
        assert_eq!(control(Opcode::Ping, b"", mask), [0x89, 0x80, 0x37, 0xfa, 0x21, 0x3d].as_slice());
        assert_eq!(close(CloseCode::Protocol, None), [0x88, 2, 3, 0xea].as_slice());
        assert_eq!(close(CloseCode::InvalidText, None), [0x88, 2, 3, 0xef].as_slice());
        assert_eq!(close(CloseCode::TooLong, None), [0x88, 2, 3, 0xf1].as_slice());
        let masked = [0x88, 0x82, 0x37, 0xfa, 0x21, 0x3d, 0x34, 0x10];
        assert_eq!(close(CloseCode::Protocol, mask), masked.as_slice());
        assert_eq!(control(Opcode::Ping, &[0; 126], None).len(), 2 + 125);
    }

    quickcheck! {
        fn masking_is_what_the_rfc_says_at_any_offset(mask: (u8, u8, u8, u8), offset: u16, bytes: Vec<u8>) -> bool {
            let (mask, offset) = ([mask.0, mask.1, mask.2, mask.3], usize::from(offset));
            let expected: Vec<u8> =
                bytes.iter().enumerate().map(|(at, byte)| byte ^ mask[(at + offset) % 4]).collect();
            let mut masked = bytes;
            apply(mask, offset, &mut masked);
            masked == expected
        }

        fn any_bytes_are_a_head_or_refused(bytes: Vec<u8>) -> bool {
            match parse(&bytes) {
                Ok(Parsed::Head(head, size)) => size <= bytes.len() && head.len <= i64::MAX as u64,
                Ok(Parsed::Needs(size)) => size > bytes.len() && size <= HEAD_MAX_BYTES,
                Err(_) => true,
            }
        }
    }
}
