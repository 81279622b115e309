//! The tables: on the terminal, and in docs/bench.md.

use crate::results::{Row, figure_text, more_is_better, title};
use crate::verdict::Verdict;

/// The figure of a rival, and how far ahead of it spmsg is through the C interface.
fn cell(row: &Row, rival: &str, metric: &str) -> String {
    let Some(figure) = row.median(rival, metric) else {
        return if row.failures.contains_key(rival) && metric == row.case.metric() { "failed" } else { "-" }
            .into();
    };
    let text = figure_text(metric, figure);
    match row.median("spmsg-c", metric) {
        Some(ours) if rival != "spmsg-c" && ours > 0.0 && figure > 0.0 => {
            let ahead = if more_is_better(metric) { ours / figure } else { figure / ours };
            format!("{text} ({ahead:.2}x)")
        }
        _ => text,
    }
}

fn lines(rows: &[Row], rivals: &[&str]) -> Vec<Vec<String>> {
    let mut lines =
        vec![["case", "figure"].iter().chain(rivals).map(ToString::to_string).collect::<Vec<_>>()];
    for row in rows {
        for (index, metric) in row.metrics().into_iter().enumerate() {
            let name = if index == 0 { row.case.name() } else { String::new() };
            let mut line = vec![name, title(metric).to_owned()];
            line.extend(rivals.iter().map(|rival| cell(row, rival, metric)));
            lines.push(line);
        }
    }
    lines
}

fn verdict_lines(verdicts: &[Verdict]) -> Vec<Vec<String>> {
    let heading = ["case", "must", "aim", "spmsg-c", "must is", "aim is", "spmsg-rust", "must is"];
    let mut lines = vec![heading.iter().map(ToString::to_string).collect::<Vec<_>>()];
    let met = |met: Option<bool>| match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "-",
    };
    lines.extend(verdicts.iter().map(|verdict| {
        vec![
            verdict.case.clone(),
            verdict.must.clone(),
            verdict.aim.clone(),
            verdict.figure.clone(),
            met(verdict.must_met).into(),
            met(verdict.aim_met).into(),
            verdict.rust.clone(),
            met(verdict.rust_met).into(),
        ]
    }));
    lines
}

/// Columns as wide as they need to be.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn markdown_table(lines: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        text.push_str(&format!("| {} |\n", line.join(" | ")));
        if index == 0 {
            text.push_str(&format!("|{}\n", "---|".repeat(line.len())));
        }
    }
    text
}

/// What the terminal shows.
pub fn terminal(rows: &[Row], rivals: &[&str], verdicts: &[Verdict]) -> String {
    let figures = aligned(&lines(rows, rivals));
    if verdicts.is_empty() { figures } else { format!("{figures}\n{}", aligned(&verdict_lines(verdicts))) }
}

/// What docs/bench.md shows below its introduction.
pub fn markdown(rows: &[Row], rivals: &[&str], verdicts: &[Verdict]) -> String {
    let bar = markdown_table(&verdict_lines(verdicts));
    let figures = markdown_table(&lines(rows, rivals));
    format!("## The bar\n\n{bar}\n## All figures\n\n{figures}")
}
