//! The page: what was run, with what, and cell by cell what came out.

use std::collections::BTreeMap;
use std::fmt::Write;

use interop_tests::Trouble;
use interop_tests::report::Line;

use crate::Outcome;

/// Families of cells, in the order of the page, and what each of them shows.
const FAMILIES: [(&str, &str); 12] = [
    (
        "conversations",
        "At least 100 messages per cell, of 0, 1, 28, 29, 32, 33, 1000 and 65536 bytes and of the largest \
         size that the receive limit lets through; PUB and BUS add a burst of 500. Content, count and order \
         are checked, and that nothing else arrives.",
    ),
    (
        "conversations over tls+tcp",
        "The same inside TLS: both sides show a certificate made for the run, and require one. nanomsg has no TLS.",
    ),
    ("conversations over wss", "The same over WebSocket inside TLS."),
    (
        "raw sockets",
        "One turn of the same sizes with raw sockets on one side or both; headers are made and read by the \
         program.",
    ),
    ("devices", "A device in the middle, everything goes through it."),
    ("three at once", "One socket of ours with a nanomsg, an nng and a mangos at the same time."),
    (
        "killed and restarted",
        "One side is killed without warning (SIGKILL) amid a conversation and started again; the other is \
         left alone.",
    ),
    (
        "one byte too many",
        "A message above the receive limit costs its connection, is never delivered, and the next arrives.",
    ),
    (
        "an answer of one byte too many",
        "The same from REP to REQ and from RESPONDENT to SURVEYOR; the REQ asks again.",
    ),
    ("topics", "Our subscriber picks from what foreign publishers send."),
    (
        "recorded conversations",
        "Byte for byte, from the rules and from runs of the foreign programs: `interop-tests/recorded/`.",
    ),
    ("nngcat", "nng's own command-line program."),
];

/// The whole page.
pub fn write(outcome: &Outcome, versions: &[(String, String)]) -> Result<String, Trouble> {
    let mut page = include_str!("before.md").to_owned();
    let (cells, messages) =
        (outcome.lines.len(), outcome.lines.iter().map(|line| line.messages).sum::<u64>());
    let bytes = outcome.lines.iter().map(|line| line.bytes).sum::<u64>() >> 20;
    let runs = match outcome.runs {
        1 => "once".to_owned(),
        n => format!("{n} times in a row"),
    };
    let text = format!(
        "\n**{cells} cells, {messages} messages, {bytes} MiB per run.** The whole was run {runs} \
         without a failure; the slowest run took {} s. Cells that began again because nng hung (see below), over \
         all runs: {}.\n\n## What took part\n\n| | |\n|---|---|\n",
        outcome.slowest.as_secs(),
        outcome.again
    );
    page += &text;
    for (name, version) in versions {
        add(&mut page, &format!("| {name} | {version} |"));
    }
    page += "\n";
    page += include_str!("notes.md");
    page += "\n## Cell by cell\n\nThe numbers are messages that arrived and were as they had to be. `one` and \
             `other` stand for the kinds that head the column, in their order.\n";
    for (family, about) in FAMILIES {
        page += &section(family, about, &outcome.lines)?;
    }
    Ok(page)
}

fn add(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

fn section(family: &str, about: &str, lines: &[Line]) -> Result<String, Trouble> {
    let of_family = |line: &&Line| line.title.split_once(": ").is_some_and(|(name, _)| name == family);
    let lines: Vec<&Line> = lines.iter().filter(of_family).collect();
    if lines.is_empty() {
        return Err(format!("no cells of {family}"));
    }
    let mut text = format!("\n### {}\n\n{about} {} cells.\n\n", capital(family), lines.len());
    let mut columns: BTreeMap<&str, Vec<(String, u64)>> = BTreeMap::new();
    for line in lines {
        let column = line.title.split_once(": ").map_or("", |(_, column)| column);
        columns.entry(column).or_default().push((row_name(&line.name, column), line.messages));
    }
    let rows = rows_of(&columns);
    let names: Vec<&str> = columns.keys().copied().collect();
    add(&mut text, &format!("| | {} |", names.join(" | ")));
    add(&mut text, &format!("|---|{}", "---:|".repeat(names.len())));
    for row in rows {
        let mut cells = String::new();
        for (name, column) in &columns {
            let mut of_row = column.iter().filter(|(name, _)| *name == row);
            let cell = of_row.next().map_or("-".to_owned(), |(_, messages)| messages.to_string());
            if of_row.next().is_some() {
                return Err(format!("two cells are {row} of {name}"));
            }
            // Writing to a String cannot fail.
            let _ = write!(cells, " {cell} |");
        }
        add(&mut text, &format!("| {row} |{cells}"));
    }
    Ok(text)
}

/// The names of all rows, in the order of the longest column; who has more follows.
fn rows_of(columns: &BTreeMap<&str, Vec<(String, u64)>>) -> Vec<String> {
    let mut longest_first: Vec<_> = columns.values().collect();
    longest_first.sort_by_key(|column| std::cmp::Reverse(column.len()));
    let mut rows: Vec<String> = Vec::new();
    for (row, _) in longest_first.into_iter().flatten() {
        if !rows.contains(row) {
            rows.push(row.clone());
        }
    }
    rows
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The cell's name with `one` and `other` for the first and second kind that head the column: the same cell
/// of all columns has one row.
fn row_name(name: &str, column: &str) -> String {
    let kinds = column.split(',').next().unwrap_or_default();
    let (one, other) = kinds.split_once(" and ").unwrap_or((kinds, ""));
    let plain = name.split(' ').map(|word| {
        let (bare, comma) = word.strip_suffix(',').map_or((word, ""), |bare| (bare, ","));
        match bare {
            _ if bare.is_empty() => word.to_owned(),
            _ if bare == one => format!("one{comma}"),
            _ if bare == other => format!("other{comma}"),
            _ => word.to_owned(),
        }
    });
    plain.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::row_name;

    #[test]
    fn a_row_stands_for_the_same_cell_of_all_columns() {
        let row = "tcp req one binds, rep other";
        assert_eq!(row_name("tcp req spmsg-c binds, rep nng", "spmsg-c and nng"), row);
        assert_eq!(row_name("tcp req nng binds, rep mangos", "nng and mangos"), row);
        assert_eq!(row_name("tcp req nng binds, rep mangos", "nng and mangos, nng dies"), row);
        assert_eq!(
            row_name("tcp rep spmsg-c, req nng binds", "spmsg-c and nng"),
            "tcp rep one, req other binds"
        );
        assert_eq!(row_name("tcp pub nng, sub spmsg-c", "spmsg-c"), "tcp pub nng, sub one");
    }
}
