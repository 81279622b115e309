//! The cases of the Autobahn test suite for servers, as far as they concern what we offer (no extensions): an
//! echoing PAIR, a hand-made client, and what has to come back, frame by frame.
#![cfg(feature = "ws")]

mod util;

use std::io::Write;

use spmsg::{Protocol, Socket};
use util::socket;
use util::ws::WsPeer;
use util::ws_frames::masked;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// How the frames are cut when they are sent.
#[derive(Clone, Copy, Debug)]
enum Cut {
    AtOnce,
    Bytes(usize),
}

struct Case {
    name: String,
    send: Vec<(u8, Vec<u8>)>,
    /// Messages and control frames that come back.
    answers: Vec<(u8, Vec<u8>)>,
    /// What is sent when they have: the echo is not the session's, and would race with its end.
    then: Vec<(u8, Vec<u8>)>,
    /// The code of the Close frame at the end: ours for an error, or the peer's own sent back.
    close: Option<u16>,
    cut: Cut,
}

fn frame(first: u8, payload: impl AsRef<[u8]>) -> (u8, Vec<u8>) {
    (first, payload.as_ref().to_vec())
}

fn close(code: u16) -> (u8, Vec<u8>) {
    frame(CLOSE, code.to_be_bytes())
}

/// `send`, answered by `answers`, then a regular close.
fn good(name: impl Into<String>, send: Vec<(u8, Vec<u8>)>, answers: Vec<(u8, Vec<u8>)>) -> Case {
    Case { name: name.into(), send, answers, then: vec![close(1000)], close: Some(1000), cut: Cut::AtOnce }
}

/// `before`, which comes back as it is, then frames that are answered by a Close alone.
fn ends(
    name: impl Into<String>,
    before: Vec<(u8, Vec<u8>)>,
    then: Vec<(u8, Vec<u8>)>,
    close: Option<u16>,
) -> Case {
    Case { name: name.into(), answers: before.clone(), send: before, then, close, cut: Cut::AtOnce }
}

/// Answers everything with itself, as the type it came as.
fn echo(server: &Socket) {
    while let Ok(message) = server.recv() {
        if server.send(message).is_err() {
            return;
        }
    }
}

fn run(cases: Vec<Case>) {
    let server = socket(Protocol::Pair);
    server.set_options(|options| Ok(options.set_recv_max(None).recv_max())).expect("open");
    let address = server.bind("ws://127.0.0.1:0").expect("a port").address().to_owned();
    std::thread::scope(|scope| {
        scope.spawn(|| echo(&server));
        let failed: Vec<String> =
            cases.iter().filter_map(|case| check(&address, &server, case).err()).collect();
        server.close().expect("open");
        assert!(
            failed.is_empty(),
            "{} of {} cases failed:\n{}",
            failed.len(),
            cases.len(),
            failed.join("\n")
        );
    });
}

fn send(peer: &WsPeer, case: &Case, frames: &[(u8, Vec<u8>)]) {
    let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
    let step = if let Cut::Bytes(step) = case.cut { step } else { bytes.len().max(1) };
    for piece in bytes.chunks(step) {
        // The server may have closed at what came before.
        if (&peer.stream).write_all(piece).is_err() {
            return;
        }
    }
}

fn check(address: &str, server: &Socket, case: &Case) -> Result<(), String> {
    // One peer at a time: the one before is gone.
    util::wait_for_pipes(server, 0);
    let mut peer = WsPeer::join(address, "pair.sp.nanomsg.org");
    let writing = WsPeer { stream: peer.stream.try_clone().expect("a descriptor") };
    std::thread::scope(|scope| {
        scope.spawn(|| send(&writing, case, &case.send));
        let wrong = |what: String| Err(format!("{}: {what}", case.name));
        let (mut at, mut ending, mut message) = (0, false, None::<(u8, Vec<u8>)>);
        loop {
            if at == case.answers.len() && message.is_none() && !std::mem::replace(&mut ending, true) {
                send(&writing, case, &case.then);
            }
            let Ok(frame) = peer.try_frame() else { return wrong("the stream ended without a Close".into()) };
            if frame.first == CLOSE {
                let code = frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                if at != case.answers.len() || code != case.close {
                    return wrong(format!("closed with {code:?} after {at} answers"));
                }
                return match peer.try_frame() {
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
                    other => wrong(format!("{other:?} behind the Close")),
                };
            }
            // Messages come in fragments when they are large.
            let answer = match (frame.first & 0x0f, message.take()) {
                (0, Some((first, mut body))) => {
                    body.extend(frame.payload);
                    (first, body)
                }
                (_, None) => (frame.first | 0x80, frame.payload),
                (_, Some(_)) => return wrong("a message within another".into()),
            };
            if frame.first & 0x80 == 0 {
                message = Some(answer);
                continue;
            }
            if case.answers.get(at) != Some(&answer) {
                return wrong(format!("answer {at} is {:#04x} with {} bytes", answer.0, answer.1.len()));
            }
            at += 1;
        }
    })
}

