//! Both halves of the session against vectors, hostile peers, and each other.

#[path = "../../../tests/util/ws_frames.rs"]
mod by_hand;

use std::sync::Arc;

use quickcheck::{Arbitrary, Gen, quickcheck};
use smallvec::SmallVec;

use self::by_hand::{MASK, masked, plain};
use super::frame::{self, HEAD_MAX_BYTES, Head, Opcode};
use super::*;
use crate::frames::Frames;
use crate::limits::{
    BODY_BY_REFERENCE_BYTES, BODY_GROWTH_STEP_BYTES, BODY_TAIL_BYTES, WS_FRAME_MAX_BYTES, WS_HEAD_MAX_BYTES,
    WS_MASKED_FRAME_MAX_BYTES, WS_REQUEST_MIN_BYTES, WS_RESPONSE_MAX_BYTES,
};
use crate::message::{Message, WsMessageType};
use crate::wire::{Allowance, Decoder, Encoder, Event, SendQueue, SessionKind, WireError};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";
const BIG: usize = BODY_BY_REFERENCE_BYTES;

const REQUEST: &str = "GET / HTTP/1.1\r\n\
    Host: 127.0.0.1:5555\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\
    \r\n";

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n\
    Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\
    \r\n";

fn server(protocol: Protocol) -> decoder::WsDecoder {
    decoder::WsDecoder::server(protocol, None)
}

/// The client half of a REQ socket that has sent [`REQUEST`].
fn client() -> decoder::WsDecoder {
    decoder::WsDecoder::client(Protocol::Req, KEY, Secret::new([7; 16]).masks_of_replies())
}

/// What a decoder made of its input, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Ready,
    Message(Vec<u8>),
    Text(Vec<u8>),
    Reply(Vec<u8>),
    Close(Vec<u8>),
    /// The error, and the last words.
    Error(WireError, Vec<u8>),
}

fn feed(decoder: &mut decoder::WsDecoder, mut input: &[u8], max: Option<usize>) -> Vec<Said> {
    let mut said = Vec::new();
    loop {
        // Now in blocks and now one at a time: what comes out must be the same.
        if input.len().is_multiple_of(2) {
            said.extend(block(decoder, &mut input, max));
        }
        let event = match decoder.next(&mut input, max) {
            Ok(None) => break,
            Ok(Some(event)) => event,
            Err(error) => {
                said.push(Said::Error(error, decoder.last_words(&error).to_vec()));
                return said;
            }
        };
        said.push(match event {
            Event::Ready => Said::Ready,
            Event::Message(message) if message.ws_type() == Some(WsMessageType::Text) => {
                Said::Text(message.body().to_vec())
            }
            Event::Message(message) => Said::Message(message.body().to_vec()),
            Event::Reply(bytes) => Said::Reply(bytes.to_vec()),
            Event::Close(bytes) => Said::Close(bytes.to_vec()),
        });
    }
    assert!(input.is_empty(), "the decoder left {} bytes", input.len());
    said
}

fn block(decoder: &mut decoder::WsDecoder, input: &mut &[u8], max: Option<usize>) -> Vec<Said> {
    let (mut block, mut said, mut sum) = (Frames::default(), Vec::new(), 0);
    let room = Allowance { below: 100_000, overhead: 1 };
    let counted = decoder.next_block(input, max, room, &mut block);
    while let Some((taken, _)) = block.pop() {
        let message = taken.into_message();
        sum += message.len() + room.overhead;
        said.push(match message.ws_type() {
            Some(WsMessageType::Text) => Said::Text(message.body().to_vec()),
            Some(WsMessageType::Binary) => Said::Message(message.body().to_vec()),
            None => panic!("a message without its type"),
        });
    }
    assert_eq!(counted, sum);
    assert!(sum < room.below);
    said
}

fn open_server() -> decoder::WsDecoder {
    let mut decoder = server(Protocol::Rep);
    let said = feed(&mut decoder, REQUEST.as_bytes(), None);
    assert_eq!(said, [Said::Reply(RESPONSE.into()), Said::Ready]);
    assert!(!decoder.is_mid_frame());
    decoder
}

fn open_client() -> decoder::WsDecoder {
    let mut decoder = client();
    assert_eq!(feed(&mut decoder, RESPONSE.as_bytes(), None), [Said::Ready]);
    decoder
}

/// What a server says to these frames of a client.
fn to_server(frames: &[Vec<u8>]) -> Vec<Said> {
    feed(&mut open_server(), &frames.concat(), None)
}

