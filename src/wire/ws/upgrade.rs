//! The HTTP upgrade: the request, the response, and what is wrong with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::limits::{WS_HEAD_MAX_BYTES, WS_HEADER_FIELDS_MAX};
use crate::protocol::Protocol;
use crate::wire::WireError;

use super::token;

/// What RFC 6455 section 1.3 appends to a key before it is hashed.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key before it is base64.
const KEY_BYTES: usize = 16;
/// What every token ends with.
const TOKEN_END: &[u8] = b".sp.nanomsg.org";

/// A key of 16 unpredictable bytes, as it is sent.
pub(super) fn key(nonce: [u8; KEY_BYTES]) -> String {
    BASE64.encode(nonce)
}

/// The proof that a server understood `key`.
pub(super) fn accept(key: &str) -> String {
    BASE64.encode(Sha1::digest([key, GUID].concat()))
}

/// The client's request (R44 to R49): one token, no Origin, and longer than nanomsg needs with any host.
pub(super) fn request(host: &str, target: &str, key: &str, token: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\n\
         Host: {host}\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {token}\r\n\
         \r\n"
    )
}

/// A head that is being collected.
#[derive(Default)]
pub(super) struct Collected {
    bytes: Vec<u8>,
}

impl Collected {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes bytes off `input` up to the end of the head. True when the head is complete; an error when it
    /// would become too long.
    fn fill(&mut self, input: &mut &[u8]) -> Result<bool, TooLong> {
        // The end may have begun in what came before.
        let looked = self.bytes.len().saturating_sub(END.len() - 1);
        let room = WS_HEAD_MAX_BYTES.saturating_sub(self.bytes.len());
        let (front, rest) = input.split_at(room.min(input.len()));
        self.bytes.extend_from_slice(front);
        let unseen = self.bytes.get(looked..).unwrap_or_default();
        let Some(end) = unseen.windows(END.len()).position(|window| window == END) else {
            *input = rest;
            return if self.bytes.len() < WS_HEAD_MAX_BYTES { Ok(false) } else { Err(TooLong) };
        };
        // What is behind the head was in this input, because the head was not complete before.
        let surplus = self.bytes.len().saturating_sub(looked + end + END.len());
        self.bytes.truncate(looked + end + END.len());
        *input = input.get(front.len().saturating_sub(surplus)..).unwrap_or_default();
        Ok(true)
    }
}

const END: &[u8] = b"\r\n\r\n";

struct TooLong;

/// Why a request is refused, as the peer is told (R248).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

const fn refusal(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

const MALFORMED: Refusal = refusal(400, "Bad Request");
const TOO_LONG: Refusal = refusal(431, "Request Header Fields Too Large");

impl Refusal {
    /// A complete head: the peer need not wait for an end that never comes (R42).
    pub(super) fn response(self) -> Bytes {
        let Refusal { status, reason } = self;
        let more = match status {
            405 => "Allow: GET\r\n",
            426 => "Upgrade: websocket\r\n",
            _ => "",
        };
        format!(
            "HTTP/1.1 {status} {reason}\r\n\
             Sec-WebSocket-Version: 13\r\n\
             {more}\
             Connection: close\r\n\
             Content-Length: 0\r\n\
             \r\n"
        )
        .into()
    }
}

impl From<Refusal> for WireError {
    fn from(Refusal { status, reason }: Refusal) -> Self {
        WireError::UpgradeRefused { status, reason }
    }
}

/// The server's half: collects a request and answers it.
pub(super) struct Server {
    protocol: Protocol,
    path: Option<Box<str>>,
    head: Collected,
}

impl Server {
    pub(super) fn new(protocol: Protocol, path: Option<Box<str>>) -> Self {
        Server { protocol, path, head: Collected::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// The response to a request that is complete and good; `None` while bytes are missing.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, Refusal> {
        let filled = self.head.fill(input);
        // Whoever speaks something else need not be waited for.
        if self.head.bytes.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return Err(MALFORMED);
        }
        if !filled.map_err(|TooLong| TOO_LONG)? {
            return Ok(None);
        }
        // nng sends no target at all for an address without a path (R246).
        if self.head.bytes.starts_with(b"GET  HTTP/") {
            self.head.bytes.insert(b"GET ".len(), b'/');
        }
        let head = std::mem::take(&mut self.head.bytes);
        let mut fields = [httparse::EMPTY_HEADER; WS_HEADER_FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => (),
            Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
            Err(httparse::Error::Version) => return Err(refusal(505, "HTTP Version Not Supported")),
            Ok(httparse::Status::Partial) | Err(_) => return Err(MALFORMED),
        }
        self.answer(&request).map(Some)
    }

    fn answer(&self, request: &httparse::Request<'_, '_>) -> Result<Bytes, Refusal> {
        if request.version != Some(1) {
            return Err(refusal(505, "HTTP Version Not Supported"));
        }
        if request.method != Some("GET") {
            return Err(refusal(405, "Method Not Allowed"));
        }
        let fields = Fields(request.headers);
        if fields.all("Host").count() != 1 {
            return Err(MALFORMED);
        }
        if fields.all("Content-Length").any(|len| len != b"0") || fields.all("Transfer-Encoding").count() > 0
        {
            return Err(refusal(413, "Cannot Have Body"));
        }
        if !self.serves(request.path.unwrap_or("/")) {
            return Err(refusal(404, "Not Found"));
        }
        if !fields.list("Upgrade").any(|token| token.eq_ignore_ascii_case(b"websocket")) {
            return Err(refusal(426, "Upgrade Required"));
        }
        if !fields.list("Connection").any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
            return Err(refusal(400, "Missing Connection Upgrade"));
        }
        if fields.one("Sec-WebSocket-Version") != Some(b"13") {
            return Err(refusal(426, "Unsupported WebSocket Version"));
        }
        let key = fields.one("Sec-WebSocket-Key").and_then(valid_key);
        let key = key.ok_or(refusal(400, "Missing nanomsg Required Headers"))?;
        let token = self.agreed(&fields)?;
        let (name, end) = if token.is_empty() { ("", "") } else { ("Sec-WebSocket-Protocol: ", "\r\n") };
        let accept = accept(key);
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\
             {name}{token}{end}\
             \r\n"
        );
        Ok(response.into())
    }

    /// Whether this is a server of `target`: of every one, or of its path with or without a slash behind it
    /// (R57).
    fn serves(&self, target: &str) -> bool {
        let Some(ours) = &self.path else { return true };
        // The form for proxies names a server first.
        let path = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => target,
        };
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let bare = |path: &str| path.strip_suffix('/').unwrap_or(path).to_owned();
        bare(path) == bare(ours)
    }

    /// The token that is ours among those offered, as it was spelled (R40, R41); empty if a PAIR client, a
    /// browser most likely, offered none (R43).
    fn agreed(&self, fields: &Fields<'_>) -> Result<String, Refusal> {
        let ours = token(self.protocol).as_bytes();
        let mut offered = fields.list("Sec-WebSocket-Protocol").filter(|token| !token.is_empty()).peekable();
        if offered.peek().is_none() {
            let browser = self.protocol == Protocol::Pair;
            return if browser {
                Ok(String::new())
            } else {
                Err(refusal(400, "Missing nanomsg Required Headers"))
            };
        }
        let mut known = false;
        for token in offered {
            if token.eq_ignore_ascii_case(ours) {
                return Ok(String::from_utf8_lossy(token).into_owned());
            }
            known |= token.to_ascii_lowercase().ends_with(TOKEN_END);
        }
        let reason = if known { "Incompatible Socket Type" } else { "Unrecognized Socket Type" };
        Err(refusal(400, reason))
    }
}

