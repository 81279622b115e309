//! Cells of the matrix, run side by side, and the table they make.

use std::io::Write;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::peer::Peer;
use crate::puppet::{Puppet, Transcript};
use crate::report;
use crate::talk::Account;

/// How many cells run at once, over all tests of a program.
const AT_ONCE: usize = 4;

type Job = Box<dyn Fn(&mut Stage) -> Result<Account, Trouble> + Send>;

/// One cell: a name and what to do.
pub struct Cell {
    name: String,
    job: Job,
}

impl Cell {
    /// A cell of this name.
    pub fn new(
        name: impl Into<String>,
        job: impl Fn(&mut Stage) -> Result<Account, Trouble> + Send + 'static,
    ) -> Cell {
        Cell { name: name.into(), job: Box::new(job) }
    }
}

/// Where a cell's peers come on; it keeps their words.
#[derive(Default)]
pub struct Stage {
    transcripts: Vec<Transcript>,
}

impl Stage {
    /// Start a peer; `label` is its part.
    pub fn spawn(&mut self, peer: Peer, label: &str) -> Result<Puppet, Trouble> {
        let (puppet, transcript) = Puppet::spawn(peer, label)?;
        self.transcripts.push(transcript);
        Ok(puppet)
    }
}

/// What became of a cell.
pub struct Outcome {
    /// The cell's name.
    pub name: String,
    /// What it came to.
    pub result: Result<Account, Trouble>,
    /// What its peers were told and said.
    words: String,
    /// How long it took.
    pub took: Duration,
}

/// Run all cells, print the table, and panic with both sides' words of every cell that failed.
pub fn run_all(title: &str, cells: Vec<Cell>) {
    assert!(!cells.is_empty(), "{title}: no cells");
    let total = cells.len();
    let queue = Mutex::new(cells.into_iter().enumerate());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((index, cell)) = next else { return };
                    let outcome = run(cell);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(index, _)| *index);
    assert_eq!(outcomes.len(), total, "{title}: a cell is missing");
    print_table(title, &outcomes);
    report::append(title, outcomes.iter().map(|(_, outcome)| outcome));
    let failed: Vec<String> = outcomes.iter().filter_map(|(_, outcome)| failure(outcome)).collect();
    assert!(failed.is_empty(), "{title}: {} of {total} cells failed\n{}", failed.len(), failed.join("\n"));
}

fn run(cell: Cell) -> Outcome {
    let _permit = Permit::take();
    let start = Instant::now();
    let mut stage = Stage::default();
    let result = (cell.job)(&mut stage);
    let words: String = stage.transcripts.iter().map(Transcript::text).collect();
    Outcome { name: cell.name, result, words, took: start.elapsed() }
}

fn failure(outcome: &Outcome) -> Option<String> {
    let trouble = outcome.result.as_ref().err()?;
    Some(format!("--- {}: {trouble}\n{}", outcome.name, outcome.words))
}

/// Written past the test runner's capture: the table is a result, not a log.
fn print_table(title: &str, outcomes: &[(usize, Outcome)]) {
    let mut text = format!("\n{title}\n");
    for (_, outcome) in outcomes {
        let result = match &outcome.result {
            Ok(Account { messages, bytes, resent, again }) => {
                let again = if *again == 0 { String::new() } else { format!(" {again} again") };
                format!("ok   {messages:>5} messages {bytes:>9} bytes {resent:>2} resent{again}")
            }
            Err(_) => "FAILED".to_owned(),
        };
        text += &format!("  {:<58} {result} {:>6} ms\n", outcome.name, outcome.took.as_millis());
    }
    // A closed stdout is no reason to fail.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The right to run a cell now.
struct Permit;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Permit {
    fn take() -> Permit {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running =
            FREED.wait_while(running, |r| *r >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Permit
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, run_all};
    use crate::talk::Account;

    #[test]
    #[should_panic(expected = "1 of 2 cells failed")]
    fn a_failing_cell_fails_the_table() {
        let good = Cell::new("good", |_| Ok(Account::default()));
        run_all("two cells", vec![good, Cell::new("bad", |_| Err("no".to_owned()))]);
    }
}
