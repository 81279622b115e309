//! spmsg beside nanomsg, nng, ZeroMQ, mangos and bare sockets, in one interleaved run.
//!
//! Every case is played by every rival in turn, round after round, and medians are compared, so that a
//! machine that changes its pace changes it for all; so are cases that are judged by each other. Ratios are what
//! counts; absolute figures belong to the machine.

mod cases;
#[path = "../../tests/util/certs.rs"]
#[allow(dead_code)]
mod certs;
mod chart;
mod play;
mod report;
mod results;
mod rivals;
mod run;
mod special;
mod table;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use cases::Case;

const HELP: &str = "\
cargo bench -p spmsg-bench --bench compare -- [OPTIONS]

  --quick              a selection for daily use, with fewer rivals and rounds: a few minutes
  --only WORDS         cases whose name holds one of these, by commas: thr,rtt,burst,paced,pub,fanin,...
  --pattern NAMES      push,pair,req,pub
  --transport NAMES    tcp,ipc,inproc,ws,tls+tcp,wss
  --size BYTES         8,64,256,1024,8192,65536,1048576
  --rivals NAMES       spmsg-c,spmsg-rust,nanomsg,nng,zmq,mangos,bare,pump,bare-spin
  --rounds N           default 5, 3 with --quick
  --seconds S          about how long a measurement takes; default 0.4, 0.2 with --quick
  --write FOLDER       writes bench.json, bench.md and bench.svg there, seen from the top of the tree
  --list               says which cases there are";

#[derive(Default)]
struct Wishes {
    quick: bool,
    list: bool,
    only: Vec<String>,
    pattern: Vec<String>,
    transport: Vec<String>,
    size: Vec<String>,
    rivals: Vec<String>,
    rounds: Option<usize>,
    seconds: Option<f64>,
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match wishes().and_then(|wishes| wishes.map_or(Ok(()), |wishes| compare(&wishes))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The command line; `None` when only help was wanted.
fn wishes() -> Result<Option<Wishes>, String> {
    use lexopt::prelude::*;
    let mut wishes = Wishes::default();
    let mut parser = lexopt::Parser::from_env();
    let read = |parser: &mut lexopt::Parser, wishes: &mut Wishes| -> Result<bool, lexopt::Error> {
        let list = |parser: &mut lexopt::Parser| -> Result<Vec<String>, lexopt::Error> {
            Ok(parser.value()?.string()?.split(',').map(ToOwned::to_owned).collect())
        };
        while let Some(argument) = parser.next()? {
            match argument {
                // cargo adds it.
                Long("bench") => {}
                Long("quick") => wishes.quick = true,
                Long("list") => wishes.list = true,
                Long("only") => wishes.only = list(parser)?,
                Long("pattern") => wishes.pattern = list(parser)?,
                Long("transport") => wishes.transport = list(parser)?,
                Long("size") => wishes.size = list(parser)?,
                Long("rivals") => wishes.rivals = list(parser)?,
                Long("rounds") => wishes.rounds = Some(parser.value()?.parse()?),
                Long("seconds") => wishes.seconds = Some(parser.value()?.parse()?),
                Long("write") => wishes.write = Some(parser.value()?.into()),
                Long("help") | Short('h') => return Ok(false),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(true)
    };
    match read(&mut parser, &mut wishes) {
        Ok(true) => Ok(Some(wishes)),
        Ok(false) => {
            println!("{HELP}");
            Ok(None)
        }
        Err(error) => Err(format!("{error}\n\n{HELP}")),
    }
}

impl Wishes {
    fn cases(&self) -> Vec<Case> {
        let mut cases = if self.quick { cases::quick() } else { cases::all(special::storm_clients()) };
        let among = |list: &[String], value: &str| list.is_empty() || list.iter().any(|entry| entry == value);
        cases.retain(|case| {
            let name = case.name();
            (self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str())))
                && among(&self.pattern, case.pattern)
                && among(&self.transport, case.transport)
                && among(&self.size, &case.size.to_string())
        });
        cases
    }

    fn rivals(&self) -> Vec<String> {
        let quick: &[&str] = &["spmsg-c", "nanomsg", "zmq", "bare", "pump", "bare-spin"];
        match (self.rivals.is_empty(), self.quick) {
            (false, _) => self.rivals.clone(),
            (true, true) => quick.iter().map(ToString::to_string).collect(),
            (true, false) => rivals::RIVALS.map(|rival| rival.0.to_owned()).to_vec(),
        }
    }
}

fn compare(wishes: &Wishes) -> Result<(), String> {
    let cases = wishes.cases();
    if wishes.list {
        cases.iter().for_each(|case| println!("{}", case.name()));
        return Ok(());
    }
    let began = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let rivals = rivals::build(&wishes.rivals(), folder.path())?;
    if cases.iter().any(Case::is_secure) {
        write_certificates(folder.path()).map_err(|error| format!("no certificates: {error}"))?;
    }
    let rounds = wishes.rounds.unwrap_or(if wishes.quick { 3 } else { 5 });
    let seconds = wishes.seconds.unwrap_or(if wishes.quick { 0.2 } else { 0.4 });
    for rival in &rivals {
        println!("{:<12} {}", rival.name, rival.options);
    }
    println!("{} cases, medians of {rounds} interleaved rounds of about {seconds} s\n", cases.len());
    // What is only looked at on a screen is not worth the time of many short runs.
    let in_parts = !wishes.quick || wishes.write.is_some();
    let rows =
        play::all(&cases, &play::Rules { rivals: &rivals, rounds, seconds, in_parts, folder: folder.path() });
    let names: Vec<&str> = rivals.iter().map(|rival| rival.name).collect();
    let verdicts = verdict::verdicts(&rows);
    println!("\nin brackets how far spmsg-c is ahead (above 1) or behind (below 1)\n");
    println!("{}", table::terminal(&rows, &names, &verdicts));
    for row in &rows {
        for (rival, failures) in &row.failures {
            println!("{} {rival}: {} failed: {}", row.case.name(), failures.len(), failures[0]);
        }
    }
    println!("took {:.0} s", began.elapsed().as_secs_f64());
    match &wishes.write {
        Some(to) => report::write(
            &root().join(to),
            &report::Setting { rivals: &rivals, rounds, seconds },
            &rows,
            &verdicts,
        ),
        None => Ok(()),
    }
}

/// For this run only: an authority, and a certificate of it for this host that all sides use.
fn write_certificates(folder: &Path) -> std::io::Result<()> {
    let authority = certs::Authority::new("bench");
    let identity = authority.issue("bench", &["127.0.0.1", "localhost"]);
    let files = [("ca.pem", &authority.pem), ("cert.pem", &identity.cert), ("key.pem", &identity.key)];
    files.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

/// The folder of the workspace: cargo runs a bench in its package's.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
