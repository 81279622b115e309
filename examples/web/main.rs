//! The other side of a page in a browser: a conversation (PAIR) and news (PUB) over WebSocket.
//!
//!     cargo run --example web
//!
//! Open the address that it prints.

use std::path::Path;
use std::time::Duration;

use spmsg::{Message, Pair, Pub, WsMessageType};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A browser shows text as a string, and bytes only to a script that asks for them.
    let conversation = Pair::builder().ws_message_type(WsMessageType::Text).build()?;
    let news = Pub::builder().ws_message_type(WsMessageType::Text).build()?;
    let pair = conversation.bind("ws://127.0.0.1:0")?.address().to_owned();
    let publisher = news.bind("ws://127.0.0.1:0")?.address().to_owned();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/web/index.html");
    println!("file://{}#pair={pair}&pub={publisher}", page.display());

    std::thread::spawn(move || {
        for change in 1.. {
            if news.send(Message::from(format!("volume {} changed", change % 10))).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    loop {
        println!("{}", String::from_utf8_lossy(conversation.recv()?.body()));
    }
}
