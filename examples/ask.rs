//! Asks a server a number of questions, one after the other, and prints each answer on a line.
//!
//!     cargo run --example ask -- ADDRESS QUESTION COUNT
//!
//! The requests are "QUESTION 1" to "QUESTION COUNT". The server may die and come back meanwhile.

use std::error::Error;
use std::time::Duration;

use spmsg::Req;

/// How long an answer may take, restarts of the server included.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, question, count] = arguments.as_slice() else {
        return Err("usage: ask ADDRESS QUESTION COUNT".into());
    };
    let client = Req::builder().recv_timeout(PATIENCE).reconnect(Duration::from_millis(20)).build()?;
    client.connect(address)?;
    for number in 1..=count.parse::<u32>()? {
        client.send(format!("{question} {number}"))?;
        println!("{}", String::from_utf8_lossy(client.recv()?.body()));
    }
    Ok(())
}
