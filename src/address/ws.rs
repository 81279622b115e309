//! Addresses of WebSocket: `host:port/path`, the host and port as tcp's.

use std::fmt;

use super::{AddressError, Dialect, Rules, Split, TcpBind, TcpConnect, tcp};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WsBind {
    pub(crate) tcp: TcpBind,
    /// The only path that is served; `None` serves every one (R57).
    pub(crate) path: Option<Box<str>>,
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WsConnect {
    pub(crate) tcp: TcpConnect,
    /// Host and port as they were typed, for the request (R48).
    pub(crate) host: Box<str>,
    /// Path and query, at least "/" (R47).
    pub(crate) target: Box<str>,
}

/// Reads `host:port` to listen on, outside the C interface also `host:port/path`. nanomsg takes no path, so
/// there it is a malformed port.
pub(super) fn parse_bind(split: &Split<'_>, rules: &Rules) -> Result<WsBind, AddressError> {
    if rules.dialect == Dialect::Nanomsg {
        return Ok(WsBind { tcp: tcp::parse_bind(split, rules)?, path: None });
    }
    let (authority, path) = cut_path(split.rest);
    let tcp = tcp::parse_bind(&Split { rest: authority, ..*split }, rules)?;
    let path = (!path.is_empty()).then(|| target(split, path)).transpose()?;
    if path.as_ref().is_some_and(|path| path.contains('?')) {
        return Err(split.malformed("a path to listen at has no query"));
    }
    Ok(WsBind { tcp, path })
}

/// Reads `host[:port][/path][?query]` to connect to, perhaps with `local;` in front.
pub(super) fn parse_connect(
    split: &Split<'_>,
    rules: &Rules,
    default_port: u16,
) -> Result<WsConnect, AddressError> {
    let (authority, path) = cut_path(split.rest);
    let has_port = authority.iter().rposition(|byte| *byte == b':').is_some_and(|at| {
        // A colon within brackets belongs to an IPv6 address.
        !authority.get(at..).unwrap_or_default().contains(&b']')
    });
    // nanomsg looks for the port behind the last colon, wherever that is.
    if !has_port && rules.dialect == Dialect::Nanomsg && path.contains(&b':') {
        return Err(split.malformed("the port stands in front of the path"));
    }
    let default = format!(":{default_port}");
    let with_port = [authority, if has_port { b"" } else { default.as_bytes() }].concat();
    let tcp = tcp::parse_connect(&Split { rest: &with_port, ..*split }, rules)?;
    let typed = authority.iter().position(|byte| *byte == b';').map_or(0, |at| at + 1);
    let host = authority.get(typed..).unwrap_or_default();
    // It was just read as an address, so it is ASCII.
    let host = String::from_utf8_lossy(host).into();
    let target = if path.is_empty() { "/".into() } else { target(split, path)? };
    Ok(WsConnect { tcp, host, target })
}

/// What stands in front of the first slash, and the rest with it.
fn cut_path(rest: &[u8]) -> (&[u8], &[u8]) {
    let at = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    rest.split_at_checked(at).unwrap_or((rest, b""))
}

/// A path and query that can stand in a request as they are.
fn target(split: &Split<'_>, path: &[u8]) -> Result<Box<str>, AddressError> {
    let text = std::str::from_utf8(path).ok();
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    text.map(Box::from)
        .ok_or_else(|| split.malformed("a path holds visible ASCII characters without #; others as %XX"))
}

/// A tcp address under another scheme.
fn renamed(tcp: &impl fmt::Display) -> String {
    let text = tcp.to_string();
    text.strip_prefix("tcp://").map(str::to_owned).unwrap_or(text)
}

impl WsBind {
    /// The address under `scheme`.
    pub(super) fn write(&self, scheme: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{scheme}://{}{}", renamed(&self.tcp), self.path.as_deref().unwrap_or_default())
    }
}

impl WsConnect {
    /// The address under `scheme`.
    pub(super) fn write(&self, scheme: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{scheme}://{}{}", renamed(&self.tcp), self.target)
    }
}
