//! The public face: [`Socket`], which can be of any protocol and mode, and a typed socket for each role.

mod builder;
pub mod compat;
mod endpoint;
mod poll;
mod typed;

use std::sync::Arc;
use std::time::Duration;

use crate::address::{BindAddress, ConnectAddress, Dialect, Rules};
use crate::engine::{Core, Patience, Statistics};
use crate::error::{Error, SendError};
use crate::message::Message;
use crate::options::Options;
use crate::protocol::{Mode, PatternOption, Protocol};

pub use builder::Builder;
pub use endpoint::Endpoint;
pub use poll::{Interest, PollItem, poll};
pub use typed::{Bus, Pair, Pair1, Pub, Pull, Push, Rep, Req, Respondent, Sub, Surveyor};

/// A socket of any protocol and mode.
///
/// The typed sockets ([`Req`], [`Pub`], ...) are thin covers of this one that have only what their pattern can do;
/// use this type for raw sockets, for devices, and where the protocol is known at run time only.
///
/// All methods may be called from any thread, also at the same time. Dropping a socket closes it, see
/// [`close`](Socket::close).
///
/// ```
/// use spmsg::{Mode, Protocol, Socket};
/// let socket = Socket::new(Protocol::Rep, Mode::Raw);
/// assert_eq!(socket.protocol(), Protocol::Rep);
/// ```
pub struct Socket {
    core: Arc<Core>,
}

impl Socket {
    /// A socket with default options. Nothing is started or opened before the first endpoint.
    pub fn new(protocol: Protocol, mode: Mode) -> Socket {
        Socket { core: Core::new(protocol, mode, Options::default(), None) }
    }

