//! Installs the library into scratch folders, as `make install` does, and lets programs find it there by
//! pkg-config, by CMake, statically, and as the library that a program made for nanomsg asks for.
//!
//! Needed: a C compiler, make, and `apt-get install -y pkg-config cmake nanomsg-utils binutils`.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

const TOOLS: &str = "apt-get install -y gcc make pkg-config cmake nanomsg-utils binutils";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const NANOMSG_VERSION: &str = "1.2.1";

/// By these names programs of every nanomsg release look for their library.
const NANOMSG_NAMES: [&str; 6] = [
    "libnanomsg.so",
    "libnanomsg.so.5",
    "libnanomsg.so.5.0.0",
    "libnanomsg.so.5.1.0",
    "libnanomsg.so.6",
    "libnanomsg.so.6.0.1",
];

const CMAKE_LISTS: &str = "\
cmake_minimum_required(VERSION 3.13)
project(hello C)
find_package(@PACKAGE@ @WISH@ REQUIRED)
message(STATUS \"found @PACKAGE@ ${@PACKAGE@_VERSION} in ${@PACKAGE@_LIBDIR} and ${@PACKAGE@_INCDIR}\")
add_executable(hello @SOURCE@)
target_link_libraries(hello @TARGET@)
";

#[test]
fn everything_is_in_its_place_and_uninstall_removes_it() {
    let scratch = scratch();
    let mut make = make("install", Path::new("/usr"));
    make.arg(format!("DESTDIR={}", scratch.path().display())).arg("LIBDIR=/usr/lib/multiarch");
    output(&mut make);

    let lib = scratch.path().join("usr/lib/multiarch");
    let real = lib.join(real_name()).canonicalize().expect("the library");
    for name in ["libspmsg.so", "libspmsg.so.1"] {
        assert_eq!(lib.join(name).canonicalize().expect(name), real);
    }
    for name in NANOMSG_NAMES {
        let link = lib.join("spmsg/compat").join(name);
        assert!(fs::read_link(&link).expect(name).is_relative(), "{name} would not survive a move");
        assert_eq!(link.canonicalize().expect(name), real);
    }
    let dynamic = output(command("readelf", &["-d"]).arg(&real));
    assert!(dynamic.contains("[libspmsg.so.1]"), "{dynamic}");
    let include = scratch.path().join("usr/include");
    assert_eq!(names(&include.join("nanomsg")), names(&root().join("include/nanomsg")));
    let modules = [lib.join("pkgconfig"), lib.join("spmsg/compat/pkgconfig")];
    for (folder, module) in modules.iter().zip(["spmsg", "nanomsg"]) {
        let flags = output(pkg_config(folder).args(["--cflags", "--libs", module]));
        assert_flags_lead_to(&flags, &include, &lib);
    }

    let mut make = make_uninstall(scratch.path());
    output(&mut make);
    assert_eq!(files_below(scratch.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_c_program_builds_through_pkg_config_and_runs() {
    let (scratch, lib) = installed();
    let compat = lib.join("spmsg/compat");
    for (module, version, folder) in [("spmsg", VERSION, &lib), ("nanomsg", NANOMSG_VERSION, &compat)] {
        let folder = folder.join("pkgconfig");
        let reported = output(pkg_config(&folder).args(["--modversion", module]));
        assert_eq!(reported.trim(), version, "{module}");

        let flags = output(pkg_config(&folder).args(["--cflags", "--libs", module]));
        let program = scratch.path().join(format!("hello-{module}"));
        compile(&program, flags.split_whitespace());
        serves(command_with_libraries(&program, &lib), scratch.path(), &lib);
    }

    let flags = output(pkg_config(&lib.join("pkgconfig")).args(["--static", "--cflags", "--libs", "spmsg"]));
    let program = scratch.path().join("hello-static");
    let archive = lib.join("libspmsg.a").display().to_string();
    compile(&program, flags.split_whitespace().map(|flag| if flag == "-lspmsg" { &archive } else { flag }));
    let dynamic = output(command("readelf", &["-d"]).arg(&program));
    assert!(!dynamic.contains("libspmsg"), "{dynamic}");
    let server = Server::start(Command::new(&program), scratch.path());
    assert_eq!(server.answer(), "volume 7 is fine");
}

#[test]
fn a_c_program_builds_through_cmake_and_runs() {
    let (scratch, lib) = installed();
    let prefix = lib.parent().expect("the prefix").to_path_buf();
    let compat = lib.join("spmsg/compat/cmake");
    let nanomsg = compat.join(format!("nanomsg-{NANOMSG_VERSION}"));
    let cases = [
        ("spmsg", "0.1", "spmsg::spmsg", format!("-DCMAKE_PREFIX_PATH={}", prefix.display())),
        ("nanomsg", "1.1.3", "nanomsg", format!("-DCMAKE_PREFIX_PATH={}", compat.display())),
        ("nanomsg", "", "nanomsg", format!("-Dnanomsg_DIR={}", nanomsg.display())),
    ];
    for (number, (package, wish, target, hint)) in cases.into_iter().enumerate() {
        let project = scratch.path().join(format!("project-{number}"));
        let found = configure(&project, package, wish, target, &hint);
        let version = if package == "spmsg" { VERSION } else { NANOMSG_VERSION };
        assert!(found.contains(&format!("found {package} {version} in ")), "{found}");
        output(command("cmake", &["--build"]).arg(project.join("build")));
        serves(Command::new(project.join("build/hello")), scratch.path(), &lib);
    }

    // A newer one than there is, or another major version, is refused.
    for wish in ["1.3", "2.0"] {
        let project = scratch.path().join(format!("project-{wish}"));
        let lists = write_project(&project, "nanomsg", wish, "nanomsg");
        let mut cmake = command("cmake", &["-S"]);
        cmake
            .arg(lists)
            .arg("-B")
            .arg(project.join("build"))
            .arg(format!("-Dnanomsg_DIR={}", nanomsg.display()));
        let refused = cmake.output().expect("cmake ran before");
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains("version"), "another reason: {refused:?}");
    }
}

#[test]
fn a_binary_made_for_nanomsg_runs_with_this_library() {
    let (scratch, lib) = installed();
    let mut nanocat = command_with_libraries(Path::new("nanocat"), &lib.join("spmsg/compat"));
    let address = format!("ipc://{}", scratch.path().join("nanocat").display());
    nanocat.args(["--rep", "--bind", &address, "--data", "volume 7 is fine", "--ascii"]);
    let server = Server { process: spawn(&mut nanocat), address };
    assert_eq!(server.answer(), "volume 7 is fine");
    server.assert_library(&lib);
}

/// Starts an example server, asks it, and checks which library it runs with.
fn serves(program: Command, folder: &Path, lib: &Path) {
    let server = Server::start(program, folder);
    assert_eq!(server.answer(), "volume 7 is fine");
    server.assert_library(lib);
}

/// A server that answers requests; killed when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Runs an example server and waits until it serves.
    fn start(mut program: Command, folder: &Path) -> Server {
        let address = format!("ipc://{}", folder.join("hello").display());
        let mut process = spawn(program.arg(&address));
        let mut line = String::new();
        let pipe = process.stdout.take().expect("a pipe");
        BufReader::new(pipe).read_line(&mut line).expect("text");
        assert_eq!(line, format!("serving at {address}\n"));
        Server { process, address }
    }

    /// Asks with nanocat, which uses nanomsg's own library.
    fn answer(&self) -> String {
        let args = ["--req", "--send-timeout", "20", "--recv-timeout", "20", "--ascii", "--data", "volume 7"];
        let mut nanocat = command("nanocat", &args);
        nanocat.env_remove("LD_LIBRARY_PATH").args(["--connect", &self.address]);
        output(&mut nanocat).trim().to_string()
    }

    /// The process has mapped the installed library, and nothing that is called nanomsg.
    fn assert_library(&self, lib: &Path) {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.process.id())).expect("a living process");
        let library = lib.join(real_name()).canonicalize().expect("the library");
        assert!(maps.contains(&library.display().to_string()), "{maps}");
        assert!(!maps.contains("libnanomsg"), "{maps}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configure(project: &Path, package: &str, wish: &str, target: &str, hint: &str) -> String {
    let lists = write_project(project, package, wish, target);
    output(command("cmake", &["-S"]).arg(lists).arg("-B").arg(project.join("build")).arg(hint))
}

fn write_project<'a>(project: &'a Path, package: &str, wish: &str, target: &str) -> &'a Path {
    let source = hello_source().display().to_string();
    let lists = CMAKE_LISTS
        .replace("@PACKAGE@", package)
        .replace("@WISH@", wish)
        .replace("@TARGET@", target)
        .replace("@SOURCE@", &source);
    fs::create_dir(project).expect("a writable folder");
    fs::write(project.join("CMakeLists.txt"), lists).expect("a writable folder");
    project
}

