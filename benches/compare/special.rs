//! Measurements that look at the processes from outside: the storm, the idle ones, system calls.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cases::Case;
use crate::rivals::Rival;
use crate::run::{Run, Sample, address, arguments, memory_bytes};

/// Descriptors that a process of the storm needs beside its connections.
const OTHER_DESCRIPTORS: u64 = 200;
/// Clients of the storm, where the system allows as many.
const STORM_CLIENTS: u64 = 10_000;
/// Until nothing that was started is still on its way.
const SETTLING: Duration = Duration::from_millis(500);
/// How long an idle process is watched.
const WATCHED: Duration = Duration::from_secs(1);

/// Raises the limit of descriptors, for the rivals too, and says how many clients the storm can have.
pub fn storm_clients() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 0;
    };
    let wanted = STORM_CLIENTS + OTHER_DESCRIPTORS;
    // Only root may raise the hard limit.
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard.max(wanted), hard.max(wanted))
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    let limit =
        if raised.is_ok() { getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |limit| limit.0) } else { soft };
    STORM_CLIENTS.min(limit.saturating_sub(OTHER_DESCRIPTORS)) as usize
}

/// The rival answers, our own clients ask (rivals/storm.c): time until the last answer, memory and CPU of
/// the server.
pub fn storm(rival: &Rival, case: &Case, folder: &Path) -> Result<Sample, String> {
    let mut run = Run::new(folder, case.deadline());
    let address = address(case.transport, folder)?;
    let server =
        run.start(Command::new(&rival.program).args(arguments(rival, case, &address, 0)).arg("side=far"))?;
    run.until("ready", 1)?;
    let (memory, cpu) = (memory_bytes(server, "VmRSS:")?, Activity::of(server)?.cpu_ns);
    let protocol = if rival.name == "zmq" { "zmtp" } else { "sp" };
    run.start(Command::new(storm_program(folder)).args([&address, protocol, &case.peers.to_string()]))?;
    run.until("done", 1)?;
    let mut sample = run.sample().clone();
    let clients = case.peers as f64;
    sample.insert("bytes".into(), (memory_bytes(server, "VmRSS:")? - memory).max(0.0) / clients);
    sample.insert("cpu_us".into(), (Activity::of(server)?.cpu_ns - cpu) / 1e3 / clients);
    Ok(sample)
}

/// Where `rivals::build` puts the storm's clients.
pub fn storm_program(folder: &Path) -> PathBuf {
    folder.join("storm")
}

/// Clients and a server that blocks in receive, after one exchange each: what both processes do in a second.
pub fn idle(rival: &Rival, case: &Case, folder: &Path) -> Result<Sample, String> {
    let mut run = Run::new(folder, case.deadline());
    let address = address(case.transport, folder)?;
    let arguments = arguments(rival, case, &address, case.peers);
    let far = run.start(Command::new(&rival.program).args(&arguments).args(["count=0", "side=far"]))?;
    run.until("ready", 1)?;
    let near = run.start(Command::new(&rival.program).args(&arguments).arg("side=near"))?;
    run.until("done", 1)?;
    std::thread::sleep(SETTLING);
    let before = [Activity::of(far)?, Activity::of(near)?];
    std::thread::sleep(WATCHED);
    let after = [Activity::of(far)?, Activity::of(near)?];
    let cpu_ns: f64 = after.iter().zip(&before).map(|(after, before)| after.cpu_ns - before.cpu_ns).sum();
    let wakeups: f64 =
        after.iter().zip(&before).map(|(after, before)| after.switches - before.switches).sum();
    let seconds = WATCHED.as_secs_f64();
    Ok(Sample::from([
        ("cpu_percent".into(), cpu_ns / 1e9 / seconds * 100.0),
        ("wakeups".into(), wakeups / seconds),
    ]))
}

/// The difference between a short run and a longer one, so that what starting and ending costs cancels out.
pub fn calls(rival: &Rival, case: &Case, folder: &Path) -> Result<Sample, String> {
    let short = if case.pattern == "push" { 4_000 } else { 400 };
    let long = 4 * short;
    let total = |count: usize| -> Result<f64, String> {
        let mut run = Run::new(folder, case.deadline());
        let address = address(case.transport, folder)?;
        let arguments = arguments(rival, case, &address, count);
        let sides: &[&str] = if case.transport == "inproc" { &["both"] } else { &["far", "near"] };
        let reports: Vec<PathBuf> = sides.iter().map(|side| folder.join(format!("strace-{side}"))).collect();
        for (side, report) in sides.iter().zip(&reports) {
            let mut strace = Command::new("strace");
            strace.args(["-c", "-f", "-o"]).arg(report).arg(&rival.program);
            run.start(strace.args(&arguments).arg("warm=1").arg(format!("side={side}")))?;
            if *side == "far" {
                run.until("ready", 1)?;
            }
        }
        run.finish()?;
        reports.iter().map(|report| total_calls(report)).sum()
    };
    let (few, many) = (total(short)?, total(long)?);
    Ok(Sample::from([("calls".into(), (many - few).max(0.0) / (long - short) as f64)]))
}

/// The column `calls` of the last line of strace's report.
fn total_calls(report: &Path) -> Result<f64, String> {
    let text = std::fs::read_to_string(report).map_err(|error| format!("no report of strace: {error}"))?;
    let total = text.lines().rev().find(|line| line.ends_with("total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3));
    calls.and_then(|calls| calls.parse().ok()).ok_or_else(|| format!("strace reported: {text}"))
}

/// What all threads of a process have used so far.
struct Activity {
    cpu_ns: f64,
    /// How often a thread went to sleep.
    switches: f64,
}

impl Activity {
    fn of(process: u32) -> Result<Activity, String> {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
        let tasks = tasks.map_err(|error| format!("no /proc/{process}/task: {error}"))?;
        let mut activity = Activity { cpu_ns: 0.0, switches: 0.0 };
        for task in tasks.flatten() {
            let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let cpu = read("schedstat");
            activity.cpu_ns += number(cpu.split_whitespace().next());
            let status = read("status");
            let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            activity.switches += number(switches.map(str::trim));
        }
        Ok(activity)
    }
}

/// A thread that ended meanwhile has used nothing more.
fn number(text: Option<&str>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}
