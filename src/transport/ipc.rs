//! ipc: Unix stream sockets, by path or by abstract name.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use mio::unix::SourceFd;
use mio::{Registry, Token};
use parking_lot::Mutex;
use socket2::{Domain, SockAddr, Socket, Type};

use super::stream::{SocketStream, configure, listening_socket};
use super::{Acceptor, Candidate, Route, Stream, StreamOptions, interest};
use crate::address::IpcName;
use crate::limits::LISTEN_BACKLOG;
use crate::sys;

pub(crate) struct IpcAcceptor {
    /// Taken by close: an abstract name is free only when the descriptor is closed.
    socket: Mutex<Option<Socket>>,
    name: IpcName,
    /// The file to unlink at close, taken by whoever closes.
    file: Mutex<Option<SocketFile>>,
}

/// A socket file, and which one: a path can be given to another socket behind our back.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    generation: u64,
}

/// The system's form of a name, with exact length (R34).
fn socket_address(name: &IpcName) -> io::Result<SockAddr> {
    match name {
        IpcName::Path(path) => SockAddr::unix(path),
        IpcName::Abstract(name) => {
            let mut bytes = vec![0];
            bytes.extend_from_slice(name);
            SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&bytes)))
        }
    }
}

/// Binds and listens; a socket file that nobody answers on is replaced (R29), anything else is not (R28, R30).
pub(super) fn listen(name: &IpcName) -> io::Result<IpcAcceptor> {
    let address = socket_address(name)?;
    let socket = listening_socket(Domain::UNIX)?;
    match (socket.bind(&address), name) {
        (Ok(()), _) => (),
        (Err(error), IpcName::Path(path)) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, &address)?;
            socket.bind(&address)?;
        }
        (Err(error), _) => return Err(error),
    }
    socket.listen(LISTEN_BACKLOG)?;
    let file = match name {
        IpcName::Path(path) => SocketFile::find(path),
        IpcName::Abstract(_) => None,
    };
    Ok(IpcAcceptor { socket: Mutex::new(Some(socket)), name: name.clone(), file: Mutex::new(file) })
}

/// Unlinks the socket file at `path` if nobody listens there.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let in_use = || io::Error::from(io::ErrorKind::AddrInUse);
    let before = fs::symlink_metadata(path)?;
    if !before.file_type().is_socket() {
        return Err(in_use());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        // A full backlog means that somebody does listen.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => (),
        _ => return Err(in_use()),
    }
    // Between the probe and now another process may have recovered the path: its file is not ours to remove.
    let now = fs::symlink_metadata(path)?;
    if (now.dev(), now.ino()) != (before.dev(), before.ino()) {
        return Err(in_use());
    }
    fs::remove_file(path)
}

impl SocketFile {
    fn find(path: &Path) -> Option<SocketFile> {
        let found = fs::symlink_metadata(path).ok()?;
        // The working directory may change before the file is unlinked.
        let path = std::path::absolute(path).ok()?;
        Some(SocketFile { path, device: found.dev(), inode: found.ino(), generation: sys::generation() })
    }

    fn unlink(self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours && self.generation == sys::generation() {
            // Somebody else may be quicker, or the directory read-only: the next bind recovers the path.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Acceptor for IpcAcceptor {
    fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = self.socket.lock();
        let socket = socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, interest(false))
    }

    fn deregister(&self, registry: &Registry) {
        if let Some(socket) = &*self.socket.lock() {
            // Fails only for a descriptor that is not registered, and then there is nothing to undo.
            let _ = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
    }

    fn accept(&self, options: &StreamOptions) -> io::Result<Box<dyn Stream>> {
        let (socket, _) = self.socket.lock().as_ref().ok_or(io::ErrorKind::NotConnected)?.accept()?;
        configure(&socket, true, &options.socket);
        Ok(Box::new(SocketStream::accepted(socket, true)?))
    }

    fn local_address(&self) -> String {
        self.name.to_string()
    }

    fn close(&self) {
        if let Some(file) = self.file.lock().take() {
            file.unlink();
        }
        if let Some(socket) = self.socket.lock().take() {
            // Also where a forked child holds the descriptor: nobody connects to it any more.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// How to reach the peer.
pub(super) fn route(name: &IpcName) -> io::Result<Route> {
    Ok(Route::Direct(vec![Candidate { local: None, remote: socket_address(name)? }]))
}
