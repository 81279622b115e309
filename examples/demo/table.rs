//! The final account.

use std::fmt;

/// What one line of the table says.
pub struct Row {
    pub pattern: &'static str,
    pub transport: &'static str,
    /// From whom to whom.
    pub who: String,
    /// Messages sent, counted once for every receiver that should get them.
    pub sent: usize,
    /// Messages received.
    pub received: usize,
    /// Messages whose content and order were checked and found right.
    pub verified: usize,
}

impl Row {
    fn name(&self) -> (&str, &str, &str) {
        (self.pattern, self.transport, &self.who)
    }

    fn is_verified(&self) -> bool {
        self.sent > 0 && self.received == self.sent && self.verified == self.sent
    }
}

/// All lines, and the scenes that broke off.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    failed: Vec<String>,
}

impl Table {
    /// Adds a row, or its numbers to those of the row of the same name; rows of a pattern stand together.
    pub fn add(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.name() == row.name()) {
            Some(old) => {
                old.sent += row.sent;
                old.received += row.received;
                old.verified += row.verified;
            }
            None => self.rows.push(row),
        }
        self.rows.sort_by_key(|row| (row.pattern, row.transport));
    }

    pub fn failed(&mut self, scene: &str) {
        self.failed.push(scene.to_string());
    }

    /// Whether everything that was sent has been received and found right.
    pub fn is_verified(&self) -> bool {
        self.failed.is_empty() && !self.rows.is_empty() && self.rows.iter().all(Row::is_verified)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.who.chars().count()).max().unwrap_or(0).max(3);
        writeln!(
            f,
            "{:9} {:9} {:width$} {:>6} {:>8} {:>8}",
            "pattern", "transport", "who", "sent", "received", "verified"
        )?;
        for row in &self.rows {
            let Row { pattern, transport, who, sent, received, verified } = row;
            let result = if row.is_verified() { "ok" } else { "FAILED" };
            writeln!(
                f,
                "{pattern:9} {transport:9} {who:width$} {sent:>6} {received:>8} {verified:>8}  {result}"
            )?;
        }
        for scene in &self.failed {
            writeln!(f, "FAILED: {scene}")?;
        }
        Ok(())
    }
}
