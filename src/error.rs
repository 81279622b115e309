//! What can fail, said so that the reader knows what to do: one [`Error`] for every operation of a socket.

use std::io;

use crate::address::AddressError;
use crate::message::Message;
use crate::protocol::Protocol;

/// Why an operation failed. No variant concerns a peer: what a peer does wrong costs its own connection, and the
/// endpoint goes on (R14).
///
/// ```
/// let pair = spmsg::Pair::new()?;
/// match pair.try_recv() {
///     Err(spmsg::Error::WouldBlock) => (),
///     other => panic!("nobody sent anything: {other:?}"),
/// }
/// let refused = pair.bind("smtp://example.org").unwrap_err();
/// assert!(refused.to_string().contains("smtp"), "errors name the value: {refused}");
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket is closed, here or by another thread, or belongs to the parent of this forked process (EBADF).
    #[error("the socket is closed")]
    Closed,
    /// A `try_` call could not proceed now (EAGAIN, R103).
    #[error("the operation would block; wait for readiness or use the blocking call")]
    WouldBlock,
    /// The deadline of the call, the socket's timeout, or the survey's deadline has passed (ETIMEDOUT, R102, R196).
    #[error("timed out")]
    TimedOut,
    /// A signal handler ran in the blocked thread; only calls that ask for it see this (EINTR).
    #[error("interrupted by a signal")]
    Interrupted,
    /// The pattern's state forbids the operation now (EFSM): a reply without a request, a receive without a request
    /// or survey.
    #[error("{0}")]
    State(&'static str),
    /// The pattern has no such direction (ENOTSUP, R104).
    #[error("a {protocol:?} socket cannot {operation}")]
    Unsupported {
        /// The socket's protocol.
        protocol: Protocol,
        /// "send" or "receive".
        operation: &'static str,
    },
    /// The message's protocol header does not fit the socket (EINVAL, R212).
    #[error("a protocol header of {len} bytes cannot be sent on this {protocol:?} socket")]
    Header {
        /// The socket's protocol.
        protocol: Protocol,
        /// Length of the refused header in bytes.
        len: usize,
    },
    /// The address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The operating system refused.
    #[error("cannot {operation} {subject}: {source}")]
    Os {
        /// What was tried.
        operation: &'static str,
        /// With what, for example the address.
        subject: String,
        /// The system's error.
        source: io::Error,
    },
    /// An option's value is out of range (EINVAL).
    #[error("{option} cannot be {value}: {expected}")]
    OptionValue {
        /// The option.
        option: &'static str,
        /// The refused value.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// The socket's pattern does not have this option (ENOPROTOOPT).
    #[error("a {protocol:?} socket has no option {option}")]
    NoSuchOption {
        /// The socket's protocol.
        protocol: Protocol,
        /// The option.
        option: &'static str,
    },
    /// Unsubscribing a topic that is not subscribed (EINVAL, R178).
    #[error("not subscribed to that topic ({0} bytes)")]
    NotSubscribed(usize),
    /// The endpoint was closed already or never was (EINVAL, R237).
    #[error("the socket has no endpoint {0}")]
    NoSuchEndpoint(u32),
    /// The two sockets cannot form a device (EINVAL, R223).
    #[error("these sockets cannot form a device: {0}")]
    Device(&'static str),
}

impl Error {
    pub(crate) fn os(operation: &'static str, subject: impl Into<String>, source: io::Error) -> Self {
        Error::Os { operation, subject: subject.into(), source }
    }
}

/// A send that did not happen: the reason, and the message back, unchanged.
///
/// ```
/// let push = spmsg::Push::new()?;
/// let refused = push.try_send("nobody is there").unwrap_err();
/// assert!(matches!(refused.error, spmsg::Error::WouldBlock));
/// assert_eq!(refused.message.body(), b"nobody is there");
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SendError {
    /// Why it was not sent.
    #[source]
    pub error: Error,
    /// What was not sent.
    pub message: Message,
}

impl From<SendError> for Error {
    fn from(refused: SendError) -> Self {
        refused.error
    }
}
