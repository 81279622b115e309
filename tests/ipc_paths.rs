//! Paths of ipc: what is replaced, what never is, what is left behind; abstract names.

mod util;

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use spmsg::{AddressError, Error, Protocol};
use util::process::{Partner, argument, in_own_process, role, tell_and_wait};
use util::raw::header;
use util::{expect_os, recv, socket, wait_for_pipes, wait_until};

fn address(path: &Path) -> String {
    format!("ipc://{}", path.display())
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Whether a message goes from a new PUSH to a new PULL through `path`.
#[track_caller]
fn assert_works(path: &Path) {
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    pull.bind(&address(path)).unwrap();
    assert!(is_socket(path));
    push.connect(&address(path)).unwrap();
    push.send("through").unwrap();
    assert_eq!(recv(&pull), b"through");
}

#[test]
fn r28_path_with_a_live_listener_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (first, second) = (socket(Protocol::Pull), socket(Protocol::Pull));
    first.bind(&address(&path)).unwrap();
    expect_os(second.bind(&address(&path)), ErrorKind::AddrInUse);
    // The first is undisturbed.
    second.close().unwrap();
    let push = socket(Protocol::Push);
    push.connect(&address(&path)).unwrap();
    push.send("to the first").unwrap();
    assert_eq!(recv(&first), b"to the first");
}

#[test]
fn r28_listener_of_another_process_is_live() {
    let name = "r28_listener_of_another_process_is_live";
    if role().as_deref() == Some("bound") {
        let pull = socket(Protocol::Pull);
        pull.bind(&argument()).unwrap();
        return tell_and_wait("bound");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let partner = Partner::with(name, "bound", &address(&path));
    assert_eq!(partner.told, "bound");
    expect_os(socket(Protocol::Pull).bind(&address(&path)), ErrorKind::AddrInUse);
    partner.kill();
    // R29: what the killed process left behind is replaced.
    assert!(is_socket(&path));
    assert_works(&path);
}

#[test]
fn r29_stale_socket_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(is_socket(&path));
    assert_works(&path);
    assert!(!path.exists());
}

#[test]
fn r30_what_is_no_socket_is_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let directory = folder.path().join("directory");
    fs::create_dir(&directory).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("coreutils").success());
    for path in [&file, &directory, &link, &pipe] {
        expect_os(socket(Protocol::Pull).bind(&address(path)), ErrorKind::AddrInUse);
        assert!(fs::symlink_metadata(path).is_ok(), "{} is still there", path.display());
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

/// A path of exactly `len` bytes in `folder`.
fn long_path(folder: &Path, len: usize) -> PathBuf {
    let base = folder.as_os_str().len() + 1;
    folder.join("p".repeat(len - base))
}

#[test]
fn r31_path_of_107_bytes_works_and_a_longer_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_works(&long_path(folder.path(), 107));
    for len in [108, 109, 200, 250] {
        let long = address(&long_path(folder.path(), len));
        let socket = socket(Protocol::Pair);
        for result in [socket.bind(&long), socket.connect(&long)] {
            match result {
                Err(Error::Address(AddressError::IpcPathTooLong { len: told, max: 107 })) => {
                    assert_eq!(told, len)
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn r32_closing_unlinks_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let pull = socket(Protocol::Pull);
    let endpoint = pull.bind(&address(&path)).unwrap();
    endpoint.close().unwrap();
    assert!(!path.exists(), "by closing the endpoint");
    pull.bind(&address(&path)).unwrap();
    pull.close().unwrap();
    assert!(!path.exists(), "by closing the socket");
    let pull = socket(Protocol::Pull);
    pull.bind(&address(&path)).unwrap();
    drop(pull);
    assert!(!path.exists(), "by dropping the socket");
}

#[test]
fn r32_a_path_that_was_given_to_another_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let pull = socket(Protocol::Pull);
    pull.bind(&address(&path)).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    pull.close().unwrap();
    assert!(is_socket(&path), "the file of the other listener");
}

#[test]
fn r33_missing_path_is_tried_until_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not yet").join("s");
    let push = socket(Protocol::Push);
    push.connect(&address(&path)).unwrap();
    wait_until("an attempt failed", || push.statistics().unwrap().connect_errors > 1);
    fs::create_dir(path.parent().unwrap()).unwrap();
    let pull = socket(Protocol::Pull);
    pull.bind(&address(&path)).unwrap();
    push.send("found").unwrap();
    assert_eq!(recv(&pull), b"found");
}

#[test]
fn r33_missing_folder_is_an_error_of_bind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("s");
    expect_os(socket(Protocol::Pull).bind(&address(&path)), ErrorKind::NotFound);
}

#[test]
fn r34_abstract_names_are_nul_and_the_name_with_exact_length() {
    let name = format!("spmsg-test-{}", std::process::id());
    let pull = socket(Protocol::Pull);
    pull.bind(&format!("ipc://@{name}")).unwrap();
    // A plain socket of std reaches it under exactly that name.
    let exact = SocketAddr::from_abstract_name(&name).unwrap();
    let mut stream = UnixStream::connect_addr(&exact).expect("the name has no padding");
    let mut greeting = [0; 8];
    std::io::Read::read_exact(&mut stream, &mut greeting).unwrap();
    assert_eq!(greeting, header(81));
    assert!(!Path::new(&format!("@{name}")).exists());
    // Both spellings are one name.
    expect_os(socket(Protocol::Pull).bind(&format!("abstract://{name}")), ErrorKind::AddrInUse);
    let push = socket(Protocol::Push);
    push.connect(&format!("abstract://{}", name.replace('-', "%2d"))).unwrap();
    push.send("abstractly").unwrap();
    assert_eq!(recv(&pull), b"abstractly");
    pull.close().unwrap();
    socket(Protocol::Pull).bind(&format!("ipc://@{name}")).expect("free again");
}

#[test]
fn r34_connects_to_an_abstract_name_of_another() {
    let name = format!("spmsg-other-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let push = socket(Protocol::Push);
    push.connect(&format!("ipc://@{name}")).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut greeting = [0; 8];
    std::io::Read::read_exact(&mut stream, &mut greeting).unwrap();
    assert_eq!(greeting, header(80));
}

#[test]
fn relative_paths_belong_to_the_working_directory_of_bind() {
    let name = "relative_paths_belong_to_the_working_directory_of_bind";
    if !in_own_process(name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    pull.bind("ipc://relative").unwrap();
    assert!(is_socket(&folder.path().join("relative")));
    push.connect("ipc://./relative").unwrap();
    push.send("here").unwrap();
    assert_eq!(recv(&pull), b"here");
    wait_for_pipes(&pull, 1);
    // The file is found again although the program has moved on.
    std::env::set_current_dir(elsewhere.path()).unwrap();
    fs::write(elsewhere.path().join("relative"), "not ours").unwrap();
    pull.close().unwrap();
    assert!(!folder.path().join("relative").exists());
    assert!(elsewhere.path().join("relative").exists());
}
