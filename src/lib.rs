//! The Scalability Protocols in Rust: six messaging patterns over inproc, ipc, tcp, WebSocket and TLS.
//!
//! spmsg speaks nanomsg's wire protocols, so its peers may be nanomsg, nng or mangos programs. A [socket](Socket) has
//! a pattern, binds and connects to any number of [addresses](Socket::bind), and carries whole messages. Connections
//! come and go without the program noticing.
//!
//! | pattern | sockets | for |
//! |---|---|---|
//! | pair | [`Pair`], [`Pair1`] | one conversation |
//! | request/reply | [`Req`], [`Rep`] | questions to a service, asked again until answered |
//! | publish/subscribe | [`Pub`], [`Sub`] | notices to whoever is interested |
//! | pipeline | [`Push`], [`Pull`] | work spread over workers |
//! | survey | [`Surveyor`], [`Respondent`] | the same question to everybody, answers until a deadline |
//! | bus | [`Bus`] | gossip between equals |
//!
//! ```
//! use spmsg::{Rep, Req};
//!
//! let server = Rep::new()?;
//! let address = server.bind("tcp://127.0.0.1:0")?.address().to_string();
//! std::thread::spawn(move || {
//!     while let Ok(request) = server.recv() {
//!         let answer = format!("{} is fine", String::from_utf8_lossy(request.body()));
//!         server.send(answer).ok();
//!     }
//! });
//!
//! let client = Req::new()?;
//! client.connect(&address)?;
//! client.send("volume 7")?;
//! assert_eq!(client.recv()?.body(), b"volume 7 is fine");
//! # Ok::<(), spmsg::Error>(())
//! ```
//!
//! # Rooms
//!
//! `protocol` (the patterns) and `wire` (bytes to messages) are pure state machines; `transport` has the carriers,
//! `engine` everything that happens on I/O threads, `socket` the public face. ARCHITECTURE.md tells more.

mod address;
mod device;
mod engine;
mod error;
mod frames;
pub mod limits;
mod message;
mod options;
#[cfg(feature = "tls")]
mod peer;
mod protocol;
mod socket;
mod sys;
mod transport;
mod wire;

pub use address::AddressError;
pub use device::Device;
pub use engine::{Engine, IO_THREADS_VARIABLE, SPIN_VARIABLE, Statistics, set_io_threads, set_spinning};
pub use error::{Error, SendError};
pub use message::{Message, WsMessageType};
pub use options::Options;
#[cfg(feature = "tls")]
pub use peer::PeerIdentity;
pub use protocol::{Mode, Protocol};
pub use socket::{
    Builder, Bus, Endpoint, Interest, Pair, Pair1, PollItem, Pub, Pull, Push, Rep, Req, Respondent, Socket,
    Sub, Surveyor, compat, poll,
};
#[cfg(feature = "tls")]
pub use transport::tls::{TlsAuth, TlsConfig, TlsConfigBuilder, TlsError};
