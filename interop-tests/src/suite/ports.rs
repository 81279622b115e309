//! Consecutive TCP ports that nobody else is given.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::Trouble;

/// How often a new beginning is asked for before we give up.
const ATTEMPTS: usize = 200;

/// Ports that are reserved while this lives.
///
/// The system chose the first one. Each is held by a bound socket that never listens: a program that sets
/// SO_REUSEADDR, as these libraries do, may still listen there, and the system gives the port to nobody else.
pub struct Ports {
    first: u16,
    _held: Vec<Socket>,
}

impl Ports {
    /// Reserve this many in a row.
    pub fn reserve(count: u16) -> Result<Ports, Trouble> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match hold(count) {
                Ok(ports) => return Ok(ports),
                Err(e) => last = Some(e),
            }
        }
        Err(format!("no {count} free ports in a row in {ATTEMPTS} attempts: {last:?}"))
    }

    /// The first one.
    pub fn first(&self) -> u16 {
        self.first
    }
}

fn hold(count: u16) -> std::io::Result<Ports> {
    let beginning = bind(0)?;
    let first = beginning.local_addr()?.as_socket().map_or(0, |a| a.port());
    let Some(end) = first.checked_add(count) else {
        return Err(std::io::ErrorKind::AddrNotAvailable.into());
    };
    let mut held = vec![beginning];
    for port in first + 1..end {
        held.push(bind(port)?);
    }
    Ok(Ports { first, _held: held })
}

/// Without SO_REUSEADDR the bind fails where anybody else holds the port; it is set afterwards, to share it.
fn bind(port: u16) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::Ports;

    #[test]
    fn reserved_ports_are_disjoint_and_can_be_listened_on() {
        let reserved = [Ports::reserve(10).unwrap(), Ports::reserve(10).unwrap()];
        let [one, two] = [reserved[0].first(), reserved[1].first()];
        assert!(one.abs_diff(two) >= 10, "{one} and {two}");
        for port in (one..one + 10).chain(two..two + 10) {
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            assert_eq!(listener.local_addr().unwrap().port(), port);
            assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "only one may listen on {port}");
        }
    }
}