fn closes_with(said: &[Said], code: u16) -> bool {
    let [high, low] = code.to_be_bytes();
    matches!(said, [.., Said::Error(_, words)] if *words == [0x88, 2, high, low])
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

// The upgrade

/// The answer of a PUB server to a request.
fn answer(request: &str) -> Vec<Said> {
    feed(&mut server(Protocol::Pub), request.as_bytes(), None)
}

/// The status that a refused request gets; 101 for a good one.
fn status_at(path: Option<&str>, protocol: Protocol, request: &[u8]) -> u16 {
    let mut decoder = decoder::WsDecoder::server(protocol, path.map(Box::from));
    let said = feed(&mut decoder, request, None);
    let response = match said.as_slice() {
        [Said::Reply(response), Said::Ready] => response,
        [Said::Error(WireError::UpgradeRefused { .. }, response)] => response,
        other => panic!("{other:?} to {}", String::from_utf8_lossy(request)),
    };
    let text = String::from_utf8(response.clone()).expect("ASCII");
    assert!(text.len() < WS_RESPONSE_MAX_BYTES && text.ends_with("\r\n\r\n"), "{text}");
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    assert_eq!(status != 101, text.contains("Content-Length: 0\r\n"), "{text}");
    assert_eq!(status != 101, text.contains("Connection: close\r\n"), "{text}");
    status
}

fn status(protocol: Protocol, request: &str) -> u16 {
    status_at(None, protocol, request.as_bytes())
}

#[test]
fn r36_r38_r39_r44_r47_r48_request_is_that_of_nanomsg_byte_for_byte() {
    assert_eq!(upgrade::request("127.0.0.1:5555", "/", KEY, token(Protocol::Rep)), REQUEST);
    let role = Role::Client { host: "host:7".into(), target: "/a?b=c".into() };
    for protocol in Protocol::ALL {
        let kind = SessionKind::WebSocket(Arc::new(role.clone()));
        assert!(kind.needs_secret());
        let session = kind.open(protocol, &Facts::default());
        let request = String::from_utf8(session.greeting.to_vec()).expect("ASCII");
        assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\nHost: host:7\r\n"), "{request}");
        let name = format!("{:?}", protocol.peer()).to_lowercase();
        let token = format!("\r\nSec-WebSocket-Protocol: {name}.sp.nanomsg.org\r\n\r\n");
        assert!(request.ends_with(&token), "{request}");
        assert!(!request.contains("Origin"));
    }
}

#[test]
fn r44_key_is_base64_of_sixteen_bytes_and_fresh() {
    assert_eq!(upgrade::key(std::array::from_fn(|at| at as u8)), KEY);
    assert_ne!(upgrade::key(Secret::new([1; 16]).nonce()), upgrade::key(Secret::new([2; 16]).nonce()));
}

#[test]
fn r45_the_shortest_request_is_long_enough_for_nanomsg() {
    let shortest = Protocol::ALL.map(|protocol| upgrade::request("h", "/", KEY, token(protocol)).len());
    assert!(shortest.iter().all(|len| *len >= WS_REQUEST_MIN_BYTES), "{shortest:?}");
}

#[test]
fn r51_accept_is_that_of_the_rfc() {
    assert_eq!(upgrade::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(upgrade::accept(KEY), "Bz3qJYTGdOe8gUSpLosEdiLKDrk=");
}

#[test]
fn r40_r41_r49_r50_r247_r249_response_echoes_our_token_as_spelled_and_nothing_else() {
    for (offered, echoed) in [
        ("rep.sp.nanomsg.org", "rep.sp.nanomsg.org"),
        ("REP.sp.Nanomsg.ORG", "REP.sp.Nanomsg.ORG"),
        ("chat, rep.sp.nanomsg.org ,x", "rep.sp.nanomsg.org"),
        ("req.sp.nanomsg.org\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org", "rep.sp.nanomsg.org"),
    ] {
        let request = REQUEST.replace("rep.sp.nanomsg.org", offered);
        let request = request.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        let expected = RESPONSE.replace("rep.sp.nanomsg.org", echoed);
        let said = feed(&mut server(Protocol::Rep), request.as_bytes(), None);
        assert_eq!(said, [Said::Reply(expected.into()), Said::Ready], "{offered}");
    }
}

#[test]
fn r42_other_tokens_are_refused_with_a_reason() {
    for (offered, reason) in [
        ("req.sp.nanomsg.org", "Incompatible Socket Type"),
        ("pair1.sp.nanomsg.org", "Incompatible Socket Type"),
        ("chat", "Unrecognized Socket Type"),
        ("pub.sp.nanomsg.org.evil", "Unrecognized Socket Type"),
    ] {
        let said = answer(&REQUEST.replace("rep.sp.nanomsg.org", offered));
        let error = WireError::UpgradeRefused { status: 400, reason };
        let [Said::Error(got, words)] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(*got, error);
        assert!(words.starts_with(format!("HTTP/1.1 400 {reason}\r\n").as_bytes()));
    }
}

#[test]
fn r43_without_a_token_only_pair_is_served_and_gets_none() {
    let request = REQUEST.replace("Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n", "");
    for protocol in Protocol::ALL {
        let expected = if protocol == Protocol::Pair { 101 } else { 400 };
        assert_eq!(status(protocol, &request), expected, "{protocol:?}");
    }
    let said = feed(&mut server(Protocol::Pair), request.as_bytes(), None);
    let expected = RESPONSE.replace("Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n", "");
    assert_eq!(said, [Said::Reply(expected.into()), Said::Ready]);
}

#[test]
fn r56_r58_r248_what_is_wrong_with_a_request_has_a_status() {
    let rows = [
        ("GET / HTTP/1.1", "GET / HTTP/1.1", 101),
        ("Host: 127.0.0.1:5555", "Host: somebody.else", 101),
        ("Host: 127.0.0.1:5555", "hOST:", 101),
        ("Connection: Upgrade", "Connection: keep-alive, UPGRADE", 101),
        ("Upgrade: websocket", "Upgrade: WebSocket", 101),
        ("Host:", "Origin: http://evil.example\r\nHost:", 101),
        ("GET ", "POST ", 405),
        ("GET ", "HEAD ", 405),
        ("GET ", "OPTIONS ", 405),
        ("HTTP/1.1", "HTTP/1.0", 505),
        ("HTTP/1.1", "HTTP/2.0", 505),
        ("HTTP/1.1", "SIP/2.0", 505),
        (" HTTP/1.1", "", 400),
        ("Host: 127.0.0.1:5555\r\n", "", 400),
        ("Host: 127.0.0.1:5555", "Host: a\r\nHost: b", 400),
        ("Host: 127.0.0.1:5555", "Host 127.0.0.1", 400),
        ("Upgrade: websocket\r\n", "", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: close", 400),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n", "", 400),
        ("AAECAwQFBgcICQoLDA0ODw==", "", 400),
        ("AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0O", 400),
        ("AAECAwQFBgcICQoLDA0ODw==", "AAECAwQFBgcICQoLDA0ODxA=", 400),
        ("AAECAwQFBgcICQoLDA0ODw==", "!!ECAwQFBgcICQoLDA0ODw==", 400),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Key", 400),
        ("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n", 413),
        ("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        ("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 101),
        ("\r\n\r\n", "\r\nBad Name: x\r\n\r\n", 400),
        ("\r\n\r\n", "\r\nx: a\0b\r\n\r\n", 400),
    ];
    for (from, to, expected) in rows {
        assert!(REQUEST.contains(from));
        assert_eq!(status(Protocol::Rep, &REQUEST.replacen(from, to, 1)), expected, "{to:?} for {from:?}");
    }
    // What would be right.
    for (from, to, hint) in [("GET", "PUT", "Allow: GET"), (": 13", ": 8", "Upgrade: websocket")] {
        let words = said_words(&answer(&REQUEST.replace(from, to)));
        let text = String::from_utf8(words).expect("ASCII");
        assert!(text.contains(&format!("\r\n{hint}\r\n")), "{text}");
    }
}

#[test]
fn r56_heads_that_are_too_long_are_refused() {
    let field = format!("x: {}\r\n", "y".repeat(1000));
    let long = REQUEST.replace("Host", &format!("{}Host", field.repeat(17)));
    assert!(long.len() > WS_HEAD_MAX_BYTES);
    assert_eq!(status(Protocol::Rep, &long), 431);
    let within = REQUEST.replace("Host", &format!("{}Host", field.repeat(15)));
    assert_eq!(status(Protocol::Rep, &within), 101);
    let many = REQUEST.replace("Host", &format!("{}Host", "x: y\r\n".repeat(100)));
    assert_eq!(status(Protocol::Rep, &many), 431);
    // Without an end it is refused at the bound and no byte later.
    let mut decoder = server(Protocol::Rep);
    let endless = [b"GET ", &[b'/'; WS_HEAD_MAX_BYTES][..]].concat();
    assert_eq!(feed(&mut decoder, &endless[..WS_HEAD_MAX_BYTES - 1], None), []);
    let said = feed(&mut decoder, b"/////", None);
    assert!(matches!(said[..], [Said::Error(WireError::UpgradeRefused { status: 431, .. }, _)]));
}

#[test]
fn r56_what_is_no_http_is_refused_at_its_first_byte() {
    for bytes in [&b"\0SP\0\0\x10\0\0"[..], b"\x16\x03\x01", b"get / HTTP/1.1", b"\r\n", b"\x82\x05Hello"] {
        assert_eq!(status_at(None, Protocol::Pair, &bytes[..1]), 400, "{bytes:02x?}");
        assert_eq!(status_at(None, Protocol::Pair, bytes), 400, "{bytes:02x?}");
    }
}

#[test]
fn r57_r246_targets() {
    let with = |target: &str| REQUEST.replacen("GET / ", &format!("GET {target} "), 1);
    for target in ["", "/", "/a", "/a/b?c=d", "*", "http://h/x"] {
        assert_eq!(status_at(None, Protocol::Rep, with(target).as_bytes()), 101, "{target:?} for any");
    }
    let rows = [
        ("/p", 101),
        ("/p/", 101),
        ("/p?q", 101),
        ("/p/?q=/x", 101),
        ("ws://any:1/p", 101),
        ("ws://any:1", 404),
        ("", 404),
        ("/", 404),
        ("/P", 404),
        ("/p/x", 404),
        ("/q?/p", 404),
    ];
    for (target, expected) in rows {
        for ours in ["/p", "/p/"] {
            let got = status_at(Some(ours), Protocol::Rep, with(target).as_bytes());
            assert_eq!(got, expected, "{target:?} at {ours}");
        }
    }
    assert_eq!(status_at(Some("/"), Protocol::Rep, with("").as_bytes()), 101);
}

#[test]
fn r46_frames_behind_the_heads_are_read() {
    let bytes = [REQUEST.as_bytes(), &masked(0x82, b"Hello")].concat();
    let said = feed(&mut server(Protocol::Rep), &bytes, None);
    assert_eq!(said, [Said::Reply(RESPONSE.into()), Said::Ready, Said::Message(b"Hello".into())]);
    let bytes = [RESPONSE.as_bytes(), &plain(0x82, b"Hello")].concat();
    assert_eq!(feed(&mut client(), &bytes, None), [Said::Ready, Said::Message(b"Hello".into())]);
}

/// What a client says to a response; nothing is told to the server in any case.
fn response_error(response: &str) -> Option<WireError> {
    match feed(&mut client(), response.as_bytes(), None).as_slice() {
        [Said::Ready] => None,
        [Said::Error(error, words)] if words.is_empty() => Some(*error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn r51_r52_r247_responses_are_checked() {
    let rows = [
        ("Upgrade: websocket", "Upgrade: WebSocket", true),
        ("Connection: Upgrade", "connection: keep-alive, upgrade", true),
        ("rep.sp", "REP.SP", true),
        ("\r\n\r\n", "\r\nServer: x\r\nDate: y\r\n\r\n", true),
        ("Switching Protocols", "", true),
        ("Upgrade: websocket\r\n", "", false),
        ("Connection: Upgrade\r\n", "", false),
        ("Connection: Upgrade", "Connection: close", false),
        ("Bz3qJYTGdOe8", "Bz3qJYTGdOe9", false),
        ("Sec-WebSocket-Accept: Bz3qJYTGdOe8gUSpLosEdiLKDrk=\r\n", "", false),
        ("Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n", "", false),
        ("Sec-WebSocket-Protocol: rep.sp.nanomsg.org", "Sec-WebSocket-Protocol:", false),
        ("rep.sp.nanomsg.org", "req.sp.nanomsg.org", false),
        ("rep.sp.nanomsg.org", "rep.sp.nanomsg.org, x", false),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", false),
        ("\r\n\r\n", "\r\nno colon\r\n\r\n", false),
    ];
    for (from, to, good) in rows {
        let error = response_error(&RESPONSE.replacen(from, to, 1));
        assert_eq!(error.is_none(), good, "{to:?} for {from:?}: {error:?}");
        assert!(error.is_none_or(|error| matches!(error, WireError::NotUpgraded(_))));
    }
}

#[test]
fn r53_r248_other_statuses_fail_without_waiting_for_the_end_of_the_head() {
    for status in [100, 200, 204, 301, 302, 400, 401, 404, 426, 500, 503] {
        let line = format!("HTTP/1.1 {status}");
        assert_eq!(response_error(&line), Some(WireError::HttpStatus(status)));
    }
    for (start, good) in [("HTTP/1.1 4", false), ("HTTP/1.1 11", false), ("HTTP/1.1 10", true), ("H", true)] {
        let said = feed(&mut client(), start.as_bytes(), None);
        assert_eq!(said.is_empty(), good, "{start}");
    }
    for start in ["HTTP/1.0 101", "HTTP/2", "SSH-2.0", "\0SP\0"] {
        assert!(matches!(response_error(start), Some(WireError::NotUpgraded(_))), "{start}");
    }
    let endless = format!("{}{}", &RESPONSE[..RESPONSE.len() - 2], "x: y\r\n".repeat(WS_HEAD_MAX_BYTES));
    assert_eq!(response_error(&endless), Some(WireError::NotUpgraded("its head is too long")));
}

// Messages out

fn message(header: &[u8], body: &[u8]) -> Message {
    let mut message = Message::from(body);
    message.set_header(header);
    message
}

fn encoded(encoder: &encoder::WsEncoder, message: Message) -> Vec<u8> {
    let mut queue = SendQueue::default();
    encoder.encode(message, &mut queue);
    written(queue)
}

fn written(mut queue: SendQueue) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !queue.is_empty() {
        let mut slices = SmallVec::new();
        queue.slices(&mut slices);
        let (before, left) = (bytes.len(), queue.len());
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        drop(slices);
        queue.advance(bytes.len() - before);
        assert!(queue.len() < left, "the queue does not get shorter");
    }
    bytes
}

fn from_server() -> encoder::WsEncoder {
    encoder::WsEncoder::new(None, WsMessageType::Binary)
}

fn from_client() -> encoder::WsEncoder {
    encoder::WsEncoder::new(Some(Secret::new([3; 16]).masks_of_messages()), WsMessageType::Binary)
}

#[test]
fn a_body_leaves_as_a_message_with_it_does_and_blocks_are_not_for_websockets() {
    for encoder in [from_server(), from_client()] {
        let (mut as_body, mut as_message) = (SendQueue::default(), SendQueue::default());
        encoder.encode_parts(b"", b"volume 7", &mut as_body);
        let message = encoded(&encoder, Message::from(b"volume 7"));
        assert_eq!(as_body.len(), message.len());
        encoder.encode(Message::from(b"volume 7"), &mut as_message);
        assert_eq!(as_body.len(), as_message.len());
        assert!(encoder.head(8).is_none(), "frames of a client are masked, and types stand in the head");
    }
    let mut frames = crate::frames::Frames::default();
    let allowance = crate::wire::Allowance { below: 1000, overhead: 9 };
    let mut input: &[u8] = &[0x82, 1, b'x'];
    assert_eq!(client().next_block(&mut input, None, allowance, &mut frames), 0);
    assert!(frames.is_empty() && input.len() == 3);
}

#[test]
fn whole_messages_come_in_a_block_until_something_else_comes() {
    let (one, two, three) = (masked(0x82, b"one"), masked(0x81, b"two"), masked(0x82, b"three"));
    let others = [
        masked(0x89, b"ping"),
        masked(0x02, b"fragment"),
        masked(0x82, &pattern(BIG)),
        plain(0x82, b"plain"),
    ];
    for other in others {
        let bytes = [&one[..], &two, &other, &three].concat();
        let mut input = &bytes[..];
        let said = block(&mut open_server(), &mut input, None);
        assert_eq!(said, [Said::Message(b"one".into()), Said::Text(b"two".into())]);
        assert_eq!(input.len(), other.len() + three.len(), "{:02x?}", &other[..2]);
    }
    let bytes = [&one[..], &three].concat();
    let mut input = &bytes[..];
    assert_eq!(block(&mut open_server(), &mut input, Some(3)), [Said::Message(b"one".into())]);
    assert_eq!(input, three);
    for begun in [&one[..1], &one[..7], &masked(0x02, b"fragment"), &masked(0x89, b"ping")[..7]] {
        let mut decoder = open_server();
        assert_eq!(feed(&mut decoder, begun, None), []);
        let mut input = &two[..];
        assert_eq!(block(&mut decoder, &mut input, None), [], "behind {begun:02x?}");
        assert_eq!(input, two);
    }
}

/// Heads and unmasked payloads of frames, which must be whole.
fn frames_in(mut bytes: &[u8]) -> Vec<(Head, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let Ok(frame::Parsed::Head(head, size)) = frame::parse(bytes) else { panic!("{bytes:02x?}") };
        assert!(size <= HEAD_MAX_BYTES);
        let (payload, rest) = bytes[size..].split_at(head.len as usize);
        let mut payload = payload.to_vec();
        frame::apply(head.mask.unwrap_or_default(), 0, &mut payload);
        frames.push((head, payload));
        bytes = rest;
    }
    frames
}

#[test]
fn r37_r61_r72_frames_of_a_server_are_the_vectors_of_the_mapping() {
    let hello = message(&[0x80, 0, 0, 1], b"Hello");
    assert_eq!(encoded(&from_server(), hello), b"\x82\x09\x80\0\0\x01Hello");
    assert_eq!(encoded(&from_server(), Message::new()), [0x82, 0]);
    let rows: [(usize, &[u8]); 4] = [
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 0xff, 0xff]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ];
    for (len, head) in rows {
        assert_eq!(encoded(&from_server(), message(b"", &pattern(len))), [head, &pattern(len)].concat());
    }
}

#[test]
fn r59_frames_of_a_client_are_masked_each_with_a_mask_of_its_own() {
    let encoder = from_client();
    let mut masks = std::collections::HashSet::new();
    for len in [0, 1, 5, 62, 63, 125, 126, BIG - 1, BIG, 65_536, 65_537, 200_000] {
        let bytes = encoded(&encoder, message(&[1, 2, 3, 4, 5], &pattern(len)));
        let frames = frames_in(&bytes);
        assert!(frames.iter().all(|(head, _)| masks.insert(head.mask.expect("a mask"))));
        let payload: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
        assert_eq!(payload, [&[1, 2, 3, 4, 5], &pattern(len)[..]].concat(), "{len} bytes");
    }
    assert_eq!(encoded(&encoder, Message::new())[..2], [0x82, 0x80]);
}

#[test]
fn r62_large_messages_are_fragmented() {
    for (encoder, most) in [(from_server(), WS_FRAME_MAX_BYTES), (from_client(), WS_MASKED_FRAME_MAX_BYTES)] {
        for (header, len, count) in
            [(0, most, 1), (0, most + 1, 2), (4, most - 4, 1), (4, most - 3, 2), (most + 1, 2 * most, 4)]
        {
            let message = message(&vec![9; header], &pattern(len));
            let expected = [vec![9; header], pattern(len)].concat();
            let frames = frames_in(&encoded(&encoder, message));
            assert_eq!(frames.len(), count, "{header} and {len}");
            for (at, (head, payload)) in frames.iter().enumerate() {
                assert!(payload.len() <= most.min(1_048_576));
                assert_eq!(head.fin, at + 1 == count);
                let first = Opcode::Data(WsMessageType::Binary);
                assert_eq!(head.opcode, if at == 0 { first } else { Opcode::Continuation });
            }
            assert_eq!(frames.concat_payloads(), expected);
        }
    }
}

trait ConcatPayloads {
    fn concat_payloads(&self) -> Vec<u8>;
}

impl ConcatPayloads for Vec<(Head, Vec<u8>)> {
    fn concat_payloads(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, payload)| payload.clone()).collect()
    }
}

