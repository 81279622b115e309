//! SIGPIPE never reaches the program, even where its default action would end it.

mod util;

use spmsg::{Mode, Protocol, Socket};
use util::process::command;
use util::raw::RawListener;
use util::{Carrier, DEADLINE, wait_for_pipes};

const NAME: &str = "sending_to_a_peer_that_is_gone_raises_no_signal";

/// Rust programs ignore SIGPIPE; C programs do not.
#[allow(unsafe_code)]
fn restore_default_action() {
    // SAFETY: the default action is a valid disposition, and no handler of anybody is replaced: Rust's is
    // "ignore".
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    assert_eq!(before, libc::SIG_IGN);
}

/// Sends while the peer closes, many times, with small and with gathered writes.
fn provoke() {
    restore_default_action();
    for carrier in Carrier::NETWORK {
        for protocol in [Protocol::Push, Protocol::Pub, Protocol::Bus] {
            let listener = RawListener::bind(carrier);
            let builder = Socket::builder(protocol, Mode::Cooked).send_timeout(DEADLINE);
            let socket = builder.reconnect(std::time::Duration::from_millis(1)).build().unwrap();
            socket.connect(&listener.address).unwrap();
            for round in 0..20 {
                let mut peer = listener.accept();
                peer.greet(protocol.peer());
                wait_for_pipes(&socket, 1);
                socket.try_send("before").unwrap();
                // With unread input the peer's end is a reset, without it an orderly one.
                if round % 2 == 0 {
                    assert_eq!(peer.expect_message(), b"before");
                }
                drop(peer);
                for size in [1, 100_000, 10, 30_000] {
                    // Refused once the loss is noticed; before that it is written to a dead stream.
                    let _ = socket.try_send(vec![7; size]);
                }
            }
        }
    }
}

#[test]
fn sending_to_a_peer_that_is_gone_raises_no_signal() {
    match util::process::role().as_deref() {
        Some("provoke") => provoke(),
        Some("die") => {
            // The control: this is what an unguarded write does.
            restore_default_action();
            let (reader, mut writer) = std::io::pipe().unwrap();
            drop(reader);
            let _ = std::io::Write::write(&mut writer, b"x");
        }
        _ => {
            use std::os::unix::process::ExitStatusExt;
            let control = command(NAME, "die").output().unwrap();
            assert_eq!(control.status.signal(), Some(libc::SIGPIPE), "the child has the default action");
            let output = command(NAME, "provoke").output().unwrap();
            assert!(
                output.status.success(),
                "{}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
