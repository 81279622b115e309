//! The cases of cases.h on spmsg's Rust interface; arguments and conversation are described there.

use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use spmsg::{Message, Mode, Protocol, Socket, TlsConfig};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Done = Result<(), Failure>;

/// A body of which one would not make a copy for each message.
const LARGE_BYTES: usize = 16 << 10;

#[derive(Clone)]
struct Ask {
    side: String,
    case: String,
    pair: bool,
    address: String,
    size: usize,
    count: usize,
    warm: usize,
    peers: usize,
    pause: Duration,
    rate: i64,
    batch: usize,
    tls: Option<TlsConfig>,
    began: Arc<Mutex<Option<Usage>>>,
    told: Arc<Mutex<Receiver<String>>>,
    /// Set once the far side of this process is bound.
    bound: Arc<OnceLock<()>>,
}

fn main() -> Done {
    let ask = parse()?;
    if ask.side == "both" {
        let far = ask.clone();
        let far = std::thread::spawn(move || run(&far, true));
        ask.bound.wait();
        run(&ask, false)?;
        far.join().map_err(|_| "the far side panicked")??;
    } else {
        run(&ask, ask.side == "far")?;
    }
    if !(ask.case == "pub" && ask.side == "far") {
        println!("done");
        ask.told(None)?;
    }
    let (began, now) = (*lock(&ask.began), getrusage(UsageWho::RUSAGE_SELF)?);
    let began = began.ok_or("nothing was measured")?;
    let switches = |usage: &Usage| usage.voluntary_context_switches() + usage.involuntary_context_switches();
    println!(
        "usage cpu={:.6} switches={}",
        cpu_seconds(&now) - cpu_seconds(&began),
        switches(&now) - switches(&began)
    );
    std::process::exit(0)
}

fn parse() -> Result<Ask, Failure> {
    let (lines, told) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
        // Nobody leads this program any more.
        std::process::exit(1);
    });
    let mut ask = Ask {
        side: String::new(),
        case: String::new(),
        pair: false,
        address: String::new(),
        size: 64,
        count: 1000,
        warm: 1,
        peers: 1,
        pause: Duration::ZERO,
        rate: 1,
        batch: 1,
        tls: None,
        began: Arc::new(Mutex::new(None)),
        told: Arc::new(Mutex::new(told)),
        bound: Arc::default(),
    };
    for argument in std::env::args().skip(1) {
        let (key, value) = argument.split_once('=').ok_or_else(|| format!("{argument}: not KEY=VALUE"))?;
        match key {
            "side" => ask.side = value.into(),
            "case" => ask.case = value.into(),
            "pattern" => ask.pair = value == "pair",
            "address" => ask.address = value.into(),
            "size" => ask.size = value.parse()?,
            "count" => ask.count = value.parse()?,
            "warm" => ask.warm = value.parse()?,
            "peers" => ask.peers = value.parse()?,
            "pause_us" => ask.pause = Duration::from_micros(value.parse()?),
            "rate" => ask.rate = value.parse()?,
            "batch" => ask.batch = value.parse()?,
            "tls" => ask.tls = Some(tls(Path::new(value))?),
            _ => return Err(format!("{key}: unknown key").into()),
        }
    }
    Ok(ask)
}

/// What the folder holds is for both sides.
fn tls(folder: &Path) -> Result<TlsConfig, Failure> {
    let file = |name| folder.join(name);
    let config = TlsConfig::builder().ca_file(file("ca.pem"));
    Ok(config.cert_file(file("cert.pem")).key_file(file("key.pem")).build()?)
}

fn run(ask: &Ask, far: bool) -> Done {
    match (ask.case.as_str(), far) {
        ("thr", true) => thr_far(ask),
        ("thr", false) => thr_near(ask),
        ("rtt" | "clients", true) => rtt_far(ask),
        ("rtt", false) => rtt_near(ask),
        ("paced", true) => paced_far(ask),
        ("paced", false) => paced_near(ask),
        ("fanin", true) => fanin_far(ask),
        ("fanin", false) => fanin_near(ask),
        ("pub", true) => pub_far(ask),
        ("pub", false) => pub_near(ask),
        ("clients", false) => clients_near(ask),
        (case, _) => Err(format!("{case}: unknown case").into()),
    }
}