#[test]
fn r64_type_is_the_sessions_unless_the_message_has_one() {
    for of_session in [WsMessageType::Text, WsMessageType::Binary] {
        let encoder = encoder::WsEncoder::new(None, of_session);
        for of_message in [None, Some(WsMessageType::Text), Some(WsMessageType::Binary)] {
            let mut message = Message::from("x");
            message.set_ws_type(of_message);
            let first = match of_message.unwrap_or(of_session) {
                WsMessageType::Text => 0x81,
                WsMessageType::Binary => 0x82,
            };
            assert_eq!(encoded(&encoder, message)[0], first);
        }
    }
}

#[test]
fn r71_masking_leaves_the_message_alone_and_a_servers_large_body_is_not_copied() {
    for len in [10, 100, BIG, 300_000] {
        let message = message(b"head", &pattern(len));
        let once = frames_in(&encoded(&from_client(), message.clone())).concat_payloads();
        assert_eq!(message.body(), pattern(len));
        assert_eq!(frames_in(&encoded(&from_client(), message.clone())).concat_payloads(), once);
        let (mut queue, address) = (SendQueue::default(), message.body().as_ptr());
        from_server().encode(message, &mut queue);
        let mut slices = SmallVec::new();
        queue.slices(&mut slices);
        assert_eq!(slices.iter().any(|slice| slice.as_ptr() == address), len >= BIG, "{len} bytes");
    }
}

