//! One measurement: starts a rival's two sides, leads their conversation (see rivals/cases.h), collects what
//! they say.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::cases::{Case, Group};
use crate::rivals::Rival;

/// Figures by name: `rate`, `p50`, `cpu`, ...
pub type Sample = BTreeMap<String, f64>;

/// What a side said, and which one; `None` when its output ended.
type Said = (usize, Option<String>);

const FAR: usize = 0;
const NEAR: usize = 1;

/// The processes of one measurement. All that is left of them is killed when this is dropped.
pub struct Run<'a> {
    folder: &'a Path,
    deadline: Instant,
    sides: Vec<Side>,
    said: Receiver<Said>,
    saying: Sender<Said>,
    sample: Sample,
}

struct Side {
    child: Child,
    input: ChildStdin,
    /// It has said everything, and may end.
    finished: bool,
    /// Its output ended, and with it the program and whatever runs it.
    ended: bool,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        for side in &mut self.sides {
            // Each side leads a group of its own, which strace and its program share. It may be gone already.
            let _ = killpg(Pid::from_raw(side.child.id().cast_signed()), Signal::SIGKILL);
            let _ = side.child.wait();
        }
    }
}

/// Plays the case `count` messages long.
pub fn measure(rival: &Rival, case: &Case, count: usize, folder: &Path) -> Result<Sample, String> {
    let mut run = Run::new(folder, case.deadline());
    let address = address(case.transport, folder)?;
    let mut arguments = arguments(rival, case, &address, count);
    let mut threads = None;
    if case.is_secure() {
        arguments.push(format!("tls={}", folder.display()));
        // What several connections gain by several threads.
        threads = (case.group == Group::FanIn).then_some(("SPMSG_IO_THREADS", "2"));
    }
    let command = |side: &str| {
        let mut command = Command::new(&rival.program);
        command.args(&arguments).arg(format!("side={side}")).envs(threads);
        command
    };
    if case.transport == "inproc" || rival.name == "pump" {
        run.start(&mut command("both"))?;
    } else {
        run.start(&mut command("far"))?;
        run.until("ready", 1)?;
        run.start(&mut command("near"))?;
    }
    run.finish()?;
    Ok(std::mem::take(&mut run.sample))
}

/// What both sides are told.
pub fn arguments(rival: &Rival, case: &Case, address: &str, count: usize) -> Vec<String> {
    let kind = match case.group {
        Group::Throughput => "thr",
        Group::RoundTrip => "rtt",
        Group::Paced => "paced",
        Group::FanOut => "pub",
        Group::FanIn => "fanin",
        Group::Calls if case.pattern == "push" => "thr",
        Group::Calls => "rtt",
        Group::Clients | Group::Storm | Group::Idle => "clients",
    };
    let warm = (count / 10).clamp(1, 20_000);
    let mut arguments = vec![
        format!("case={kind}"),
        format!("pattern={}", case.pattern),
        format!("address={address}"),
        format!("size={}", case.size),
        format!("count={count}"),
        format!("warm={warm}"),
        format!("peers={}", case.peers),
        format!("pause_us={}", case.pause_us),
        format!("rate={}", case.rate),
        format!("batch={}", case.batch),
    ];
    // The clients' first wave is their warm-up.
    if kind == "clients" {
        arguments.push(format!("warm={}", case.peers));
    }
    arguments.extend(rival.arguments.iter().map(ToString::to_string));
    arguments
}

/// An address that nobody uses.
pub fn address(transport: &str, folder: &Path) -> Result<String, String> {
    match transport {
        "tcp" | "ws" | "tls+tcp" | "wss" => {
            let listener = std::net::TcpListener::bind("127.0.0.1:0");
            let address = listener.and_then(|listener| listener.local_addr());
            Ok(format!(
                "{transport}://127.0.0.1:{}",
                address.map_err(|error| format!("no free port: {error}"))?.port()
            ))
        }
        "ipc" => {
            let path = folder.join("bench.ipc");
            // There is none before the first measurement.
            let _ = std::fs::remove_file(&path);
            Ok(format!("ipc://{}", path.display()))
        }
        _ => Ok("inproc://bench".into()),
    }
}