fn compile<'a>(program: &Path, flags: impl Iterator<Item = &'a str>) {
    let mut cc = command("cc", &["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]);
    output(cc.arg(hello_source()).arg("-o").arg(program).args(flags));
}

/// The folders in compiler flags exist and are the installed ones.
fn assert_flags_lead_to(flags: &str, include: &Path, lib: &Path) {
    let folders = |prefix: &str| -> Vec<PathBuf> {
        let folders = flags.split_whitespace().filter_map(|flag| flag.strip_prefix(prefix));
        folders.map(|folder| Path::new(folder).canonicalize().expect(folder)).collect()
    };
    assert_eq!(folders("-I"), [include.canonicalize().expect("headers")], "{flags}");
    let [libraries] = folders("-L").try_into().expect("one folder of libraries");
    assert!(libraries.starts_with(lib.canonicalize().expect("libraries")), "{flags}");
    assert_eq!(
        libraries.join("libspmsg.so.1").canonicalize().ok(),
        lib.join(real_name()).canonicalize().ok()
    );
}

/// A scratch folder and the folder of libraries in it after `make install`.
fn installed() -> (TempDir, PathBuf) {
    let scratch = scratch();
    let prefix = scratch.path().join("prefix");
    output(&mut make("install", &prefix));
    (scratch, prefix.join("lib"))
}

fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("spmsg-install-").tempdir().expect("a temporary folder")
}

/// `make install` or `make uninstall` with the library that was built for the tests.
fn make(target: &str, prefix: &Path) -> Command {
    let mut make = command("make", &["--no-print-directory", "-C"]);
    make.arg(root()).arg(target).arg(format!("PREFIX={}", prefix.display())).env("BUILT", built());
    // Nothing of a make that runs the tests reaches this one.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LIBDIR", "DESTDIR"] {
        make.env_remove(variable);
    }
    make
}