// Messages in

#[test]
fn r37_frames_of_a_client_are_the_vectors_of_the_mapping() {
    let hello = b"\x80\0\0\x01Hello".to_vec();
    let whole = b"\x82\x89\x37\xfa\x21\x3d\xb7\xfa\x21\x3c\x7f\x9f\x4d\x51\x58".to_vec();
    assert_eq!(to_server(&[whole]), [Said::Message(hello.clone())]);
    let first = b"\x02\x83\x37\xfa\x21\x3d\xb7\xfa\x21".to_vec();
    let second = b"\x80\x86\x37\xfa\x21\x3d\x36\xb2\x44\x51\x5b\x95".to_vec();
    assert_eq!(to_server(&[first, second]), [Said::Message(hello)]);
    assert_eq!(to_server(&[b"\x82\x80\x37\xfa\x21\x3d".to_vec()]), [Said::Message(vec![])]);
    assert_eq!(to_server(&[masked(0x82, &pattern(126))]), [Said::Message(pattern(126))]);
    // Longer than necessary, and a mask of zeros: both are to be tolerated.
    let odd = b"\x82\xfe\x00\x01\0\0\0\0A".to_vec();
    assert_eq!(to_server(&[odd]), [Said::Message(b"A".into())]);
}

#[test]
fn r60_wrong_masking_closes_with_1002() {
    for first in [0x82, 0x81, 0x89, 0x88, 0x02] {
        assert!(closes_with(&to_server(&[plain(first, b"")]), 1002));
        let said = feed(&mut open_client(), &masked(first, b""), None);
        let [Said::Error(WireError::Frame(_), words)] = said.as_slice() else { panic!("{said:?}") };
        // A client's last words are masked too.
        let frames = frames_in(words);
        assert_eq!(frames.concat_payloads(), 1002_u16.to_be_bytes());
        assert!(frames[0].0.mask.is_some());
    }
}

