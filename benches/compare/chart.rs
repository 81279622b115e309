//! docs/bench.svg: a few cases as bars, each panel with a scale of its own.

use std::fmt::Write;

use crate::results::{Row, figure_text};

const WIDTH: usize = 860;
const COLUMNS: usize = 3;
const PANEL_WIDTH: usize = WIDTH / COLUMNS;
const HEADING: usize = 34;
const BAR: usize = 15;
const GAP: usize = 4;
const LABEL: usize = 72;
/// Room for the figure behind the longest bar.
const FIGURE: usize = 56;

/// Cases of the chart, and their titles.
const PANELS: [(&str, &str); 9] = [
    ("thr push tcp 64 B", "tcp, 64 B: messages/s"),
    ("thr push ipc 64 B", "ipc, 64 B: messages/s"),
    ("thr push inproc 64 B", "inproc, 64 B: messages/s"),
    ("thr push tcp 1 KiB", "tcp, 1 KiB: messages/s"),
    ("thr push ipc 1 KiB", "ipc, 1 KiB: messages/s"),
    ("thr push tcp 64 KiB", "tcp, 64 KiB: messages/s"),
    ("rtt req tcp 64 B", "tcp: round trip, us (less is better)"),
    ("rtt req ipc 64 B", "ipc: round trip, us (less is better)"),
    ("rtt req inproc 64 B", "inproc: round trip, us (less is better)"),
];

/// The chart of the cases that the run has.
pub fn svg(rows: &[Row], rivals: &[&str]) -> String {
    let row = |name: &str| rows.iter().find(|row| row.case.name() == name);
    let panels: Vec<_> = PANELS.iter().filter_map(|(name, title)| Some((*title, row(name)?))).collect();
    let panel_height = HEADING + rivals.len() * (BAR + GAP) + GAP;
    let height = panels.len().div_ceil(COLUMNS) * panel_height;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
        height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
        <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (index, (title, row)) in panels.into_iter().enumerate() {
        let (x, y) = (index % COLUMNS * PANEL_WIDTH, index / COLUMNS * panel_height);
        panel(&mut text, x, y, title, row, rivals);
    }
    text + "</svg>\n"
}

fn panel(text: &mut String, x: usize, y: usize, title: &str, row: &Row, rivals: &[&str]) {
    let metric = row.case.metric();
    let figures: Vec<_> =
        rivals.iter().filter_map(|rival| Some((*rival, row.median(rival, metric)?))).collect();
    let longest = figures.iter().map(|figure| figure.1).fold(f64::MIN_POSITIVE, f64::max);
    // A String takes every write.
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{title}</text>",
        x + GAP,
        y + HEADING - 12
    );
    for (index, (rival, figure)) in figures.into_iter().enumerate() {
        let top = y + HEADING + index * (BAR + GAP);
        let length = figure / longest * (PANEL_WIDTH - LABEL - FIGURE) as f64;
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{rival}</text>\
            <rect x=\"{bar}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{}\"/>\
            <text x=\"{:.1}\" y=\"{base}\">{}</text>",
            x + LABEL - GAP,
            colour(rival),
            (x + LABEL + GAP) as f64 + length,
            figure_text(metric, figure),
            base = top + BAR - GAP,
            bar = x + LABEL,
        );
    }
}

fn colour(rival: &str) -> &'static str {
    match rival {
        "spmsg-c" | "spmsg-rust" => "#c8401e",
        "bare" | "pump" | "bare-spin" => "#c4c4c4",
        _ => "#6f8aa6",
    }
}
