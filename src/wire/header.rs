//! The SP connection header: eight bytes that each side sends first (RFC sp-tcp-mapping; R1, R2).

use crate::limits::SP_HEADER_BYTES;
use crate::protocol::Protocol;

use super::WireError;

/// Our header: NUL, "SP", version 0, our own number, reserved zero.
pub(super) fn sp_header(protocol: Protocol) -> [u8; SP_HEADER_BYTES] {
    let [high, low] = protocol.number().to_be_bytes();
    [0, b'S', b'P', 0, high, low, 0, 0]
}

/// Checks the peer's header against the one protocol that may talk to us (R6 to R9, R12).
pub(super) fn check(header: [u8; SP_HEADER_BYTES], ours: Protocol) -> Result<(), WireError> {
    let [m0, m1, m2, version, t0, t1, r0, r1] = header;
    if [m0, m1, m2] != [0, b'S', b'P'] {
        return Err(WireError::NotSp([m0, m1, m2, version]));
    }
    if version != 0 {
        return Err(WireError::Version(version));
    }
    let reserved = u16::from_be_bytes([r0, r1]);
    if reserved != 0 {
        return Err(WireError::Reserved(reserved));
    }
    let got = u16::from_be_bytes([t0, t1]);
    let expected = ours.peer().number();
    if got != expected {
        return Err(WireError::Incompatible { got, expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The complete list of legal headers.
    const HEADERS: [(Protocol, [u8; 8]); 11] = [
        (Protocol::Pair, [0x00, 0x53, 0x50, 0x00, 0x00, 0x10, 0x00, 0x00]),
        (Protocol::Pair1, [0x00, 0x53, 0x50, 0x00, 0x00, 0x11, 0x00, 0x00]),
        (Protocol::Pub, [0x00, 0x53, 0x50, 0x00, 0x00, 0x20, 0x00, 0x00]),
        (Protocol::Sub, [0x00, 0x53, 0x50, 0x00, 0x00, 0x21, 0x00, 0x00]),
        (Protocol::Req, [0x00, 0x53, 0x50, 0x00, 0x00, 0x30, 0x00, 0x00]),
        (Protocol::Rep, [0x00, 0x53, 0x50, 0x00, 0x00, 0x31, 0x00, 0x00]),
        (Protocol::Push, [0x00, 0x53, 0x50, 0x00, 0x00, 0x50, 0x00, 0x00]),
        (Protocol::Pull, [0x00, 0x53, 0x50, 0x00, 0x00, 0x51, 0x00, 0x00]),
        (Protocol::Surveyor, [0x00, 0x53, 0x50, 0x00, 0x00, 0x62, 0x00, 0x00]),
        (Protocol::Respondent, [0x00, 0x53, 0x50, 0x00, 0x00, 0x63, 0x00, 0x00]),
        (Protocol::Bus, [0x00, 0x53, 0x50, 0x00, 0x00, 0x70, 0x00, 0x00]),
    ];

    /// The header of PUSH with one byte replaced, as a PULL socket sees it.
    fn check_with(at: usize, byte: u8) -> Result<(), WireError> {
        let mut header = sp_header(Protocol::Push);
        header[at] = byte;
        check(header, Protocol::Pull)
    }

    #[test]
    fn r1_header_is_eight_bytes_with_our_number() {
        for (protocol, header) in HEADERS {
            assert_eq!(sp_header(protocol), header, "{protocol:?}");
        }
        assert_eq!(HEADERS.map(|(protocol, _)| protocol), Protocol::ALL);
    }

    #[test]
    fn r2_header_carries_our_number_not_the_peers() {
        for protocol in Protocol::ALL {
            let [_, _, _, _, high, low, _, _] = sp_header(protocol);
            assert_eq!(u16::from_be_bytes([high, low]), protocol.number());
        }
        assert_ne!(sp_header(Protocol::Req), sp_header(Protocol::Rep));
    }

    #[test]
    fn r6_wrong_magic_is_refused() {
        for at in 0..3 {
            let right = sp_header(Protocol::Push)[at];
            for byte in (0..=u8::MAX).filter(|byte| *byte != right) {
                assert!(matches!(check_with(at, byte), Err(WireError::NotSp(_))), "byte {at} {byte:#04x}");
            }
        }
        assert_eq!(check(*b"GET / HT", Protocol::Pull), Err(WireError::NotSp(*b"GET ")));
    }

    #[test]
    fn r7_wrong_version_is_refused() {
        for byte in 1..=u8::MAX {
            assert_eq!(check_with(3, byte), Err(WireError::Version(byte)));
        }
    }

    #[test]
    fn r8_reserved_bytes_are_zero() {
        for byte in 1..=u8::MAX {
            assert_eq!(check_with(6, byte), Err(WireError::Reserved(u16::from(byte) << 8)));
            assert_eq!(check_with(7, byte), Err(WireError::Reserved(u16::from(byte))));
        }
    }

    #[test]
    fn r9_exactly_one_number_is_accepted() {
        for ours in Protocol::ALL {
            for number in 0..=u16::MAX {
                let [high, low] = number.to_be_bytes();
                let result = check([0, b'S', b'P', 0, high, low, 0, 0], ours);
                let expected = ours.peer().number();
                if number == expected {
                    assert_eq!(result, Ok(()), "{ours:?} and {number}");
                } else {
                    assert_eq!(result, Err(WireError::Incompatible { got: number, expected }));
                }
            }
        }
    }

    #[test]
    fn r12_valid_peers_are_these_pairs_and_no_other() {
        let pairs = [(16, 16), (17, 17), (32, 33), (48, 49), (80, 81), (98, 99), (112, 112)];
        for (ours, _) in HEADERS {
            for (theirs, header) in HEADERS {
                let (ours_number, number) = (ours.number(), theirs.number());
                let fits = pairs.contains(&(ours_number, number)) || pairs.contains(&(number, ours_number));
                assert_eq!(check(header, ours).is_ok(), fits, "{ours:?} and {theirs:?}");
            }
        }
    }

    #[test]
    fn r12_the_versions_of_pair_refuse_each_other() {
        let version_0_at_1 = check(sp_header(Protocol::Pair), Protocol::Pair1);
        assert_eq!(version_0_at_1, Err(WireError::Incompatible { got: 16, expected: 17 }));
        let version_1_at_0 = check(sp_header(Protocol::Pair1), Protocol::Pair);
        assert_eq!(version_1_at_0, Err(WireError::Incompatible { got: 17, expected: 16 }));
    }

    #[test]
    fn r12_star_is_refused_by_all() {
        for ours in Protocol::ALL {
            let [high, low] = 1600_u16.to_be_bytes();
            let refused = Err(WireError::Incompatible { got: 1600, expected: ours.peer().number() });
            assert_eq!(check([0, b'S', b'P', 0, high, low, 0, 0], ours), refused);
        }
    }
}
