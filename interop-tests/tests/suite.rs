//! nanomsg's own tests, unchanged, compiled with our headers and linked with our library.
//!
//! Each program of the table is a test of its own, which runs it three times in a row; one more test runs all
//! of them two at a time. A run has a fresh working folder, because their ipc paths are relative, and ten TCP
//! ports of its own.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use interop_tests::Trouble;
use interop_tests::suite::archive::{Part, Workshop, fresh_folder};
use interop_tests::suite::ports::Ports;
use interop_tests::suite::process::Process;

/// A program is given a port and may use the nine that follow, too.
const PORTS: u16 = 10;

/// Programs of the archive that are not run, and why.
const EXCLUDED: [(&str, &str); 4] = [
    ("hash", "tests a data structure inside nanomsg, compiled into the test; it calls no library"),
    ("list", "tests a data structure inside nanomsg, compiled into the test; it calls no library"),
    ("trie", "tests a data structure inside nanomsg, compiled into the test; it calls no library"),
    ("win_sec_attr", "tests access rights of Windows' named pipes"),
];

/// One program of the table.
struct Program {
    name: &'static str,
    /// nanomsg's own limit for one run, in seconds.
    seconds: u64,
    slot: Slot,
}

/// What may run beside a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Anything.
    Shared,
    /// Nothing of this file.
    Alone,
}

/// Each line is a slot, a program, and nanomsg's limit in seconds; it becomes a test of that name.
macro_rules! programs {
    ($($slot:ident $name:ident $seconds:literal;)*) => {
        const PROGRAMS: &[Program] = &[$(Program {
            name: stringify!($name),
            seconds: $seconds,
            slot: Slot::$slot,
        }),*];

        mod three_times {
            $(#[test] fn $name() { super::three_times(stringify!($name)); })*
        }
    };
}

programs! {
    Shared async_shutdown 30;
    Shared block 5;
    Shared bug328 5;
    Shared bug777 5;
    Shared bus 5;
    Shared cmsg 5;
    Shared device 5;
    Shared device4 5;
    Shared device5 5;
    Shared device6 5;
    Shared device7 30;
    Shared domain 5;
    Shared emfile 5;
    Shared inproc 5;
    Shared inproc_shutdown 10;
    Shared iovec 5;
    Shared ipc 5;
    Shared ipc_shutdown 40;
    Shared ipc_stress 5;
    Shared msg 5;
    Shared pair 5;
    Shared pipeline 5;
    Shared poll 5;
    Shared prio 5;
    Shared pubsub 5;
    Shared reqrep 5;
    // A message must pass two connections and a device within 100 ms.
    Alone reqttl 10;
    Shared separation 5;
    Shared shutdown 5;
    Shared stats 5;
    Shared survey 5;
    // A message must pass two connections and a device within 100 ms.
    Alone surveyttl 10;
    Shared symbol 5;
    Shared tcp 20;
    Shared tcp_shutdown 120;
    Shared term 5;
    // A wait of 100 ms may end 50 ms late at most.
    Alone timeo 5;
    Shared ws 20;
    Shared ws_async_shutdown 5;
    Shared zerocopy 5;
}

/// Held in common by a run, or alone.
static SLOT: RwLock<()> = RwLock::new(());

fn three_times(name: &str) {
    let program = PROGRAMS.iter().find(|p| p.name == name).expect("in the table");
    let workshop = Workshop::open().unwrap_or_else(|e| panic!("{e}"));
    let file = workshop.build(Part::Tests, name).unwrap_or_else(|e| panic!("{e}"));
    for turn in 1..=3 {
        let result = match program.slot {
            Slot::Shared => {
                let _slot = SLOT.read().unwrap_or_else(PoisonError::into_inner);
                run(program, &file)
            }
            Slot::Alone => {
                let _slot = SLOT.write().unwrap_or_else(PoisonError::into_inner);
                run(program, &file)
            }
        };
        result.unwrap_or_else(|e| panic!("{name}, run {turn} of 3: {e}"));
    }
}

/// One run of a program, within twice nanomsg's own limit.
fn run(program: &Program, file: &Path) -> Result<(), Trouble> {
    let folder = fresh_folder()?;
    let ports = Ports::reserve(PORTS)?;
    let mut command = Command::new(file);
    command.arg(ports.first().to_string()).current_dir(folder.path());
    Process::start(command)?.finish_with(0, Duration::from_secs(2 * program.seconds))
}

#[test]
fn all_of_them_two_at_a_time() {
    let _slot = SLOT.write().unwrap_or_else(PoisonError::into_inner);
    let workshop = Workshop::open().unwrap_or_else(|e| panic!("{e}"));
    let queue = Mutex::new(PROGRAMS.iter());
    let failures = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(program) = next else { return };
            let result = workshop.build(Part::Tests, program.name).and_then(|file| run(program, &file));
            if let Err(e) = result {
                let failure = format!("--- {}: {e}", program.name);
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_table_and_the_exclusions_are_all_that_nanomsg_has() {
    let workshop = Workshop::open().unwrap_or_else(|e| panic!("{e}"));
    let theirs = workshop.programs(Part::Tests).unwrap_or_else(|e| panic!("{e}"));
    let excluded = EXCLUDED.iter().map(|(name, reason)| {
        assert!(!reason.is_empty(), "{name} is excluded without a reason");
        *name
    });
    let mut ours: Vec<&str> = PROGRAMS.iter().map(|p| p.name).chain(excluded).collect();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
}

/// The loader prints what it would load, and where from, instead of running the program.
#[test]
fn the_programs_run_on_the_library_under_test() {
    let workshop = Workshop::open().unwrap_or_else(|e| panic!("{e}"));
    let file = workshop.build(Part::Tests, "pair").unwrap_or_else(|e| panic!("{e}"));
    let mut command = Command::new(&file);
    command.env("LD_TRACE_LOADED_OBJECTS", "1");
    let mut process = Process::start(command).unwrap_or_else(|e| panic!("{e}"));
    process.finish_with(0, Duration::from_secs(20)).unwrap_or_else(|e| panic!("{e}"));
    let words = String::from_utf8_lossy(&process.stdout()).into_owned();
    let loaded: Vec<&Path> = words.split_whitespace().map(Path::new).filter(|p| p.is_absolute()).collect();
    let is_ours = |p: &&Path| p.canonicalize().is_ok_and(|p| p == workshop.library().file());
    assert_eq!(loaded.iter().filter(|p| is_ours(p)).count(), 1, "{words}");
    let others = loaded.iter().filter(|p| !is_ours(p) && p.to_string_lossy().contains("nanomsg"));
    assert_eq!(others.count(), 0, "{words}");
}
