//! docs/bench.json and docs/bench.md.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::results::{Row, title};
use crate::rivals::Rival;
use crate::table;
use crate::verdict::Verdict;

/// What the figures belong to.
pub struct Setting<'a> {
    pub rivals: &'a [Rival],
    pub rounds: usize,
    pub seconds: f64,
}

/// Writes the three files.
pub fn write(folder: &Path, setting: &Setting, rows: &[Row], verdicts: &[Verdict]) -> Result<(), String> {
    let names: Vec<&str> = setting.rivals.iter().map(|rival| rival.name).collect();
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (name, text) in [
        ("bench.json", lines(json(setting, rows, verdicts))),
        ("bench.md", markdown(setting, rows, verdicts)),
        ("bench.svg", crate::chart::svg(rows, &names)),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// A line for each case and each entry of the bar, so that two versions of the file can be compared.
fn lines(value: Value) -> String {
    let Value::Object(entries) = value else {
        return value.to_string();
    };
    let inner = |value: &Value| match value {
        Value::Object(map) => {
            let lines: Vec<_> =
                map.iter().map(|(key, value)| format!("    {}: {value}", json!(key))).collect();
            format!("{{\n{}\n  }}", lines.join(",\n"))
        }
        Value::Array(list) => {
            let lines: Vec<_> = list.iter().map(|value| format!("    {value}")).collect();
            format!("[\n{}\n  ]", lines.join(",\n"))
        }
        other => other.to_string(),
    };
    let entries: Vec<_> =
        entries.iter().map(|(key, value)| format!("  {}: {}", json!(key), inner(value))).collect();
    format!("{{\n{}\n}}\n", entries.join(",\n"))
}

/// Four significant digits: more would only be noise.
fn rounded(figure: f64) -> Value {
    format!("{figure:.3e}").parse::<f64>().map_or(Value::Null, |figure| json!(figure))
}

fn json(setting: &Setting, rows: &[Row], verdicts: &[Verdict]) -> Value {
    let options = setting.rivals.iter().map(|rival| (rival.name.to_owned(), json!(rival.options)));
    json!({
        "machine": machine(),
        "rounds": setting.rounds,
        "seconds": setting.seconds,
        "rivals": options.collect::<Map<_, _>>(),
        "bar": verdicts.iter().map(bar_json).collect::<Vec<_>>(),
        "cases": rows.iter().map(|row| (row.case.name(), row_json(row))).collect::<Map<_, _>>(),
    })
}

fn bar_json(verdict: &Verdict) -> Value {
    json!({
        "case": verdict.case,
        "must": verdict.must,
        "aim": verdict.aim,
        "figure": verdict.figure,
        "must_met": verdict.must_met,
        "aim_met": verdict.aim_met,
        "rust": verdict.rust,
        "rust_met": verdict.rust_met,
    })
}

/// `{figure: {rival: {median, samples}}}`
fn row_json(row: &Row) -> Value {
    let mut figures = Map::new();
    for metric in row.metrics() {
        let mut rivals = Map::new();
        for (rival, samples) in &row.samples {
            let figures = samples.iter().filter_map(|sample| sample.get(metric).copied());
            let samples: Vec<Value> = figures.map(rounded).collect();
            if let Some(median) = row.median(rival, metric) {
                rivals.insert((*rival).to_owned(), json!({ "median": rounded(median), "samples": samples }));
            }
        }
        figures.insert(title(metric).to_owned(), Value::Object(rivals));
    }
    if !row.failures.is_empty() {
        figures.insert("failures".to_owned(), json!(row.failures));
    }
    Value::Object(figures)
}

fn markdown(setting: &Setting, rows: &[Row], verdicts: &[Verdict]) -> String {
    let names: Vec<&str> = setting.rivals.iter().map(|rival| rival.name).collect();
    let options = setting.rivals.iter().map(|rival| format!("* **{}**: {}\n", rival.name, rival.options));
    format!(
        "# Beside its relatives\n\n\
        Written by `make bench`, on {}: one interleaved run, medians of {} rounds of about {} s each, \
        large bodies over tcp and ipc, pauses and paced senders in three times as many of a third. \
        Separate processes over tcp and ipc, two threads over inproc; plain blocking calls with a user's \
        buffer. Absolute figures belong to the machine; in brackets how far spmsg through the C interface is \
        ahead (above 1) or behind (below 1). CPU and context switches are both ends together (the receiver's \
        alone where the sender keeps a pace). The far side binds, the near one connects. What each case does \
        is written once, in [benches/rivals/cases.h](../benches/rivals/cases.h).\n\n{}\n{}",
        machine(),
        setting.rounds,
        setting.seconds,
        options.collect::<String>(),
        table::markdown(rows, &names, verdicts)
    )
}

/// Processor and kernel; no names of hosts.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let release = kernel.split(['-', '\n']).next().unwrap_or_default();
    format!("{} x {}, Linux {release}", processors, model.trim_start_matches([' ', '\t', ':']))
}