#[test]
fn r37_r63_r72_framing_of_messages() {
    let mut cases = Vec::new();
    for (first, byte) in [(TEXT, b'*'), (BINARY, 0xfe)] {
        for len in [0, 125, 126, 127, 128, 65_535, 65_536] {
            let echoed = vec![frame(first, vec![byte; len])];
            cases.push(good(format!("1 {first:#04x} of {len}"), echoed.clone(), echoed.clone()));
            if len == 65_536 {
                let whole = good(format!("1 {first:#04x} of {len} in pieces"), echoed.clone(), echoed);
                cases.push(Case { cut: Cut::Bytes(997), ..whole });
            }
        }
    }
    run(cases);
}

#[test]
fn r66_pings_and_pongs() {
    let bytes: Vec<u8> = (0..125).map(|at| 0xff - at).collect();
    let mut cases = Vec::new();
    for payload in [&b""[..], b"Hello, world!", &bytes] {
        let name = format!("2 ping of {}", payload.len());
        cases.push(good(name, vec![frame(PING, payload)], vec![frame(PONG, payload)]));
    }
    cases.push(ends("2.5 ping of 126", vec![], vec![frame(PING, [0xfe; 126])], Some(1002)));
    let bytewise = good("2.6 ping byte by byte", vec![frame(PING, &bytes)], vec![frame(PONG, &bytes)]);
    cases.push(Case { cut: Cut::Bytes(1), ..bytewise });
    cases.push(good("2.7 unsolicited pong", vec![frame(PONG, "")], vec![]));
    cases.push(good("2.8 unsolicited pong with data", vec![frame(PONG, "x")], vec![]));
    let send = vec![frame(PONG, "unsolicited"), frame(PING, "ping")];
    cases.push(good("2.9 pong, then ping", send, vec![frame(PONG, "ping")]));
    let pings = |first| (0..10).map(|at| frame(first, format!("payload-{at}"))).collect::<Vec<_>>();
    cases.push(good("2.10 ten pings", pings(PING), pings(PONG)));
    cases.push(Case { cut: Cut::Bytes(1), ..good("2.11 ten pings byte by byte", pings(PING), pings(PONG)) });
    run(cases);
}

#[test]
fn r65_reserved_bits_and_opcodes() {
    let hello = || frame(TEXT, "Hello, world!");
    let mut cases = Vec::new();
    for rsv in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] {
        for first in [TEXT, BINARY, PING, CLOSE] {
            let name = format!("3 {:#04x}", rsv | first);
            cases.push(ends(name, vec![hello()], vec![frame(rsv | first, "x"), frame(PING, "")], Some(1002)));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in ["", "reserved opcode payload"] {
            let then = vec![frame(0x80 | opcode, payload), frame(PING, "")];
            cases.push(ends(format!("4 opcode {opcode}"), vec![hello()], then, Some(1002)));
        }
    }
    run(cases);
}

#[test]
fn r63_r65_fragments() {
    let whole = || frame(TEXT, "fragment1fragment2");
    let (one, two) = (|| frame(0x01, "fragment1"), || frame(0x80, "fragment2"));
    let pong = || frame(PONG, "ping payload");
    let ping = || frame(PING, "ping payload");
    let mut cases = vec![
        ends("5.1 a ping in fragments", vec![], vec![frame(0x09, "one"), frame(0x80, "two")], Some(1002)),
        ends("5.2 a pong in fragments", vec![], vec![frame(0x0a, "one"), frame(0x80, "two")], Some(1002)),
        good("5.3 a text in two", vec![one(), two()], vec![whole()]),
        good("5.6 a ping within", vec![one(), ping(), two()], vec![pong(), whole()]),
        ends("5.9 a continuation of nothing", vec![], vec![two(), frame(TEXT, "x")], Some(1002)),
        ends("5.10 the same, unfinished", vec![], vec![frame(0x00, "x"), frame(TEXT, "x")], Some(1002)),
        ends("5.15 behind a whole message", vec![whole()], vec![frame(0x00, "x"), one()], Some(1002)),
        ends(
            "5.16 false continuation, again and again",
            vec![],
            vec![frame(0x00, "x"), one(), two()],
            Some(1002),
        ),
        ends("5.18 a text within a text", vec![], vec![one(), frame(TEXT, "fragment2")], Some(1002)),
        good(
            "5.19 five fragments, pings between",
            vec![
                one(),
                frame(0x00, "fragment2"),
                ping(),
                frame(0x00, "3"),
                frame(0x00, "4"),
                ping(),
                frame(0x80, "5"),
            ],
            vec![pong(), pong(), frame(TEXT, "fragment1fragment2345")],
        ),
        good(
            "empty fragments",
            vec![frame(0x02, ""), frame(0x00, ""), frame(0x80, "")],
            vec![frame(BINARY, "")],
        ),
        good(
            "empty around",
            vec![frame(0x01, ""), frame(0x00, "x"), frame(0x80, "")],
            vec![frame(TEXT, "x")],
        ),
    ];
    let slow = good("5.8 byte by byte", vec![one(), ping(), two()], vec![pong(), whole()]);
    cases.push(Case { cut: Cut::Bytes(1), ..slow });
    run(cases);
}

