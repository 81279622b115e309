//! Names of ipc: a path, or an abstract name of Linux.

use std::fmt;
use std::path::PathBuf;

use crate::limits::IPC_PATH_MAX_BYTES;

use super::{AddressError, Dialect, Rules, Split};

/// Whether the system has Unix socket names that are no files.
const HAS_ABSTRACT_NAMES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The abstract name that nanomsg's empty path amounts to: it passes the whole socket address, all of it NUL.
const EMPTY_PATH_NAME: [u8; IPC_PATH_MAX_BYTES] = [0; IPC_PATH_MAX_BYTES];

/// The name of an ipc endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IpcName {
    /// A file, absolute or relative to the working directory at the time of use; on Windows what follows
    /// `\\.\pipe\` (R35).
    Path(PathBuf),
    /// A name of Linux's abstract name space, without the NUL that introduces it there (R34).
    Abstract(Box<[u8]>),
}

/// Reads what follows `ipc://`: a path as it stands, or in the Rust dialect `@name`.
pub(super) fn parse(split: &Split<'_>, rules: &Rules) -> Result<IpcName, AddressError> {
    check_length(split.rest)?;
    match split.rest {
        [] if HAS_ABSTRACT_NAMES => Ok(IpcName::Abstract(EMPTY_PATH_NAME.into())),
        [b'@', name @ ..] if rules.dialect == Dialect::Rust => abstract_name(split, name.into()),
        path if path.contains(&0) => Err(split.malformed("a path has no NUL byte")),
        path => match to_path(path) {
            Some(path) => Ok(IpcName::Path(path)),
            None => Err(split.malformed("a path is UTF-8 on this system")),
        },
    }
}

/// Reads what follows `abstract://`: a name in which `%` and two hexadecimal digits stand for a byte, as in
/// nng.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn parse_abstract(split: &Split<'_>) -> Result<IpcName, AddressError> {
    match unescape(split.rest) {
        Some(name) => abstract_name(split, name.into()),
        None => Err(split.malformed("behind % stand two hexadecimal digits")),
    }
}

fn abstract_name(split: &Split<'_>, name: Box<[u8]>) -> Result<IpcName, AddressError> {
    if !HAS_ABSTRACT_NAMES {
        return Err(split.malformed("abstract names exist on Linux only"));
    }
    if name.is_empty() {
        return Err(split.malformed("an abstract name has at least one byte"));
    }
    check_length(&name)?;
    Ok(IpcName::Abstract(name))
}

/// nanomsg aborts on longer paths (R31). An abstract name has the same room: its first byte is the NUL that a
/// path has at its end.
fn check_length(name: &[u8]) -> Result<(), AddressError> {
    if name.len() > IPC_PATH_MAX_BYTES {
        return Err(AddressError::IpcPathTooLong { len: name.len(), max: IPC_PATH_MAX_BYTES });
    }
    Ok(())
}

#[cfg(unix)]
fn to_path(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn unescape(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        if *first != b'%' {
            name.push(*first);
            text = rest;
            continue;
        }
        let [high, low, rest @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        name.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
        text = rest;
    }
    Some(name)
}

impl fmt::Display for IpcName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpcName::Path(path) => write!(f, "ipc://{}", path.display()),
            IpcName::Abstract(name) if **name == EMPTY_PATH_NAME => write!(f, "ipc://"),
            IpcName::Abstract(name) => {
                write!(f, "abstract://")?;
                name.iter().try_for_each(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                        write!(f, "{}", char::from(*byte))
                    }
                    _ => write!(f, "%{byte:02x}"),
                })
            }
        }
    }
}
