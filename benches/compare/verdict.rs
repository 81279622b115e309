//! The bar: what must be reached and what is aimed at, computed from the run's own figures.

use crate::cases::{Case, Group};
use crate::results::{Row, figure_text, more_is_better};

/// What two connections of TLS must move, of what one does.
const TWO_OF_ONE: f64 = 1.6;

/// One line of the bar.
pub struct Verdict {
    pub case: String,
    pub must: String,
    pub aim: String,
    pub figure: String,
    pub rust: String,
    /// Whether it is as good through Rust as it must be through C.
    pub rust_met: Option<bool>,
    pub must_met: Option<bool>,
    pub aim_met: Option<bool>,
}

/// A bound in words, and its value if the run has what it needs.
struct Bound {
    text: String,
    value: Option<f64>,
}

/// The lines for which the run has figures.
pub fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    rows.iter().flat_map(|row| judge(row, rows)).collect()
}

fn judge(row: &Row, rows: &[Row]) -> Vec<Verdict> {
    let case = &row.case;
    if let Some(verdict) = upon_tcp(row, rows) {
        return vec![verdict];
    }
    let mut verdicts = match case.group {
        Group::Throughput => throughput(row),
        Group::RoundTrip if case.batch == 1 => round_trip(row),
        Group::Paced if case.rate >= 10_000 => {
            let not_above = |metric| Bound::of(row, "nanomsg's", &[("nanomsg", metric, 1.0, 0.0)]);
            let p50 = verdict(row, "p50", not_above("p50"), Bound::fixed("10 us", 10.0));
            vec![p50, verdict(row, "p99", not_above("p99"), Bound::none())]
        }
        Group::FanOut if case.peers == 100 => vec![three_times_nanomsg(row)],
        Group::FanIn if case.peers == 64 => vec![three_times_nanomsg(row)],
        Group::Idle => vec![
            verdict(row, "cpu_percent", Bound::fixed("0.0 %", 0.05), Bound::none()),
            verdict(row, "wakeups", Bound::fixed("none", 0.0), Bound::none()),
        ],
        Group::Storm => vec![
            verdict(row, "seconds", Bound::fixed("2 s", 2.0), Bound::fixed("1 s", 1.0)),
            verdict(row, "bytes", Bound::fixed("4 kB each", 4096.0), Bound::fixed("1.5 kB each", 1536.0)),
        ],
        _ => Vec::new(),
    };
    if matches!(case.group, Group::Throughput | Group::RoundTrip | Group::Paced) && case.batch == 1 {
        let must = Bound::of(row, "nanomsg's", &[("nanomsg", "cpu_us", 1.0, 0.0)]);
        let aim = Bound::of(row, "half of it", &[("nanomsg", "cpu_us", 0.5, 0.0)]);
        verdicts.push(verdict(row, "cpu_us", must, aim));
    }
    verdicts.retain(|verdict| verdict.must_met.is_some() || verdict.aim_met.is_some());
    verdicts
}

fn throughput(row: &Row) -> Vec<Verdict> {
    let Case { size, transport, .. } = row.case;
    let rate = |rival, factor| (rival, "rate", factor, 0.0);
    let (must, aim) = match (size, transport) {
        (64, "inproc") => (
            Bound::of(row, "1.5x zmq, 20x nanomsg", &[rate("zmq", 1.5), rate("nanomsg", 20.0)]),
            Bound::of(row, "4x zmq", &[rate("zmq", 4.0)]),
        ),
        (64, _) => (
            Bound::of(row, "2x zmq, 10x nanomsg", &[rate("zmq", 2.0), rate("nanomsg", 10.0)]),
            Bound::of(row, "4x zmq", &[rate("zmq", 4.0)]),
        ),
        (1024, "tcp" | "ipc") => {
            (Bound::of(row, "2x zmq", &[rate("zmq", 2.0)]), Bound::of(row, "4x zmq", &[rate("zmq", 4.0)]))
        }
        (65_536 | 1_048_576, "inproc") => {
            (Bound::of(row, "1.1x nanomsg and zmq", &[rate("nanomsg", 1.1), rate("zmq", 1.1)]), Bound::none())
        }
        (65_536 | 1_048_576, _) => (
            Bound::of(
                row,
                "1.1x nanomsg and zmq, 0.8x bare",
                &[rate("nanomsg", 1.1), rate("zmq", 1.1), rate("bare", 0.8)],
            ),
            Bound::of(row, "1x bare", &[rate("bare", 1.0)]),
        ),
        _ => return Vec::new(),
    };
    vec![verdict(row, "rate", must, aim)]
}

