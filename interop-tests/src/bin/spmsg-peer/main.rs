//! A puppet on the Rust interface of spmsg: it obeys the script language of `peers/LANGUAGE.md`, one
//! command per line on stdin, one answer per line on stdout.

mod content;
mod seat;
mod talk;

use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

use spmsg::{Device, Error, Mode, Protocol, Socket, TlsAuth, TlsConfig};

use content::{Run, parse_hex, show};
use seat::{Failure, PROBE, Seat, failure};

/// How often counters are looked at while waiting for a connection: there is no call that blocks until one
/// comes.
const POLLED_EVERY: Duration = Duration::from_millis(1);

/// The sockets that the commands opened; one of them is in use.
#[derive(Default)]
struct Script {
    seats: Vec<Seat>,
    current: usize,
}

impl Script {
    /// Obey one command; what follows `ok`, or the whole answer when it is a `msg`.
    fn command(&mut self, words: &[&str]) -> Result<String, Failure> {
        match words[0] {
            "hello" => Ok(format!("ok spmsg {}", env!("CARGO_PKG_VERSION"))),
            "open" => self.open(words),
            "use" => {
                self.current = self.index(words, 1)?;
                Ok("ok".to_owned())
            }
            "device" => self.device(words),
            _ => {
                let seat = self.seats.get_mut(self.current).ok_or("no socket is open")?;
                match words[0] {
                    "burst" | "drain" | "sift" | "ask" | "answer" | "gather" | "glean" => run(seat, words),
                    _ => single(seat, words),
                }
            }
        }
    }

    fn open(&mut self, words: &[&str]) -> Result<String, Failure> {
        let protocol = match *words.get(1).ok_or("wanted TYPE")? {
            "pair" => Protocol::Pair,
            "pair1" => Protocol::Pair1,
            "bus" => Protocol::Bus,
            "req" => Protocol::Req,
            "rep" => Protocol::Rep,
            "pub" => Protocol::Pub,
            "sub" => Protocol::Sub,
            "push" => Protocol::Push,
            "pull" => Protocol::Pull,
            "surveyor" => Protocol::Surveyor,
            "respondent" => Protocol::Respondent,
            other => return Err(format!("no such type: {other}")),
        };
        let mode = if words.get(2) == Some(&"raw") { Mode::Raw } else { Mode::Cooked };
        self.seats.push(Seat::new(protocol, mode));
        self.current = self.seats.len() - 1;
        Ok(format!("ok {}", self.current))
    }

    fn index(&self, words: &[&str], at: usize) -> Result<usize, Failure> {
        let index = words.get(at).and_then(|word| word.parse().ok());
        index.filter(|i| *i < self.seats.len()).ok_or_else(|| "no such socket".to_owned())
    }

    fn device(&self, words: &[&str]) -> Result<String, Failure> {
        let first = self.seats[self.index(words, 1)?].socket.clone();
        let second = match words.get(2) {
            Some(_) => self.seats[self.index(words, 2)?].socket.clone(),
            None => first.clone(),
        };
        Device::new(&first, &second).map_err(|error| failure(&error))?;
        std::thread::spawn(move || {
            let ended = Device::new(&first, &second).and_then(|device| device.run().map(drop));
            println!("# the device ended: {ended:?}");
        });
        Ok("ok".to_owned())
    }
}

fn run(seat: &mut Seat, words: &[&str]) -> Result<String, Failure> {
    let run = Run::parse(words).ok_or("wanted SEED FROM COUNT SIZES MS")?;
    let last = words.get(6).and_then(|word| word.parse().ok());
    let tally = match words[0] {
        "burst" => talk::burst(seat, &run),
        "drain" => talk::drain(seat, &run),
        "sift" => talk::sift(seat, &run),
        "ask" => talk::ask(seat, &run, last.unwrap_or(1)),
        "glean" => return Ok(format!("ok {}", talk::glean(seat, &run, last.unwrap_or(0))?)),
        _ => talk::gather(seat, &run, last.unwrap_or(0)),
    }?;
    Ok(format!("ok {tally}"))
}