impl Ask {
    fn start(&self, protocol: Protocol, far: bool) -> Result<Socket, Failure> {
        let mut builder = Socket::builder(protocol, Mode::Cooked).recv_max(None);
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls);
        }
        let socket = builder.build()?;
        if protocol == Protocol::Sub {
            socket.subscribe("")?;
        }
        if far {
            socket.bind(&self.address)?;
            println!("ready");
            let _ = self.bound.set(());
        } else {
            socket.connect(&self.address)?;
        }
        Ok(socket)
    }

    fn one_or(&self, protocol: Protocol) -> Protocol {
        if self.pair { Protocol::Pair } else { protocol }
    }

    fn body(&self) -> Vec<u8> {
        vec![0; self.size]
    }

    /// Sends what is sent again and again: copies of a small body, and of a large one the same memory.
    fn send_another(&self, socket: &Socket, message: &Message) -> Done {
        Ok(if self.size < LARGE_BYTES { socket.send(message.body()) } else { socket.send(message.clone()) }?)
    }

    fn mark(&self) -> Done {
        *lock(&self.began) = Some(getrusage(UsageWho::RUSAGE_SELF)?);
        Ok(())
    }

    /// Waits for the next line of stdin; whether one came.
    fn told(&self, timeout: Option<Duration>) -> Result<bool, Failure> {
        let told = lock(&self.told);
        match timeout {
            None => Ok(told.recv().map(|_| true)?),
            Some(timeout) => match told.recv_timeout(timeout) {
                Ok(_) => Ok(true),
                Err(RecvTimeoutError::Timeout) => Ok(false),
                Err(gone) => Err(gone.into()),
            },
        }
    }
}

fn thr_far(ask: &Ask) -> Done {
    let socket = ask.start(ask.one_or(Protocol::Pull), true)?;
    for _ in 0..ask.warm {
        socket.recv()?;
    }
    ask.mark()?;
    let began = now_ns()?;
    for _ in 0..ask.count {
        socket.recv()?;
    }
    say_rate(ask.count, now_ns()? - began);
    keep(socket);
    Ok(())
}

fn thr_near(ask: &Ask) -> Done {
    let socket = ask.start(ask.one_or(Protocol::Push), false)?;
    let message = Message::from(ask.body());
    for _ in 0..ask.warm {
        ask.send_another(&socket, &message)?;
    }
    ask.mark()?;
    for _ in 0..ask.count {
        ask.send_another(&socket, &message)?;
    }
    keep(socket);
    Ok(())
}

fn rtt_far(ask: &Ask) -> Done {
    let socket = ask.start(ask.one_or(Protocol::Rep), true)?;
    let mut done = 0;
    while ask.count == 0 || done < ask.warm + ask.count {
        if done == ask.warm {
            ask.mark()?;
        }
        let mut last = Message::new();
        for _ in 0..ask.batch {
            last = socket.recv()?;
        }
        socket.send(last)?;
        done += 1;
    }
    keep(socket);
    Ok(())
}

fn rtt_near(ask: &Ask) -> Done {
    let socket = ask.start(ask.one_or(Protocol::Req), false)?;
    let body = ask.body();
    let mut delays = Vec::with_capacity(ask.count);
    for i in 0..ask.warm + ask.count {
        if i == ask.warm {
            ask.mark()?;
        }
        if !ask.pause.is_zero() {
            std::thread::sleep(ask.pause);
        }
        let began = now_ns()?;
        for _ in 0..ask.batch {
            socket.send(&body[..])?;
        }
        socket.recv()?;
        if i >= ask.warm {
            delays.push(now_ns()? - began);
        }
    }
    say_delays(delays);
    keep(socket);
    Ok(())
}

fn paced_far(ask: &Ask) -> Done {
    let socket = ask.start(Protocol::Pull, true)?;
    let mut delays = Vec::with_capacity(ask.count);
    for i in 0..ask.warm + ask.count {
        if i == ask.warm {
            ask.mark()?;
        }
        let message = socket.recv()?;
        let now = now_ns()?;
        let sent = message.body().first_chunk::<8>().ok_or("a short body")?;
        if i >= ask.warm {
            delays.push(now - i64::from_ne_bytes(*sent));
        }
    }
    say_delays(delays);
    keep(socket);
    Ok(())
}

fn paced_near(ask: &Ask) -> Done {
    let socket = ask.start(Protocol::Push, false)?;
    let mut body = ask.body();
    let mut due = 0;
    for i in 0..ask.warm + ask.count {
        if i == ask.warm {
            ask.mark()?;
        }
        due = if i <= ask.warm / 2 { now_ns()? } else { due + 1_000_000_000 / ask.rate };
        let left = due - now_ns()?;
        if left > 200_000 {
            std::thread::sleep(Duration::from_nanos((left - 100_000) as u64));
        }
        while now_ns()? < due {
            nix::sched::sched_yield()?;
        }
        body[..8].copy_from_slice(&now_ns()?.to_ne_bytes());
        socket.send(&body[..])?;
    }
    keep(socket);
    Ok(())
}

