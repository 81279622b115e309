//! What became of the cells, kept for `docs/interop.md`: one line per cell in the file that
//! SPMSG_INTEROP_REPORT names, tabs between the fields.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use crate::cell::Outcome;

/// The variable that names the file; without it nothing is kept.
pub const VARIABLE: &str = "SPMSG_INTEROP_REPORT";

/// One cell, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The table it belongs to.
    pub title: String,
    /// The cell.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// Messages that arrived and were as they had to be.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that had to be sent again because the pattern may drop.
    pub resent: u64,
    /// How often it had to begin again because a foreign connector hung.
    pub again: u64,
    /// Milliseconds.
    pub took_ms: u64,
}

/// Keep these outcomes, if a file is named. Panics when it cannot be written: a report with gaps would be
/// taken for a whole one.
pub fn append<'a>(title: &str, outcomes: impl Iterator<Item = &'a Outcome>) {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let text: String = outcomes.map(|outcome| line_of(title, outcome).to_text()).collect();
    // Several test programs may write: one write, at the end.
    let written = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.flush()
    });
    assert!(written.is_ok(), "{}: {written:?}", PathBuf::from(path).display());
}

fn line_of(title: &str, outcome: &Outcome) -> Line {
    let account = outcome.result.as_ref().copied().unwrap_or_default();
    Line {
        title: title.to_owned(),
        name: outcome.name.clone(),
        passed: outcome.result.is_ok(),
        messages: account.messages,
        bytes: account.bytes,
        resent: account.resent,
        again: account.again,
        took_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    }
}

impl Line {
    fn to_text(&self) -> String {
        let Line { title, name, messages, bytes, resent, again, took_ms, .. } = self;
        let result = if self.passed { "ok" } else { "FAILED" };
        format!("{title}\t{name}\t{result}\t{messages}\t{bytes}\t{resent}\t{again}\t{took_ms}\n")
    }

    /// A line of the file.
    pub fn parse(text: &str) -> Option<Line> {
        let fields: Vec<&str> = text.split('\t').collect();
        let [title, name, result, messages, bytes, resent, again, took_ms] = fields[..] else { return None };
        Some(Line {
            title: title.to_owned(),
            name: name.to_owned(),
            passed: result == "ok",
            messages: messages.parse().ok()?,
            bytes: bytes.parse().ok()?,
            resent: resent.parse().ok()?,
            again: again.parse().ok()?,
            took_ms: took_ms.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let line = Line {
            title: "a and b".to_owned(),
            name: "tcp pair".to_owned(),
            passed: false,
            messages: 108,
            bytes: 5,
            resent: 0,
            again: 1,
            took_ms: 17,
        };
        assert_eq!(Line::parse(line.to_text().trim_end()), Some(line));
        assert_eq!(Line::parse("too\tshort"), None);
    }
}
