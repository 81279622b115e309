//! WebSocket (RFC 6455): an HTTP upgrade, then one WebSocket message for each SP message. No SP header and no
//! length prefix: the subprotocol token says who talks to whom (R36 to R43).
//!
//! [`upgrade`] makes and checks the heads, [`frame`] knows frames, [`decoder`] and [`encoder`] are the two
//! halves of the session.

mod decoder;
mod encoder;
mod frame;
#[cfg(test)]
mod tests;
mod upgrade;

use bytes::Bytes;

use crate::protocol::Protocol;

use super::{Facts, Session};
use frame::Secret;

/// Which side of the upgrade, and what that side knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Accepts requests for `path`, or for any if there is none (R57).
    Server { path: Option<Box<str>> },
    /// Asks `host`, as it was typed, for `target` (R47, R48).
    Client { host: Box<str>, target: Box<str> },
}

/// A session of a socket that speaks `protocol`.
pub(super) fn open(role: &Role, protocol: Protocol, facts: &Facts) -> Session {
    let secret = Secret::new(facts.secret);
    match role {
        Role::Server { path } => Session {
            decoder: Box::new(decoder::WsDecoder::server(protocol, path.clone())),
            encoder: Box::new(encoder::WsEncoder::new(None, facts.ws_message_type)),
            greeting: Bytes::new(),
        },
        Role::Client { host, target } => {
            let key = upgrade::key(secret.nonce());
            let greeting = upgrade::request(host, target, &key, token(protocol.peer()));
            Session {
                decoder: Box::new(decoder::WsDecoder::client(protocol, &key, secret.masks_of_replies())),
                encoder: Box::new(encoder::WsEncoder::new(
                    Some(secret.masks_of_messages()),
                    facts.ws_message_type,
                )),
                greeting: greeting.into(),
            }
        }
    }
}

/// The subprotocol of a server whose socket speaks `protocol` (R38).
fn token(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Pair => "pair.sp.nanomsg.org",
        Protocol::Pair1 => "pair1.sp.nanomsg.org",
        Protocol::Pub => "pub.sp.nanomsg.org",
        Protocol::Sub => "sub.sp.nanomsg.org",
        Protocol::Req => "req.sp.nanomsg.org",
        Protocol::Rep => "rep.sp.nanomsg.org",
        Protocol::Push => "push.sp.nanomsg.org",
        Protocol::Pull => "pull.sp.nanomsg.org",
        Protocol::Surveyor => "surveyor.sp.nanomsg.org",
        Protocol::Respondent => "respondent.sp.nanomsg.org",
        Protocol::Bus => "bus.sp.nanomsg.org",
    }
}