fn make_uninstall(scratch: &Path) -> Command {
    let mut make = make("uninstall", Path::new("/usr"));
    make.arg(format!("DESTDIR={}", scratch.display())).arg("LIBDIR=/usr/lib/multiarch");
    make
}

fn pkg_config(folder: &Path) -> Command {
    let mut command = command("pkg-config", &[]);
    command
        .env("PKG_CONFIG_LIBDIR", folder)
        .env_remove("PKG_CONFIG_PATH")
        .env_remove("PKG_CONFIG_SYSROOT_DIR");
    command
}

fn command_with_libraries(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", folder);
    command
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().unwrap_or_else(|error| fail(command, &error))
}

/// Runs a command to its end and gives its standard output. A missing tool fails with what installs it.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| fail(command, &error));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}

fn fail(command: &Command, error: &std::io::Error) -> ! {
    if error.kind() == ErrorKind::NotFound {
        panic!("{:?} is missing; install it with: {TOOLS}", command.get_program());
    }
    panic!("{command:?}: {error}");
}

fn real_name() -> String {
    format!("libspmsg.so.1.{VERSION}")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

/// Every file and link below a folder; folders themselves are not counted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(name);
        if path.symlink_metadata().expect("it was just listed").is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the workspace")
}

fn hello_source() -> PathBuf {
    root().join("examples/c/hello.c")
}

/// The folder with the libraries, brought up to date once. Cargo builds no cdylib for a package's own
/// tests, so this builds it where the tests themselves were built: this program is
/// `<target>/[<triple>/]<profile>/deps/install-...`.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = env::current_exe().expect("the path of this program");
        let place = program.ancestors().nth(2).expect("cargo's folders");
        let mut target = place.parent().expect("cargo's folders");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--lib", "--manifest-path"]).arg(root().join("ffi/Cargo.toml"));
        if !target.join("CACHEDIR.TAG").exists() {
            cargo.arg("--target").arg(target.file_name().expect("the triple"));
            target = target.parent().expect("cargo's folders");
        }
        let profile = place.file_name().unwrap_or(OsStr::new("debug"));
        cargo.arg("--profile").arg(if profile == "debug" { OsStr::new("dev") } else { profile });
        output(cargo.arg("--target-dir").arg(target));
        place.to_path_buf()
    })
}
