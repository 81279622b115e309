//! One running peer: tell it a command, hear its answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Trouble;
use crate::peer::Peer;

/// How long a command may take that does not say so itself.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How much later than promised an answer may come: the machine may be busy.
const GRACE: Duration = Duration::from_secs(10);

/// What one peer was told and what it said, line by line.
#[derive(Clone)]
pub struct Transcript {
    title: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Transcript {
    fn new(title: &str) -> Transcript {
        Transcript { title: title.to_owned(), lines: Arc::default() }
    }

    fn add(&self, mark: &str, line: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("  {mark} {line}"));
    }

    /// The last lines, under the peer's name.
    pub fn text(&self) -> String {
        const SHOWN: usize = 30;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(SHOWN);
        let before = if skipped > 0 { format!("  ({skipped} lines before)\n") } else { String::new() };
        format!("{}:\n{before}{}\n", self.title, lines[skipped..].join("\n"))
    }
}

/// What a run of messages came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages.
    pub count: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Over lengths and bodies in order.
    pub digest: String,
    /// Messages that came, or had to be sent, again.
    pub repeats: u64,
}

/// A peer's process; killed when dropped.
pub struct Puppet {
    peer: Peer,
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
    transcript: Transcript,
    is_raw: bool,
}

impl Puppet {
    /// Start the peer and have it say its name. `label` is its part in the conversation.
    pub fn spawn(peer: Peer, label: &str) -> Result<(Puppet, Transcript), Trouble> {
        let program = peer.program()?;
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("a child without its three streams".to_owned());
        };
        let transcript = Transcript::new(&format!("{label} ({})", peer.name()));
        let (sender, answers) = mpsc::channel();
        listen(stdout, "<", transcript.clone(), Some(sender));
        listen(stderr, "!", transcript.clone(), None);
        let mut puppet =
            Puppet { peer, child, stdin, answers, transcript: transcript.clone(), is_raw: false };
        puppet.order("hello")?;
        Ok((puppet, transcript))
    }

    /// Which implementation this is.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Remember whether the socket in use is raw.
    pub fn note_raw(&mut self, is_raw: bool) {
        self.is_raw = is_raw;
    }

    /// Whether the socket in use is raw.
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// Give a command without waiting for its answer; commands are obeyed one after the other.
    pub fn tell(&mut self, command: &str) -> Result<(), Trouble> {
        self.transcript.add(">", command);
        self.stdin
            .write_all(format!("{command}\n").as_bytes())
            .map_err(|e| format!("{} does not listen: {e}", self.peer.name()))
    }

    /// The answer to the oldest command that has none yet. `within` is the time the command itself was
    /// given.
    pub fn hear(&mut self, within: Duration) -> Result<String, Trouble> {
        self.answers
            .recv_timeout(within + GRACE)
            .map_err(|e| format!("{} gave no answer: {e} ({})", self.peer.name(), self.state()))
    }

    /// Like [`Puppet::hear`], but anything but `ok` is trouble. Returns what follows it.
    pub fn hear_ok(&mut self, within: Duration) -> Result<String, Trouble> {
        let answer = self.hear(within)?;
        match answer.strip_prefix("ok") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(format!("{}: {answer}", self.peer.name())),
        }
    }

    /// The answer to a run of messages.
    pub fn hear_tally(&mut self, within: Duration) -> Result<Tally, Trouble> {
        let answer = self.hear_ok(within)?;
        tally(&answer).map_err(|e| format!("{}: {e}", self.peer.name()))
    }

    /// The answer if it comes within this time, exactly.
    pub fn hear_within(&mut self, time: Duration) -> Result<Option<String>, Trouble> {
        match self.answers.recv_timeout(time) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("{} says nothing more ({})", self.peer.name(), self.state()))
            }
        }
    }

    /// Tell a command and expect `ok`.
    pub fn order(&mut self, command: &str) -> Result<String, Trouble> {
        self.tell(command)?;
        self.hear_ok(PATIENCE)
    }

    /// Tell a command and take any answer.
    pub fn request(&mut self, command: &str) -> Result<String, Trouble> {
        self.tell(command)?;
        self.hear(PATIENCE)
    }

    /// End it at once, as a crash would (SIGKILL), and wait until it is gone.
    pub fn kill(&mut self) -> Result<(), Trouble> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(|e| format!("kill: {e}"))?;
        self.transcript.add("#", "killed");
        Ok(())
    }

    fn state(&mut self) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => format!("it ended: {status}"),
            Ok(None) => "it is running".to_owned(),
            Err(e) => e.to_string(),
        }
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The tally in an answer, without its leading `ok`.
pub fn tally(answer: &str) -> Result<Tally, Trouble> {
    parse_tally(answer).ok_or_else(|| format!("no tally: {answer}"))
}

fn parse_tally(answer: &str) -> Option<Tally> {
    let mut words = answer.split(' ');
    let count = words.next()?.parse().ok()?;
    let bytes = words.next()?.parse().ok()?;
    let digest = words.next()?.to_owned();
    let repeats = words.next()?.strip_prefix("repeats=")?.parse().ok()?;
    Some(Tally { count, bytes, digest, repeats })
}

/// Read lines until the stream ends; answers go to the channel, everything to the transcript.
fn listen(
    stream: impl Read + Send + 'static,
    mark: &'static str,
    transcript: Transcript,
    answers: Option<Sender<String>>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            transcript.add(mark, &line);
            if let Some(answers) = &answers
                && !line.starts_with('#')
                && answers.send(line).is_err()
            {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::{Tally, parse_tally};

    #[test]
    fn a_tally_is_read_from_an_answer() {
        let wanted = Tally { count: 3, bytes: 70, digest: "00ff".to_owned(), repeats: 1 };
        assert_eq!(parse_tally("3 70 00ff repeats=1"), Some(wanted));
        assert_eq!(parse_tally("3 70 00ff"), None);
    }
}
