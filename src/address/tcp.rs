//! Addresses of tcp: `host:port`, and to connect perhaps `local;host:port`.
//!
//! The checks come in nanomsg's order (port, remote host, local part), because the first failure decides the
//! errno.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::{HOST_LABEL_MAX_BYTES, HOST_NAME_MAX_BYTES};

use super::{AddressError, Dialect, Rules, Split, cut, cut_last, lossy};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpBind {
    pub(crate) host: BindHost,
    /// 0 lets the system choose (Rust dialect only).
    pub(crate) port: u16,
}

/// The interface to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BindHost {
    /// Every interface: of IPv4 alone, or of both families when IPv6 is on (R96).
    Any,
    Ip(IpLiteral),
    /// A host name, to be resolved (Rust dialect only).
    Name(Box<str>),
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpConnect {
    /// The address to come from; `None` leaves it to the system.
    pub(crate) local: Option<LocalHost>,
    pub(crate) remote: RemoteHost,
    /// Never 0.
    pub(crate) port: u16,
}

/// The local part of an address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocalHost {
    /// `*`: any, of whichever family the remote address has.
    Any,
    Ip(IpLiteral),
}

/// The remote host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoteHost {
    Ip(IpLiteral),
    /// A host name, to be resolved on every attempt.
    Name(Box<str>),
}

/// An IP address as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IpLiteral {
    pub(crate) ip: IpAddr,
    /// What follows `%` in an IPv6 literal: the name or the number of an interface, not looked up.
    pub(crate) scope: Option<Box<str>>,
}

/// Reads `host:port` to listen on.
pub(super) fn parse_bind(split: &Split<'_>, rules: &Rules) -> Result<TcpBind, AddressError> {
    let (host, port) = cut_port(split)?;
    if port == 0 && rules.dialect == Dialect::Nanomsg {
        return Err(split.malformed("the port is 1 to 65535"));
    }
    let host = bind_host(host, rules).ok_or_else(|| no_such_device(host, rules))?;
    Ok(TcpBind { host, port })
}

fn bind_host(host: &[u8], rules: &Rules) -> Option<BindHost> {
    match host {
        b"*" => Some(BindHost::Any),
        b"" if rules.dialect == Dialect::Rust => Some(BindHost::Any),
        _ => match IpLiteral::parse(host, rules) {
            Some(literal) => Some(BindHost::Ip(literal)),
            None if rules.dialect == Dialect::Rust => host_name(host).map(BindHost::Name),
            None => None,
        },
    }
}

fn no_such_device(host: &[u8], rules: &Rules) -> AddressError {
    let accepted = match (rules.dialect, rules.ipv4_only) {
        (Dialect::Nanomsg, true) => "* or an IPv4 address (IPv6 is off, see NN_IPV4ONLY)",
        (Dialect::Nanomsg, false) => "* or an IP address",
        (Dialect::Rust, true) => "*, an IPv4 address or a host name (IPv6 is off)",
        (Dialect::Rust, false) => "*, an IP address or a host name",
    };
    AddressError::NoSuchDevice { host: lossy(host), accepted }
}

/// Reads `host:port` or `local;host:port` to connect to.
pub(super) fn parse_connect(split: &Split<'_>, rules: &Rules) -> Result<TcpConnect, AddressError> {
    let (hosts, port) = cut_port(split)?;
    if port == 0 {
        return Err(split.malformed("the port to connect to is 1 to 65535"));
    }
    let (local, host) = match cut(hosts, b';') {
        Some((local, host)) => (Some(local), host),
        None => (None, hosts),
    };
    let remote = IpLiteral::parse(host, rules)
        .map(RemoteHost::Ip)
        .or_else(|| host_name(host).map(RemoteHost::Name))
        .ok_or_else(|| split.malformed(invalid_remote(rules)))?;
    let local = local.map(|local| local_host(local, rules)).transpose()?;
    Ok(TcpConnect { local, remote, port })
}

