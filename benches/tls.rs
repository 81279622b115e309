//! tls+tcp through sockets, against a bare pump: two blocking threads that push bytes through rustls and nothing else.
//!
//!     cargo bench -p spmsg-bench --bench tls [seconds per measurement]
//!
//! Rounds alternate, so that a machine that slows down slows all of them down; the median of each is shown.

#[path = "../tests/util/certs.rs"]
#[allow(dead_code)]
mod certs;
mod pump;

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use certs::{Authority, Identity};
use pump::Until;
use spmsg::{Engine, Message, Pull, Push, TlsConfig};

type Failure = Box<dyn Error + Send + Sync>;

const LARGE: usize = 64 * 1024;
const SMALL: usize = 64;
const ROUNDS: usize = 5;

fn main() -> Result<(), Failure> {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(1.0);
    let bench = Bench::new(Duration::from_secs_f64(seconds));
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..ROUNDS {
        let figures = [
            ("bare pump, 64 KiB: MB/s", bench.pump(1)? / 1e6),
            ("tls+tcp, 64 KiB: MB/s", bench.sockets(Some(&bench.tls), LARGE, 1)? * LARGE as f64 / 1e6),
            ("tcp, 64 KiB: MB/s", bench.sockets(None, LARGE, 1)? * LARGE as f64 / 1e6),
            ("tls+tcp, 2 connections, 2 I/O threads, 64 KiB: MB/s", {
                bench.sockets(Some(&bench.tls), LARGE, 2)? * LARGE as f64 / 1e6
            }),
            ("bare pump, 2 pairs of threads, 64 KiB: MB/s", bench.pump(2)? / 1e6),
            ("tls+tcp, 64 B: thousand messages/s", bench.sockets(Some(&bench.tls), SMALL, 1)? / 1e3),
            ("tcp, 64 B: thousand messages/s", bench.sockets(None, SMALL, 1)? / 1e3),
        ];
        for (index, (name, figure)) in figures.into_iter().enumerate() {
            match rows.get_mut(index) {
                Some((_, all)) => all.push(figure),
                None => rows.push((name, vec![figure])),
            }
        }
    }
    let mut medians = Vec::new();
    for (name, figures) in &mut rows {
        figures.sort_by(f64::total_cmp);
        let median = figures[figures.len() / 2];
        println!("{name:<55} {median:>10.0}   ({:.0} to {:.0})", figures[0], figures[figures.len() - 1]);
        medians.push(median);
    }
    println!("64 KiB, of the bare pump: {:.2}", medians[1] / medians[0]);
    println!("two connections, of one: {:.2}", medians[3] / medians[1]);
    println!("two pumps, of one: {:.2}", medians[4] / medians[0]);
    println!("64 B, of tcp: {:.2}", medians[5] / medians[6]);
    Ok(())
}

struct Bench {
    lasts: Duration,
    authority: Authority,
    server: Identity,
    tls: (TlsConfig, TlsConfig),
}

impl Bench {
    fn new(lasts: Duration) -> Bench {
        let authority = Authority::new("bench");
        let server = authority.issue("server", &["127.0.0.1", "localhost"]);
        let listening = server.server().build().expect("a certificate of ours");
        let connecting = authority.client().build().expect("an authority of ours");
        Bench { lasts, authority, server, tls: (listening, connecting) }
    }

    /// Bytes per second.
    fn pump(&self, pairs: usize) -> Result<f64, Failure> {
        pump::pump((&self.authority, &self.server), Until::Passed(self.lasts), LARGE, pairs)
    }

    /// Messages per second over so many connections at once, each between sockets of its own.
    fn sockets(
        &self,
        tls: Option<&(TlsConfig, TlsConfig)>,
        len: usize,
        connections: usize,
    ) -> Result<f64, Failure> {
        let engines = (Engine::new(connections)?, Engine::new(connections)?);
        let running: Vec<_> = (0..connections)
            .map(|_| {
                let (engines, tls, lasts) = (engines.clone(), tls.cloned(), self.lasts);
                thread::spawn(move || one_connection(&engines, tls, len, lasts))
            })
            .collect();
        let rates = running.into_iter().map(|one| one.join().map_err(|_| "a connection panicked")?);
        rates.sum()
    }
}

fn one_connection(
    engines: &(Engine, Engine),
    tls: Option<(TlsConfig, TlsConfig)>,
    len: usize,
    lasts: Duration,
) -> Result<f64, Failure> {
    let (mut pull, mut push) = (Pull::builder().engine(&engines.0), Push::builder().engine(&engines.1));
    if let Some((listening, connecting)) = &tls {
        (pull, push) = (pull.tls(listening), push.tls(connecting));
    }
    let (pull, push) = (pull.build()?, push.linger(Duration::from_secs(10)).build()?);
    let scheme = if tls.is_some() { "tls+tcp" } else { "tcp" };
    push.connect(pull.bind(&format!("{scheme}://127.0.0.1:0"))?.address())?;
    let sender = thread::spawn(move || -> Result<(), Failure> {
        let body = Message::from(vec![7; len]);
        let end = Instant::now() + lasts;
        while Instant::now() < end {
            // The clock is not what is measured.
            for _ in 0..16 {
                push.send(body.clone())?;
            }
        }
        push.send(Message::new())?;
        Ok(push.close()?)
    });
    pull.recv()?;
    let begun = Instant::now();
    let mut count = 0;
    while !pull.recv()?.is_empty() {
        count += 1;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    sender.join().map_err(|_| "the sender panicked")??;
    Ok(rate)
}