#[test]
fn r63_fragments_are_reassembled_with_control_frames_in_between() {
    let frames = [
        masked(0x02, b"one "),
        masked(0x89, b"ping"),
        masked(0x00, b""),
        masked(0x8a, b"pong"),
        masked(0x00, b"two "),
        masked(0x80, b"three"),
        masked(0x82, b"next"),
    ];
    let pong = Said::Reply(plain(0x8a, b"ping"));
    let expected = [pong, Said::Message(b"one two three".into()), Said::Message(b"next".into())];
    assert_eq!(to_server(&frames), expected);
    // One byte at a time as well.
    let mut decoder = open_server();
    let said: Vec<Said> =
        frames.concat().iter().flat_map(|byte| feed(&mut decoder, &[*byte], None)).collect();
    assert_eq!(said, expected);
    assert!(!decoder.is_mid_frame());
}

#[test]
fn r65_what_is_no_frame_closes_with_1002() {
    let rows: [&[Vec<u8>]; 16] = [
        &[masked(0xc2, b"x")],
        &[masked(0xa2, b"x")],
        &[masked(0x92, b"x")],
        &[masked(0x83, b"x")],
        &[masked(0x8b, b"x")],
        &[masked(0x8f, b"x")],
        &[masked(0x80, b"x")],
        &[masked(0x00, b"x")],
        &[masked(0x09, b"x")],
        &[masked(0x08, b"")],
        &[masked(0x02, b"x"), masked(0x82, b"y")],
        &[masked(0x02, b"x"), masked(0x81, b"y")],
        &[masked(0x02, b"x"), masked(0x80, b"y"), masked(0x80, b"z")],
        &[masked(0x89, &[0; 126])],
        &[masked(0x88, &[0; 126])],
        &[b"\x82\xff\x80\0\0\0\0\0\0\0\x01\x02\x03\x04".to_vec()],
    ];
    for frames in rows {
        let said = to_server(frames);
        assert!(closes_with(&said, 1002), "{frames:02x?}: {said:?}");
        assert!(matches!(said.last(), Some(Said::Error(WireError::Frame(_), _))));
    }
}

