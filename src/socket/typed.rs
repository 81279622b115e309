//! One type per role, each with only the operations that its pattern has.

use std::time::Duration;

use super::{Builder, Endpoint, Socket};
use crate::engine::Statistics;
use crate::error::{Error, SendError};
use crate::message::Message;
use crate::options::Options;
use crate::protocol::{Mode, Protocol};

/// What every typed socket has.
macro_rules! typed {
    ($(#[$doc:meta])* $name:ident, $protocol:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            socket: Socket,
        }

        impl From<Socket> for $name {
            fn from(socket: Socket) -> Self {
                $name { socket }
            }
        }

        impl $name {
            /// A socket with default options.
            ///
            /// # Errors
            /// None today; a socket may come to need resources of the system at once.
            pub fn new() -> Result<Self, Error> {
                Self::builder().build()
            }

            /// A socket with other options.
            pub fn builder() -> Builder<Self> {
                Builder::new($protocol, Mode::Cooked)
            }

            /// Listens; see [`Socket::bind`].
            ///
            /// # Errors
            /// As [`Socket::bind`].
            pub fn bind(&self, address: &str) -> Result<Endpoint, Error> {
                self.socket.bind(address)
            }

            /// Connects in the background; see [`Socket::connect`].
            ///
            /// # Errors
            /// As [`Socket::connect`].
            pub fn connect(&self, address: &str) -> Result<Endpoint, Error> {
                self.socket.connect(address)
            }

            /// A copy of the options.
            ///
            /// # Errors
            /// [`Error::Closed`].
            pub fn options(&self) -> Result<Options, Error> {
                self.socket.options()
            }

            /// Changes options; see [`Socket::set_options`].
            ///
            /// # Errors
            /// What `change` returns, or [`Error::Closed`].
            pub fn set_options<R>(
                &self,
                change: impl FnOnce(&mut Options) -> Result<R, Error>,
            ) -> Result<R, Error> {
                self.socket.set_options(change)
            }

            /// The counters as they are now.
            ///
            /// # Errors
            /// [`Error::Closed`].
            pub fn statistics(&self) -> Result<Statistics, Error> {
                self.socket.statistics()
            }

            /// Closes; see [`Socket::close`].
            ///
            /// # Errors
            /// [`Error::Closed`] when it was closed before.
            pub fn close(&self) -> Result<(), Error> {
                self.socket.close()
            }

            /// The socket underneath, for [`poll`](crate::poll) and devices.
            pub fn socket(&self) -> &Socket {
                &self.socket
            }
        }
    };
}

macro_rules! sends {
    ($name:ident) => {
        impl $name {
            /// Sends, waiting if the pattern says so; see [`Socket::send`].
            ///
            /// # Errors
            /// As [`Socket::send`].
            pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
                self.socket.send(message)
            }

            /// Sends if that is possible now; see [`Socket::try_send`].
            ///
            /// # Errors
            /// As [`Socket::try_send`].
            pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
                self.socket.try_send(message)
            }

            /// Sends, waiting at most `timeout`.
            ///
            /// # Errors
            /// As [`Socket::send`].
            pub fn send_timeout(
                &self,
                message: impl Into<Message>,
                timeout: Duration,
            ) -> Result<(), SendError> {
                self.socket.send_timeout(message, timeout)
            }
        }
    };
}

macro_rules! receives {
    ($name:ident) => {
        impl $name {
            /// Receives, waiting for a message; see [`Socket::recv`].
            ///
            /// # Errors
            /// As [`Socket::recv`].
            #[inline]
            pub fn recv(&self) -> Result<Message, Error> {
                self.socket.recv()
            }

            /// Receives a message that is here; see [`Socket::try_recv`].
            ///
            /// # Errors
            /// As [`Socket::try_recv`].
            #[inline]
            pub fn try_recv(&self) -> Result<Message, Error> {
                self.socket.try_recv()
            }

            /// Receives, waiting at most `timeout`.
            ///
            /// # Errors
            /// As [`Socket::recv`].
            #[inline]
            pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, Error> {
                self.socket.recv_timeout(timeout)
            }
        }
    };
}

typed! {
    /// One conversation with one peer: PAIR.
    ///
    /// Sending blocks while there is no peer (R124); a second peer is turned away until the first has left (R122,
    /// R123).
    ///
    /// ```
    /// let (left, right) = (spmsg::Pair::new()?, spmsg::Pair::new()?);
    /// left.bind("inproc://pair-doc")?;
    /// right.connect("inproc://pair-doc")?;
    /// left.send("how are you?")?;
    /// assert_eq!(right.recv()?.body(), b"how are you?");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Pair, Protocol::Pair
}
sends!(Pair);
receives!(Pair);

typed! {
    /// One conversation with one peer: PAIR version 1, which nng and mangos speak and nanomsg does not.
    ///
    /// It behaves as [`Pair`] and does not understand it (R12). Each message carries a count of the hops it has made
    /// (R127), so that devices cannot forward it for ever: one that made more than
    /// [`max_ttl`](Options::max_ttl) is dropped silently (R128). A peer that sends something without a count loses its
    /// connection (R129). A raw socket shows the count as a big-endian 32-bit header, and sends one more than the
    /// header says.
    ///
    /// ```
    /// let (left, right) = (spmsg::Pair1::new()?, spmsg::Pair1::new()?);
    /// left.bind("inproc://pair1-doc")?;
    /// right.connect("inproc://pair1-doc")?;
    /// left.send("how are you?")?;
    /// assert_eq!(right.recv()?.body(), b"how are you?");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Pair1, Protocol::Pair1
}
sends!(Pair1);
receives!(Pair1);

