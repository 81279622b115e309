//! The yardstick of TLS among the rivals: both ends in one process, two blocking threads to a connection. Plays `thr`
//! and, with a connection to each peer, `fanin`; the conversation is that of cases.h.

#[path = "../../tests/util/certs.rs"]
#[allow(dead_code)]
mod certs;
#[path = "../pump.rs"]
mod pump;

use std::error::Error;
use std::io::BufRead;

use certs::Authority;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use pump::Until;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let (mut size, mut count, mut peers) = (64, 1000, 1);
    for argument in std::env::args().skip(1) {
        let (key, value) = argument.split_once('=').ok_or_else(|| format!("{argument}: not KEY=VALUE"))?;
        match key {
            "size" => size = value.parse()?,
            "count" => count = value.parse()?,
            "peers" => peers = value.parse::<usize>()?.max(1),
            _ => {}
        }
    }
    let authority = Authority::new("bench");
    let server = authority.issue("server", &["localhost"]);
    let began = getrusage(UsageWho::RUSAGE_SELF)?;
    let rate = pump::pump((&authority, &server), Until::Blocks(count / peers), size, peers)? / size as f64;
    println!("result rate={rate:.1}\ndone");
    std::io::stdin().lock().read_line(&mut String::new())?;
    let now = getrusage(UsageWho::RUSAGE_SELF)?;
    println!("usage cpu={:.6} switches={}", cpu(&now) - cpu(&began), switches(&now) - switches(&began));
    Ok(())
}

fn cpu(usage: &Usage) -> f64 {
    [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .iter()
        .sum()
}

fn switches(usage: &Usage) -> i64 {
    usage.voluntary_context_switches() + usage.involuntary_context_switches()
}
