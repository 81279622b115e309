//! One socket and many threads; the library's own threads.

mod util;

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use spmsg::{Engine, Error, Protocol, Pull, Push, Socket, set_io_threads};
use util::process::{in_own_process, threads};
use util::{Carrier, bind, link, recv, socket, wait_for_pipes, wait_until};

const SENDERS: u32 = 4;
const RECEIVERS: u32 = 4;
const EACH: u32 = 50_000;
const TURNS: u32 = 2_000;

/// Four threads send by one PUSH, four receive by one PULL: 200,000 messages, none lost, none twice.
fn share(carrier: Carrier) {
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    let _place = link(&pull, &push, carrier);
    let got = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let push = &push;
            scope.spawn(move || {
                for number in sender * EACH..(sender + 1) * EACH {
                    push.send(&number.to_be_bytes()).unwrap();
                }
            });
        }
        for _ in 0..RECEIVERS {
            scope.spawn(|| {
                let share = SENDERS * EACH / RECEIVERS;
                let mine: Vec<u32> = (0..share).map(|_| number(&pull)).collect();
                got.lock().unwrap().push(mine);
            });
        }
    });
    assert!(matches!(pull.try_recv(), Err(Error::WouldBlock)), "nothing extra");
    let got = got.into_inner().unwrap();
    for mine in &got {
        // R110: whoever receives sees each sender's messages in the order they were sent.
        for sender in 0..SENDERS {
            let of_sender = mine.iter().filter(|number| **number / EACH == sender);
            assert!(of_sender.is_sorted(), "{carrier:?}");
        }
    }
    let all: HashSet<u32> = got.into_iter().flatten().collect();
    assert_eq!(all.len() as u32, SENDERS * EACH, "{carrier:?}: none twice, so none lost");
}

fn number(socket: &Socket) -> u32 {
    u32::from_be_bytes(socket.recv().unwrap().body().try_into().unwrap())
}

#[test]
fn r110_r187_many_threads_share_a_socket_over_tcp() {
    share(Carrier::Tcp);
}

#[test]
fn r110_r187_many_threads_share_a_socket_over_ipc() {
    share(Carrier::Ipc);
}

#[test]
fn r110_r187_many_threads_share_a_socket_over_inproc() {
    share(Carrier::Inproc);
}

/// A thread that blocks turns the reactor of its connections itself: it has to be called out of that by what does not come
/// through them.
#[test]
fn what_comes_by_inproc_reaches_a_thread_that_waits_for_tcp_too() {
    let (pull, near, far) = (socket(Protocol::Pull), socket(Protocol::Push), socket(Protocol::Push));
    let _places = [link(&pull, &far, Carrier::Tcp), link(&pull, &near, Carrier::Inproc)];
    wait_for_pipes(&pull, 2);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..TURNS).for_each(|_| tell.send(number(&pull)).unwrap()));
        for turn in 0..TURNS {
            let push = if turn % 3 == 0 { &far } else { &near };
            push.send(&turn.to_be_bytes()).unwrap();
            assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(turn));
        }
    });
}

#[test]
fn r239_close_while_eight_threads_block() {
    for carrier in Carrier::ALL {
        let (pair, other) = (socket(Protocol::Pair), socket(Protocol::Pair));
        let _place = link(&pair, &other, carrier);
        std::thread::scope(|scope| {
            let blocked: Vec<_> = (0..8).map(|_| scope.spawn(|| pair.recv())).collect();
            // One of them is known to receive; the others sleep or will be refused.
            other.send("wake").unwrap();
            wait_until("one was served", || pair.statistics().unwrap().messages_received == 1);
            let start = Instant::now();
            pair.close().unwrap();
            assert!(start.elapsed() < Duration::from_secs(2));
            let results: Vec<_> = blocked.into_iter().map(|caller| caller.join().unwrap()).collect();
            assert_eq!(results.iter().filter(|result| matches!(result, Err(Error::Closed))).count(), 7);
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        });
    }
}

#[test]
fn no_thread_before_the_first_network_endpoint_and_none_after_the_last_socket() {
    if !in_own_process("no_thread_before_the_first_network_endpoint_and_none_after_the_last_socket") {
        return;
    }
    let nothing = Vec::<String>::new();
    let (pull, push) = (socket(Protocol::Pull), socket(Protocol::Push));
    assert_eq!(threads("spmsg-"), nothing);
    for _ in 0..3 {
        let (first, second) = (socket(Protocol::Pair), socket(Protocol::Pair));
        let _place = link(&first, &second, Carrier::Tcp);
        assert_eq!(threads("spmsg-"), ["spmsg-io-0"]);
        first.close().unwrap();
        assert_eq!(threads("spmsg-"), ["spmsg-io-0"]);
        second.close().unwrap();
        assert_eq!(threads("spmsg-"), nothing, "joined when close returns");
    }
    let _place = link(&pull, &push, Carrier::Inproc);
    assert_eq!(threads("spmsg-"), nothing);
}

