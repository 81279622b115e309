//! A client in Rust: asks a server about a few things. The server may be any nanomsg, nng, mangos or spmsg program.
//!
//!     cargo run --example hello -- tcp://127.0.0.1:5555

use std::time::Duration;

use spmsg::Req;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("tcp://127.0.0.1:5555".into());

    // Connects in the background: the server may start later, or again.
    let client = Req::builder().recv_timeout(Duration::from_secs(10)).build()?;
    client.connect(&address)?;

    for subject in ["volume 7", "host 3"] {
        // A request is kept, and sent again if the server goes away, until its reply is here.
        client.send(subject)?;
        println!("{}", String::from_utf8_lossy(client.recv()?.body()));
    }
    Ok(())
}