/// Commands that concern one endpoint or one message.
fn single(seat: &mut Seat, words: &[&str]) -> Result<String, Failure> {
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let until = |at: usize| Instant::now() + Duration::from_millis(word(at).parse().unwrap_or(0));
    let named = |error: Error| failure(&error);
    let socket = seat.socket.clone();
    let done = match words[0] {
        "opt" => set_option(&socket, word(1), word(2)),
        "tls" => secure(&socket, Path::new(word(1))),
        "bind" => socket.bind(word(1)).map(drop).map_err(named),
        "connect" => socket.connect(word(1)).map(drop).map_err(named),
        "close" => socket.close().map_err(named),
        "wait-pipes" | "wait-joined" | "wait-rejoined" => wait(&socket, words[0], word(1), until(2)),
        "send" => seat.transmit(parse_hex(word(1)).ok_or("bad hex")?, until(2)),
        "quiet" => talk::quiet(seat, until(1)),
        "probe" => seat.transmit(format!("{PROBE}{}", word(1)).into_bytes(), until(2)),
        "seek" => talk::seek(seat, format!("{PROBE}{}", word(1)).as_bytes(), until(2)),
        "recv" => {
            let body = seat.receive_content(until(1)).map_err(named)?;
            return Ok(format!("msg {} {}", body.len(), show(&body)));
        }
        other => Err(format!("no such command: {other}")),
    };
    done.map(|()| "ok".to_owned())
}

/// Both sides show the folder's certificate and trust its authority only.
fn secure(socket: &Socket, folder: &Path) -> Result<(), Failure> {
    let config = TlsConfig::builder()
        .ca_file(folder.join("ca.pem"))
        .cert_file(folder.join("cert.pem"))
        .key_file(folder.join("key.pem"))
        .auth(TlsAuth::Required)
        .build()
        .map_err(|error| format!("other {error}"))?;
    let set = socket.set_options(|o| {
        o.set_tls(&config);
        Ok(())
    });
    set.map_err(|error| failure(&error))
}

fn set_option(socket: &Socket, name: &str, text: &str) -> Result<(), Failure> {
    let number = text.parse::<i64>();
    let size = || usize::try_from(number.clone().unwrap_or(-1)).ok();
    let time = || Duration::from_millis(number.clone().unwrap_or(0).unsigned_abs());
    let topic = || parse_hex(text).ok_or("bad hex");
    let done = match name {
        "subscribe" => socket.subscribe(topic()?),
        "unsubscribe" => socket.unsubscribe(topic()?),
        _ if number.is_err() => return Err(format!("not a number: {text}")),
        "resend" => socket.set_resend_interval(time()),
        "deadline" => socket.set_survey_deadline(time()),
        "rcvmaxsize" => socket.set_options(|o| {
            o.set_recv_max(size());
            Ok(())
        }),
        "sndbuf" => socket.set_options(|o| o.set_send_buffer(size().unwrap_or(0)).map(drop)),
        "rcvbuf" => socket.set_options(|o| o.set_recv_buffer(size().unwrap_or(0)).map(drop)),
        "reconnect" => socket.set_options(|o| {
            o.set_reconnect(time());
            Ok(())
        }),
        "reconnect-max" => socket.set_options(|o| {
            o.set_reconnect_max(time());
            Ok(())
        }),
        "maxttl" => {
            let words = u8::try_from(number.unwrap_or(0)).unwrap_or(0);
            socket.set_options(|o| o.set_max_ttl(words).map(drop))
        }
        other => return Err(format!("no such option: {other}")),
    };
    done.map_err(|error| failure(&error))
}

fn wait(socket: &Socket, what: &str, wanted: &str, deadline: Instant) -> Result<(), Failure> {
    let wanted: u64 = wanted.parse().map_err(|_| "wanted a number")?;
    loop {
        let counters = socket.statistics().map_err(|error| failure(&error))?;
        let now = counters.current_connections;
        let joined = counters.established_connections + counters.accepted_connections;
        let enough = match what {
            "wait-pipes" => now >= wanted,
            "wait-rejoined" => joined >= wanted && now == 1,
            _ => joined >= wanted,
        };
        if enough {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("ETIMEDOUT {now} now, {joined} in all"));
        }
        std::thread::sleep(POLLED_EVERY);
    }
}

fn main() {
    let mut script = Script::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first() {
            None => {}
            Some(&"exit") => return,
            Some(_) => match script.command(&words) {
                Ok(answer) => println!("{answer}"),
                Err(failure) => println!("err {failure}"),
            },
        }
    }
}