#[test]
fn r66_pings_are_answered_with_the_same_data_and_pongs_ignored() {
    for len in [0, 1, 124, 125] {
        let pong = Said::Reply(plain(0x8a, &pattern(len)));
        assert_eq!(to_server(&[masked(0x89, &pattern(len)), masked(0x8a, &pattern(len))]), [pong]);
    }
    let said = feed(&mut open_client(), &plain(0x89, b"data"), None);
    let [Said::Reply(pong)] = said.as_slice() else { panic!("{said:?}") };
    let [(head, payload)] = &frames_in(pong)[..] else { panic!("{pong:02x?}") };
    assert_eq!((head.opcode, head.mask.is_some(), &payload[..]), (Opcode::Pong, true, &b"data"[..]));
}

#[test]
fn r68_a_close_is_answered_and_nothing_counts_behind_it() {
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1009, 1011, 3000, 4999] {
        let close = masked(0x88, &[&code.to_be_bytes()[..], b"reason"].concat());
        let answer = Said::Close(plain(0x88, &code.to_be_bytes()));
        assert_eq!(to_server(&[close, masked(0x82, b"late"), masked(0xff, b"junk")]), [answer]);
    }
    assert_eq!(to_server(&[masked(0x88, b"")]), [Said::Close(plain(0x88, b""))]);
    for payload in
        [&b"\x03"[..], b"\0\0", b"\x03\xec", b"\x03\xed", b"\x03\xee", b"\x03\xf7", b"\x04\x4c", b"\xff\xff"]
    {
        assert!(closes_with(&to_server(&[masked(0x88, payload)]), 1002), "{payload:02x?}");
    }
    assert!(closes_with(&to_server(&[masked(0x88, b"\x03\xe8\xff\xfe")]), 1007));
    let mut decoder = open_server();
    feed(&mut decoder, &[masked(0x02, b"half"), masked(0x88, b"")].concat(), None);
    assert!(!decoder.is_mid_frame(), "whoever says goodbye truncates nothing");
}

#[test]
fn r64_text_is_utf8_across_fragments_or_closes_with_1007() {
    let text = "κόσμε 🦀 ok";
    for at in 0..=text.len() {
        let (one, two) = text.as_bytes().split_at(at);
        let said = to_server(&[masked(0x01, one), masked(0x80, two)]);
        assert_eq!(said, [Said::Text(text.into())], "cut at {at}");
    }
    assert_eq!(to_server(&[masked(0x81, text.as_bytes())]), [Said::Text(text.into())]);
    let long = text.repeat(5000);
    assert_eq!(to_server(&[masked(0x81, long.as_bytes())]), [Said::Text(long.into())]);
    let bad: [&[u8]; 8] = [
        b"\x42\x41\xdd\x2e",
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"ends within \xf0\x9f\xa6",
        b"\x80",
        b"\xfe",
    ];
    for bytes in bad {
        assert!(closes_with(&to_server(&[masked(0x81, bytes)]), 1007), "{bytes:02x?}");
        for at in 0..bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert!(closes_with(&to_server(&[masked(0x01, one), masked(0x80, two)]), 1007));
        }
        assert_eq!(to_server(&[masked(0x82, bytes)]), [Said::Message(bytes.into())]);
    }
    // As soon as it is known, not only at the end.
    assert!(closes_with(&to_server(&[masked(0x01, b"\xff")]), 1007));
    assert_eq!(to_server(&[masked(0x01, b"\xf0\x9f")]), []);
}

