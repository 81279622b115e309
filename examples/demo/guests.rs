//! Programs of other implementations that join where they are installed: nanomsg's nanocat and mangos' macat.

use std::path::PathBuf;

use crate::Outcome;
use crate::children::{Child, Guard};

/// A foreign command-line program.
pub struct Guest {
    pub name: &'static str,
    program: PathBuf,
}

/// The options that both programs understand alike.
impl Guest {
    /// Prints every notice of a topic.
    pub fn subscribe(&self, guard: &Guard, address: &str, topic: &str) -> Outcome<Child> {
        self.run(guard, &["--sub", "--connect", address, "--subscribe", topic, "--ascii"])
    }

    /// Asks once, prints the answer and ends.
    pub fn ask(&self, guard: &Guard, address: &str, question: &str) -> Outcome<Child> {
        self.run(guard, &["--req", "--connect", address, "--data", question, "--ascii"])
    }

    /// Answers every survey alike.
    pub fn respond(&self, guard: &Guard, address: &str, answer: &str) -> Outcome<Child> {
        self.run(guard, &["--respondent", "--connect", address, "--data", answer])
    }

    fn run(&self, guard: &Guard, args: &[&str]) -> Outcome<Child> {
        Child::start(guard, &self.program, args)
    }
}

/// The guests that are installed; says which are not.
pub fn find() -> Vec<Guest> {
    let mut guests = Vec::new();
    for (name, origin) in [("nanocat", "nanomsg-utils"), ("macat", "go.nanomsg.org/mangos/v3/macat/macat")] {
        match locate(name) {
            Some(program) => guests.push(Guest { name, program }),
            None => println!("  {name} ({origin}) is not installed and does not join"),
        }
    }
    guests
}

/// Looks in PATH and in Go's folder for programs.
fn locate(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let go = std::env::home_dir().map(|home| home.join("go/bin"));
    std::env::split_paths(&path).chain(go).map(|folder| folder.join(name)).find(|program| program.is_file())
}
