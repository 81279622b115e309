//! Compiles the C programs in `tests/c` against `include/` and the shared library, and runs each of them.
//!
//! `SPMSG_TEST_LIB=/path/to/lib.so cargo test -p spmsg-ffi --test abi` runs them against another build of the
//! library. Needed: a C and a C++ compiler, `nm` and `readelf`.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// How long one program may run; its own alarm, at 100 s, comes first and names the case that hangs.
const DEADLINE: Duration = Duration::from_secs(150);

const HEADERS: [&str; 12] = [
    "nn.h",
    "inproc.h",
    "ipc.h",
    "tcp.h",
    "tls.h",
    "ws.h",
    "pair.h",
    "pubsub.h",
    "reqrep.h",
    "pipeline.h",
    "survey.h",
    "bus.h",
];

/// The whole exported interface: 23 documented functions, `nn_init`, and our own two extensions.
const EXPORTED: [&str; 26] = [
    "nn_allocmsg",
    "nn_bind",
    "nn_close",
    "nn_cmsg_nxthdr_",
    "nn_connect",
    "nn_device",
    "nn_errno",
    "nn_freemsg",
    "nn_get_statistic",
    "nn_getsockopt",
    "nn_init",
    "nn_poll",
    "nn_reallocmsg",
    "nn_recv",
    "nn_recvmsg",
    "nn_send",
    "nn_sendmsg",
    "nn_setsockopt",
    "nn_shutdown",
    "nn_socket",
    "nn_strerror",
    "nn_symbol",
    "nn_symbol_info",
    "nn_term",
    "spmsg_io_threads",
    "spmsg_spin",
];

macro_rules! programs {
    ($($name:ident)*) => {
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                run_program(stringify!($name));
            }
        )*
    };
}

programs! {
    addresses
    cmsg
    descriptors
    devices
    environment
    flushing
    fork
    headers
    inproc
    large
    levels
    lifecycle
    linger
    load
    memory
    messages
    options
    pair_pipeline
    pubsub_bus
    readiness
    request_survey
    scatter
    signals
    socket
    stats
    symbols
    threads
    tls
    ws
    wss
}

#[test]
fn every_c_program_has_a_test() {
    let found: BTreeSet<String> = fs::read_dir(sources())
        .expect("tests/c is part of the repository")
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned())
        .collect();
    let listed: BTreeSet<String> = PROGRAMS.iter().map(|name| name.to_string()).collect();
    assert_eq!(found, listed);
}

#[test]
fn each_header_compiles_alone_as_c99_and_as_cpp() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nested = include().join("nanomsg");
    for header in HEADERS {
        compile_header(&folder, &format!("#include <nanomsg/{header}>\n"), &include());
        compile_header(&folder, &format!("#include \"{header}\"\n"), &nested);
        let twice = format!("#include <nanomsg/{header}>\n#include <nanomsg/{header}>\n");
        compile_header(&folder, &twice, &include());
    }
    compile_header(&folder, "#include <spmsg.h>\n", &include());
}

#[test]
fn the_headers_are_exactly_those_that_nanomsg_installs_and_ours() {
    let found: BTreeSet<String> = fs::read_dir(include().join("nanomsg"))
        .expect("include/nanomsg is part of the repository")
        .map(|entry| entry.expect("readable folder").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, HEADERS.iter().map(|name| name.to_string()).collect());
}

#[test]
fn nn_export_can_be_predefined() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A second definition in the header would be a warning, and so an error.
    let program =
        "#define NN_EXPORT extern __attribute__((visibility(\"default\")))\n#include <nanomsg/nn.h>\n";
    compile_header(&folder, program, &include());
}

#[test]
fn exactly_the_public_names_are_exported() {
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only"]).arg(library());
    let listing = text(finish(nm, "apt-get install binutils"));
    let names: BTreeSet<&str> = listing.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(names, EXPORTED.into_iter().collect());
}

#[test]
fn the_soname_is_libspmsg_so_1() {
    assert_eq!(dynamic_entries("SONAME"), ["libspmsg.so.1"]);
}

#[test]
fn the_library_needs_nothing_but_the_c_runtime() {
    for needed in dynamic_entries("NEEDED") {
        let known =
            ["libc.so", "libgcc_s.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux"];
        assert!(known.iter().any(|name| needed.starts_with(name)), "the library needs {needed}");
    }
}

fn dynamic_entries(kind: &str) -> Vec<String> {
    let mut readelf = Command::new("readelf");
    readelf.args(["-d", "-W"]).arg(library());
    text(finish(readelf, "apt-get install binutils"))
        .lines()
        .filter(|line| line.contains(&format!("({kind})")))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect()
}

