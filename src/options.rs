//! Socket options with their defaults, units and checks.
//!
//! One [`Options`] per socket; changing it never affects what is connected already, save where a field says "live".

use std::time::Duration;

use crate::error::Error;
use crate::limits::{
    BUFFER_DEFAULT_BYTES, LINGER_DEFAULT, LINGER_MAX, PRIORITY_BEST, PRIORITY_DEFAULT, PRIORITY_WORST,
    RECONNECT_DEFAULT, RECV_MAX_BYTES_DEFAULT, SOCKET_NAME_MAX_BYTES, TTL_DEFAULT_WORDS, TTL_MIN_WORDS,
};
use crate::message::WsMessageType;

#[cfg(feature = "tls")]
use crate::transport::tls::TlsConfig;

/// The options of a socket. Build a socket with them, or set single ones later.
///
/// ```
/// use std::time::Duration;
/// let options = spmsg::Options::default();
/// assert_eq!(options.recv_max(), Some(1024 * 1024));
/// assert_eq!(options.linger(), Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) linger: Duration,
    pub(crate) send_buffer: usize,
    pub(crate) recv_buffer: usize,
    /// Set by the program, so the kernel's buffers follow.
    pub(crate) send_buffer_set: bool,
    pub(crate) recv_buffer_set: bool,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) recv_timeout: Option<Duration>,
    pub(crate) reconnect: Duration,
    pub(crate) reconnect_max: Duration,
    pub(crate) send_priority: u8,
    pub(crate) recv_priority: u8,
    pub(crate) ipv4_only: bool,
    pub(crate) recv_max: Option<usize>,
    pub(crate) max_ttl: u8,
    pub(crate) tcp_nodelay: bool,
    pub(crate) ws_message_type: WsMessageType,
    pub(crate) name: Vec<u8>,
    /// Prints an endpoint's errors to stderr (NN_PRINT_ERRORS).
    pub(crate) print_errors: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsConfig,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            linger: LINGER_DEFAULT,
            send_buffer: BUFFER_DEFAULT_BYTES,
            recv_buffer: BUFFER_DEFAULT_BYTES,
            send_buffer_set: false,
            recv_buffer_set: false,
            send_timeout: None,
            recv_timeout: None,
            reconnect: RECONNECT_DEFAULT,
            reconnect_max: Duration::ZERO,
            send_priority: PRIORITY_DEFAULT,
            recv_priority: PRIORITY_DEFAULT,
            ipv4_only: false,
            recv_max: Some(RECV_MAX_BYTES_DEFAULT),
            max_ttl: TTL_DEFAULT_WORDS,
            tcp_nodelay: true,
            ws_message_type: WsMessageType::Binary,
            name: Vec::new(),
            print_errors: false,
            #[cfg(feature = "tls")]
            tls: TlsConfig::default(),
        }
    }
}

