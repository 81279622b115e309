//! spmsg against nanomsg, through the same C program linked once with each library.
//!
//! One interleaved run: every case is run for each library in turn, round after round, and the medians are compared,
//! so that a machine that changes its pace changes it for both. `make bench` runs it; `-- --quick` takes fewer rounds.
//! The ratios are what counts; absolute figures belong to the machine.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// A case: what is measured, over what, with which size, how often.
struct Case {
    kind: &'static str,
    transport: &'static str,
    size: usize,
    count: usize,
}

const LIBRARIES: [&str; 2] = ["spmsg", "nanomsg"];

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, divisor) = if quick { (3, 4) } else { (7, 1) };
    let folder = tempfile::tempdir().unwrap_or_else(|error| fail(&format!("no temporary folder: {error}")));
    let programs = LIBRARIES.map(|library| compile(library, folder.path()));
    let cases = cases(divisor);
    println!("medians of {rounds} interleaved rounds; thr in messages/s, lat in us per round trip\n");
    println!("{:<28} {:>12} {:>12} {:>8}", "case", LIBRARIES[0], LIBRARIES[1], "ratio");
    let mut slower = 0;
    for case in &cases {
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (program, figures) in programs.iter().zip(&mut figures) {
                figures.push(run(program, case, folder.path()));
            }
        }
        let [ours, theirs] = figures.map(median);
        let ratio = if case.kind == "lat" { theirs / ours } else { ours / theirs };
        slower += usize::from(ratio < 1.0);
        let name = format!("{} {} {} B", case.kind, case.transport, case.size);
        println!("{name:<28} {ours:>12.1} {theirs:>12.1} {ratio:>7.2}x");
    }
    println!("\nratio above 1 means that spmsg is ahead; cases behind: {slower} of {}", cases.len());
}

fn cases(divisor: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for transport in ["tcp", "ipc", "inproc"] {
        for (size, throughput, round_trips) in
            [(64, 400_000, 8_000), (1024, 300_000, 8_000), (65_536, 16_000, 3_000)]
        {
            cases.push(Case { kind: "thr", transport, size, count: throughput / divisor });
            cases.push(Case { kind: "lat", transport, size, count: round_trips / divisor });
        }
    }
    cases
}

/// Builds the program with one of the libraries.
fn compile(library: &str, folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join(format!("nn_bench-{library}"));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-o"]).arg(&program).arg(root.join("benches/nn_bench.c"));
    if library == "spmsg" {
        let built = library_folder();
        let link = folder.join("libspmsg.so.1");
        let target = built.join("libspmsg.so");
        if !target.exists() {
            fail(&format!("{} is missing: cargo build --release -p spmsg-ffi", target.display()));
        }
        if let Err(error) = std::os::unix::fs::symlink(&target, &link) {
            fail(&format!("cannot link {}: {error}", link.display()));
        }
        cc.arg("-I").arg(root.join("include")).arg(&link).arg(format!("-Wl,-rpath,{}", folder.display()));
    } else {
        cc.arg("-lnanomsg");
    }
    match cc.arg("-lpthread").status() {
        Ok(status) if status.success() => program,
        _ => fail(&format!("cannot build the program with {library}: apt-get install -y gcc libnanomsg-dev")),
    }
}

/// Where cargo puts the release build: the folder above this program's own.
fn library_folder() -> PathBuf {
    let me = std::env::current_exe().unwrap_or_default();
    me.ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

fn run(program: &Path, case: &Case, folder: &Path) -> f64 {
    let address = match case.transport {
        "tcp" => format!("tcp://127.0.0.1:{}", free_port()),
        "ipc" => format!("ipc://{}/bench.ipc", folder.display()),
        _ => "inproc://bench".to_owned(),
    };
    let arguments = [case.kind.to_owned(), address, case.size.to_string(), case.count.to_string()];
    let output = Command::new("timeout").arg("120").arg(program).args(&arguments).output();
    let Ok(output) = output else { fail("cannot run timeout(1)") };
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(figure) if output.status.success() => figure,
        _ => fail(&format!(
            "{} {} failed: {text} {}",
            program.display(),
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    match listener.and_then(|listener| listener.local_addr()) {
        Ok(address) => address.port(),
        Err(error) => fail(&format!("no free port: {error}")),
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn fail(why: &str) -> ! {
    eprintln!("bench: {why}");
    exit(1);
}
