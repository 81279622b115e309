//! Which programs there are, and how they are built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::Trouble;
use crate::pattern::Pattern;
use crate::place::Wire;

/// An implementation, as a program that obeys the script language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// spmsg through its C interface.
    SpmsgC,
    /// spmsg through its Rust interface.
    SpmsgRust,
    /// The system's libnanomsg.
    Nanomsg,
    /// The system's nng, through its interface for nanomsg's programs.
    Nng,
    /// mangos v3, in Go.
    Mangos,
}

impl Peer {
    /// Ours.
    pub const OURS: [Peer; 2] = [Peer::SpmsgC, Peer::SpmsgRust];

    /// All others.
    pub const FOREIGN: [Peer; 3] = [Peer::Nanomsg, Peer::Nng, Peer::Mangos];

    /// As it is written in the table.
    pub fn name(self) -> &'static str {
        match self {
            Peer::SpmsgC => "spmsg-c",
            Peer::SpmsgRust => "spmsg-rust",
            Peer::Nanomsg => "nanomsg",
            Peer::Nng => "nng",
            Peer::Mangos => "mangos",
        }
    }

    /// Whether it is spmsg.
    pub fn is_ours(self) -> bool {
        matches!(self, Peer::SpmsgC | Peer::SpmsgRust)
    }

    /// Whether it has this pattern; nanomsg's interface has no version 1 of PAIR.
    pub fn speaks(self, pattern: Pattern) -> bool {
        pattern != Pattern::Pair1 || !matches!(self, Peer::SpmsgC | Peer::Nanomsg)
    }

    /// Whether it has this transport; nanomsg has no TLS.
    pub fn carries(self, wire: Wire) -> bool {
        !Wire::SECURE.contains(&wire) || self != Peer::Nanomsg
    }

    /// Whether it has no receive limit until one is set; the others begin with 1 MiB.
    pub fn begins_unlimited(self) -> bool {
        self == Peer::Nng
    }

    /// Whether the end of a survey is an ETIMEDOUT once and then EFSM; mangos gives EFSM at once.
    pub fn reports_survey_end(self) -> bool {
        self != Peer::Mangos
    }

    /// Whether its connecting endpoints are of use after they refused a message for its size. nanomsg's are
    /// not: they connect again for ever, send their header, and drop the connection as soon as the other
    /// side's came.
    pub fn connects_well_after_oversize(self) -> bool {
        self != Peer::Nanomsg
    }

    /// Whether its sockets are of use after a peer closed the connection for a message's size. nng 1.5.2's
    /// PUSH may end in a segmentation fault at its next send, and its REQ may stay without a connection.
    pub fn sends_well_after_refusal(self, pattern: Pattern) -> bool {
        self != Peer::Nng || !matches!(pattern, Pattern::PushPull | Pattern::ReqRep)
    }

    /// Whether it can connect to that listener. For an address without a path nng 1.5.2 sends a request without a
    /// target, which mangos answers with HTTP 400.
    pub fn reaches(self, listener: Peer, wire: Wire) -> bool {
        !wire.is_web_socket() || (self, listener) != (Peer::Nng, Peer::Mangos)
    }

    /// Whether its connecting endpoints go on after a connection that the other side closed or that was killed. Over
    /// ws nanomsg's give up for good after a Close frame, and also when an opening handshake fails, as happens when
    /// the next attempt meets a listener that is about to die. A REQ of nanomsg that does come back asks again with a
    /// body that it masked in place.
    pub fn connects_again(self, wire: Wire) -> bool {
        (self, wire) != (Peer::Nanomsg, Wire::Ws)
    }

    /// Whether its connecting endpoints may stay without a connection for good after theirs was closed, whoever
    /// closed it: a thread of nng 1.5.2 that clears connections away waits for ever.
    pub fn may_hang(self) -> bool {
        self == Peer::Nng
    }

    /// Whether the limit of its connecting endpoints holds for messages in fragments; that of nng 1.5.2 does not.
    pub fn limits_fragments(self, wire: Wire) -> bool {
        !wire.is_web_socket() || self != Peer::Nng
    }

    /// Build the programs of these peers; panics with the reason when one cannot be had.
    pub fn require(peers: &[Peer]) {
        for peer in peers {
            if let Err(trouble) = peer.program() {
                panic!("the peer {} cannot be had: {trouble}", peer.name());
            }
        }
    }

    /// The program, built at the first call of this process.
    pub fn program(self) -> Result<&'static Path, Trouble> {
        static SPMSG_C: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
        static SPMSG_RUST: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
        static NANOMSG: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
        static NNG: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
        static MANGOS: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
        let built = match self {
            Peer::SpmsgC => SPMSG_C.get_or_init(build_spmsg_c),
            Peer::SpmsgRust => SPMSG_RUST.get_or_init(find_spmsg_rust),
            Peer::Nanomsg => NANOMSG.get_or_init(build_nanomsg),
            Peer::Nng => NNG.get_or_init(build_nng),
            Peer::Mangos => MANGOS.get_or_init(build_mangos),
        };
        built.as_deref().map_err(Clone::clone)
    }
}

