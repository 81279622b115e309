//! A real browser, Debian's chromium, with the page of `examples/web`: it opens a WebSocket to a PAIR and one to a PUB.
#![cfg(all(feature = "ws", target_os = "linux"))]

mod util;

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spmsg::{Message, Protocol, Socket, WsMessageType};
use util::{pattern, wait_for_pipes};

/// A browser is slow to start, and slower on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// Ends the browser with the test; its own processes end with it.
struct Browser(Child);

impl Browser {
    fn open(page: &str, profile: &Path) -> Browser {
        let mut command = Command::new("chromium");
        // The sandbox is not available to root, nor in most containers; the page is our own.
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg(page);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Browser(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("there is no chromium: apt-get install -y chromium")
            }
            Err(error) => panic!("chromium: {error}"),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has ended already only if something went wrong, and then the test says so.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket(protocol: Protocol) -> Socket {
    let builder =
        Socket::builder(protocol, spmsg::Mode::Cooked).recv_timeout(DEADLINE).send_timeout(DEADLINE);
    builder.build().expect("valid options")
}

/// The next message of the page, which must be text.
#[track_caller]
fn heard(pair: &Socket) -> String {
    let message = pair.recv().expect("the page says something");
    assert_eq!(message.ws_type(), Some(WsMessageType::Text));
    String::from_utf8(message.body().to_vec()).expect("text")
}

fn text(text: &str) -> Message {
    let mut message = Message::from(text);
    message.set_ws_type(Some(WsMessageType::Text));
    message
}

#[test]
fn a_page_in_a_browser_converses_with_a_pair_and_hears_a_pub() {
    let (pair, news) = (socket(Protocol::Pair), socket(Protocol::Pub));
    let bind = |socket: &Socket| socket.bind("ws://127.0.0.1:0").expect("a port").address().to_owned();
    let (pair_address, news_address) = (bind(&pair), bind(&news));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/web/index.html");
    let profile = tempfile::tempdir().expect("a folder for the browser");
    let url = format!("file://{}#pair={pair_address}&pub={news_address}", page.display());
    let browser = Browser::open(&url, profile.path());

    assert_eq!(heard(&pair), "hello from the browser");
    pair.send(text("grüß Gott")).expect("the page is there");
    // The other connection may be there before this one, or not.
    let answer = Some(heard(&pair)).filter(|line| line != "listening").unwrap_or_else(|| heard(&pair));
    assert_eq!(answer, "you said: grüß Gott");

    for size in [0, 1, 65_536, 500_000] {
        pair.send(pattern(size)).expect("the page is there");
        let echoed = loop {
            let message = pair.recv().expect("the page sends it back");
            if message.ws_type() == Some(WsMessageType::Binary) {
                break message;
            }
            assert_eq!(message.body(), b"listening");
        };
        assert!(echoed.body() == pattern(size), "{size} bytes");
    }

    wait_for_pipes(&news, 1);
    news.send(text("host 3 is down")).expect("an open socket");
    news.send(text("volume 7 changed")).expect("an open socket");
    news.send("volume 8 changed").expect("an open socket");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(heard(&pair));
        seen.retain(|line| line != "listening");
    }
    assert_eq!(seen, ["seen: volume 7 changed", "seen: volume 8 changed"]);

    // The page comes back when the server does.
    pair.close().expect("open");
    let again = socket(Protocol::Pair);
    again.bind(&pair_address).expect("free again");
    assert_eq!(heard(&again), "hello from the browser");
    drop(browser);
    wait_for_pipes(&again, 0);
}