impl<'a> Run<'a> {
    pub fn new(folder: &'a Path, limit: Duration) -> Run<'a> {
        let (saying, said) = channel();
        Run {
            folder,
            deadline: Instant::now() + limit,
            sides: Vec::new(),
            said,
            saying,
            sample: Sample::new(),
        }
    }

    /// Starts the next side.
    pub fn start(&mut self, command: &mut Command) -> Result<u32, String> {
        use std::os::unix::process::CommandExt;
        let side = self.sides.len();
        let errors =
            File::create(self.errors(side)).map_err(|error| format!("no file for stderr: {error}"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes to the program".into());
        };
        let (saying, id) = (self.saying.clone(), child.id());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody listens after the deadline.
                let _ = saying.send((side, Some(line)));
            }
            let _ = saying.send((side, None));
        });
        self.sides.push(Side { child, input, finished: false, ended: false });
        Ok(id)
    }

    /// Follows the conversation until `times` sides have said `what`.
    pub fn until(&mut self, what: &str, times: usize) -> Result<(), String> {
        let mut left = times;
        while left > 0 {
            let Some((side, line)) = self.next_line()? else { continue };
            let (word, figures) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "sync" => self.tell(NEAR - side, "go"),
                "result" => self.read(figures, "")?,
                "usage" => {
                    self.sides[side].finished = true;
                    self.read(figures, name(side))?;
                }
                _ => {}
            }
            left -= usize::from(word == what);
        }
        Ok(())
    }

    /// Waits for the measurement and asks both sides what they used; the far one first: it may still send.
    pub fn finish(&mut self) -> Result<(), String> {
        self.until("done", self.sides.len())?;
        for side in 0..self.sides.len() {
            // getrusage's peak would include the process that started it.
            let peak = memory_bytes(self.sides[side].child.id(), "VmHWM:")?;
            self.sample.insert(format!("memory_{}", name(side)), peak);
            self.tell(side, "end");
            self.until("usage", 1)?;
        }
        while self.sides.iter().any(|side| !side.ended) {
            self.next_line()?;
        }
        self.wait()
    }

    /// Until the programs are gone: strace closes its output before it writes its report.
    fn wait(&mut self) -> Result<(), String> {
        for side in 0..self.sides.len() {
            while self.sides[side].child.try_wait().map_err(|error| format!("wait: {error}"))?.is_none() {
                if Instant::now() > self.deadline {
                    return Err(self.complaint("does not end, killed;"));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// The next line and who said it; `None` when a side ended that may.
    fn next_line(&mut self) -> Result<Option<(usize, String)>, String> {
        let wait = self.deadline.saturating_duration_since(Instant::now());
        let (side, line) = self.said.recv_timeout(wait).map_err(|_| self.complaint("hangs, killed;"))?;
        if let Some(line) = line {
            return Ok(Some((side, line)));
        }
        self.sides[side].ended = true;
        if self.sides[side].finished { Ok(None) } else { Err(self.complaint("ended early;")) }
    }

    /// What was measured so far.
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// A side that is gone is noticed by what it no longer says.
    fn tell(&mut self, side: usize, word: &str) {
        if let Some(side) = self.sides.get_mut(side) {
            let _ = writeln!(side.input, "{word}");
        }
    }

    /// `KEY=VALUE ...`; what a side uses is kept under its name.
    fn read(&mut self, figures: &str, side: &str) -> Result<(), String> {
        for figure in figures.split_whitespace() {
            let (key, value) = figure.split_once('=').ok_or_else(|| format!("not a figure: {figure}"))?;
            let value: f64 = value.parse().map_err(|_| format!("not a figure: {figure}"))?;
            match key {
                "cpu" | "switches" => *self.sample.entry(format!("{key}_{side}")).or_default() = value,
                _ => *self.sample.entry(key.into()).or_default() = value,
            }
        }
        Ok(())
    }

    fn errors(&self, side: usize) -> std::path::PathBuf {
        self.folder.join(format!("stderr-{side}"))
    }

    fn complaint(&self, what: &str) -> String {
        let texts = (0..self.sides.len()).filter_map(|side| std::fs::read_to_string(self.errors(side)).ok());
        format!("{what} {}", texts.collect::<String>().trim())
    }
}

fn name(side: usize) -> &'static str {
    if side == FAR { "far" } else { "near" }
}

/// A line of /proc/PID/status that is in KiB.
pub fn memory_bytes(process: u32, line: &str) -> Result<f64, String> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).map_err(|error| format!("no {path}: {error}"))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|text| text.split_whitespace().next()).and_then(|text| text.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0).ok_or_else(|| format!("no {line} in {path}"))
}
