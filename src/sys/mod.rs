//! What differs between operating systems, one small file each. Linux is what is verified; see README.md for the
//! others. The only unsafe code of the library outside the C interface is here.

#![allow(unsafe_code)]

mod alarm;
mod event;
mod fork;
mod parker;
mod sleep;
mod socket;
pub(crate) mod standby;
mod thread;

pub(crate) use alarm::Alarm;
pub(crate) use event::Event;
pub(crate) use fork::{forget_parent, generation};
pub(crate) use parker::{Park, Parker};
#[cfg(all(test, not(loom)))]
pub(crate) use socket::as_space;
pub(crate) use socket::{
    await_readable, await_writable, error_text, has_unread_input, interface_index, read, read_body,
    read_ready, receive, unacknowledged_bytes,
};
pub(crate) use thread::spawn_masked;