/// A key that is base64 of 16 bytes.
fn valid_key(text: &[u8]) -> Option<&str> {
    let bytes = BASE64.decode(text).ok()?;
    std::str::from_utf8(text).ok().filter(|_| bytes.len() == KEY_BYTES)
}

/// The client's half: collects a response and checks it.
pub(super) struct Client {
    /// What proves that the server understood our key.
    accept: String,
    token: &'static str,
    head: Collected,
}

/// What a response begins with that is no failure.
const SWITCHING: &[u8] = b"HTTP/1.1 101";

impl Client {
    pub(super) fn new(protocol: Protocol, key: &str) -> Self {
        Client { accept: accept(key), token: token(protocol.peer()), head: Collected::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// True when the response is complete and good. A failure is known from the status alone, because
    /// nanomsg's refusals never end (R53).
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<bool, WireError> {
        let complete =
            self.head.fill(input).map_err(|TooLong| WireError::NotUpgraded("its head is too long"))?;
        self.check_status()?;
        if !complete {
            return Ok(false);
        }
        let head = std::mem::take(&mut self.head.bytes);
        let mut fields = [httparse::EMPTY_HEADER; WS_HEADER_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) if response.code == Some(101) => (),
            _ => return Err(WireError::NotUpgraded("its head is malformed")),
        }
        self.check(&Fields(response.headers)).map(|()| true).map_err(WireError::NotUpgraded)
    }

    fn check_status(&self) -> Result<(), WireError> {
        let came = self.head.bytes.get(..SWITCHING.len()).unwrap_or(&self.head.bytes);
        if SWITCHING.starts_with(came) {
            return Ok(());
        }
        let status = came.strip_prefix(b"HTTP/1.1 ").and_then(|text| std::str::from_utf8(text).ok());
        match status.and_then(|text| text.parse().ok()) {
            Some(status @ 100..) => Err(WireError::HttpStatus(status)),
            // Cut off within the status: what is there rules 101 out.
            Some(_) => Err(WireError::NotUpgraded("its status is not 101")),
            None => Err(WireError::NotUpgraded("it is not HTTP/1.1")),
        }
    }

    fn check(&self, fields: &Fields<'_>) -> Result<(), &'static str> {
        if !fields.list("Upgrade").any(|token| token.eq_ignore_ascii_case(b"websocket")) {
            return Err("it has no Upgrade: websocket");
        }
        if !fields.list("Connection").any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
            return Err("it has no Connection: Upgrade");
        }
        if fields.one("Sec-WebSocket-Accept") != Some(self.accept.as_bytes()) {
            return Err("its Sec-WebSocket-Accept does not fit our key");
        }
        if fields.all("Sec-WebSocket-Extensions").any(|value| !value.is_empty()) {
            return Err("it has extensions that nobody asked for");
        }
        match fields.one("Sec-WebSocket-Protocol") {
            Some(token) if token.eq_ignore_ascii_case(self.token.as_bytes()) => Ok(()),
            Some([]) | None => Err("it does not name the protocol"),
            Some(_) => Err("it names another protocol"),
        }
    }
}

/// Header fields; names in any case.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of every field of this name.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of the one field of this name; `None` also if there are several.
    fn one(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let first = values.next();
        first.filter(|_| values.next().is_none())
    }

    /// The members of a list, which may be spread over several fields.
    fn list(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }
}
