//! Processes that the demo starts, and that never outlive it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::cluster::daemon;
use crate::lines::{Lines, PATIENCE};

/// How long a daemon may take to end in order.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What the guard runs. It outlives Ctrl-C, and the end of its input tells it that the demo is gone, however
/// that came about: then it kills the processes that are still noted and removes the folder.
const GUARD: &str = r#"
trap '' HUP INT TERM
pids=' '
while read -r what pid; do
    case "$what$pids" in
    started*) pids="$pids$pid " ;;
    ended*" $pid "*) pids="${pids%% $pid *} ${pids#* $pid }" ;;
    esac
done
[ "$pids" = ' ' ] || kill -9 $pids 2>/dev/null
rm -rf -- "$1"
"#;

/// Cleans up after the demo, also when that is killed.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Mutex<GuardProcess>>,
}

struct GuardProcess {
    process: Process,
    /// Taken when the guard is to end.
    input: Option<ChildStdin>,
}

impl Guard {
    pub fn start(folder: &Path) -> Outcome<Guard> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(folder).stdin(Stdio::piped());
        let mut process = command.spawn().map_err(|e| format!("cannot run sh: {e}"))?;
        let input = process.stdin.take();
        Ok(Guard { shared: Arc::new(Mutex::new(GuardProcess { process, input })) })
    }

    fn tell(&self, what: &str, pid: u32) -> Outcome<()> {
        let mut guard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let input = guard.input.as_mut().ok_or("the guard has ended")?;
        writeln!(input, "{what} {pid}")?;
        Ok(())
    }
}

impl Drop for GuardProcess {
    fn drop(&mut self) {
        drop(self.input.take());
        // It removes the folder; nothing is left to do if it could not be waited for.
        let _ = self.process.wait();
    }
}

/// A running process whose printed lines are read; killed when dropped.
pub struct Child {
    name: String,
    process: Process,
    pub lines: Lines,
    guard: Guard,
}

impl Child {
    pub fn start<A: AsRef<OsStr>>(guard: &Guard, program: &Path, args: &[A]) -> Outcome<Child> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|e| format!("cannot run {}: {e}", program.display()))?;
        let pipe = process.stdout.take().ok_or("no pipe to a child")?;
        let child = Child { name, process, lines: Lines::of(pipe), guard: guard.clone() };
        guard.tell("started", child.process.id())?;
        Ok(child)
    }

    /// Starts a daemon and waits until it is ready.
    pub fn start_daemon<A: AsRef<OsStr>>(guard: &Guard, name: &str, args: &[A]) -> Outcome<Child> {
        let child = Child::start(guard, &daemon(name)?, args)?;
        child.await_line("ready")?;
        Ok(child)
    }

    /// Waits for a line.
    pub fn await_line(&self, wanted: &str) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = self.lines.next(deadline) {
            if line == wanted {
                return Ok(());
            }
        }
        Err(format!("{} did not say \"{wanted}\"", self.name).into())
    }

    /// Kills the process with SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// Asks a daemon to end, by the end of its input, and checks that it does so in time and with status 0.
    pub fn stop(mut self) -> Outcome<()> {
        let status = self.finish(STOP_PATIENCE)?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.name).into()) }
    }

    /// Waits for a process that ends by itself, at most [`PATIENCE`].
    pub fn wait(mut self) -> Outcome<()> {
        let status = self.finish(PATIENCE)?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.name).into()) }
    }

    fn finish(&mut self, patience: Duration) -> Outcome<ExitStatus> {
        drop(self.process.stdin.take());
        if !self.lines.ended(Instant::now() + patience) {
            return Err(format!("{} did not end in time", self.name).into());
        }
        self.guard.tell("ended", self.process.id())?;
        Ok(self.process.wait()?)
    }

    fn end_now(&mut self) {
        // An error says that it has ended already, or that the guard is gone: all the same here.
        let _ = self.guard.tell("ended", self.process.id());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end_now();
    }
}
