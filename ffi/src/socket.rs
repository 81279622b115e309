//! Sockets and their endpoints: nn_socket, nn_close, nn_bind, nn_connect, nn_shutdown.

use std::ffi::{c_char, c_int};

use spmsg::{Mode, Protocol, Socket, compat};

use crate::errno::Errno;
use crate::guard::guard;
use crate::pointer;
use crate::symbol::{AF_SP, AF_SP_RAW, NN_SOCKADDR_MAX};
use crate::table::{self, Entry};
use crate::term;

/// Opens a socket of a domain (AF_SP, AF_SP_RAW) and protocol (NN_PAIR, ...).
///
/// Returns its number, from 0. Errors: ETERM, EAFNOSUPPORT, EMFILE with 512 sockets open, EINVAL for a
/// protocol.
#[unsafe(no_mangle)]
pub extern "C" fn nn_socket(domain: c_int, protocol: c_int) -> c_int {
    guard(|| {
        let vacancy = table::table().vacancy()?;
        let mode = mode_of(domain)?;
        let number = vacancy.number()?;
        let socket = open(protocol_of(protocol)?, mode, number)?;
        term::flush_at_exit();
        vacancy.fill(Entry::new(socket))
    })
}

fn mode_of(domain: c_int) -> Result<Mode, Errno> {
    match domain {
        AF_SP => Ok(Mode::Cooked),
        AF_SP_RAW => Ok(Mode::Raw),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

fn protocol_of(number: c_int) -> Result<Protocol, Errno> {
    let protocol = u16::try_from(number).ok().and_then(Protocol::from_number);
    // Programs ask nn_socket for the second version of PAIR to find out that it is not there.
    protocol.filter(|protocol| *protocol != Protocol::Pair1).ok_or(Errno(libc::EINVAL))
}

/// A socket with the defaults of C, which differ from those of Rust.
fn open(protocol: Protocol, mode: Mode, number: usize) -> Result<Socket, Errno> {
    let print_errors = std::env::var_os("NN_PRINT_ERRORS").is_some_and(|value| !value.is_empty());
    let builder = Socket::builder(protocol, mode).ipv4_only(true).name(number.to_string());
    Ok(builder.print_errors(print_errors).build()?)
}

/// Closes a socket. Calls of other threads on it return EBADF; what was accepted for connected peers leaves
/// within the linger time (NN_LINGER), for which this waits. Errors: EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn nn_close(s: c_int) -> c_int {
    guard(|| {
        table::existing().ok_or(Errno(libc::EBADF))?.close(s)?;
        Ok(0)
    })
}

/// Listens at an address (inproc, ipc, tcp) for any number of peers.
///
/// Returns the endpoint's number, from 1, for nn_shutdown. Errors: EBADF, EINVAL, ENAMETOOLONG,
/// EPROTONOSUPPORT, ENODEV, EADDRINUSE, EADDRNOTAVAIL, and what the system says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_bind(s: c_int, addr: *const c_char) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        // SAFETY: the caller's pointer is NULL or a text, as the interface demands.
        let addr = unsafe { pointer::text(addr, NN_SOCKADDR_MAX as usize) }?;
        endpoint_number(compat::bind(&entry.socket, addr)?.id())
    })
}

/// Connects to an address in the background, again and again, until nn_shutdown or nn_close.
///
/// Returns the endpoint's number, from 1. Errors: EBADF, EINVAL, ENAMETOOLONG, EPROTONOSUPPORT, ENODEV;
/// never the network's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_connect(s: c_int, addr: *const c_char) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        // SAFETY: the caller's pointer is NULL or a text, as the interface demands.
        let addr = unsafe { pointer::text(addr, NN_SOCKADDR_MAX as usize) }?;
        endpoint_number(compat::connect(&entry.socket, addr)?.id())
    })
}

fn endpoint_number(id: u32) -> Result<c_int, Errno> {
    c_int::try_from(id).map_err(|_| Errno(libc::EMFILE))
}

/// Ends the endpoint `how`, as nn_bind or nn_connect returned it, and its connections. What was accepted
/// for them leaves in the background. Errors: EBADF, EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn nn_shutdown(s: c_int, how: c_int) -> c_int {
    guard(|| {
        let entry = table::find(s)?;
        let id = u32::try_from(how).map_err(|_| Errno(libc::EINVAL))?;
        compat::shutdown(&entry.socket, id)?;
        Ok(0)
    })
}
