//! [`Builder`]: options first, then the socket.

use std::marker::PhantomData;
use std::time::Duration;

use super::Socket;
use crate::engine::{Core, Engine};
use crate::error::Error;
use crate::message::WsMessageType;
use crate::options::Options;
use crate::protocol::{Mode, Protocol};
#[cfg(feature = "tls")]
use crate::transport::tls::TlsConfig;

/// Options of a socket to be built; each is explained, with its default, at the [`Options`] field of that name.
///
/// Values are checked by [`build`](Builder::build).
///
/// ```
/// use std::time::Duration;
/// let push = spmsg::Push::builder().send_timeout(Duration::from_millis(200)).send_priority(1).build()?;
/// assert!(spmsg::Push::builder().send_priority(17).build().is_err());
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Debug)]
pub struct Builder<S> {
    protocol: Protocol,
    mode: Mode,
    options: Options,
    engine: Option<Engine>,
    /// The first value that was refused.
    refused: Option<Error>,
    socket: PhantomData<fn() -> S>,
}

impl<S: From<Socket>> Builder<S> {
    pub(crate) fn new(protocol: Protocol, mode: Mode) -> Self {
        let options = Options::default();
        Builder { protocol, mode, options, engine: None, refused: None, socket: PhantomData }
    }

    fn set(mut self, change: impl FnOnce(&mut Options) -> Result<&mut Options, Error>) -> Self {
        if let Err(error) = change(&mut self.options)
            && self.refused.is_none()
        {
            self.refused = Some(error);
        }
        self
    }

    /// [`Options::send_timeout`].
    pub fn send_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.set(|options| Ok(options.set_send_timeout(timeout.into())))
    }

    /// [`Options::recv_timeout`].
    pub fn recv_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.set(|options| Ok(options.set_recv_timeout(timeout.into())))
    }

    /// [`Options::linger`].
    pub fn linger(self, linger: Duration) -> Self {
        self.set(|options| Ok(options.set_linger(linger)))
    }

    /// [`Options::send_buffer`], in bytes.
    pub fn send_buffer(self, bytes: usize) -> Self {
        self.set(|options| options.set_send_buffer(bytes))
    }

    /// [`Options::recv_buffer`], in bytes.
    pub fn recv_buffer(self, bytes: usize) -> Self {
        self.set(|options| options.set_recv_buffer(bytes))
    }

    /// [`Options::reconnect`].
    pub fn reconnect(self, interval: Duration) -> Self {
        self.set(|options| Ok(options.set_reconnect(interval)))
    }

    /// [`Options::reconnect_max`].
    pub fn reconnect_max(self, max: Duration) -> Self {
        self.set(|options| Ok(options.set_reconnect_max(max)))
    }

    /// [`Options::send_priority`], 1 to 16.
    pub fn send_priority(self, priority: u8) -> Self {
        self.set(|options| options.set_send_priority(priority))
    }

    /// [`Options::recv_priority`], 1 to 16.
    pub fn recv_priority(self, priority: u8) -> Self {
        self.set(|options| options.set_recv_priority(priority))
    }

    /// [`Options::recv_max`], in bytes; `None` is unlimited.
    pub fn recv_max(self, bytes: impl Into<Option<usize>>) -> Self {
        self.set(|options| Ok(options.set_recv_max(bytes.into())))
    }

    /// [`Options::max_ttl`], in header words, 1 to 255.
    pub fn max_ttl(self, words: u8) -> Self {
        self.set(|options| options.set_max_ttl(words))
    }

    /// [`Options::ipv4_only`].
    pub fn ipv4_only(self, value: bool) -> Self {
        self.set(|options| Ok(options.set_ipv4_only(value)))
    }

    /// [`Options::tcp_nodelay`].
    pub fn tcp_nodelay(self, value: bool) -> Self {
        self.set(|options| Ok(options.set_tcp_nodelay(value)))
    }

    /// [`Options::ws_message_type`].
    pub fn ws_message_type(self, value: WsMessageType) -> Self {
        self.set(|options| Ok(options.set_ws_message_type(value)))
    }

    /// [`Options::name`], at most 63 bytes.
    pub fn name(self, name: impl AsRef<[u8]>) -> Self {
        self.set(|options| options.set_name(name))
    }

    /// [`Options::set_print_errors`].
    pub fn print_errors(self, value: bool) -> Self {
        self.set(|options| Ok(options.set_print_errors(value)))
    }

    /// [`Options::set_tls`].
    #[cfg(feature = "tls")]
    pub fn tls(self, config: &TlsConfig) -> Self {
        self.set(|options| Ok(options.set_tls(config)))
    }

    /// Uses `engine` in place of the default one.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// The socket.
    ///
    /// # Errors
    /// [`Error::OptionValue`] for the first value that was out of range.
    pub fn build(self) -> Result<S, Error> {
        match self.refused {
            Some(error) => Err(error),
            None => {
                Ok(Socket::from_core(Core::new(self.protocol, self.mode, self.options, self.engine)).into())
            }
        }
    }
}