    /// A socket with other options, or with an engine of its own.
    ///
    /// ```
    /// use std::time::Duration;
    /// use spmsg::{Mode, Protocol, Socket};
    /// let socket = Socket::builder(Protocol::Pull, Mode::Cooked).recv_timeout(Duration::from_millis(5)).build()?;
    /// assert!(matches!(socket.recv(), Err(spmsg::Error::TimedOut)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn builder(protocol: Protocol, mode: Mode) -> Builder<Socket> {
        Builder::new(protocol, mode)
    }

    pub(crate) fn from_core(core: Arc<Core>) -> Socket {
        Socket { core }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        self.core.protocol()
    }

    /// Cooked or raw.
    pub fn mode(&self) -> Mode {
        self.core.mode()
    }

    /// Listens at `address` and accepts any number of peers.
    ///
    /// | address | meaning |
    /// |---|---|
    /// | `inproc://name` | a name in this process |
    /// | `ipc:///path/to/socket` | a Unix socket; a stale file is replaced, anything else never |
    /// | `ipc://@name`, `abstract://name` | Linux's abstract names |
    /// | `tcp://127.0.0.1:5555`, `tcp://[::1]:5555`, `tcp://host:5555` | an interface and a port |
    /// | `tcp://*:5555`, `tcp://:5555` | every interface |
    /// | `tls+tcp://127.0.0.1:5555` and so on | as tcp, inside TLS with `Options::tls` (feature `tls`) |
    ///
    /// Port 0 lets the system choose; [`Endpoint::address`] has the port it chose.
    ///
    /// # Errors
    /// [`Error::Address`] for a malformed address, [`Error::Os`] when the system refuses (in use, not local, no
    /// permission), [`Error::Closed`].
    ///
    /// ```
    /// let rep = spmsg::Rep::new()?;
    /// let endpoint = rep.bind("tcp://127.0.0.1:0")?;
    /// assert!(endpoint.address().starts_with("tcp://127.0.0.1:"));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn bind(&self, address: &str) -> Result<Endpoint, Error> {
        self.bind_as(address.as_bytes(), Dialect::Rust)
    }

    /// Connects to `address`, in the background and for ever: a lost or refused connection is tried again after
    /// [`Options::reconnect`] (R230). Failures of the network are not reported (R93).
    ///
    /// Addresses are those of [`bind`](Socket::bind), save wildcards and port 0; tcp host names are looked up at each
    /// attempt, every address found is tried, and `tcp://local;host:port` connects from a local address.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Closed`], or [`Error::Os`] when the engine cannot start.
    ///
    /// ```
    /// let sub = spmsg::Sub::new()?;
    /// sub.connect("ipc:///tmp/spmsg-doc-nobody-is-there-yet.ipc")?;
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn connect(&self, address: &str) -> Result<Endpoint, Error> {
        self.connect_as(address.as_bytes(), Dialect::Rust)
    }

    fn bind_as(&self, address: &[u8], dialect: Dialect) -> Result<Endpoint, Error> {
        let address = BindAddress::parse(address, &self.rules(dialect)?)?;
        let (id, local) = self.core.bind(&address)?;
        Ok(Endpoint::new(&self.core, id, local))
    }

    fn connect_as(&self, address: &[u8], dialect: Dialect) -> Result<Endpoint, Error> {
        let address = ConnectAddress::parse(address, &self.rules(dialect)?)?;
        let text = address.to_string();
        Ok(Endpoint::new(&self.core, self.core.connect(address)?, text))
    }

    fn rules(&self, dialect: Dialect) -> Result<Rules, Error> {
        Ok(Rules { ipv4_only: self.core.options()?.ipv4_only, dialect })
    }

    /// Sends, waiting while no peer can take the message, at most [`Options::send_timeout`].
    ///
    /// Success means that the library has taken the message over, and will deliver it within the linger time even if
    /// the socket is closed now; see the patterns for what that is worth.
    ///
    /// # Errors
    /// With the message handed back: [`Error::TimedOut`], [`Error::Closed`], [`Error::State`],
    /// [`Error::Unsupported`], [`Error::Header`].
    ///
    /// ```
    /// let publisher = spmsg::Pub::new()?;
    /// publisher.send("nobody listens, nobody minds")?;
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.send(message, Patience::AsSet { interruptible: false })
    }

    /// Sends if that is possible now.
    ///
    /// # Errors
    /// As [`send`](Socket::send), with [`Error::WouldBlock`] in place of waiting.
    ///
    /// ```
    /// let push = spmsg::Push::new()?;
    /// assert!(push.try_send("no peer").is_err());
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.core.send(message, Patience::Never)
    }

    /// Sends, waiting at most `timeout` whatever the option says.
    ///
    /// # Errors
    /// As [`send`](Socket::send).
    ///
    /// ```
    /// use std::time::Duration;
    /// let push = spmsg::Push::new()?;
    /// let refused = push.send_timeout("no peer", Duration::from_millis(1)).unwrap_err();
    /// assert!(matches!(refused.error, spmsg::Error::TimedOut));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), SendError> {
        self.core.send(message, Patience::for_timeout(Some(timeout), false))
    }

    /// Receives, waiting for a message at most [`Options::recv_timeout`].
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Closed`], [`Error::State`], [`Error::Unsupported`].
    ///
    /// ```
    /// let req = spmsg::Req::new()?;
    /// assert!(matches!(req.recv(), Err(spmsg::Error::State(_))), "nothing was asked");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<Message, Error> {
        self.core.recv(Patience::AsSet { interruptible: false })
    }

    /// Receives a message that is here.
    ///
    /// # Errors
    /// As [`recv`](Socket::recv), with [`Error::WouldBlock`] in place of waiting.
    ///
    /// ```
    /// let pull = spmsg::Pull::new()?;
    /// assert!(matches!(pull.try_recv(), Err(spmsg::Error::WouldBlock)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    #[inline]
    pub fn try_recv(&self) -> Result<Message, Error> {
        self.core.recv(Patience::Never)
    }

    /// Receives, waiting at most `timeout` whatever the option says.
    ///
    /// # Errors
    /// As [`recv`](Socket::recv).
    ///
    /// ```
    /// let pull = spmsg::Pull::new()?;
    /// let waited = pull.recv_timeout(std::time::Duration::from_millis(1));
    /// assert!(matches!(waited, Err(spmsg::Error::TimedOut)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    #[inline]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, Error> {
        self.core.recv(Patience::for_timeout(Some(timeout), false))
    }

    /// A copy of the options.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn options(&self) -> Result<Options, Error> {
        self.core.options()
    }

    /// Changes options of a living socket; each says in its text when it takes effect.
    ///
    /// ```
    /// let push = spmsg::Push::new()?;
    /// push.set_options(|options| options.set_send_priority(1).map(|_| ()))?;
    /// assert_eq!(push.options()?.send_priority(), 1);
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `change` returns, or [`Error::Closed`].
    pub fn set_options<R>(&self, change: impl FnOnce(&mut Options) -> Result<R, Error>) -> Result<R, Error> {
        self.core.set_options(change)
    }

    /// Receives what begins with `topic` from now on; an empty topic is everything (R172, R173). Counted: as many
    /// unsubscribes undo it (R177). SUB, cooked and raw.
    ///
    /// # Errors
    /// [`Error::NoSuchOption`] on other sockets, [`Error::Closed`].
    ///
    /// ```
    /// use spmsg::{Mode, Protocol, Socket};
    /// let raw = Socket::new(Protocol::Sub, Mode::Raw);
    /// raw.subscribe("")?;
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), Error> {
        self.core.set_pattern_option("subscribe", PatternOption::Subscribe(topic.as_ref()))
    }

    /// Takes one subscription back.
    ///
    /// # Errors
    /// [`Error::NotSubscribed`], [`Error::NoSuchOption`], [`Error::Closed`].
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), Error> {
        self.core.set_pattern_option("unsubscribe", PatternOption::Unsubscribe(topic.as_ref()))
    }

    /// Time after which an unanswered request is sent again; default 60 s. Zero switches that off, also the resend
    /// when the pipe is lost (R150). Cooked REQ; from the next transmission.
    ///
    /// # Errors
    /// [`Error::NoSuchOption`], [`Error::Closed`].
    pub fn set_resend_interval(&self, interval: Duration) -> Result<(), Error> {
        self.core.set_pattern_option("resend_interval", PatternOption::ResendInterval(interval))
    }

    /// How long a survey collects responses; default 1 s (R201). Cooked SURVEYOR; from the next survey.
    ///
    /// # Errors
    /// [`Error::NoSuchOption`], [`Error::Closed`].
    pub fn set_survey_deadline(&self, deadline: Duration) -> Result<(), Error> {
        self.core.set_pattern_option("survey_deadline", PatternOption::SurveyDeadline(deadline))
    }

    /// The counters as they are now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn statistics(&self) -> Result<Statistics, Error> {
        self.core.statistics()
    }

    /// Closes the socket: blocked calls of other threads return [`Error::Closed`], listeners are gone, and what was
    /// accepted for connected peers leaves, for at most [`Options::linger`]; peers that never came are not waited for
    /// (R242). Returns when that is over. Dropping the socket does the same.
    ///
    /// # Errors
    /// [`Error::Closed`] when it was closed before.
    ///
    /// ```
    /// let bus = spmsg::Bus::new()?;
    /// bus.close()?;
    /// assert!(matches!(bus.close(), Err(spmsg::Error::Closed)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn close(&self) -> Result<(), Error> {
        let deadline = self.core.begin_close()?;
        self.core.finish_close(deadline);
        Ok(())
    }

    pub(crate) fn check_directions(&self, interest: Interest) -> Result<(), Error> {
        let protocol = self.protocol();
        if interest.send && !protocol.can_send() {
            return Err(Error::Unsupported { protocol, operation: "send" });
        }
        if interest.recv && !protocol.can_recv() {
            return Err(Error::Unsupported { protocol, operation: "receive" });
        }
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Closed before, or inherited through a fork: nothing is left to do.
        let _ = self.close();
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("protocol", &self.protocol()).field("mode", &self.mode()).finish()
    }
}