#[test]
fn r70_too_long_a_message_closes_with_1009_before_it_is_there() {
    let max = Some(10);
    assert_eq!(feed(&mut open_server(), &masked(0x82, &[7; 10]), max), [Said::Message(vec![7; 10])]);
    let head_only = &masked(0x82, &[7; 11])[..6];
    assert!(closes_with(&feed(&mut open_server(), head_only, max), 1009));
    let fragments = [masked(0x02, &[7; 6]), masked(0x00, &[7; 4]), masked(0x80, &[7; 1])].concat();
    let said = feed(&mut open_server(), &fragments[..fragments.len() - 1], max);
    assert!(closes_with(&said, 1009));
    assert_eq!(said, [Said::Error(WireError::TooLong { claimed: 11, limit: 10 }, said_words(&said))]);
    // A limit of nothing lets the empty message pass, and control frames have none.
    let frames = [masked(0x82, b""), masked(0x89, b"ping"), masked(0x82, b"x")].concat();
    let said = feed(&mut open_server(), &frames, Some(0));
    assert_eq!(said[..2], [Said::Message(vec![]), Said::Reply(plain(0x8a, b"ping"))]);
    assert!(closes_with(&said, 1009));
}

#[test]
fn a_server_that_has_no_memory_closes_with_1011() {
    let words = open_server().last_words(&WireError::OutOfMemory(1)).to_vec();
    assert_eq!(words, [0x88, 2, 3, 0xf3]);
}

fn said_words(said: &[Said]) -> Vec<u8> {
    match said.last() {
        Some(Said::Error(_, words)) => words.clone(),
        _ => vec![],
    }
}

#[test]
fn r70_r81_claims_up_to_the_largest_allocate_nothing() {
    for len in [1_u64 << 20, 1 << 32, 1 << 62, i64::MAX as u64 - 4096] {
        let head = [&[0x82, 0xff][..], &len.to_be_bytes(), &MASK].concat();
        let mut decoder = open_server();
        assert_eq!(feed(&mut decoder, &head, None), []);
        let (buffer, missing) = decoder.body_buffer().expect("memory for a step").expect("a large body");
        assert_eq!(missing as u64, len);
        assert!(buffer.capacity() <= BODY_GROWTH_STEP_BYTES);
        assert!(closes_with(&feed(&mut open_server(), &head, Some(1 << 20)), 1009) || len == 1 << 20);
    }
    let head = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &MASK].concat();
    assert!(closes_with(&to_server(&[head]), 1002));
}

#[test]
fn r250_two_hundred_thousand_fragments_cost_what_their_bytes_cost() {
    let mut decoder = open_server();
    let count = 200_000;
    let mut frames = masked(0x02, b"a");
    let more = masked(0x00, b"a");
    (0..count).for_each(|_| frames.extend_from_slice(&more));
    frames.extend(masked(0x80, b"a"));
    let began = std::time::Instant::now();
    let mut said = Vec::new();
    for piece in frames.chunks(10_000) {
        said.extend(feed(&mut decoder, piece, Some(1 << 20)));
    }
    assert_eq!(said, [Said::Message(vec![b'a'; count + 2])]);
    // A copy of everything for each fragment would be 20 GB.
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    // Empty ones for ever make nothing grow.
    let mut decoder = open_server();
    feed(&mut decoder, &masked(0x02, b""), None);
    (0..count).for_each(|_| assert_eq!(feed(&mut decoder, &masked(0x00, b""), Some(0)), []));
}

#[test]
fn what_is_read_in_place_is_large_and_no_text() {
    for (first, len, in_place) in [(0x82, BIG, true), (0x82, BIG - 1, false), (0x81, 2 * BIG, false)] {
        let mut decoder = open_server();
        assert_eq!(feed(&mut decoder, &masked(first, &pattern(len))[..8], None), []);
        assert!(decoder.is_mid_frame());
        assert_eq!(decoder.body_buffer().expect("memory").is_some(), in_place, "{first:#x}, {len} bytes");
    }
}

#[test]
fn r81_r250_only_a_message_in_fragments_doubles_its_memory() {
    const STEP: usize = BODY_GROWTH_STEP_BYTES;
    let head = |first, len: usize| [&[first, 0xff][..], &(len as u64).to_be_bytes(), &MASK].concat();
    for (fragments, capacity) in [(false, 3 * STEP), (true, 4 * STEP)] {
        let mut decoder = open_server();
        let begun = if fragments { head(0x02, 2 * STEP) } else { head(0x82, 8 * STEP) };
        for piece in [&begun, &vec![7; STEP], &vec![7; STEP]] {
            assert_eq!(feed(&mut decoder, piece, None), []);
        }
        if fragments {
            assert_eq!(feed(&mut decoder, &head(0x80, 8 * STEP), None), []);
        }
        let (buffer, _) = decoder.body_buffer().expect("memory for a step").expect("a large body");
        assert_eq!((buffer.len(), buffer.capacity()), (2 * STEP, capacity), "fragments: {fragments}");
    }
}

#[test]
fn large_bodies_are_read_in_place_and_unmasked_as_they_come() {
    let body = pattern(5 * BIG + 3);
    let frame = masked(0x82, &body);
    for step in [BIG + 1, 2 * BIG, frame.len()] {
        let mut decoder = open_server();
        assert_eq!(feed(&mut decoder, &frame[..20], None), []);
        let mut rest = &frame[20..];
        let mut event = None;
        while event.is_none() {
            match decoder.body_buffer().expect("memory") {
                Some((buffer, missing)) => {
                    assert_eq!(missing, rest.len());
                    let (front, behind) = rest.split_at(step.min(rest.len()));
                    buffer.extend_from_slice(front);
                    rest = behind;
                    event = decoder.body_complete();
                    assert_eq!(event.is_some(), rest.is_empty(), "as soon as all of it is here");
                }
                None => event = decoder.next(&mut rest, None).expect("no error"),
            }
        }
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert!(message.body() == body, "steps of {step}");
        assert_eq!(message.ws_type(), Some(WsMessageType::Binary));
    }
}

