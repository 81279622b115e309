//! The yardstick of TLS: pairs of blocking threads that push blocks through rustls, and nothing else. The program has
//! the module `certs`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::certs::{Authority, Identity, hand_client, hand_server};

type Failure = Box<dyn Error + Send + Sync>;

/// When a pump is done.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each program uses one of them")]
pub enum Until {
    /// After this time.
    Passed(Duration),
    /// After so many blocks.
    Blocks(usize),
}

/// Bytes per second through so many connections at once, each with a thread at either end; blocks of `block` bytes.
pub fn pump(who: (&Authority, &Identity), until: Until, block: usize, pairs: usize) -> Result<f64, Failure> {
    let (client, server) = (Arc::new(hand_client(who.0, None)), Arc::new(hand_server(who.1)));
    let running: Vec<_> = (0..pairs)
        .map(|_| {
            let (client, server) = (Arc::clone(&client), Arc::clone(&server));
            thread::spawn(move || one(client, server, until, block))
        })
        .collect();
    running.into_iter().map(|pair| pair.join().map_err(|_| "a pump panicked")?).sum()
}

fn one(
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
    until: Until,
    block: usize,
) -> Result<f64, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let place = listener.local_addr()?;
    let sender = thread::spawn(move || -> Result<(), Failure> {
        let tls = ClientConnection::new(client, ServerName::try_from("localhost")?)?;
        let mut stream = StreamOwned::new(tls, TcpStream::connect(place)?);
        let block = vec![7; block];
        match until {
            Until::Blocks(count) => (0..count).try_for_each(|_| stream.write_all(&block))?,
            Until::Passed(time) => {
                let end = Instant::now() + time;
                while Instant::now() < end {
                    stream.write_all(&block)?;
                }
            }
        }
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.shutdown(std::net::Shutdown::Write)?;
        // Closing with unread tickets would reset the connection.
        let _ = stream.sock.read_to_end(&mut Vec::new());
        Ok(())
    });
    let mut stream = StreamOwned::new(ServerConnection::new(server)?, listener.accept()?.0);
    let mut room = vec![0; block];
    // The handshake is not measured.
    let mut bytes = stream.read(&mut room)?;
    let begun = Instant::now();
    loop {
        match stream.read(&mut room)? {
            0 => break,
            more => bytes += more,
        }
    }
    let rate = bytes as f64 / begun.elapsed().as_secs_f64();
    drop(stream);
    sender.join().map_err(|_| "the sender panicked")??;
    Ok(rate)
}