#[test]
fn r64_utf8() {
    let mut cases = Vec::new();
    let valid: [&[u8]; 16] = [
        "κόσμε".as_bytes(),
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        b"\0",
        b"\x7f",
        b"\xc2\x80",
        b"\xdf\xbf",
        b"\xe0\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbf",
        b"\xf0\x90\x80\x80",
        b"\xf0\x9f\xbf\xbf",
        b"\xf4\x8f\xbf\xbf",
        b"\xef\xb7\x90",
        b"",
    ];
    for text in valid {
        cases.push(good(format!("6 {text:02x?}"), vec![frame(TEXT, text)], vec![frame(TEXT, text)]));
        let bytewise: Vec<(u8, Vec<u8>)> = (0..text.len())
            .map(|at| (if at == 0 { 0x01 } else { 0x00 }, vec![text[at]]))
            .chain([(if text.is_empty() { TEXT } else { 0x80 }, vec![])])
            .collect();
        cases.push(good(format!("6 fragments of {text:02x?}"), bytewise, vec![frame(TEXT, text)]));
    }
    let invalid: [&[u8]; 22] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80",
        b"\xc0 \xc1 ",
        b"\xe0 ",
        b"\xf0 ",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xaf\xbf",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xce\xba\xe1",
    ];
    for text in invalid {
        cases.push(ends(format!("6 {text:02x?}"), vec![], vec![frame(TEXT, text)], Some(1007)));
        let send = vec![frame(0x01, text), frame(0x80, "")];
        cases.push(ends(format!("6 fragments of {text:02x?}"), vec![], send, Some(1007)));
        cases.push(good(format!("binary {text:02x?}"), vec![frame(BINARY, text)], vec![frame(BINARY, text)]));
    }
    run(cases);
}

#[test]
fn r68_closing() {
    let hello = || frame(TEXT, "Hello World!");
    let mut cases = vec![
        good("7.1.1 a message, then close", vec![hello()], vec![hello()]),
        ends("7.1.2 two closes", vec![], vec![close(1000), close(1000)], Some(1000)),
        ends("7.1.3 a ping behind the close", vec![], vec![close(1000), frame(PING, "")], Some(1000)),
        ends("7.1.4 a text behind the close", vec![], vec![close(1000), hello()], Some(1000)),
        ends(
            "7.1.5 within fragments",
            vec![],
            vec![frame(0x01, "x"), close(1000), frame(0x80, "y")],
            Some(1000),
        ),
        ends("7.3.1 without a code", vec![], vec![frame(CLOSE, "")], None),
        ends("7.3.2 half a code", vec![], vec![frame(CLOSE, [3])], Some(1002)),
        ends("7.3.4 with a reason", vec![], vec![frame(CLOSE, b"\x03\xe8Hello")], Some(1000)),
        ends(
            "7.3.5 with the longest reason",
            vec![],
            vec![frame(CLOSE, [&[3, 0xe8][..], &[b'*'; 123]].concat())],
            Some(1000),
        ),
        ends(
            "7.3.6 with a longer one",
            vec![],
            vec![frame(CLOSE, [&[3, 0xe8][..], &[b'*'; 124]].concat())],
            Some(1002),
        ),
        ends(
            "7.5.1 with a reason that is no text",
            vec![],
            vec![frame(CLOSE, b"\x03\xe8\xce\xba\xe1")],
            Some(1007),
        ),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(ends(format!("7.7 {code}"), vec![], vec![close(code)], Some(code)));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(ends(format!("7.9 {code}"), vec![], vec![close(code)], Some(1002)));
    }
    run(cases);
}

#[test]
fn r62_r63_large_messages_and_many_fragments() {
    let mut cases = Vec::new();
    for (first, len) in [(TEXT, 1 << 20), (BINARY, 1 << 20), (BINARY, 8 << 20), (TEXT, 4 << 20)] {
        let body = vec![b'*'; len];
        let echoed = vec![frame(first, &body)];
        cases.push(good(format!("9 {first:#04x} of {len}"), echoed.clone(), echoed.clone()));
        let chopped = good(format!("9.5 {first:#04x} of {len} in pieces"), echoed.clone(), echoed.clone());
        cases.push(Case { cut: Cut::Bytes(2048), ..chopped });
        for size in [256, 4096, 65_536, 1 << 20] {
            let count = len / size;
            let send = (0..count)
                .map(|at| {
                    let opcode = if at == 0 { first & 0x0f } else { 0 };
                    let fin = if at + 1 == count { 0x80 } else { 0 };
                    (fin | opcode, vec![b'*'; size])
                })
                .collect();
            cases.push(good(format!("9.3 {first:#04x} of {len} in frames of {size}"), send, echoed.clone()));
        }
    }
    run(cases);
}
