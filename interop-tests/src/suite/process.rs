//! One running program, what it printed, and how long that may take.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::Trouble;

/// How much of each stream a report shows, in bytes.
const SHOWN: usize = 4000;

/// What came out of one stream of a program until now.
#[derive(Default)]
struct Stream {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    /// Read a pipe to its end in a thread.
    fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Stream> {
        let stream = Arc::new(Stream::default());
        let theirs = Arc::clone(&stream);
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            loop {
                // A pipe that cannot be read any more has ended.
                let count = pipe.read(&mut block).unwrap_or(0);
                let mut state = theirs.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.bytes.extend_from_slice(&block[..count]);
                state.ended = count == 0;
                theirs.changed.notify_all();
                if state.ended {
                    return;
                }
            }
        });
        stream
    }

    /// Wait until the program printed enough, or ended. Whether it is enough at the end.
    fn wait(&self, within: Duration, enough: impl Fn(&State) -> bool) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, within, |s| !s.ended && !enough(s))
            .unwrap_or_else(PoisonError::into_inner);
        enough(&state)
    }

    fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes.clone()
    }
}

/// A running program; killed when dropped.
pub struct Process {
    title: String,
    child: Child,
    stdout: Arc<Stream>,
    stderr: Arc<Stream>,
}

impl Process {
    /// Start it with an empty standard input.
    pub fn start(command: Command) -> Result<Process, Trouble> {
        Process::start_reading(command, Stdio::null())
    }

    /// Start it with this standard input.
    pub fn start_reading(mut command: Command, input: Stdio) -> Result<Process, Trouble> {
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let title = format!("{command:?}");
        let mut child = command.spawn().map_err(|e| format!("{title}: {e}"))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("a child without its streams".to_owned());
        };
        let (stdout, stderr) = (Stream::collect(stdout), Stream::collect(stderr));
        Ok(Process { title, child, stdout, stderr })
    }

    /// Wait until what it printed is enough.
    pub fn wait_for(&mut self, within: Duration, enough: impl Fn(&[u8]) -> bool) -> Result<(), Trouble> {
        if self.stdout.wait(within, |s| enough(&s.bytes)) {
            return Ok(());
        }
        Err(format!("what is awaited did not come within {within:?}\n{}", self.words()))
    }

    /// Wait until it ended by itself.
    pub fn finish(&mut self, within: Duration) -> Result<ExitStatus, Trouble> {
        // The system closes both pipes when the program ends; until then it is running.
        if !(self.stdout.wait(within, |s| s.ended) && self.stderr.wait(within, |s| s.ended)) {
            return Err(format!("still running after {within:?}\n{}", self.words()));
        }
        self.child.wait().map_err(|e| format!("wait: {e}"))
    }

    /// Wait until it ended with this exit code.
    pub fn finish_with(&mut self, code: i32, within: Duration) -> Result<(), Trouble> {
        let status = self.finish(within)?;
        if status.code() == Some(code) {
            return Ok(());
        }
        Err(format!("it ended with {status} instead of exit code {code}\n{}", self.words()))
    }

    /// What it printed until now.
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// What it complained about until now.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Its memory map, while it runs: which files it uses.
    pub fn memory_map(&self) -> Result<String, Trouble> {
        let file = format!("/proc/{}/maps", self.child.id());
        std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))
    }

    /// What it is and what it printed, for a report.
    pub fn words(&self) -> String {
        let (stdout, stderr) = (self.stdout.bytes(), self.stderr.bytes());
        format!("{}\nstdout: {}\nstderr: {}\n", self.title, shown(&stdout), shown(&stderr))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shown(bytes: &[u8]) -> String {
    let end = &bytes[bytes.len().saturating_sub(SHOWN)..];
    String::from_utf8_lossy(end).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::Process;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        let mut sh = Command::new("sh");
        sh.args(["-c", script]);
        Process::start(sh).unwrap()
    }

    #[test]
    fn the_exit_code_and_both_streams_are_kept() {
        let mut process = shell("echo one; echo two >&2; exit 3");
        process.finish_with(3, LONG).unwrap();
        assert_eq!((process.stdout(), process.stderr()), (b"one\n".to_vec(), "two\n".to_owned()));
        let complaint = process.finish_with(0, LONG).unwrap_err();
        assert!(complaint.contains("instead of exit code 0") && complaint.contains("two"), "{complaint}");
    }

    #[test]
    fn a_program_that_hangs_is_reported_with_what_it_printed() {
        let mut process = shell("echo begun; exec sleep 1000");
        process.wait_for(LONG, |bytes| bytes == b"begun\n").unwrap();
        let complaint = process.finish(Duration::from_millis(20)).unwrap_err();
        assert!(complaint.contains("still running") && complaint.contains("begun"), "{complaint}");
        assert!(process.wait_for(Duration::from_millis(20), |bytes| bytes.len() > 6).is_err());
    }
}
