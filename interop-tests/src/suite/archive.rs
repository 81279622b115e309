//! nanomsg's sources: the npm package `nanomsg` carries release 1.1.0 whole, with tests and perf programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::library::{Library, profile_folder};
use crate::Trouble;

const PACKAGE: &str = "nanomsg@4.2.1";
const FILE: &str = "nanomsg-4.2.1.tgz";
const SHA256: &str = "21830e35c52724d36392f7105c8441e835404304b0f353b6022937f4473164a2";

/// Where nanomsg lies in the package.
const ROOT: &str = "package/deps/nanomsg";

/// The headers that nanomsg installs; its programs include them as `../src/NAME`.
const PUBLIC_HEADERS: [&str; 11] = [
    "bus.h",
    "inproc.h",
    "ipc.h",
    "nn.h",
    "pair.h",
    "pipeline.h",
    "pubsub.h",
    "reqrep.h",
    "survey.h",
    "tcp.h",
    "ws.h",
];

/// Which programs of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its test suite.
    Tests,
    /// Its performance programs.
    Perf,
}

impl Part {
    fn folder(self) -> &'static str {
        match self {
            Part::Tests => "tests",
            Part::Perf => "perf",
        }
    }
}

/// An unpacked copy in which the public headers are those under test; it goes away when this is dropped.
pub struct Workshop {
    folder: TempDir,
    library: Library,
}

impl Workshop {
    /// Unpack the archive into a fresh folder and put the headers under test into it.
    pub fn open() -> Result<Workshop, Trouble> {
        let archive = archive()?;
        let library = Library::find()?;
        let folder = fresh_folder()?;
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(archive).arg("-C").arg(folder.path()).arg(ROOT);
        run(&mut tar, "tar: apt-get install -y tar gzip")?;
        let workshop = Workshop { folder, library };
        workshop.replace_headers()?;
        Ok(workshop)
    }

    /// The library that the programs are linked with.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The programs of a part, by the names of their sources.
    pub fn programs(&self, part: Part) -> Result<Vec<String>, Trouble> {
        let folder = self.root().join(part.folder());
        let entries = std::fs::read_dir(&folder).map_err(|e| trouble(&folder, e))?;
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| trouble(&folder, e))?.path();
            if path.extension().is_some_and(|e| e == "c") {
                names.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Compile a program and link it with the library under test.
    pub fn build(&self, part: Part, name: &str) -> Result<PathBuf, Trouble> {
        let source = self.root().join(part.folder()).join(format!("{name}.c"));
        let program = self.folder.path().join(name);
        let mut cc = Command::new("cc");
        // An undeclared or differently declared function is an error: the headers are under test too.
        cc.args(["-std=gnu99", "-O1", "-pthread", "-Werror=implicit-function-declaration"]);
        cc.args(["-Werror=int-conversion", "-Werror=incompatible-pointer-types"]);
        // What nanomsg's own build finds out about Linux.
        cc.args(["-D_GNU_SOURCE", "-DNN_HAVE_LINUX", "-DNN_HAVE_GCC_ATOMIC_BUILTINS"]);
        cc.args(["-DNN_HAVE_CLOCK_MONOTONIC", "-DNN_HAVE_BACKTRACE=1"]);
        let links = self.library.links();
        cc.arg(&source).arg("-o").arg(&program).arg("-L").arg(links).arg("-lspmsg");
        cc.arg(format!("-Wl,-rpath,{}", links.display()));
        run(&mut cc, "cc: apt-get install -y gcc libc6-dev")?;
        Ok(program)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(ROOT)
    }

    /// By whole paths: a header that we lacked must not be taken from the system's nanomsg.
    fn replace_headers(&self) -> Result<(), Trouble> {
        let ours = self.library.include().join("nanomsg");
        for name in PUBLIC_HEADERS {
            let (theirs, ours) = (self.root().join("src").join(name), ours.join(name));
            for header in [&theirs, &ours] {
                if !header.exists() {
                    return Err(format!("{} is missing", header.display()));
                }
            }
            let text = format!("#include \"{}\"\n", ours.display());
            std::fs::write(&theirs, text).map_err(|e| trouble(&theirs, e))?;
        }
        Ok(())
    }
}

/// The archive, downloaded at the first call that finds none, and checked once in every process.
fn archive() -> Result<&'static Path, Trouble> {
    static ARCHIVE: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
    ARCHIVE.get_or_init(fetch).as_deref().map_err(Clone::clone)
}

fn fetch() -> Result<PathBuf, Trouble> {
    let cache = profile_folder()?.join("../nanomsg-archive");
    std::fs::create_dir_all(&cache).map_err(|e| trouble(&cache, e))?;
    let archive = cache.join(FILE);
    if !archive.exists() {
        download(&cache, &archive)?;
    }
    check(&archive)?;
    Ok(archive)
}

/// Into a folder of its own, then under its name: several processes may do this at once.
fn download(cache: &Path, archive: &Path) -> Result<(), Trouble> {
    let fresh = tempfile::tempdir_in(cache).map_err(|e| trouble(cache, e))?;
    let mut npm = Command::new("npm");
    npm.current_dir(fresh.path()).args(["pack", PACKAGE, "--silent"]);
    run(&mut npm, "npm, and a way to its registry: apt-get install -y npm")?;
    let file = fresh.path().join(FILE);
    check(&file)?;
    std::fs::rename(&file, archive).map_err(|e| trouble(archive, e))
}

fn check(file: &Path) -> Result<(), Trouble> {
    let words =
        run(Command::new("sha256sum").arg("-b").arg(file), "sha256sum: apt-get install -y coreutils")?;
    // A name with a backslash makes sha256sum put one before the sum.
    let sum = words.trim_start_matches('\\').split(' ').next().unwrap_or_default();
    if sum == SHA256 {
        return Ok(());
    }
    Err(format!("{} is not {PACKAGE}: its SHA-256 is {sum}, not {SHA256}; remove it", file.display()))
}

/// Run a tool to its end and return what it printed; `needed` tells what to install where it is missing.
fn run(command: &mut Command, needed: &str) -> Result<String, Trouble> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}\nneeded is {needed}"))?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(words);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{words}{errors}\nneeded is {needed}", output.status))
}

/// A fresh folder for one test.
pub fn fresh_folder() -> Result<TempDir, Trouble> {
    let made = tempfile::Builder::new().prefix("spmsg-suite-").tempdir();
    made.map_err(|e| format!("making a folder: {e}"))
}

fn trouble(path: &Path, error: std::io::Error) -> Trouble {
    format!("{}: {error}", path.display())
}