#[test]
fn io_threads_block_every_signal() {
    if !in_own_process("io_threads_block_every_signal") {
        return;
    }
    let own = blocked_signals(&std::fs::read_to_string("/proc/thread-self/status").unwrap());
    let pull = socket(Protocol::Pull);
    let (_address, _place) = bind(&pull, Carrier::Tcp);
    // A thread names itself when it begins to run.
    wait_until("the I/O thread runs", || threads("spmsg-").len() == 1);
    let mut found = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        if status.starts_with("Name:\tspmsg-") {
            found += 1;
            let blocked = blocked_signals(&status);
            // SIGKILL and SIGSTOP cannot be blocked; the C library keeps 32 and 33 (and may keep 34) to
            // itself.
            let free: Vec<u32> = (1..=64).filter(|signal| blocked >> (signal - 1) & 1 == 0).collect();
            assert!(
                free.iter().all(|signal| [9, 19, 32, 33, 34].contains(signal)),
                "{free:?} are not blocked"
            );
        }
    }
    assert_eq!(found, 1);
    assert_eq!(blocked_signals(&std::fs::read_to_string("/proc/thread-self/status").unwrap()), own);
}

/// The signals that a thread blocks, lowest number in the lowest bit.
fn blocked_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("a mask");
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

#[test]
fn set_io_threads_spreads_connections() {
    if !in_own_process("set_io_threads_spreads_connections") {
        return;
    }
    set_io_threads(2).unwrap();
    let pull = socket(Protocol::Pull);
    let (address, _place) = bind(&pull, Carrier::Tcp);
    let senders: Vec<Socket> = (0..4)
        .map(|_| {
            let push = socket(Protocol::Push);
            push.connect(&address).unwrap();
            push
        })
        .collect();
    wait_for_pipes(&pull, 4);
    assert_eq!(threads("spmsg-"), ["spmsg-io-0", "spmsg-io-1"]);
    set_io_threads(3).unwrap();
    // A thread names itself when it begins to run.
    wait_until("a third thread", || threads("spmsg-") == ["spmsg-io-0", "spmsg-io-1", "spmsg-io-2"]);
    let before = switches();
    for round in 0..100u8 {
        for push in &senders {
            push.send(vec![round; 2000]).unwrap();
        }
        for _ in &senders {
            assert_eq!(recv(&pull), vec![round; 2000]);
        }
    }
    let worked: Vec<_> = before.iter().zip(switches()).map(|(before, after)| after - before).collect();
    assert!(worked[0] > 0 && worked[1] > 0, "both threads moved messages: {worked:?}");
}

/// How often each I/O thread has gone to sleep, by name.
fn switches() -> Vec<u64> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line =
            |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
        if line("Name:").starts_with("spmsg-io-") {
            found.push((line("Name:"), line("voluntary_ctxt_switches:").parse().unwrap()));
        }
    }
    found.sort();
    found.into_iter().map(|(_, switches)| switches).collect()
}

#[test]
fn engine_of_ones_own_is_used_and_ends_with_its_users() {
    if !in_own_process("engine_of_ones_own_is_used_and_ends_with_its_users") {
        return;
    }
    let engine = Engine::new(2).unwrap();
    let pull = Pull::builder().engine(&engine).build().unwrap();
    let push = Push::builder().engine(&engine).build().unwrap();
    let _place = link(pull.socket(), push.socket(), Carrier::Tcp);
    push.send("x").unwrap();
    assert_eq!(pull.recv().unwrap().body(), b"x");
    wait_until("both threads run", || threads("spmsg-").len() >= 2);
    assert_eq!(threads("spmsg-").len(), 2, "and no default engine");
    drop((pull, push, engine));
    wait_until("its threads end", || threads("spmsg-").is_empty());
}

#[test]
fn idle_engine_does_not_turn() {
    let engine = Engine::new(1).unwrap();
    let pull = Pull::builder().engine(&engine).build().unwrap();
    let push = Push::builder().engine(&engine).build().unwrap();
    for carrier in Carrier::NETWORK {
        let _place = link(pull.socket(), push.socket(), carrier);
        push.send("warm").unwrap();
        assert_eq!(pull.recv().unwrap().body(), b"warm");
    }
    // What was started settles: the count stands still for a while.
    let mut turns = engine.turns();
    let mut since = Instant::now();
    wait_until("500 ms without a turn", || {
        if engine.turns() != turns {
            turns = engine.turns();
            since = Instant::now();
        }
        since.elapsed() >= Duration::from_millis(500)
    });
    assert_eq!(engine.turns(), turns);
}