/// A getter and a setter that takes any value.
macro_rules! plain {
    ($(#[$doc:meta])* $get:ident, $set:ident: $type:ty) => {
        $(#[$doc])*
        pub fn $get(&self) -> $type {
            self.$get
        }

        $(#[$doc])*
        pub fn $set(&mut self, value: $type) -> &mut Self {
            self.$get = value;
            self
        }
    };
}

impl Options {
    plain! {
        /// How long a send waits at most before [`Error::TimedOut`]; `None`, the default, is for ever. Read at the
        /// start of each call.
        send_timeout, set_send_timeout: Option<Duration>
    }
    plain! {
        /// How long a receive waits at most before [`Error::TimedOut`]; `None`, the default, is for ever. Read at
        /// the start of each call.
        recv_timeout, set_recv_timeout: Option<Duration>
    }
    plain! {
        /// Wait before the second and every later attempt of a connecting endpoint; the first retry is immediate
        /// (R231). Default 100 ms. Read when an endpoint is made.
        reconnect, set_reconnect: Duration
    }
    plain! {
        /// Upper end of the doubling of [`reconnect`](Options::reconnect); zero, the default, means no doubling.
        /// Read when an endpoint is made.
        reconnect_max, set_reconnect_max: Duration
    }
    plain! {
        /// Whether names and wildcards mean IPv4 only. Default false in Rust; the C interface starts with true.
        ipv4_only, set_ipv4_only: bool
    }
    plain! {
        /// Largest payload accepted from a connection, in bytes, protocol header included; `None` is unlimited.
        /// Default 1 MiB (R79). A larger one closes its connection and is not delivered (R78). Live; never applied
        /// to inproc (R87).
        recv_max, set_recv_max: Option<usize>
    }
    plain! {
        /// Whether tcp sends small messages at once (TCP_NODELAY). Default true. Read for each connection.
        tcp_nodelay, set_tcp_nodelay: bool
    }
    plain! {
        /// What messages are to WebSocket peers unless a message says otherwise
        /// ([`Message::set_ws_type`](crate::Message::set_ws_type)). Default binary (R64). Read by a connecting endpoint
        /// when it is made, by a bound one for each connection.
        ws_message_type, set_ws_message_type: WsMessageType
    }

    /// How long close waits at most for accepted messages to leave. Default 1 s (R242).
    pub fn linger(&self) -> Duration {
        self.linger
    }

    /// Sets [`linger`](Options::linger); what is above 60 s counts as 60 s, so that close always ends (R241).
    pub fn set_linger(&mut self, value: Duration) -> &mut Self {
        self.linger = value.min(LINGER_MAX);
        self
    }

    /// Bytes that wait in us for each network connection that does not drain; beyond it the pipe takes one more
    /// message and is then not writable. Default 128 KiB. Read for each connection.
    pub fn send_buffer(&self) -> usize {
        self.send_buffer
    }

    /// Sets [`send_buffer`](Options::send_buffer), and with it the kernel's buffer (SO_SNDBUF) of connections to
    /// come. At least 1 byte.
    pub fn set_send_buffer(&mut self, bytes: usize) -> Result<&mut Self, Error> {
        self.send_buffer = at_least_one("send_buffer", bytes)?;
        self.send_buffer_set = true;
        Ok(self)
    }

    /// Bytes that wait in us for the application, per pipe; beyond it nothing is read from that pipe (R112).
    /// Default 128 KiB. Read for each connection and inproc pairing.
    pub fn recv_buffer(&self) -> usize {
        self.recv_buffer
    }

    /// Sets [`recv_buffer`](Options::recv_buffer), and with it the kernel's buffer (SO_RCVBUF) of connections to
    /// come. At least 1 byte.
    pub fn set_recv_buffer(&mut self, bytes: usize) -> Result<&mut Self, Error> {
        self.recv_buffer = at_least_one("recv_buffer", bytes)?;
        self.recv_buffer_set = true;
        Ok(self)
    }

    /// Priority of later endpoints for sending, 1 (best) to 16; default 8. PUSH and REQ use a worse class only
    /// while every pipe of the better ones is busy or gone (R113, R115).
    pub fn send_priority(&self) -> u8 {
        self.send_priority
    }

    /// Sets [`send_priority`](Options::send_priority) for endpoints made afterwards (R109).
    pub fn set_send_priority(&mut self, value: u8) -> Result<&mut Self, Error> {
        self.send_priority = priority("send_priority", value)?;
        Ok(self)
    }

    /// Priority of later endpoints for receiving, 1 (best) to 16; default 8 (R116).
    pub fn recv_priority(&self) -> u8 {
        self.recv_priority
    }

    /// Sets [`recv_priority`](Options::recv_priority) for endpoints made afterwards (R109).
    pub fn set_recv_priority(&mut self, value: u8) -> Result<&mut Self, Error> {
        self.recv_priority = priority("recv_priority", value)?;
        Ok(self)
    }

    /// Most header words of a request or survey, or hops of a PAIRv1 message, that are accepted; default 8 (R128, R166,
    /// R169). Live.
    pub fn max_ttl(&self) -> u8 {
        self.max_ttl
    }

    /// Sets [`max_ttl`](Options::max_ttl), 1 to 255.
    pub fn set_max_ttl(&mut self, value: u8) -> Result<&mut Self, Error> {
        if value < TTL_MIN_WORDS {
            return Err(out_of_range("max_ttl", value, "1 to 255"));
        }
        self.max_ttl = value;
        Ok(self)
    }

    /// The socket's name, for diagnostics. Default empty in Rust, the socket's number in C.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Sets [`name`](Options::name); at most 63 bytes.
    pub fn set_name(&mut self, name: impl AsRef<[u8]>) -> Result<&mut Self, Error> {
        let name = name.as_ref();
        if name.len() > SOCKET_NAME_MAX_BYTES {
            return Err(out_of_range("name", format!("{} bytes long", name.len()), "at most 63 bytes"));
        }
        self.name = name.to_vec();
        Ok(self)
    }

    /// What `tls+tcp://` trusts and shows. Default: a connecting side trusts the system's authorities; a listening side
    /// has no certificate, and cannot bind.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    /// Sets [`tls`](Options::tls) for endpoints made afterwards.
    #[cfg(feature = "tls")]
    pub fn set_tls(&mut self, config: &TlsConfig) -> &mut Self {
        self.tls = config.clone();
        self
    }

    /// Whether an endpoint's first error, and each first one after a recovery, is printed to stderr. Default false.
    pub fn set_print_errors(&mut self, value: bool) -> &mut Self {
        self.print_errors = value;
        self
    }
}

fn at_least_one(option: &'static str, bytes: usize) -> Result<usize, Error> {
    if bytes == 0 {
        return Err(out_of_range(option, bytes, "at least 1 byte"));
    }
    Ok(bytes)
}

fn priority(option: &'static str, value: u8) -> Result<u8, Error> {
    if !(PRIORITY_BEST..=PRIORITY_WORST).contains(&value) {
        return Err(out_of_range(option, value, "1 (best) to 16"));
    }
    Ok(value)
}

fn out_of_range(option: &'static str, value: impl ToString, expected: &'static str) -> Error {
    Error::OptionValue { option, value: value.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r107_defaults() {
        let options = Options::default();
        assert_eq!((options.send_buffer(), options.recv_buffer()), (131_072, 131_072));
        assert_eq!((options.send_timeout(), options.recv_timeout()), (None, None));
        assert_eq!(options.reconnect(), Duration::from_millis(100));
        assert_eq!(options.reconnect_max(), Duration::ZERO);
        assert_eq!((options.send_priority(), options.recv_priority()), (8, 8));
        assert_eq!(options.recv_max(), Some(1_048_576));
        assert_eq!(options.max_ttl(), 8);
    }

    #[test]
    fn r106_values_out_of_range_are_refused_and_change_nothing() {
        let mut options = Options::default();
        assert!(options.set_send_buffer(0).is_err());
        assert!(options.set_recv_buffer(0).is_err());
        assert!(options.set_send_priority(0).is_err());
        assert!(options.set_recv_priority(17).is_err());
        assert!(options.set_max_ttl(0).is_err());
        assert!(options.set_name([b'n'; 64]).is_err());
        r107_defaults();
        assert_eq!(options.send_buffer(), 131_072);
        assert!(!options.send_buffer_set);
        assert!(options.set_name([b'n'; 63]).is_ok());
    }

    #[test]
    fn r241_linger_is_honoured_within_a_bound() {
        let mut options = Options::default();
        assert_eq!(options.set_linger(Duration::from_millis(5)).linger(), Duration::from_millis(5));
        assert_eq!(options.set_linger(Duration::MAX).linger(), LINGER_MAX);
    }
}
