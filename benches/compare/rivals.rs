//! Who takes part: how a rival's program is built, and with which options it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{Case, Group};
use crate::special;

/// A program that plays the cases.
pub struct Rival {
    pub name: &'static str,
    /// How it is tuned, for the reader of the output.
    pub options: &'static str,
    pub program: PathBuf,
    pub arguments: &'static [&'static str],
}

/// Names and tuning in the order of the columns; ours are first.
pub const RIVALS: [(&str, &str, &[&str]); 9] = [
    ("spmsg-c", "nn_send and nn_recv of libspmsg, default options", &[]),
    (
        "spmsg-rust",
        "Socket::send and Socket::recv, default options; clones of one Message from 16 KiB up",
        &[],
    ),
    (
        "nanomsg",
        "NN_TCP_NODELAY; NN_SNDBUF and NN_RCVBUF of 1 MiB from 64 KiB up, where they help",
        &["buffer=1048576"],
    ),
    ("nng", "nng_send and nng_recv, queues of 1024 messages (64 from 64 KiB up), TCP_NODELAY", &[]),
    ("zmq", "no high-water marks (64 messages at 1 MiB), ZMQ_IMMEDIATE, one I/O thread, batching on", &[]),
    ("mangos", "queues of 1024 messages (64 from 64 KiB up), TCP_NODELAY", &[]),
    ("bare", "blocking sockets; throughput with up to 1000 messages or 256 KiB to a write", &[]),
    ("pump", "rustls on blocking sockets, two threads to a connection, in one process", &[]),
    ("bare-spin", "sockets that are read without ever sleeping", &["spin=1"]),
];

impl Rival {
    /// Whether the case exists for it: bare sockets have no inproc and no server for storms, and spin where
    /// time is measured and nobody pauses. TLS is measured against the bare pump of large blocks.
    pub fn plays(&self, case: &Case) -> bool {
        let ours = self.name.starts_with("spmsg");
        match (self.name, case.group) {
            ("pump", _) => case.transport == "tls+tcp" && case.size >= 1 << 16,
            _ if case.is_secure() => ours,
            ("zmq" | "bare" | "bare-spin", _) if case.transport == "ws" => false,
            ("bare" | "bare-spin", _) if case.transport == "inproc" => false,
            ("bare", group) => !matches!(group, Group::Storm | Group::Idle),
            ("bare-spin", group) => matches!(group, Group::RoundTrip | Group::Paced) && case.pause_us == 0,
            _ => true,
        }
    }
}

/// Builds the programs of the rivals named, in the order of the columns.
pub fn build(names: &[String], folder: &Path) -> Result<Vec<Rival>, String> {
    if let Some(unknown) = names.iter().find(|name| !RIVALS.iter().any(|rival| rival.0 == **name)) {
        return Err(format!(
            "no rival is called {unknown}; there are {}",
            RIVALS.map(|rival| rival.0).join(", ")
        ));
    }
    cc("storm.c", &special::storm_program(folder), &[], "gcc")?;
    let chosen = RIVALS.iter().filter(|rival| names.iter().any(|name| name == rival.0));
    chosen
        .map(|&(name, options, arguments)| {
            Ok(Rival { name, options, program: program(name, folder)?, arguments })
        })
        .collect()
}

fn program(name: &str, folder: &Path) -> Result<PathBuf, String> {
    let out = folder.join(format!("bench-{name}"));
    match name {
        "spmsg-c" => spmsg(folder, &out)?,
        "spmsg-rust" => return Ok(PathBuf::from(env!("CARGO_BIN_EXE_bench-spmsg"))),
        "pump" => return Ok(PathBuf::from(env!("CARGO_BIN_EXE_bench-pump"))),
        "nanomsg" => cc("bench_nn.c", &out, &["-lnanomsg"], "libnanomsg-dev")?,
        "nng" => cc("bench_nng.c", &out, &["-lnng"], "libnng-dev")?,
        "zmq" => cc("bench_zmq.c", &out, &["-lzmq"], "libzmq3-dev")?,
        "mangos" => go(&out)?,
        _ => cc("bench_bare.c", &out, &[], "libc6-dev")?,
    }
    Ok(out)
}

/// The nn program on this tree's library, which is built first.
fn spmsg(folder: &Path, out: &Path) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "-p", "spmsg-ffi"]).current_dir(root());
    succeed(&mut build, "cargo build --release -p spmsg-ffi")?;
    let library = Path::new(env!("CARGO_BIN_EXE_bench-spmsg")).with_file_name("libspmsg.so");
    let link = folder.join("libspmsg.so.1");
    std::os::unix::fs::symlink(&library, &link)
        .map_err(|error| format!("cannot link {}: {error}", link.display()))?;
    let include = root().join("include");
    let rpath = format!("-Wl,-rpath,{}", folder.display());
    cc("bench_nn.c", out, &["-I", &text(&include), &text(&link), &rpath], "gcc")
}

fn cc(source: &str, out: &Path, arguments: &[&str], package: &str) -> Result<(), String> {
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-o"]).arg(out).arg(programs().join(source));
    succeed(cc.args(arguments).arg("-lpthread"), &format!("sh scripts/bench.sh installs {package}"))
}

fn go(out: &Path) -> Result<(), String> {
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(out).arg(".").current_dir(programs().join("mangos"));
    succeed(&mut go, "sh scripts/bench.sh installs golang-go")
}

fn succeed(command: &mut Command, hint: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}; {hint}")),
        Err(error) => Err(format!("{command:?}: {error}; {hint}")),
    }
}

fn root() -> PathBuf {
    programs().join("../..")
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
