//! Has every rival play every case in turn.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use crate::cases::{Case, Group};
use crate::results::{self, Row};
use crate::rivals::Rival;
use crate::run::{self, Sample};
use crate::special;

/// How all cases are played.
pub struct Rules<'a> {
    pub rivals: &'a [Rival],
    pub rounds: usize,
    /// About how long a measurement takes.
    pub seconds: f64,
    /// Whether a round is divided where several short runs say more.
    pub in_parts: bool,
    pub folder: &'a Path,
}

/// A case that is being played.
struct Game {
    row: Row,
    progress: Progress,
    rounds: usize,
    /// About how long a measurement takes.
    seconds: f64,
    /// How many messages the measurements of a rival have.
    counts: HashMap<&'static str, usize>,
}

/// A row for each case, in their order. Cases that are judged by each other take turns too.
pub fn all(cases: &[Case], rules: &Rules<'_>) -> Vec<Row> {
    let began = Instant::now();
    let mut rows: Vec<Option<Row>> = cases.iter().map(|_| None).collect();
    for at in 0..cases.len() {
        if rows[at].is_some() {
            continue;
        }
        let family: Vec<usize> =
            (at..cases.len()).filter(|other| cases[*other].base() == cases[at].base()).collect();
        let mut games: Vec<Game> = Vec::new();
        for at in &family {
            let name = cases[*at].name();
            let progress = Progress { began, case: format!("{}/{} {name}", at + 1, cases.len()) };
            games.push(Game::new(cases[*at].clone(), rules, progress));
        }
        play(&mut games, rules);
        for (at, game) in family.into_iter().zip(games) {
            game.tell(rules.rivals);
            rows[at] = Some(game.row);
        }
    }
    rows.into_iter().flatten().collect()
}

/// All rounds of cases that belong together.
fn play(games: &mut [Game], rules: &Rules<'_>) {
    let rounds = games.iter().map(|game| game.rounds).max().unwrap_or(0);
    for round in 0..rounds {
        // Nobody always follows the same neighbour.
        for rival in rules.rivals.iter().cycle().skip(round).take(rules.rivals.len()) {
            for game in games.iter_mut().filter(|game| round < game.rounds && game.has(rival)) {
                game.progress.show(&format!("round {} {}", round + 1, rival.name), false);
                game.play(rival, rules.folder);
            }
        }
    }
}

impl Game {
    fn new(case: Case, rules: &Rules<'_>, progress: Progress) -> Game {
        let parts = if rules.in_parts { case.parts() } else { 1 };
        // Counting calls is slow, and what it finds does not depend on the pace of the machine.
        let rounds = if case.group == Group::Calls { 1 } else { rules.rounds * parts };
        let seconds = rules.seconds / parts as f64;
        Game { row: Row::new(case), progress, rounds, seconds, counts: HashMap::new() }
    }

    /// Whether the rival plays it; after two failures it sits out the rest.
    fn has(&self, rival: &Rival) -> bool {
        let failed = self.row.failures.get(rival.name).is_some_and(|failures| failures.len() > 1);
        rival.plays(&self.row.case) && !failed
    }

    /// One measurement. If it fails that is noted.
    fn play(&mut self, rival: &Rival, folder: &Path) {
        let measured = self.count(rival, folder).and_then(|count| {
            let mut sample = measure(rival, &self.row.case, count, folder)?;
            results::per_message(&mut sample, &self.row.case, count);
            Ok(sample)
        });
        match measured {
            Ok(sample) => self.row.samples.entry(rival.name).or_default().push(sample),
            Err(why) => self.row.failures.entry(rival.name).or_default().push(why),
        }
    }

    /// How many messages the rival's measurements have, found out by short ones: a very short one exaggerates.
    fn count(&mut self, rival: &Rival, folder: &Path) -> Result<usize, String> {
        if let Some(count) = self.counts.get(rival.name) {
            return Ok(*count);
        }
        let case = &self.row.case;
        let mut count = case.first_count();
        if case.needs_calibration() {
            for share in [0.25, 1.0] {
                let sample = run::measure(rival, case, count, folder)?;
                let figure = sample.get(case.metric()).copied().filter(|figure| *figure > 0.0);
                let figure = figure.ok_or("the first measurement has no figure")?;
                count = case.count_for(figure, share * self.seconds);
            }
        } else {
            count = case.count_for(1.0, self.seconds);
        }
        self.counts.insert(rival.name, count);
        Ok(count)
    }

    /// Shows what came out.
    fn tell(&self, rivals: &[Rival]) {
        let metric = self.row.case.metric();
        let figure = |rival: &Rival| {
            let figure = self.row.median(rival.name, metric)?;
            Some(format!("{} {}", rival.name, results::figure_text(metric, figure)))
        };
        let figures: Vec<String> = rivals.iter().filter_map(figure).collect();
        self.progress.show(&figures.join(", "), true);
    }
}

struct Progress {
    began: Instant,
    case: String,
}

impl Progress {
    /// On a terminal one line that changes until it is `done`, elsewhere only what is done.
    fn show(&self, what: &str, done: bool) {
        let line = format!("[{:>5.0} s] {}: {what}", self.began.elapsed().as_secs_f64(), self.case);
        let mut stderr = std::io::stderr();
        // Nothing depends on whether it is seen.
        let _ = match (stderr.is_terminal(), done) {
            (true, _) => write!(stderr, "\r\x1b[K{line}{}", if done { "\n" } else { "" }),
            (false, true) => writeln!(stderr, "{line}"),
            (false, false) => Ok(()),
        };
    }
}

fn measure(rival: &Rival, case: &Case, count: usize, folder: &Path) -> Result<Sample, String> {
    match case.group {
        Group::Storm => special::storm(rival, case, folder),
        Group::Idle => special::idle(rival, case, folder),
        Group::Calls => special::calls(rival, case, folder),
        _ => run::measure(rival, case, count, folder),
    }
}
