//! A small storage cluster on real processes: C daemons that know only nanomsg's headers, Rust clients, and
//! nanocat and mangos' macat where they are installed. Every message that matters is counted and checked.
//!
//! Run it with `make demo`, which builds the daemons first. It ends with a table and with status 0 only if
//! everything in the table was verified.

mod children;
mod cluster;
mod guests;
mod lines;
mod places;
mod scenes;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use children::Guard;
use cluster::Cluster;
use places::Places;
use table::Table;

/// Whatever went wrong, told to the user as text.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A part of the story: what it proves goes into the table.
type Scene = fn(&mut Cluster, &mut Table) -> Outcome<()>;

const SCENES: [(&str, Scene); 6] = [
    ("configuration notices reach everyone", scenes::first_notices),
    ("management requests, the server killed midway", scenes::requests),
    ("notices again, from the restarted server", scenes::more_notices),
    ("every node is asked, and gossips", scenes::surveys_and_gossip),
    ("work is spread over the workers", scenes::work),
    ("one conversation", scenes::conversation),
];

fn main() -> ExitCode {
    let started = Instant::now();
    match play() {
        Ok(table) => {
            println!("\n{table}");
            println!("{:.1} s", started.elapsed().as_secs_f32());
            if table.is_verified() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Outcome<Table> {
    let places = Places::new()?;
    let guard = Guard::start(places.folder())?;
    let mut table = Table::default();
    println!("starting the daemons");
    let mut cluster = Cluster::start(places, guard)?;
    for (title, scene) in SCENES {
        println!("{title}");
        if let Err(error) = scene(&mut cluster, &mut table) {
            println!("  FAILED: {error}");
            table.failed(title);
        }
    }
    println!("stopping the daemons");
    cluster.stop()?;
    Ok(table)
}
