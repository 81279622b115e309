//! Text to address. Pure: nothing is opened, looked up or resolved here.
//!
//! An address is `scheme://rest`. [`SCHEMES`] holds one row per scheme; what a scheme makes of its rest is
//! one function to bind and one to connect, so a new transport adds a row and a variant. Addresses are bytes:
//! names of inproc and paths of ipc may hold any, and are kept as they came.

mod ipc;
mod tcp;
#[cfg(test)]
mod tests;
#[cfg(feature = "ws")]
mod ws;

use std::fmt;

use crate::limits::{ADDRESS_MAX_BYTES, ADDRESS_MAX_BYTES_RUST};

pub(crate) use ipc::IpcName;
pub(crate) use tcp::{BindHost, IpLiteral, LocalHost, RemoteHost, TcpBind, TcpConnect};
#[cfg(feature = "ws")]
pub(crate) use ws::{WsBind, WsConnect};

/// What is accepted beyond the forms that every caller may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// What nanomsg accepts, refused as nanomsg refuses it.
    Nanomsg,
    /// Also host names and port 0 on bind, `tcp://:port` for every interface, and `ipc://@name` for abstract
    /// names.
    Rust,
}

/// How an address is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether IPv6 is off (NN_IPV4ONLY): its literals are refused then (R96).
    pub(crate) ipv4_only: bool,
    /// Whose grammar applies.
    pub(crate) dialect: Dialect,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BindAddress {
    /// A name in this process, compared byte for byte (R82).
    Inproc(Box<[u8]>),
    /// A Unix socket or a named pipe.
    Ipc(IpcName),
    /// Interface and port.
    Tcp(TcpBind),
    /// Interface, port and perhaps a path.
    #[cfg(feature = "ws")]
    Ws(WsBind),
    /// The same, for TLS.
    #[cfg(feature = "tls")]
    Tls(TcpBind),
    /// Interface, port and perhaps a path, for WebSocket over TLS.
    #[cfg(all(feature = "tls", feature = "ws"))]
    Wss(WsBind),
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectAddress {
    /// A name in this process, compared byte for byte (R82).
    Inproc(Box<[u8]>),
    /// A Unix socket or a named pipe.
    Ipc(IpcName),
    /// Host and port, and perhaps the local address to come from.
    Tcp(TcpConnect),
    /// The same with a path.
    #[cfg(feature = "ws")]
    Ws(WsConnect),
    /// The same, for TLS.
    #[cfg(feature = "tls")]
    Tls(TcpConnect),
    /// The same with a path, for WebSocket over TLS.
    #[cfg(all(feature = "tls", feature = "ws"))]
    Wss(WsConnect),
}

/// Why an address cannot be used. Each variant is one errno of the C interface.
///
/// ```
/// use spmsg::{AddressError, Error};
/// let pair = spmsg::Pair::new()?;
/// let refused = pair.connect("tcp://localhost");
/// assert!(matches!(refused, Err(Error::Address(AddressError::Malformed { .. }))));
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The whole text is too long (ENAMETOOLONG).
    #[error("the address has {len} bytes, at most {max} are accepted")]
    TooLong {
        /// Bytes of the address.
        len: usize,
        /// Bytes that are accepted.
        max: usize,
    },
    /// The text does not have the form of its scheme (EINVAL).
    #[error("the address {address:?} is malformed: {why}")]
    Malformed {
        /// The address.
        address: String,
        /// What is wrong and what would be accepted.
        why: &'static str,
    },
    /// Nothing is known by the name before `://` (EPROTONOSUPPORT).
    #[error("there is no transport {scheme:?}: known are {}, in lower case", known_schemes())]
    UnknownTransport {
        /// The text before `://`.
        scheme: String,
    },
    /// The local part of a tcp address names nothing that can be bound (ENODEV).
    #[error("{host:?} is nothing to bind to: accepted is {accepted}")]
    NoSuchDevice {
        /// The local part.
        host: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// The path or abstract name does not fit into the system's socket address (ENAMETOOLONG).
    #[error("the ipc name has {len} bytes, at most {max} fit into a socket address")]
    IpcPathTooLong {
        /// Bytes of the path or name.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
}

/// One row: how the rest of an address, behind `name://`, is read.
struct Scheme {
    name: &'static str,
    bind: fn(&Split<'_>, &Rules) -> Result<BindAddress, AddressError>,
    connect: fn(&Split<'_>, &Rules) -> Result<ConnectAddress, AddressError>,
}

/// Every scheme, in the order in which errors list them.
static SCHEMES: &[Scheme] = &[
    Scheme {
        name: "inproc",
        bind: |split, _| Ok(BindAddress::Inproc(split.rest.into())),
        connect: |split, _| Ok(ConnectAddress::Inproc(split.rest.into())),
    },
    Scheme {
        name: "ipc",
        bind: |split, rules| ipc::parse(split, rules).map(BindAddress::Ipc),
        connect: |split, rules| ipc::parse(split, rules).map(ConnectAddress::Ipc),
    },
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Scheme {
        name: "abstract",
        bind: |split, _| ipc::parse_abstract(split).map(BindAddress::Ipc),
        connect: |split, _| ipc::parse_abstract(split).map(ConnectAddress::Ipc),
    },
    Scheme {
        name: "tcp",
        bind: |split, rules| tcp::parse_bind(split, rules).map(BindAddress::Tcp),
        connect: |split, rules| tcp::parse_connect(split, rules).map(ConnectAddress::Tcp),
    },
    #[cfg(feature = "ws")]
    Scheme {
        name: "ws",
        bind: |split, rules| ws::parse_bind(split, rules).map(BindAddress::Ws),
        connect: |split, rules| ws::parse_connect(split, rules, 80).map(ConnectAddress::Ws),
    },
    #[cfg(feature = "tls")]
    Scheme {
        name: "tls+tcp",
        bind: |split, rules| tcp::parse_bind(split, rules).map(BindAddress::Tls),
        connect: |split, rules| tcp::parse_connect(split, rules).map(ConnectAddress::Tls),
    },
    #[cfg(all(feature = "tls", feature = "ws"))]
    Scheme {
        name: "wss",
        bind: |split, rules| ws::parse_bind(split, rules).map(BindAddress::Wss),
        connect: |split, rules| ws::parse_connect(split, rules, 443).map(ConnectAddress::Wss),
    },
];

/// An address cut at its `://`.
#[derive(Clone, Copy)]
struct Split<'a> {
    whole: &'a [u8],
    scheme: &'static Scheme,
    rest: &'a [u8],
}

impl<'a> Split<'a> {
    /// Cuts `text`; its checks come in nanomsg's order, because the first failure decides the errno (R88,
    /// R89).
    fn new(text: &'a [u8], rules: &Rules) -> Result<Self, AddressError> {
        let max = match rules.dialect {
            Dialect::Nanomsg => ADDRESS_MAX_BYTES,
            Dialect::Rust => ADDRESS_MAX_BYTES_RUST,
        };
        if text.len() > max {
            return Err(AddressError::TooLong { len: text.len(), max });
        }
        let (name, rest) =
            cut(text, b':')
                .and_then(|(name, rest)| Some((name, rest.strip_prefix(b"//")?)))
                .ok_or_else(|| malformed(text, "expected scheme://..., as in tcp://127.0.0.1:5555"))?;
        let scheme = SCHEMES
            .iter()
            .find(|scheme| scheme.name.as_bytes() == name)
            .ok_or_else(|| AddressError::UnknownTransport { scheme: lossy(name) })?;
        Ok(Split { whole: text, scheme, rest })
    }

    fn malformed(&self, why: &'static str) -> AddressError {
        malformed(self.whole, why)
    }
}

impl BindAddress {
    /// Reads an address to listen on.
    pub(crate) fn parse(text: impl AsRef<[u8]>, rules: &Rules) -> Result<Self, AddressError> {
        let split = Split::new(text.as_ref(), rules)?;
        (split.scheme.bind)(&split, rules)
    }
}

impl ConnectAddress {
    /// Reads an address to connect to.
    pub(crate) fn parse(text: impl AsRef<[u8]>, rules: &Rules) -> Result<Self, AddressError> {
        let split = Split::new(text.as_ref(), rules)?;
        (split.scheme.connect)(&split, rules)
    }
}

impl fmt::Display for BindAddress {
    /// The canonical text; bytes that are not UTF-8 are shown as replacement characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindAddress::Inproc(name) => write!(f, "inproc://{}", lossy(name)),
            BindAddress::Ipc(name) => name.fmt(f),
            BindAddress::Tcp(tcp) => tcp.fmt(f),
            #[cfg(feature = "ws")]
            BindAddress::Ws(ws) => ws.write("ws", f),
            #[cfg(feature = "tls")]
            BindAddress::Tls(tcp) => write!(f, "tls+{tcp}"),
            #[cfg(all(feature = "tls", feature = "ws"))]
            BindAddress::Wss(ws) => ws.write("wss", f),
        }
    }
}

impl fmt::Display for ConnectAddress {
    /// The canonical text; bytes that are not UTF-8 are shown as replacement characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectAddress::Inproc(name) => write!(f, "inproc://{}", lossy(name)),
            ConnectAddress::Ipc(name) => name.fmt(f),
            ConnectAddress::Tcp(tcp) => tcp.fmt(f),
            #[cfg(feature = "ws")]
            ConnectAddress::Ws(ws) => ws.write("ws", f),
            #[cfg(feature = "tls")]
            ConnectAddress::Tls(tcp) => write!(f, "tls+{tcp}"),
            #[cfg(all(feature = "tls", feature = "ws"))]
            ConnectAddress::Wss(ws) => ws.write("wss", f),
        }
    }
}

fn malformed(address: &[u8], why: &'static str) -> AddressError {
    AddressError::Malformed { address: lossy(address), why }
}

fn known_schemes() -> String {
    SCHEMES.iter().map(|scheme| scheme.name).collect::<Vec<_>>().join(", ")
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// What stands before and behind the first `at`.
fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().position(|byte| *byte == at)?)?;
    Some((before, rest.get(1..)?))
}

/// What stands before and behind the last `at`.
fn cut_last(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().rposition(|byte| *byte == at)?)?;
    Some((before, rest.get(1..)?))
}