fn build_nanomsg() -> Result<PathBuf, Trouble> {
    compile(Peer::Nanomsg, &["-lnanomsg"]).map_err(|e| {
        format!("{e}\nnanomsg's library is needed: apt-get install -y gcc nanomsg-utils libnanomsg-dev")
    })
}

fn build_nng() -> Result<PathBuf, Trouble> {
    compile(Peer::Nng, &["-DPEER_IS_NNG", "-lnng"])
        .map_err(|e| format!("{e}\nnng's library is needed: apt-get install -y gcc nng-utils libnng-dev"))
}

/// The library is the one that cargo built for this profile, or SPMSG_TEST_LIB; the headers are ours, or in
/// SPMSG_TEST_INCLUDE. The library is found at run time through a folder that holds it under its file name
/// and under its soname.
fn build_spmsg_c() -> Result<PathBuf, Trouble> {
    let library = match std::env::var_os("SPMSG_TEST_LIB") {
        Some(path) => PathBuf::from(path),
        None => profile_folder()?.join("libspmsg.so"),
    };
    if !library.exists() {
        return Err(format!("{} is missing: cargo build -p spmsg-ffi (same profile)", library.display()));
    }
    let include = match std::env::var_os("SPMSG_TEST_INCLUDE") {
        Some(path) => PathBuf::from(path),
        None => source_folder().join("../include"),
    };
    if !include.join("nanomsg/nn.h").exists() {
        return Err(format!("{} holds no nanomsg/nn.h", include.display()));
    }
    let folder = output_folder()?;
    for name in ["libspmsg.so", "libspmsg.so.1"] {
        let fresh = folder.join(format!("{name}-{}", std::process::id()));
        std::os::unix::fs::symlink(&library, &fresh).map_err(|e| format!("{}: {e}", fresh.display()))?;
        rename(&fresh, &folder.join(name))?;
    }
    let folder = folder.display();
    let (include, search) = (format!("-I{}", include.display()), format!("-L{folder}"));
    let run_path = format!("-Wl,-rpath,{folder}");
    compile(Peer::SpmsgC, &[&include, &search, &run_path, "-lspmsg"])
}

/// Cargo builds the programs of this package before its integration tests.
fn find_spmsg_rust() -> Result<PathBuf, Trouble> {
    let program = profile_folder()?.join("spmsg-peer");
    if program.exists() {
        return Ok(program);
    }
    Err(format!("{} is missing: cargo build -p interop-tests --bins (same profile)", program.display()))
}

fn compile(peer: Peer, extra: &[&str]) -> Result<PathBuf, Trouble> {
    let name = format!("-DPEER_NAME=\"{}\"", peer.name());
    into_place(&format!("{}-peer", peer.name()), |output| {
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", &name]);
        cc.arg(source_folder().join("peers/nn_peer.c")).args(extra).arg("-o").arg(output);
        cc
    })
    .map_err(|e| format!("{e}\n(the C compiler: apt-get install -y gcc)"))
}

fn build_mangos() -> Result<PathBuf, Trouble> {
    into_place("mangos-peer", |output| {
        let mut go = Command::new("go");
        go.current_dir(source_folder().join("peers/mangos"));
        go.args(["build", "-mod=readonly", "-o"]).arg(output).arg(".");
        go
    })
    .map_err(|e| {
        format!("{e}\nGo 1.19 or later is needed: https://go.dev/dl/, or apt-get install -y golang-go")
    })
}

/// Run a compiler into a file of its own, then give that its name: two test programs may do this at once.
fn into_place(name: &str, command: impl Fn(&Path) -> Command) -> Result<PathBuf, Trouble> {
    let folder = output_folder()?;
    let (program, fresh) = (folder.join(name), folder.join(format!("{name}-{}", std::process::id())));
    let mut command = command(&fresh);
    let words = format!("{command:?}");
    let output = command.output().map_err(|e| format!("{words}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{words}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    rename(&fresh, &program)?;
    Ok(program)
}

fn rename(from: &Path, to: &Path) -> Result<(), Trouble> {
    std::fs::rename(from, to).map_err(|e| format!("{}: {e}", to.display()))
}

fn source_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `target/<profile>`: test programs are in its `deps`, others in it.
fn profile_folder() -> Result<PathBuf, Trouble> {
    let program = std::env::current_exe().map_err(|e| format!("current_exe: {e}"))?;
    let is_test = program.parent().is_some_and(|folder| folder.ends_with("deps"));
    match program.ancestors().nth(if is_test { 2 } else { 1 }) {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(format!("{} is not in a target folder", program.display())),
    }
}

fn output_folder() -> Result<PathBuf, Trouble> {
    let folder = profile_folder()?.join("interop-peers");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}