/// Compiles one translation unit, as C99 and as C++, with every warning an error.
fn compile_header(folder: &TempDir, unit: &str, include: &Path) {
    for (compiler, standard, extension, package) in
        [("cc", "-std=c99", "c", "gcc"), ("c++", "-std=c++98", "cc", "g++")]
    {
        let source = folder.path().join(format!("unit.{extension}"));
        // Headers of constants only would leave a unit that declares nothing, which C99 forbids.
        fs::write(&source, format!("{unit}extern int unit;\n")).expect("a writable temporary folder");
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]);
        if extension == "cc" {
            // C++98 has no long long, but the system's own stdint.h does.
            command.arg("-Wno-long-long");
        }
        command.arg("-I").arg(include).arg(&source);
        let output = finish(command, &format!("apt-get install {package}"));
        assert!(
            output.status.success(),
            "{compiler} refuses\n{unit}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Compiles and runs one program in a folder of its own; its output is shown if it fails.
fn run_program(name: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = compile_program(name, folder.path());
    let work = folder.path().join("work");
    fs::create_dir(&work).expect("a writable temporary folder");
    if ["tls", "wss"].contains(&name) {
        write_certificates(&work);
    }
    let log = folder.path().join("log");
    let out = File::create(&log).expect("a writable temporary folder");
    let mut command = Command::new(&program);
    // A group of its own, so that the deadline ends the processes it started as well.
    command.current_dir(&work).stdin(Stdio::null()).process_group(0);
    command.env_remove("NN_PRINT_ERRORS");
    command.stdout(out.try_clone().expect("a descriptor")).stderr(out);
    let mut child = command.spawn().expect("the program was just compiled");
    let end = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if Instant::now() > end {
            let group = format!("-{}", child.id());
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .status()
                .expect("kill is part of every system");
            child.wait().expect("a child of ours");
            panic!("{name} ran longer than {DEADLINE:?}\n{}", read_lossy(&log));
        }
        sleep(Duration::from_millis(5));
    };
    let output = read_lossy(&log);
    assert!(status.success(), "{name} ended with {status}\n{output}");
    assert!(output.lines().any(|line| line.starts_with("ok ")), "{name} ran no case");
}

/// The files of `tls.c` and `wss.c`.
fn write_certificates(folder: &Path) {
    let params = |name: &str| {
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), format!("{name}.example.org")])
            .expect("valid names");
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let write = |name: String, text: String| fs::write(folder.join(name), text).expect("a writable folder");
    let mut authority = params("authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    write("ca.pem".into(), authority.self_signed(&key).expect("a certificate").pem());
    let issuer = Issuer::new(authority, key);
    for name in ["server", "renewed", "client", "stranger"] {
        let key = KeyPair::generate().expect("a key");
        let certificate = match name {
            "stranger" => params(name).self_signed(&key),
            _ => params(name).signed_by(&key, &issuer),
        };
        write(format!("{name}.pem"), certificate.expect("a certificate").pem());
        write(format!("{name}.key"), key.serialize_pem());
    }
}

fn compile_program(name: &str, folder: &Path) -> PathBuf {
    let shared = folder.join("libspmsg.so.1");
    symlink(library(), &shared).expect("a writable temporary folder");
    let program = folder.join(name);
    let mut command = Command::new("cc");
    command.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-D_GNU_SOURCE", "-g"]);
    command.arg("-I").arg(include()).arg(sources().join(format!("{name}.c"))).arg("-o").arg(&program);
    command.arg(&shared).arg(format!("-Wl,-rpath,{}", folder.display())).arg("-lpthread");
    let output = finish(command, "apt-get install gcc");
    assert!(
        output.status.success(),
        "{name}.c does not compile\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

/// Runs a tool to its end. A tool that is missing fails the test with the command that installs it.
fn finish(mut command: Command, install: &str) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{:?} is missing; install it with: {install}", command.get_program())
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("names are ASCII")
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("the program's output")).into_owned()
}

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> PathBuf {
    manifest().join("tests/c")
}

fn include() -> PathBuf {
    manifest().parent().expect("the package is a folder of the workspace").join("include")
}

/// The shared library under test, brought up to date once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| match env::var_os("SPMSG_TEST_LIB") {
        Some(path) => PathBuf::from(path).canonicalize().expect("SPMSG_TEST_LIB names a library"),
        None => build_library(),
    })
}

/// Cargo builds no cdylib for a package's own tests, so this builds it where the tests themselves were built:
/// `<target>/[<triple>/]<profile>/deps/abi-…` is this program.
fn build_library() -> PathBuf {
    let program = env::current_exe().expect("the path of this program");
    let place = program.ancestors().nth(2).expect("cargo's folders");
    let mut target = place.parent().expect("cargo's folders");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--lib", "--manifest-path"]).arg(manifest().join("Cargo.toml"));
    if !target.join("CACHEDIR.TAG").exists() {
        command.arg("--target").arg(target.file_name().expect("the triple"));
        target = target.parent().expect("cargo's folders");
    }
    let profile = place.file_name().expect("the profile").to_string_lossy();
    command.arg("--profile").arg(if profile == "debug" { "dev" } else { &*profile });
    command.arg("--target-dir").arg(target);
    let output = finish(command, "curl https://sh.rustup.rs | sh");
    assert!(
        output.status.success(),
        "the library does not build\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    place.join("libspmsg.so")
}