typed! {
    /// Publishes to every subscriber: PUB.
    ///
    /// Never blocks; a subscriber that does not keep up misses messages, others do not (R180, R181).
    ///
    /// ```
    /// let (publisher, subscriber) = (spmsg::Pub::new()?, spmsg::Sub::new()?);
    /// publisher.bind("inproc://pub-doc")?;
    /// subscriber.subscribe("volume.")?;
    /// subscriber.connect("inproc://pub-doc")?;
    /// publisher.send("host.7 rebooted")?;
    /// publisher.send("volume.3 resized")?;
    /// assert_eq!(subscriber.recv()?.body(), b"volume.3 resized");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Pub, Protocol::Pub
}
sends!(Pub);

typed! {
    /// Receives what its subscriptions match: SUB. Without a subscription it receives nothing (R174).
    ///
    /// ```
    /// let subscriber = spmsg::Sub::new()?;
    /// subscriber.subscribe("a")?;
    /// subscriber.unsubscribe("a")?;
    /// assert!(subscriber.unsubscribe("a").is_err());
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Sub, Protocol::Sub
}
receives!(Sub);

impl Sub {
    /// See [`Socket::subscribe`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), Error> {
        self.socket.subscribe(topic)
    }

    /// See [`Socket::unsubscribe`].
    ///
    /// # Errors
    /// [`Error::NotSubscribed`], [`Error::Closed`].
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), Error> {
        self.socket.unsubscribe(topic)
    }
}

typed! {
    /// Asks one of its peers, and asks again until answered: REQ.
    ///
    /// One request is open at a time: a new one cancels it (R137). It is kept until a peer appears (R136), goes to
    /// another peer when the first is lost (R142), and again after the resend interval (R140), so that a request may
    /// be executed twice.
    ///
    /// ```
    /// let (client, server) = (spmsg::Req::new()?, spmsg::Rep::new()?);
    /// server.bind("inproc://req-doc")?;
    /// client.connect("inproc://req-doc")?;
    /// client.send("capacity?")?;
    /// assert_eq!(server.recv()?.body(), b"capacity?");
    /// server.send("12 TiB")?;
    /// assert_eq!(client.recv()?.body(), b"12 TiB");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Req, Protocol::Req
}
sends!(Req);
receives!(Req);

impl Req {
    /// See [`Socket::set_resend_interval`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn set_resend_interval(&self, interval: Duration) -> Result<(), Error> {
        self.socket.set_resend_interval(interval)
    }
}

typed! {
    /// Answers requests: REP. A reply goes to whoever asked last; without a request there is nothing to answer
    /// ([`Error::State`], R156).
    ///
    /// ```
    /// let server = spmsg::Rep::new()?;
    /// assert!(matches!(server.try_send("nobody asked").unwrap_err().error, spmsg::Error::State(_)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Rep, Protocol::Rep
}
sends!(Rep);
receives!(Rep);

typed! {
    /// Spreads work over its peers: PUSH. Each message goes to exactly one of them (R187); blocks while none can take
    /// it (R188).
    ///
    /// ```
    /// let (source, worker) = (spmsg::Push::new()?, spmsg::Pull::new()?);
    /// source.bind("inproc://push-doc")?;
    /// worker.connect("inproc://push-doc")?;
    /// source.send("rebalance 17")?;
    /// assert_eq!(worker.recv()?.body(), b"rebalance 17");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Push, Protocol::Push
}
sends!(Push);

typed! {
    /// Takes work from its peers, one message of each in turn: PULL (R190).
    ///
    /// ```
    /// let worker = spmsg::Pull::new()?;
    /// assert!(matches!(worker.try_recv(), Err(spmsg::Error::WouldBlock)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Pull, Protocol::Pull
}
receives!(Pull);

typed! {
    /// Asks all its peers at once and collects their responses until a deadline: SURVEYOR.
    ///
    /// ```
    /// let (surveyor, node) = (spmsg::Surveyor::new()?, spmsg::Respondent::new()?);
    /// surveyor.bind("inproc://survey-doc")?;
    /// node.connect("inproc://survey-doc")?;
    /// surveyor.set_deadline(std::time::Duration::from_millis(50))?;
    /// surveyor.send("free space?")?;
    /// node.recv()?;
    /// node.send("3 TiB")?;
    /// assert_eq!(surveyor.recv()?.body(), b"3 TiB");
    /// assert!(matches!(surveyor.recv(), Err(spmsg::Error::TimedOut)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Surveyor, Protocol::Surveyor
}
sends!(Surveyor);
receives!(Surveyor);

impl Surveyor {
    /// See [`Socket::set_survey_deadline`].
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn set_deadline(&self, deadline: Duration) -> Result<(), Error> {
        self.socket.set_survey_deadline(deadline)
    }
}

typed! {
    /// Answers surveys: RESPONDENT. It declines by receiving the next one (R204).
    ///
    /// ```
    /// let node = spmsg::Respondent::new()?;
    /// assert!(matches!(node.try_send("?").unwrap_err().error, spmsg::Error::State(_)));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Respondent, Protocol::Respondent
}
sends!(Respondent);
receives!(Respondent);

typed! {
    /// Sends to every directly connected peer, and receives from all of them: BUS. Never blocks; messages are not
    /// passed on (R206 to R208).
    ///
    /// ```
    /// let (a, b) = (spmsg::Bus::new()?, spmsg::Bus::new()?);
    /// a.bind("inproc://bus-doc")?;
    /// b.connect("inproc://bus-doc")?;
    /// a.send("I am a")?;
    /// assert_eq!(b.recv()?.body(), b"I am a");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    Bus, Protocol::Bus
}
sends!(Bus);
receives!(Bus);