fn invalid_remote(rules: &Rules) -> &'static str {
    if rules.ipv4_only {
        "the host is an IPv4 address or a host name (IPv6 is off)"
    } else {
        "the host is an IP address or a host name"
    }
}

fn local_host(local: &[u8], rules: &Rules) -> Result<LocalHost, AddressError> {
    if local == b"*" {
        return Ok(LocalHost::Any);
    }
    IpLiteral::parse(local, rules).map(LocalHost::Ip).ok_or_else(|| AddressError::NoSuchDevice {
        host: lossy(local),
        accepted: if rules.ipv4_only { "* or an IPv4 address (IPv6 is off)" } else { "* or an IP address" },
    })
}

/// Cuts at the last colon and reads the port: decimal digits, 0 to 65535, leading zeros allowed (R90).
fn cut_port<'a>(split: &Split<'a>) -> Result<(&'a [u8], u16), AddressError> {
    let (host, digits) =
        cut_last(split.rest, b':').ok_or_else(|| split.malformed("expected host:port, there is no colon"))?;
    let port = match digits {
        [] => None,
        _ => digits.iter().try_fold(0_u16, |port, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            port.checked_mul(10)?.checked_add(u16::from(digit))
        }),
    };
    match port {
        Some(port) => Ok((host, port)),
        None => Err(split.malformed("behind the last colon stands the port, a decimal number up to 65535")),
    }
}

impl IpLiteral {
    /// An address of either family, brackets optional around both; IPv6, perhaps with `%scope`, only when it
    /// is on.
    fn parse(text: &[u8], rules: &Rules) -> Option<Self> {
        let text = match text {
            [b'[', inner @ .., b']'] => inner,
            _ => text,
        };
        let text = std::str::from_utf8(text).ok()?;
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Some(IpLiteral { ip: ip.into(), scope: None });
        }
        if rules.ipv4_only {
            return None;
        }
        let (ip, scope) = match text.split_once('%') {
            Some((ip, scope)) => (ip, Some(scope)),
            None => (text, None),
        };
        let ip = ip.parse::<Ipv6Addr>().ok()?.into();
        match scope {
            Some(scope) if !is_interface(scope) => None,
            scope => Some(IpLiteral { ip, scope: scope.map(Box::from) }),
        }
    }
}

/// What can be the name or number of an interface: without the characters that mean something here.
fn is_interface(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"%/:;[]".contains(&byte))
}

/// Labels of letters, digits and hyphens with dots between them; no empty label, except behind a final dot,
/// and no hyphen in front.
fn host_name(text: &[u8]) -> Option<Box<str>> {
    if text.is_empty() || text.len() > HOST_NAME_MAX_BYTES || text.starts_with(b"-") {
        return None;
    }
    let labels = text.strip_suffix(b".").unwrap_or(text);
    let valid = labels.split(|byte| *byte == b'.').all(|label| {
        (1..=HOST_LABEL_MAX_BYTES).contains(&label.len())
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    });
    if valid { std::str::from_utf8(text).ok().map(Box::from) } else { None }
}

impl fmt::Display for IpLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.ip, &self.scope) {
            (IpAddr::V4(ip), _) => ip.fmt(f),
            (IpAddr::V6(ip), None) => write!(f, "[{ip}]"),
            (IpAddr::V6(ip), Some(scope)) => write!(f, "[{ip}%{scope}]"),
        }
    }
}

impl fmt::Display for TcpBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            BindHost::Any => write!(f, "tcp://*:{}", self.port),
            BindHost::Ip(literal) => write!(f, "tcp://{literal}:{}", self.port),
            BindHost::Name(name) => write!(f, "tcp://{name}:{}", self.port),
        }
    }
}

impl fmt::Display for TcpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://")?;
        match &self.local {
            None => {}
            Some(LocalHost::Any) => write!(f, "*;")?,
            Some(LocalHost::Ip(literal)) => write!(f, "{literal};")?,
        }
        match &self.remote {
            RemoteHost::Ip(literal) => write!(f, "{literal}:{}", self.port),
            RemoteHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
