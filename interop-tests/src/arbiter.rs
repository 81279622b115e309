//! Whose fault it is that a connector does not come back: bare sockets decide.
//!
//! A connection of nng 1.5.2 whose end is not finished (its reaper waits for ever) is never replaced, whoever the
//! other side is. So when a cell fails whose connector is nng, its listener is killed and a bare socket listens in
//! its place: an nng that works connects to that within its interval of 100 ms, and then the failure stands. One that
//! hangs does not, and the cell begins again with new processes.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::Trouble;
use crate::cell::Stage;
use crate::place::Place;
use crate::setting::{Scene, Setting};
use crate::talk::Account;

/// How often a cell begins again. One closed connection in two hundred and fifty hangs, so this never happens four
/// times in a row by chance.
const AGAIN_MAX: u64 = 3;
/// How long a connector may take that tries every 100 ms.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(5);

/// Play a cell in which connections end and others take their place.
pub fn play(
    stage: &mut Stage,
    setting: &Setting,
    cell: impl Fn(&mut Stage, &mut Scene) -> Result<Account, Trouble>,
) -> Result<Account, Trouble> {
    let mut again = 0;
    loop {
        let mut scene = setting.begin(stage)?;
        let trouble = match cell(stage, &mut scene) {
            Ok(account) => return Ok(Account { again, ..account }),
            Err(trouble) => trouble,
        };
        if again == AGAIN_MAX || !setting.connector().may_hang() || !hangs(scene, setting)? {
            return Err(trouble);
        }
        again += 1;
    }
}

/// Whether the scene's connector does not connect to a bare socket in its listener's place.
fn hangs(mut scene: Scene, setting: &Setting) -> Result<bool, Trouble> {
    let listener = if setting.active_binds { &mut scene.active } else { &mut scene.passive };
    listener.kill()?;
    does_not_come(&scene.place).map_err(|e| format!("a bare socket at {}: {e}", scene.place.address()))
}

fn does_not_come(place: &Place) -> std::io::Result<bool> {
    let bare = listen(place)?;
    bare.set_read_timeout(Some(COMES_BACK_WITHIN))?;
    match bare.accept() {
        Ok(_) => Ok(false),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

fn listen(place: &Place) -> std::io::Result<Socket> {
    let (domain, address) = match (place.path(), place.port()?) {
        (Some(path), _) => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (Domain::UNIX, SockAddr::unix(&path)?),
        },
        (None, port) => (Domain::IPV4, SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()),
    };
    let bare = Socket::new(domain, Type::STREAM, None)?;
    bare.set_reuse_address(true)?;
    bare.bind(&address)?;
    bare.listen(8)?;
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::does_not_come;
    use crate::place::{Place, Wire};

    #[test]
    fn who_is_not_there_does_not_come() {
        for wire in [Wire::Tcp, Wire::Ipc] {
            let place = Place::reserve(wire).expect("a place");
            assert!(does_not_come(&place).expect("a bare socket"));
        }
    }
}