/// Runs `peer` on a thread each, and `synced` when all have come to the barrier.
fn run_peers<T: Send>(
    ask: &Ask,
    peer: impl Fn(&Barrier) -> Result<T, Failure> + Sync,
    synced: impl FnOnce(&Barrier) -> Done,
) -> Result<Vec<T>, Failure> {
    let barrier = Barrier::new(ask.peers + 1);
    std::thread::scope(|scope| {
        let peers: Vec<_> = (0..ask.peers).map(|_| scope.spawn(|| peer(&barrier))).collect();
        barrier.wait();
        ask.mark()?;
        synced(&barrier)?;
        peers.into_iter().map(|peer| peer.join().map_err(|_| "a peer panicked")?).collect()
    })
}

fn fanin_far(ask: &Ask) -> Done {
    let socket = ask.start(Protocol::Pull, true)?;
    let measured = ask.count / ask.peers * ask.peers;
    for _ in 0..ask.peers {
        socket.recv()?;
    }
    ask.mark()?;
    println!("sync");
    socket.recv()?;
    let began = now_ns()?;
    for _ in 1..measured {
        socket.recv()?;
    }
    say_rate(measured - 1, now_ns()? - began);
    keep(socket);
    Ok(())
}

fn fanin_near(ask: &Ask) -> Done {
    let peer = |barrier: &Barrier| {
        let socket = ask.start(Protocol::Push, false)?;
        let message = Message::from(ask.body());
        ask.send_another(&socket, &message)?;
        barrier.wait();
        barrier.wait();
        for _ in 0..ask.count / ask.peers {
            ask.send_another(&socket, &message)?;
        }
        keep(socket);
        Ok(())
    };
    run_peers(ask, peer, |barrier| {
        ask.told(None)?;
        barrier.wait();
        Ok(())
    })?;
    Ok(())
}

fn pub_far(ask: &Ask) -> Done {
    let socket = ask.start(Protocol::Pub, true)?;
    let mut body = ask.body();
    let tick = Some(Duration::from_millis(1));
    body[0] = b'h';
    while !ask.told(tick)? {
        socket.send(&body[..])?;
    }
    ask.mark()?;
    body[0] = b'd';
    for _ in 0..ask.count {
        socket.send(&body[..])?;
    }
    println!("done");
    body[0] = b'e';
    while !ask.told(tick)? {
        socket.send(&body[..])?;
    }
    keep(socket);
    Ok(())
}

fn pub_near(ask: &Ask) -> Done {
    let peer = |barrier: &Barrier| {
        let socket = ask.start(Protocol::Sub, false)?;
        socket.recv()?;
        barrier.wait();
        let (mut received, mut first, mut last) = (0, i64::MAX, 0);
        loop {
            match socket.recv()?.body().first() {
                Some(b'e') => break,
                Some(b'd') => received += 1,
                _ => continue,
            }
            if received == 1 {
                first = now_ns()?;
            }
            if received % 64 == 0 || received >= ask.count {
                last = now_ns()?;
            }
        }
        keep(socket);
        Ok((received, first, last))
    };
    let peers = run_peers(ask, peer, |_| {
        println!("sync");
        Ok(())
    })?;
    let received: usize = peers.iter().map(|peer| peer.0).sum();
    let first = peers.iter().map(|peer| peer.1).min().unwrap_or(0);
    let last = peers.iter().map(|peer| peer.2).max().unwrap_or(0);
    let rate = if last > first { received as f64 / ((last - first) as f64 / 1e9) } else { 0.0 };
    println!("result rate={rate:.1} loss={:.4}", 1.0 - received as f64 / (ask.count * ask.peers) as f64);
    Ok(())
}

fn clients_near(ask: &Ask) -> Done {
    let clients: Result<Vec<Socket>, Failure> =
        (0..ask.peers).map(|_| ask.start(Protocol::Req, false)).collect();
    let clients = clients?;
    let body = ask.body();
    let waves = ask.count / ask.peers;
    let mut began = 0;
    for wave in 0..=waves {
        if wave == 1 {
            ask.mark()?;
            began = now_ns()?;
        }
        for client in &clients {
            client.send(&body[..])?;
        }
        for client in &clients {
            client.recv()?;
        }
    }
    say_rate(waves * ask.peers, now_ns()? - began);
    clients.into_iter().for_each(keep);
    Ok(())
}

/// A socket stays open until the process ends: closing it is not what is measured.
fn keep(socket: Socket) {
    std::mem::forget(socket);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn now_ns() -> Result<i64, Failure> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}

fn cpu_seconds(usage: &Usage) -> f64 {
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn say_rate(messages: usize, ns: i64) {
    println!("result rate={:.1}", messages as f64 / (ns as f64 / 1e9));
}

fn say_delays(mut delays: Vec<i64>) {
    delays.sort_unstable();
    let at = |part: f64| {
        let index = (part * delays.len() as f64) as usize;
        delays.get(index.min(delays.len().saturating_sub(1))).map_or(0.0, |ns| *ns as f64 / 1e3)
    };
    println!("result p50={:.3} p99={:.3} p999={:.3}", at(0.5), at(0.99), at(0.999));
}
