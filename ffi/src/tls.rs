//! The options of level NN_TLS.

use std::ffi::c_int;

use parking_lot::Mutex;
use spmsg::compat::{self, TlsPart};
use spmsg::{Error, Socket, TlsAuth};

use crate::errno::Errno;
use crate::option::text_len;
use crate::symbol::{NN_TLS_CA_FILE, NN_TLS_CERT_FILE, NN_TLS_KEY_FILE, NN_TLS_SERVER_NAME};
use crate::table::Entry;

/// Text options: paths and a name, as the program set them, at their numbers less one.
#[derive(Default)]
pub(crate) struct Texts(Mutex<[Vec<u8>; 4]>);

/// NN_TLS_AUTH; -1 is the default of each side.
pub(crate) fn set_auth(socket: &Socket, value: c_int) -> Result<(), Error> {
    let auth = match value {
        0 => Some(TlsAuth::None),
        1 => Some(TlsAuth::Optional),
        2 => Some(TlsAuth::Required),
        _ => None,
    };
    compat::set_tls_auth(socket, auth)
}

/// A text option; a NUL at its end does not belong to it.
pub(crate) fn set(entry: &Entry, option: c_int, value: &[u8]) -> Result<(), Errno> {
    let index = index(option)?;
    let text = value.get(..text_len(value)).unwrap_or_default();
    // What is applied last is also what is read.
    let mut texts = entry.values.tls.0.lock();
    match option {
        NN_TLS_CA_FILE => compat::set_tls_file(&entry.socket, TlsPart::Authorities, text)?,
        NN_TLS_CERT_FILE => compat::set_tls_file(&entry.socket, TlsPart::Certificate, text)?,
        NN_TLS_KEY_FILE => compat::set_tls_file(&entry.socket, TlsPart::Key, text)?,
        _ => {
            let name = std::str::from_utf8(text).map_err(|_| Errno(libc::EINVAL))?;
            compat::set_tls_server_name(&entry.socket, name)?;
        }
    }
    if let Some(kept) = texts.get_mut(index) {
        *kept = text.to_vec();
    }
    Ok(())
}

pub(crate) fn get(entry: &Entry, option: c_int) -> Result<Vec<u8>, Errno> {
    let index = index(option)?;
    Ok(entry.values.tls.0.lock().get(index).cloned().unwrap_or_default())
}

fn index(option: c_int) -> Result<usize, Errno> {
    match option {
        NN_TLS_CA_FILE..=NN_TLS_SERVER_NAME => Ok((option - NN_TLS_CA_FILE) as usize),
        _ => Err(Errno(libc::ENOPROTOOPT)),
    }
}

#[cfg(test)]
mod tests {
    use spmsg::{Mode, Protocol};

    use super::*;

    #[test]
    fn what_is_refused_changes_nothing() {
        let entry = Entry::new(Socket::new(Protocol::Pair, Mode::Cooked));
        assert_eq!(set(&entry, NN_TLS_CA_FILE, b"/nowhere/ca.pem"), Err(Errno(libc::ENOENT)));
        assert_eq!(set(&entry, NN_TLS_KEY_FILE, b"/"), Err(Errno(libc::EISDIR)));
        assert_eq!(set(&entry, NN_TLS_SERVER_NAME, b"a b"), Err(Errno(libc::EINVAL)));
        assert_eq!(set(&entry, NN_TLS_SERVER_NAME, b"\xff"), Err(Errno(libc::EINVAL)));
        assert_eq!(set(&entry, NN_TLS_SERVER_NAME + 2, b"x"), Err(Errno(libc::ENOPROTOOPT)));
        for option in NN_TLS_CA_FILE..=NN_TLS_SERVER_NAME {
            assert_eq!(get(&entry, option), Ok(Vec::new()));
        }
    }

    #[test]
    fn names_read_back_without_their_nul() {
        let entry = Entry::new(Socket::new(Protocol::Pair, Mode::Cooked));
        set(&entry, NN_TLS_SERVER_NAME, b"db.example.org\0").expect("a name");
        assert_eq!(get(&entry, NN_TLS_SERVER_NAME), Ok(b"db.example.org".to_vec()));
    }
}
