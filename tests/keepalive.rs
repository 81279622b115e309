//! Options of the system's sockets, read back from the descriptors of this process.

mod util;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::SockRef;
use spmsg::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};
use spmsg::{Protocol, Pull, Push, Socket};
use util::process::in_own_process;
use util::{Carrier, link};

/// Copies of this process's connected stream sockets over IP, as another look at the same sockets.
fn connections() -> Vec<OwnedFd> {
    let pid = std::process::id();
    let numbers: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        })
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(!numbers.is_empty(), "process {pid} has sockets");
    numbers.iter().map(|number| duplicate(number.parse().unwrap())).filter(is_connection).collect()
}

/// A descriptor of our own for the same socket.
#[allow(unsafe_code)]
fn duplicate(number: i32) -> OwnedFd {
    // SAFETY: procfs has just shown the descriptor as open, and this process, which runs this test alone,
    // closes none meanwhile.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned().unwrap()
}

fn is_connection(socket: &OwnedFd) -> bool {
    let socket = SockRef::from(socket);
    let over_ip = socket.local_addr().is_ok_and(|address| address.as_socket().is_some());
    over_ip && socket.peer_addr().is_ok()
}

/// Looks at both ends of a connection between `pull` and `push`.
fn with_ends(pull: &Socket, push: &Socket, look: impl Fn(SockRef<'_>)) {
    let _place = link(pull, push, Carrier::Tcp);
    let ends = connections();
    assert_eq!(ends.len(), 2);
    ends.iter().for_each(|end| look(SockRef::from(&end.as_fd())));
}

#[test]
fn keepalive_is_on_with_documented_times_at_both_ends() {
    if !in_own_process("keepalive_is_on_with_documented_times_at_both_ends") {
        return;
    }
    with_ends(&util::socket(Protocol::Pull), &util::socket(Protocol::Push), |end| {
        assert!(end.keepalive().unwrap());
        assert_eq!(end.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(end.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(end.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
    });
    // A host that vanished is noticed within this time.
    assert_eq!((KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES).as_secs(), 35);
}

#[test]
fn r23_nodelay_is_on_unless_switched_off() {
    if !in_own_process("r23_nodelay_is_on_unless_switched_off") {
        return;
    }
    for wanted in [true, false] {
        let (pull, push) = (Pull::builder(), Push::builder());
        let (pull, push) =
            if wanted { (pull, push) } else { (pull.tcp_nodelay(false), push.tcp_nodelay(false)) };
        let (pull, push) = (pull.build().unwrap(), push.build().unwrap());
        with_ends(pull.socket(), push.socket(), |end| assert_eq!(end.tcp_nodelay().unwrap(), wanted));
        push.close().unwrap();
        pull.close().unwrap();
    }
}

#[test]
fn kernel_buffers_are_set_only_when_the_program_set_the_option() {
    if !in_own_process("kernel_buffers_are_set_only_when_the_program_set_the_option") {
        return;
    }
    // Linux doubles what is set, and reports that.
    let set = |bytes: usize| 2 * bytes;
    let (pull, push) = (Pull::builder(), Push::builder());
    let pull = pull.send_buffer(20_000).recv_buffer(30_000).build().unwrap();
    let push = push.send_buffer(20_000).recv_buffer(30_000).build().unwrap();
    with_ends(pull.socket(), push.socket(), |end| {
        assert_eq!(
            (end.send_buffer_size().unwrap(), end.recv_buffer_size().unwrap()),
            (set(20_000), set(30_000))
        );
    });
    pull.close().unwrap();
    push.close().unwrap();
    with_ends(&util::socket(Protocol::Pull), &util::socket(Protocol::Push), |end| {
        assert_ne!(end.send_buffer_size().unwrap(), set(128 * 1024), "the kernel tunes its buffers itself");
        assert_ne!(end.recv_buffer_size().unwrap(), set(128 * 1024));
    });
}
