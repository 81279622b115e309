//! nng's own command-line program against our sockets: nobody of ours wrote its side.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use interop_tests::Trouble;
use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::peer::Peer;
use interop_tests::place::{Place, Wire};
use interop_tests::puppet::Puppet;
use interop_tests::talk::Account;

const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever asks with nngcat names an interval: without one it takes -1 ms, less the time that went by, for a
/// receive timeout, and fails when that is not what it started with.
///
/// A running nngcat; killed when dropped.
struct Nngcat {
    child: Child,
    output: Receiver<String>,
}

impl Nngcat {
    /// Start it with these words; it shows what it receives in hexadecimal, and ends after one message.
    fn spawn(words: &[&str]) -> Result<Nngcat, Trouble> {
        let mut child = Command::new("nngcat")
            .args(words)
            .args(["--hex", "--count", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("nngcat: {e}\nit is needed: apt-get install -y nng-utils"))?;
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("a child without its streams".to_owned());
        };
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // What could be read is compared; a failed read shows there.
            let _ = stdout.read_to_string(&mut text);
            let _ = stderr.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        Ok(Nngcat { child, output })
    }

    /// It ends, and has said this.
    fn expect(&mut self, body: &str) -> Result<(), Trouble> {
        let hex: String = body.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        let said = self.output.recv_timeout(PATIENCE).map_err(|_| "nngcat does not end".to_owned())?;
        if said.trim() == format!("\"{hex}\"") {
            return Ok(());
        }
        Err(format!("nngcat said {said:?}, wanted {hex}"))
    }
}

impl Drop for Nngcat {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn expect(puppet: &mut Puppet, text: &str) -> Result<(), Trouble> {
    let (answer, wanted) = (puppet.request("recv 9000")?, format!("msg {} {}", text.len(), hex(text)));
    if answer == wanted { Ok(()) } else { Err(format!("wanted {wanted}, got {answer}")) }
}

fn send(puppet: &mut Puppet, text: &str) -> Result<(), Trouble> {
    puppet.order(&format!("send {} 9000", hex(text))).map(drop)
}

fn moved(messages: u64) -> Result<Account, Trouble> {
    Ok(Account { messages, bytes: 5 * messages, resent: 0, again: 0 })
}

fn it_asks(stage: &mut Stage, ours: Peer, wire: Wire) -> Result<Account, Trouble> {
    let place = Place::reserve(wire)?;
    let mut rep = stage.spawn(ours, "rep")?;
    rep.order("open rep")?;
    rep.order(&format!("bind {}", place.address()))?;
    let mut cat =
        Nngcat::spawn(&["--req0", "--dial", place.address(), "--data", "hello", "--interval", "3"])?;
    expect(&mut rep, "hello")?;
    send(&mut rep, "world")?;
    cat.expect("world")?;
    moved(2)
}

fn it_answers(stage: &mut Stage, ours: Peer, wire: Wire) -> Result<Account, Trouble> {
    let place = Place::reserve(wire)?;
    let mut req = stage.spawn(ours, "req")?;
    req.order("open req")?;
    req.order(&format!("connect {}", place.address()))?;
    let mut cat = Nngcat::spawn(&["--rep0", "--listen", place.address(), "--data", "world"])?;
    send(&mut req, "hello")?;
    expect(&mut req, "world")?;
    cat.expect("hello")?;
    moved(2)
}

fn it_subscribes(stage: &mut Stage, ours: Peer, wire: Wire) -> Result<Account, Trouble> {
    let place = Place::reserve(wire)?;
    let mut publisher = stage.spawn(ours, "pub")?;
    publisher.order("open pub")?;
    publisher.order(&format!("bind {}", place.address()))?;
    let mut cat = Nngcat::spawn(&["--sub0", "--subscribe", "ab", "--dial", place.address()])?;
    publisher.order("wait-pipes 1 9000")?;
    for text in ["other", "a", "abcde"] {
        send(&mut publisher, text)?;
    }
    cat.expect("abcde")?;
    moved(1)
}

/// PAIR version 1; nngcat speaks first.
fn it_pairs(stage: &mut Stage, ours: Peer, wire: Wire) -> Result<Account, Trouble> {
    let place = Place::reserve(wire)?;
    let mut pair = stage.spawn(ours, "pair1")?;
    pair.order("open pair1")?;
    pair.order(&format!("bind {}", place.address()))?;
    let words = ["--pair1", "--dial", place.address(), "--data", "hello", "--interval", "3"];
    let mut cat = Nngcat::spawn(&words)?;
    expect(&mut pair, "hello")?;
    send(&mut pair, "world")?;
    cat.expect("world")?;
    moved(2)
}

type Scene = fn(&mut Stage, Peer, Wire) -> Result<Account, Trouble>;

fn all(ours: Peer) {
    Peer::require(&[ours]);
    let mut scenes: Vec<(&str, Scene)> = vec![("req", it_asks), ("rep", it_answers), ("sub", it_subscribes)];
    if ours == Peer::SpmsgRust {
        scenes.push(("pair1", it_pairs));
    }
    let cells = Wire::ALL
        .iter()
        .copied()
        .flat_map(|wire| scenes.iter().map(move |scene| (wire, *scene)))
        .map(|(wire, (kind, scene))| {
            Cell::new(format!("{} nngcat --{kind}", wire.name()), move |stage| scene(stage, ours, wire))
        })
        .collect();
    run_all(&format!("nngcat: {}", ours.name()), cells);
}

#[test]
fn nngcat_talks_to_spmsg_c() {
    all(Peer::SpmsgC);
}

#[test]
fn nngcat_talks_to_spmsg_rust() {
    all(Peer::SpmsgRust);
}