#[test]
fn large_fragments_are_read_in_place_too() {
    let (one, two) = (pattern(BIG + BIG / 2), pattern(BIG));
    let mut decoder = open_server();
    let first = masked(0x02, &one);
    feed(&mut decoder, &first[..10], None);
    let (buffer, missing) = decoder.body_buffer().expect("memory").expect("a large fragment");
    assert_eq!(missing, first.len() - 10);
    let (front, rest) = first[10..].split_at(missing - BODY_TAIL_BYTES);
    buffer.extend_from_slice(front);
    assert!(decoder.body_complete().is_none());
    let (buffer, missing) = decoder.body_buffer().expect("memory").expect("so is the rest of it");
    assert_eq!(missing, rest.len());
    buffer.extend_from_slice(rest);
    assert!(decoder.body_complete().is_none());
    assert!(decoder.is_mid_frame(), "the message goes on");
    assert!(decoder.body_buffer().expect("memory").is_none());
    let said = feed(&mut decoder, &masked(0x80, &two), None);
    assert!(said == [Said::Message([one, two].concat())]);
}

#[test]
fn a_stream_that_ends_within_anything_is_truncated() {
    assert!(!server(Protocol::Rep).is_mid_frame() && !client().is_mid_frame());
    let mut decoder = server(Protocol::Rep);
    feed(&mut decoder, b"GET", None);
    assert!(decoder.is_mid_frame());
    let mut decoder = client();
    feed(&mut decoder, b"HTTP", None);
    assert!(decoder.is_mid_frame());
    for bytes in [&masked(0x82, b"Hello")[..1], &masked(0x89, b"ping")[..8], &masked(0x02, b"x")] {
        let mut decoder = open_server();
        feed(&mut decoder, bytes, None);
        assert!(decoder.is_mid_frame(), "{bytes:02x?}");
    }
}

// Against each other

/// Messages, from which side, in which pieces.
#[derive(Clone, Debug)]
struct Conversation {
    from_client: bool,
    messages: Vec<(Vec<u8>, bool)>,
    pieces: Vec<usize>,
}

impl Arbitrary for Conversation {
    fn arbitrary(g: &mut Gen) -> Self {
        let sizes = [0, 1, 5, 62, 63, 125, 126, 500, BIG - 1, BIG, BIG + 1, 65_535, 65_536, 65_537, 140_000];
        let messages = (0..u8::arbitrary(g) % 6)
            .map(|_| (pattern(*g.choose(&sizes).unwrap()), bool::arbitrary(g)))
            .collect();
        let pieces = (0..1 + u8::arbitrary(g) % 8)
            .map(|_| *g.choose(&[1, 2, 3, 7, 100, 5000, 70_000, 200_000]).unwrap())
            .collect();
        Conversation { from_client: bool::arbitrary(g), messages, pieces }
    }
}

quickcheck! {
    fn r63_what_one_half_writes_the_other_reads_in_any_pieces(conversation: Conversation) -> bool {
        let Conversation { from_client: client, messages, pieces } = conversation;
        let encoder = if client { from_client() } else { from_server() };
        let mut decoder = if client { open_server() } else { open_client() };
        let mut bytes = Vec::new();
        for (body, with_header) in &messages {
            let header: &[u8] = if *with_header { &[0x80, 0, 0, 1] } else { &[] };
            bytes.extend(encoded(&encoder, message(header, body)));
        }
        let mut said = Vec::new();
        let mut rest = &bytes[..];
        for piece in pieces.iter().cycle() {
            let (front, behind) = rest.split_at((*piece).min(rest.len()));
            said.extend(feed(&mut decoder, front, None));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let expected: Vec<Said> = messages
            .into_iter()
            .map(|(body, with_header)| {
                let header: &[u8] = if with_header { &[0x80, 0, 0, 1] } else { &[] };
                Said::Message([header, &body].concat())
            })
            .collect();
        said == expected && !decoder.is_mid_frame()
    }

    fn r56_any_bytes_for_a_head_are_an_error_or_wait(bytes: Vec<u8>, cut: usize) -> bool {
        let request = [&REQUEST.as_bytes()[..cut % REQUEST.len()], &bytes].concat();
        let response = [&RESPONSE.as_bytes()[..cut % RESPONSE.len()], &bytes].concat();
        let never_ready = |said: &[Said]| !said.contains(&Said::Ready);
        never_ready(&feed(&mut server(Protocol::Rep), &request, None))
            && never_ready(&feed(&mut client(), &response, None))
    }

    fn r65_any_bytes_for_frames_end_in_messages_or_an_error(bytes: Vec<u8>) -> bool {
        // The masks of a server make most heads illegal, those of a client do not.
        let said = [feed(&mut open_server(), &bytes, Some(1000)), feed(&mut open_client(), &bytes, Some(1000))];
        said.iter().flatten().all(|said| match said {
            Said::Message(body) | Said::Text(body) => body.len() <= bytes.len(),
            Said::Error(_, words) => words.len() <= 8,
            _ => true,
        })
    }
}

#[test]
fn a_body_alone_leaves_as_its_message_does() {
    for len in [0, 1, 125, 126, BIG - 1, BIG, BIG + 1, WS_MASKED_FRAME_MAX_BYTES + 1] {
        for encoder in [from_server, from_client] {
            let body = vec![b'x'; len];
            for header in [&b""[..], b"head"] {
                let mut queue = SendQueue::default();
                encoder().encode_parts(header, &body, &mut queue);
                assert!(written(queue) == encoded(&encoder(), message(header, &body)), "{len} bytes");
            }
        }
    }
}
