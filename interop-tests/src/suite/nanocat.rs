//! The system's nanocat, which was linked with nanomsg, on the library under test or on its own.

use std::path::Path;
use std::process::{Command, Stdio};

use super::library::Library;
use super::process::Process;
use crate::Trouble;

/// Which library a nanocat runs on, and how it comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The library under test, found in LD_LIBRARY_PATH under the original's name.
    Links,
    /// The library under test, loaded by LD_PRELOAD before the original.
    Preload,
    /// The original.
    Original,
}

impl Route {
    /// Both ways to the library under test.
    pub const OURS: [Route; 2] = [Route::Links, Route::Preload];

    /// The pairings of a conversation: with itself, and with the original in both roles.
    pub const PAIRINGS: [(Route, Route); 6] = [
        (Route::Links, Route::Links),
        (Route::Preload, Route::Preload),
        (Route::Links, Route::Original),
        (Route::Original, Route::Links),
        (Route::Preload, Route::Original),
        (Route::Original, Route::Preload),
    ];
}

/// Starts nanocats.
pub struct Nanocat {
    library: Library,
}

impl Nanocat {
    /// Find the library under test; nanocat itself is looked for when one is started.
    pub fn find() -> Result<Nanocat, Trouble> {
        Ok(Nanocat { library: Library::find()? })
    }

    /// The library under test.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// A nanocat that is not started yet.
    pub fn command(&self, route: Route, arguments: &[&str]) -> Command {
        let mut command = Command::new("nanocat");
        command.args(arguments);
        match route {
            Route::Links => command.env("LD_LIBRARY_PATH", self.library.links()),
            Route::Preload => command.env("LD_PRELOAD", self.library.file()),
            Route::Original => &mut command,
        };
        command
    }

    /// Start one.
    pub fn start(&self, route: Route, arguments: &[&str]) -> Result<Process, Trouble> {
        self.start_reading(route, arguments, Stdio::null())
    }

    /// Start one with this standard input.
    pub fn start_reading(&self, route: Route, arguments: &[&str], input: Stdio) -> Result<Process, Trouble> {
        Process::start_reading(self.command(route, arguments), input)
            .map_err(|e| format!("{e}\nneeded is nanocat: apt-get install -y nanomsg-utils"))
    }

    /// Prove by the memory map of a running nanocat that it uses the library of its route.
    pub fn check_memory_map(&self, process: &Process, route: Route) -> Result<(), Trouble> {
        let map = process.memory_map()?;
        let files = map.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
        let (mut ours, mut others) = (false, false);
        for file in files {
            if file == self.library.file() {
                ours = true;
            } else if file.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libnanomsg")) {
                others = true;
            }
        }
        let expected = match route {
            Route::Links => (true, false),
            // The loader insists on the original beside ours; which one the calls go to, it tells itself.
            Route::Preload => (true, true),
            Route::Original => (false, true),
        };
        if (ours, others) == expected {
            return Ok(());
        }
        Err(format!("{route:?}: ours is mapped: {ours}, another is mapped: {others}\n{map}"))
    }
}
