//! Engines without threads: the program turns them.

mod util;

use std::time::Duration;

use spmsg::{Engine, Error, Rep, Req};
use util::process::{in_own_process, threads};
use util::{DEADLINE, wait_until};

fn pair_of(engine: &Engine) -> (Rep, Req) {
    let rep = Rep::builder().engine(engine).recv_timeout(DEADLINE).build().unwrap();
    let address = rep.bind("tcp://127.0.0.1:0").unwrap().address().to_owned();
    let req = Req::builder().engine(engine).recv_timeout(DEADLINE).build().unwrap();
    req.connect(&address).unwrap();
    (rep, req)
}

/// Turns until `recv` has a message.
fn turn_until<T>(engine: &Engine, recv: impl Fn() -> Result<T, Error>) -> T {
    loop {
        match recv() {
            Ok(message) => return message,
            Err(Error::WouldBlock) => engine.turn(Some(Duration::from_secs(1))).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn two_application_threads_turn_one_engine_and_there_is_no_io_thread() {
    if !in_own_process("two_application_threads_turn_one_engine_and_there_is_no_io_thread") {
        return;
    }
    let engine = Engine::new(0).unwrap();
    let (rep, req) = pair_of(&engine);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1000 {
                let request = turn_until(&engine, || rep.try_recv());
                rep.send(request).unwrap();
            }
        });
        for number in 0..1000u32 {
            req.send(&number.to_be_bytes()).unwrap();
            let reply = turn_until(&engine, || req.try_recv());
            assert_eq!(reply.body(), number.to_be_bytes());
        }
        assert_eq!(threads("spmsg-"), Vec::<String>::new());
    });
    assert_eq!(engine.threads(), 0);
}

#[test]
fn each_side_may_turn_an_engine_of_its_own() {
    let (servers, clients) = (Engine::new(0).unwrap(), Engine::new(0).unwrap());
    let rep = Rep::builder().engine(&servers).build().unwrap();
    let address = rep.bind("tcp://127.0.0.1:0").unwrap().address().to_owned();
    let req = Req::builder().engine(&clients).build().unwrap();
    req.connect(&address).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                let request = turn_until(&servers, || rep.try_recv());
                rep.send(request).unwrap();
            }
        });
        for number in 0..200u32 {
            req.send(&number.to_be_bytes()).unwrap();
            assert_eq!(turn_until(&clients, || req.try_recv()).body(), number.to_be_bytes());
        }
    });
}

#[test]
fn blocking_calls_turn_by_themselves() {
    let engine = Engine::new(0).unwrap();
    let (rep, req) = pair_of(&engine);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                let request = rep.recv().unwrap();
                rep.send(request).unwrap();
            }
        });
        for number in 0..100u32 {
            req.send(&number.to_be_bytes()).unwrap();
            assert_eq!(req.recv().unwrap().body(), number.to_be_bytes());
        }
    });
    // Also alone: one thread, both sockets, no help.
    req.send("alone").unwrap();
    let request = rep.recv().unwrap();
    rep.send(request).unwrap();
    assert_eq!(req.recv().unwrap().body(), b"alone");
    assert!(matches!(rep.recv_timeout(Duration::from_millis(20)), Err(Error::TimedOut)));
}

#[test]
fn r242_close_without_threads_delivers_what_was_accepted() {
    let engine = Engine::new(0).unwrap();
    let pull = spmsg::Pull::builder().recv_timeout(DEADLINE).build().unwrap();
    let address = pull.bind("tcp://127.0.0.1:0").unwrap().address().to_owned();
    let push = spmsg::Push::builder().engine(&engine).linger(DEADLINE).build().unwrap();
    push.connect(&address).unwrap();
    push.send(vec![1; 500_000]).unwrap();
    push.send(vec![2; 500_000]).unwrap();
    push.close().unwrap();
    assert_eq!(pull.recv().unwrap().body(), vec![1; 500_000]);
    assert_eq!(pull.recv().unwrap().body(), vec![2; 500_000]);
}

#[test]
fn turn_returns_at_its_timeout_and_counts() {
    let engine = Engine::new(0).unwrap();
    let before = engine.turns();
    engine.turn(Some(Duration::ZERO)).unwrap();
    engine.turn(Some(Duration::from_millis(5))).unwrap();
    assert_eq!(engine.turns(), before + 2);
}

#[test]
fn threads_can_be_given_later() {
    let engine = Engine::new(0).unwrap();
    let (rep, req) = pair_of(&engine);
    engine.set_threads(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                rep.send(rep.recv().unwrap()).unwrap();
            }
        });
        for request in ["with a thread", "last"] {
            req.send(request).unwrap();
            assert_eq!(req.recv().unwrap().body(), request.as_bytes());
        }
    });
    wait_until("the engine has its thread", || engine.threads() == 1);
}