/// What is put between tcp and the messages: judged by what it leaves of tcp's figure, or of the bare pump's. None for
/// other cases, and when the run has nothing to compare with.
fn upon_tcp(row: &Row, rows: &[Row]) -> Option<Verdict> {
    let Case { group, transport, size, peers, .. } = row.case;
    let base = rows.iter().find(|other| other.case == row.case.base());
    let of_base = |text: &str, share| {
        let figure = base.and_then(|base| base.median("spmsg-c", "rate"));
        Bound { text: text.into(), value: figure.map(|figure| figure * share) }
    };
    let (must, aim) = match (group, transport, size) {
        (Group::Throughput, "ws", 64 | 1024) => (of_base("tcp / 1.5", 1.0 / 1.5), Bound::none()),
        (Group::Throughput, "tls+tcp", 64) => (of_base("0.4x tcp", 0.4), Bound::none()),
        (Group::Throughput, "tls+tcp", 65_536) => {
            (Bound::of(row, "0.8x pump", &[("pump", "rate", 0.8, 0.0)]), Bound::none())
        }
        (Group::FanIn, "tls+tcp", _) if peers == 2 => {
            // Where the pump does not gain that much either, the processors are busy with one connection already.
            let pumps = row.median("pump", "rate").zip(base.and_then(|base| base.median("pump", "rate")));
            let share = pumps.map_or(TWO_OF_ONE, |(two, one)| TWO_OF_ONE.min(two / one));
            let text = format!("{share:.2}x one, as the pump (at most {TWO_OF_ONE})");
            (of_base(&text, share), of_base("1.6x one", TWO_OF_ONE))
        }
        _ => return None,
    };
    let verdict = verdict(row, "rate", must, aim);
    verdict.must_met.is_some().then_some(verdict)
}

fn round_trip(row: &Row) -> Vec<Verdict> {
    let p50 = |rival, factor, more| (rival, "p50", factor, more);
    let (must, aim) = match (row.case.pause_us, row.case.transport) {
        (0, "inproc") => {
            (Bound::of(row, "1/10 of nanomsg's", &[p50("nanomsg", 0.1, 0.0)]), Bound::fixed("2 us", 2.0))
        }
        (0, _) => (
            Bound::of(row, "1/5 of nanomsg's and zmq's", &[p50("nanomsg", 0.2, 0.0), p50("zmq", 0.2, 0.0)]),
            Bound::of(row, "1.35x bare-spin", &[p50("bare-spin", 1.35, 0.0)]),
        ),
        (1_000, _) => (
            Bound::of(row, "bare + 5 us", &[p50("bare", 1.0, 5.0)]),
            Bound::of(row, "bare", &[p50("bare", 1.0, 0.0)]),
        ),
        _ => (
            Bound::of(row, "half of nanomsg's", &[p50("nanomsg", 0.5, 0.0)]),
            Bound::of(row, "bare + 5 us", &[p50("bare", 1.0, 5.0)]),
        ),
    };
    let p99 = |factor| [("bare", "p99", factor, 0.0)];
    let tail =
        verdict(row, "p99", Bound::of(row, "1.5x bare", &p99(1.5)), Bound::of(row, "1x bare", &p99(1.0)));
    vec![verdict(row, "p50", must, aim), tail]
}

fn three_times_nanomsg(row: &Row) -> Verdict {
    verdict(row, "rate", Bound::of(row, "3x nanomsg", &[("nanomsg", "rate", 3.0, 0.0)]), Bound::none())
}

impl Bound {
    /// The hardest of `factor * figure + more`; no value when a figure is missing.
    fn of(row: &Row, text: &str, parts: &[(&str, &str, f64, f64)]) -> Bound {
        let mut hardest: Option<f64> = None;
        for (rival, metric, factor, more) in parts {
            let Some(figure) = row.median(rival, metric) else {
                return Bound { text: text.into(), value: None };
            };
            let value = figure * factor + more;
            hardest = Some(match hardest {
                Some(other) if more_is_better(metric) => value.max(other),
                Some(other) => value.min(other),
                None => value,
            });
        }
        Bound { text: text.into(), value: hardest }
    }

    fn fixed(text: &str, value: f64) -> Bound {
        Bound { text: text.into(), value: Some(value) }
    }

    fn none() -> Bound {
        Bound { text: String::new(), value: None }
    }
}

fn verdict(row: &Row, metric: &str, must: Bound, aim: Bound) -> Verdict {
    let met = |rival: &str, bound: &Bound| {
        let (ours, bound) = (row.median(rival, metric)?, bound.value?);
        Some(if more_is_better(metric) { ours >= bound } else { ours <= bound })
    };
    let words = |bound: &Bound| match bound.value {
        Some(value) => format!("{}: {}", bound.text, figure_text(metric, value)),
        None => bound.text.clone(),
    };
    let figure = |rival| row.median(rival, metric).map_or("-".into(), |figure| figure_text(metric, figure));
    Verdict {
        case: format!("{}: {}", row.case.name(), crate::results::title(metric)),
        must: words(&must),
        aim: words(&aim),
        figure: figure("spmsg-c"),
        rust: figure("spmsg-rust"),
        rust_met: met("spmsg-rust", &must),
        must_met: met("spmsg-c", &must),
        aim_met: met("spmsg-c", &aim),
    }
}
