//! Prints the notices of a topic, one on a line, for as long as it runs.
//!
//!     cargo run --example watch -- ADDRESS TOPIC

use std::error::Error;

use spmsg::Sub;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, topic] = arguments.as_slice() else {
        return Err("usage: watch ADDRESS TOPIC".into());
    };
    let subscriber = Sub::new()?;
    subscriber.subscribe(topic)?;
    subscriber.connect(address)?;
    loop {
        println!("{}", String::from_utf8_lossy(subscriber.recv()?.body()));
    }
}
