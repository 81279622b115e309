//! Runs the whole of the interop tests and writes `docs/interop.md` from what came out.
//!
//! `cargo run -p interop-tests --bin interop-report [RUNS]`
//!
//! RUNS (default 1) is how often everything runs; one failure ends it and nothing is written.

mod page;
mod versions;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use interop_tests::Trouble;
use interop_tests::report::{Line, VARIABLE};

/// The test programs that make cells.
const PROGRAMS: [&str; 9] =
    ["matrix", "raw", "device", "crowd", "restart", "oversize", "topics", "recorded", "nngcat"];

/// What all runs came to.
pub struct Outcome {
    /// The cells of the last run.
    pub lines: Vec<Line>,
    /// How often everything ran, each time without a failure.
    pub runs: usize,
    /// The longest run.
    pub slowest: Duration,
    /// How often a cell began again because a foreign connector hung, over all runs.
    pub again: u64,
}

fn main() {
    let runs = std::env::args().nth(1).map_or(Some(1), |text| text.parse().ok()).filter(|runs| *runs > 0);
    let Some(runs) = runs else {
        eprintln!("usage: interop-report [RUNS]");
        std::process::exit(2);
    };
    if let Err(trouble) = write_page(runs) {
        eprintln!("interop-report: {trouble}");
        std::process::exit(1);
    }
}

fn write_page(runs: usize) -> Result<(), Trouble> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    cargo(&root, &["build", "-p", "spmsg-ffi"], None)?;
    let folder = tempfile::tempdir().map_err(|e| format!("a folder: {e}"))?;
    let mut outcome = Outcome { lines: Vec::new(), runs, slowest: Duration::ZERO, again: 0 };
    for run in 1..=runs {
        let file = folder.path().join(format!("cells-{run}"));
        let start = Instant::now();
        let mut words = vec!["test", "-q", "-p", "interop-tests"];
        words.extend(PROGRAMS.iter().flat_map(|program| ["--test", program]));
        cargo(&root, &words, Some(&file))?;
        outcome.lines = read(&file)?;
        outcome.again += outcome.lines.iter().map(|line| line.again).sum::<u64>();
        outcome.slowest = outcome.slowest.max(start.elapsed());
        println!("run {run} of {runs}: {} cells, {} s", outcome.lines.len(), start.elapsed().as_secs());
    }
    let text = page::write(&outcome, &versions::all()?)?;
    let page = root.join("docs/interop.md");
    std::fs::write(&page, text).map_err(|e| format!("{}: {e}", page.display()))
}

fn cargo(root: &Path, words: &[&str], report: Option<&PathBuf>) -> Result<(), Trouble> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(words);
    if let Some(file) = report {
        command.env(VARIABLE, file);
    }
    let status = command.status().map_err(|e| format!("cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed: {status}", words.join(" "))) }
}

fn read(file: &Path) -> Result<Vec<Line>, Trouble> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let lines: Option<Vec<Line>> = text.lines().map(Line::parse).collect();
    let lines = lines.ok_or("a line of the report is broken")?;
    match lines.iter().find(|line| !line.passed) {
        Some(line) => Err(format!("{}: {} failed", line.title, line.name)),
        None => Ok(lines),
    }
}
