//! The figures of a run: every sample of every case and rival, and their medians.

use std::collections::BTreeMap;

use crate::cases::{Case, Group};
use crate::run::Sample;

/// All samples of one case.
pub struct Row {
    pub case: Case,
    /// By name of the rival, one per round.
    pub samples: BTreeMap<&'static str, Vec<Sample>>,
    /// By name of the rival: why a measurement failed.
    pub failures: BTreeMap<&'static str, Vec<String>>,
}

impl Row {
    pub fn new(case: Case) -> Row {
        Row { case, samples: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// The median over the rounds.
    pub fn median(&self, rival: &str, metric: &str) -> Option<f64> {
        let mut figures: Vec<f64> =
            self.samples.get(rival)?.iter().filter_map(|sample| sample.get(metric).copied()).collect();
        figures.sort_by(f64::total_cmp);
        match figures.len() {
            0 => None,
            len if len % 2 == 1 => Some(figures[len / 2]),
            len => Some((figures[len / 2 - 1] + figures[len / 2]) / 2.0),
        }
    }

    /// Every figure that some sample of the case has, the one that stands for the case first.
    pub fn metrics(&self) -> Vec<&'static str> {
        let first = self.case.metric();
        let others = METRICS.iter().map(|metric| metric.0).filter(|metric| *metric != first);
        let all = std::iter::once(first).chain(others);
        all.filter(|metric| self.samples.values().flatten().any(|sample| sample.contains_key(*metric)))
            .collect()
    }
}

/// A figure's key, its text in tables, and whether more is better.
const METRICS: [(&str, &str, bool); 14] = [
    ("rate", "messages/s", true),
    ("p50", "p50 us", false),
    ("p99", "p99 us", false),
    ("p999", "p99.9 us", false),
    ("cpu_us", "CPU us per message", false),
    ("switches_each", "context switches per message", false),
    ("memory_far", "peak memory, far side", false),
    ("memory_near", "peak memory, near side", false),
    ("loss", "share lost", false),
    ("seconds", "seconds", false),
    ("bytes", "bytes per client", false),
    ("cpu_percent", "% CPU", false),
    ("wakeups", "wake-ups per second", false),
    ("calls", "system calls per message", false),
];

/// How a figure is called in tables.
pub fn title(metric: &str) -> &'static str {
    METRICS.iter().find(|entry| entry.0 == metric).map_or("", |entry| entry.1)
}

/// Whether more of it is better.
pub fn more_is_better(metric: &str) -> bool {
    METRICS.iter().any(|entry| entry.0 == metric && entry.2)
}

/// Replaces what the processes used by what a message costs, both ends together.
pub fn per_message(sample: &mut Sample, case: &Case, count: usize) {
    let mut used = |name: &str| {
        let near = sample.remove(&format!("{name}_near")).unwrap_or(0.0);
        let far = sample.remove(&format!("{name}_far"))?;
        // A sender that keeps a pace waits busily: only the receiver's share says something.
        Some(if case.group == Group::Paced && case.transport != "inproc" { far } else { far + near })
    };
    let (cpu, switches) = (used("cpu"), used("switches"));
    let delivered = 1.0 - sample.get("loss").copied().unwrap_or(0.0);
    let messages = match case.group {
        Group::FanOut => (count * case.peers) as f64 * delivered,
        _ => count as f64,
    };
    let busy = case.group == Group::Paced && case.transport == "inproc";
    if let (Some(cpu), Some(switches), true, false) = (cpu, switches, messages > 0.0, busy) {
        sample.insert("cpu_us".into(), cpu * 1e6 / messages);
        sample.insert("switches_each".into(), switches / messages);
    }
    // Where hardly anything waits, memory says nothing.
    if matches!(case.group, Group::RoundTrip | Group::Paced | Group::Clients) {
        sample.retain(|name, _| !name.starts_with("memory"));
    }
}

/// `5.21 M`, `812 k`, `33.2`.
pub fn figure_text(metric: &str, figure: f64) -> String {
    let scaled = |figure: f64, unit: &str| match figure {
        ..10.0 => format!("{figure:.2}{unit}"),
        10.0..100.0 => format!("{figure:.1}{unit}"),
        _ => format!("{figure:.0}{unit}"),
    };
    match metric {
        "rate" if figure >= 1e6 => scaled(figure / 1e6, " M"),
        "rate" if figure >= 1e4 => scaled(figure / 1e3, " k"),
        "memory_far" | "memory_near" => scaled(figure / f64::from(1 << 20), " MiB"),
        "loss" | "cpu_us" | "switches_each" | "calls" if figure < 1.0 => format!("{figure:.3}"),
        _ => scaled(figure, ""),
    }
}
