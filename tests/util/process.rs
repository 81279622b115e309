//! Tests that need a process of their own: its threads, its descriptors, its memory, its death.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Says to a child which test it runs.
const CHILD: &str = "SPMSG_TEST_CHILD";
/// Says to a child which part of its test it plays.
const ROLE: &str = "SPMSG_TEST_ROLE";

/// Carries an argument of the part.
const ARGUMENT: &str = "SPMSG_TEST_ARGUMENT";

/// Runs the test `name` in a process of its own and asserts that it passes there. True in that process: do
/// the test.
#[track_caller]
pub fn in_own_process(name: &str) -> bool {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return true;
    }
    let output = command(name, "alone").output().expect("the test program starts again");
    assert!(
        output.status.success(),
        "alone, {name} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// The part that this process plays, if it is a child.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// What the test passed to this child.
pub fn argument() -> String {
    std::env::var(ARGUMENT).expect("the child has an argument")
}

/// This test program again, to run the test `name` alone and play `role`.
pub fn command(name: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test program's path"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, name).env(ROLE, role);
    command
}

/// A child that tells one line and then waits to be killed, or for its standard input to end.
pub struct Partner {
    child: Child,
    /// What it told.
    pub told: String,
}

const MARK: &str = "the partner tells: ";

impl Partner {
    #[track_caller]
    pub fn start(name: &str, role: &str) -> Partner {
        Partner::with(name, role, "")
    }

    /// A partner that finds `argument` by [`argument`].
    #[track_caller]
    pub fn with(name: &str, role: &str, argument: &str) -> Partner {
        let mut command = command(name, role);
        command.env(ARGUMENT, argument);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        let told = lines
            .map(|line| line.expect("text"))
            .find_map(|line| line.split_once(MARK).map(|(_, told)| told.to_owned()))
            .expect("the child tells before it ends");
        Partner { child, told }
    }

    /// SIGKILL: no destructor, no goodbye.
    pub fn kill(mut self) {
        self.child.kill().expect("the child lives until now");
        self.child.wait().expect("the child can be waited for");
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // Killed already when the test went as planned.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a partner: tells the test `line` and waits for the end.
pub fn tell_and_wait(line: &str) {
    println!("{MARK}{line}");
    let mut ignored = String::new();
    std::io::stdin().read_line(&mut ignored).expect("standard input ends");
}

/// Open descriptors of this process.
pub fn descriptors() -> usize {
    // One of them is the listing's own.
    std::fs::read_dir("/proc/self/fd").expect("procfs").count() - 1
}

/// A line of /proc/self/status in kB.
pub fn status_kb(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")).expect("a number of kB");
    number.trim().parse().expect("a number")
}

/// The names of this process's threads that begin with `prefix`. One that has left is none, though the system, which lets
/// those who join it go on before, may still list it.
pub fn threads(prefix: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    // A thread that ends meanwhile has nothing to read any more.
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let mut names: Vec<String> = stats.filter_map(|stat| running(&stat)).collect();
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    names
}

/// The name in a line of /proc/PID/task/TID/stat, unless its flags (proc_pid_stat(5)) say that the thread is exiting.
fn running(stat: &str) -> Option<String> {
    const PF_EXITING: u32 = 0x4;
    let (before, after) = stat.rsplit_once(") ").expect("the name is in brackets");
    let (_, name) = before.split_once('(').expect("the name is in brackets");
    let flags = after.split(' ').nth(6).and_then(|flags| flags.parse::<u32>().ok()).expect("flags");
    (flags & PF_EXITING == 0).then(|| name.to_owned())
}
