//! docs/rules.md against the tests that exist: every rule has its row, every row its proof, every proof its row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rules of every transport, of the patterns, and of connections.
fn required() -> impl Iterator<Item = u32> {
    (1..=98).chain(101..=252)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

struct Row {
    requirement: String,
    proofs: Vec<(String, String)>,
    reason: Option<String>,
}

/// The table: `| R131 | requirement | `file::path::test` ... |`, or `not applicable: reason` in place of tests.
fn table() -> BTreeMap<u32, Row> {
    let text = fs::read_to_string(root().join("docs/rules.md")).expect("docs/rules.md");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| R")) {
        let cells: Vec<_> = line.trim_matches('|').splitn(3, '|').map(str::trim).collect();
        let [rule, requirement, proof] = cells[..] else { panic!("not three cells: {line}") };
        let rule: u32 = rule[1..].parse().unwrap_or_else(|_| panic!("no rule number: {line}"));
        let proofs = proof.split('`').skip(1).step_by(2).map(|place| {
            let (file, path) =
                place.split_once("::").unwrap_or_else(|| panic!("R{rule}: no test in {place}"));
            let name = path.rsplit("::").next().unwrap_or(path);
            (file.to_owned(), name.to_owned())
        });
        let row = Row {
            requirement: requirement.to_owned(),
            proofs: proofs.collect(),
            reason: proof.strip_prefix("not applicable: ").map(str::to_owned),
        };
        assert!(rows.insert(rule, row).is_none(), "R{rule} has two rows");
    }
    rows
}

/// Every Rust and C source below the places where tests live.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open: Vec<PathBuf> =
        ["src", "tests", "ffi/src", "ffi/tests", "interop-tests/src", "interop-tests/tests"]
            .iter()
            .map(|folder| root().join(folder))
            .collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("rs" | "c")) {
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.insert(name, fs::read_to_string(&path).expect("a source"));
        }
    }
    found
}

fn defines(file: &str, text: &str, name: &str) -> bool {
    let is_c = Path::new(file).extension().is_some_and(|extension| extension == "c");
    let before = if is_c { "" } else { "fn " };
    [format!("{before}{name}("), format!("{before}{name} (")].iter().any(|form| text.contains(form))
}

/// The rules at the front of a test's name: `r10_r12_numbers` proves R10 and R12.
fn rules_of(name: &str) -> Vec<u32> {
    name.split('_').map_while(|part| part.strip_prefix('r')?.parse().ok()).collect()
}

/// Functions named after rules in one source.
fn tests_of(file: &str, text: &str) -> BTreeSet<String> {
    let is_c = file.ends_with(".c");
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_start();
        let rest = if is_c { line.strip_prefix("static void ") } else { line.strip_prefix("fn ") };
        let Some(rest) = rest else { continue };
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !rules_of(&name).is_empty() {
            names.insert(name);
        }
    }
    names
}

#[test]
fn every_rule_has_a_row_with_a_proof_or_a_reason() {
    let (table, sources) = (table(), sources());
    let mut wrong = Vec::new();
    for rule in required() {
        let Some(row) = table.get(&rule) else {
            wrong.push(format!("R{rule} has no row"));
            continue;
        };
        if row.requirement.is_empty() {
            wrong.push(format!("R{rule} does not say what it requires"));
        }
        if row.proofs.is_empty() && row.reason.is_none() {
            wrong.push(format!("R{rule} has neither a test nor a reason"));
        }
        for (file, name) in &row.proofs {
            match sources.get(file) {
                None => wrong.push(format!("R{rule}: there is no {file}")),
                Some(text) if !defines(file, text, name) => {
                    wrong.push(format!("R{rule}: no test {name} in {file}"))
                }
                Some(_) => (),
            }
        }
    }
    assert!(wrong.is_empty(), "docs/rules.md is wrong:\n{}", wrong.join("\n"));
}

#[test]
fn every_test_named_after_a_rule_is_in_the_rows_of_its_rules() {
    let (table, sources) = (table(), sources());
    let mut missing = Vec::new();
    for (file, text) in &sources {
        for name in tests_of(file, text) {
            for rule in rules_of(&name) {
                let listed =
                    table.get(&rule).is_some_and(|row| row.proofs.contains(&(file.clone(), name.clone())));
                if !listed {
                    missing.push(format!("R{rule}: {file}::{name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/rules.md:\n{}", missing.join("\n"));
}
