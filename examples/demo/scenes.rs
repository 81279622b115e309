//! The story, scene by scene. Each counts what was sent, received and verified.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spmsg::{Error, Pair, Req};

use crate::Outcome;
use crate::children::Child;
use crate::cluster::{Cluster, NODES, STALL_AT, TOPIC, WORKERS, Watcher, client};
use crate::lines::PATIENCE;
use crate::table::{Row, Table};

const FIRST_NOTICES: usize = 100;
const MORE_NOTICES: usize = 50;
const REQUESTS: usize = 200;
const GUEST_REQUESTS: usize = 5;
const RUMOURS: usize = 50;
const SURVEYS: usize = 50;
const JOBS: usize = 500;
const LINES: usize = 100;

/// Between two questions about progress.
const ASK_AGAIN: Duration = Duration::from_millis(5);

pub fn first_notices(cluster: &mut Cluster, table: &mut Table) -> Outcome<()> {
    announce(cluster, 1, FIRST_NOTICES)?;
    watch(cluster, table, 1, FIRST_NOTICES);
    Ok(())
}

/// Needs the subscribers to have found the new daemon by themselves.
pub fn more_notices(cluster: &mut Cluster, table: &mut Table) -> Outcome<()> {
    announce(cluster, FIRST_NOTICES + 1, MORE_NOTICES)?;
    watch(cluster, table, FIRST_NOTICES + 1, MORE_NOTICES);
    Ok(())
}

/// Has the management daemon publish, once all subscribers are connected.
fn announce(cluster: &Cluster, first: usize, count: usize) -> Outcome<()> {
    let console = Req::builder().recv_timeout(PATIENCE).build()?;
    console.connect(&cluster.management.requests_tcp)?;
    console.send(format!("announce {first} {count} {}", cluster.subscribers()))?;
    expect(&text(console.recv()?), &format!("announced {count}"))
}

/// Checks what the printing subscribers have received.
fn watch(cluster: &Cluster, table: &mut Table, first: usize, count: usize) {
    for Watcher { name, transport, process } in &cluster.watchers {
        let expected = (first..first + count).map(notice);
        let who = format!("mgmtd (C) -> {name}");
        table.add(row("PUB/SUB", transport, who, &process.lines.take(count), expected));
    }
}

fn notice(number: usize) -> String {
    format!("{TOPIC}{number} replicas={}", 1 + number % 5)
}

pub fn requests(cluster: &mut Cluster, table: &mut Table) -> Outcome<()> {
    let ask = client("ask")?;
    let args = [cluster.management.requests_ipc.clone(), "health".into(), REQUESTS.to_string()];
    let asker = Child::start(&cluster.guard, &ask, &args)?;
    let answers = asker.lines.take(REQUESTS);
    asker.wait()?;
    let who = "ask (Rust) -> mgmtd (C)".to_string();
    table.add(row("REQ/REP", "ipc", who, &answers, (1..=REQUESTS).map(|n| format!("health {n}: fine"))));

    let (question, _) = STALL_AT.split_once(' ').ok_or("a question without a number")?;
    let args = [cluster.management.requests_tcp.clone(), question.into(), REQUESTS.to_string()];
    let asker = Child::start(&cluster.guard, &ask, &args)?;
    cluster.replace_mgmtd()?;
    let answers = asker.lines.take(REQUESTS);
    asker.wait()?;
    let who = "ask (Rust) -> mgmtd (C), killed midway".to_string();
    let expected = (1..=REQUESTS).map(|n| format!("{question} {n}: fine"));
    table.add(row("REQ/REP", "tcp", who, &answers, expected));

    for guest in &cluster.guests {
        let mut answers = Vec::new();
        for number in 1..=GUEST_REQUESTS {
            let asker =
                guest.ask(&cluster.guard, &cluster.management.requests_tcp, &format!("load {number}"))?;
            answers.extend(asker.lines.take(1));
            asker.wait()?;
        }
        let who = format!("{} -> mgmtd (C)", guest.name);
        let expected = (1..=GUEST_REQUESTS).map(|n| format!("load {n}: fine"));
        table.add(row("REQ/REP", "tcp", who, &answers, expected));
    }
    Ok(())
}

/// One survey: who answered, with what. Ends when `wanted` have answered or the deadline has passed.
fn survey(cluster: &Cluster, question: &str, wanted: usize) -> Outcome<BTreeMap<String, Vec<String>>> {
    let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    cluster.console.surveyor.send(question)?;
    for _ in 0..wanted {
        match cluster.console.surveyor.recv() {
            Ok(answer) => {
                let answer = text(answer);
                let name = answer.split(' ').next().unwrap_or_default().to_string();
                answers.entry(name).or_default().push(answer);
            }
            Err(Error::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(answers)
}

pub fn surveys_and_gossip(cluster: &mut Cluster, table: &mut Table) -> Outcome<()> {
    let members: Vec<&str> = NODES.into_iter().chain(cluster.guests.iter().map(|guest| guest.name)).collect();
    until("every node to connect", || {
        Ok(cluster.console.surveyor.statistics()?.current_connections >= members.len() as u64)
    })?;
    gossip(cluster, table, members.len())?;

    let mut answers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for number in 1..=SURVEYS {
        let round = survey(cluster, &format!("report {number}"), members.len())?;
        for member in &members {
            answers.entry(member).or_default().extend(round.get(*member).into_iter().flatten().cloned());
        }
    }
    let notices = FIRST_NOTICES + MORE_NOTICES;
    for (index, member) in members.iter().enumerate() {
        let is_node = NODES.contains(member);
        let expected = if is_node { report(member, notices, notices) } else { member.to_string() };
        let transport = if index == 0 || !is_node { "tcp" } else { "ipc" };
        let who = format!("console (Rust) -> {member}{}", if is_node { " (C)" } else { "" });
        let expected = std::iter::repeat_n(expected, SURVEYS);
        table.add(row("SURVEY", transport, who, &answers[member], expected));
    }
    Ok(())
}

/// What a node reports after all notices and all rumours.
fn report(node: &str, notices: usize, stored: usize) -> String {
    // From the other nodes and from the console.
    let rumours = NODES.len() * RUMOURS;
    format!("{node} notices={notices} stored={stored} rumours={rumours} bad=0")
}

/// Lets the nodes and the console gossip, and waits until the nodes report that they have heard everything.
fn gossip(cluster: &Cluster, table: &mut Table, members: usize) -> Outcome<()> {
    until("the nodes to connect", || {
        Ok(cluster.console.bus.statistics()?.current_connections >= NODES.len() as u64)
    })?;
    let told = survey(cluster, &format!("gossip {RUMOURS} {}", NODES.len()), members)?;
    for node in NODES {
        let answer = told.get(node).and_then(|answers| answers.first()).ok_or("a node did not answer")?;
        expect(answer, &format!("{node} told {RUMOURS}"))?;
    }
    for number in 1..=RUMOURS {
        cluster.console.bus.send(format!("rumour console {number}"))?;
    }
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..RUMOURS * NODES.len() {
        let rumour = text(cluster.console.bus.recv()?);
        let name = rumour.split(' ').nth(1).unwrap_or_default().to_string();
        heard.entry(name).or_default().push(rumour);
    }

    let mut reports = BTreeMap::new();
    let complete = until("the nodes to hear every rumour", || {
        reports = survey(cluster, "report", members)?;
        Ok(NODES.iter().all(|node| field(&reports, node, "rumours") >= NODES.len() * RUMOURS))
    });
    account_for_nodes(table, &reports);
    for node in NODES {
        let expected = (1..=RUMOURS).map(|n| format!("rumour {node} {n}"));
        let received = heard.remove(node).unwrap_or_default();
        table.add(row("BUS", "tcp", format!("{node} (C) -> console (Rust)"), &received, expected));
    }
    complete
}

/// What each node counted: notices from the network, rumours of its peers, and what its store confirmed.
fn account_for_nodes(table: &mut Table, reports: &BTreeMap<String, Vec<String>>) {
    let notices = FIRST_NOTICES + MORE_NOTICES;
    for node in NODES {
        let bad = field(reports, node, "bad");
        let mut count = |pattern, transport, who, sent, name| {
            let received = field(reports, node, name);
            table.add(Row {
                pattern,
                transport,
                who,
                sent,
                received,
                verified: received.saturating_sub(bad),
            });
        };
        count("PUB/SUB", "tcp", format!("mgmtd (C) -> {node} (C)"), notices, "notices");
        count("PAIR", "inproc", format!("{node} (C) <-> its store thread"), notices, "stored");
        count("BUS", "ipc, tcp", format!("all peers -> {node} (C)"), NODES.len() * RUMOURS, "rumours");
    }
}

/// A number from a node's or worker's report; 0 without one.
fn field(reports: &BTreeMap<String, Vec<String>>, node: &str, name: &str) -> usize {
    reports.get(node).and_then(|answers| answers.first()).and_then(|answer| number(answer, name)).unwrap_or(0)
}

/// The number in "name=number", or the sum in "name=number+number".
fn number(report: &str, name: &str) -> Option<usize> {
    let value = report.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    value.split('+').map(|part| part.parse::<usize>().ok()).sum()
}

pub fn work(cluster: &mut Cluster, table: &mut Table) -> Outcome<()> {
    until("the workers to connect", || {
        Ok(cluster.console.jobs.statistics()?.current_connections >= WORKERS.len() as u64)
    })?;
    for number in 1..=JOBS {
        cluster.console.jobs.send(format!("job {number} {}", block(number)))?;
    }
    let mut results = Vec::new();
    for _ in 0..JOBS {
        results.push(text(cluster.console.results.recv()?));
    }
    // Each job once, whoever did it and in whatever order.
    results.sort_by_key(|result| result.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()));
    let done = results.iter().map(|result| result.rsplit_once(' ').map_or(result.as_str(), |(done, _)| done));
    let done: Vec<String> = done.map(str::to_string).collect();
    let expected = (1..=JOBS).map(|n| format!("done {n} {:08x}", hash(&block(n))));

    for (name, address) in WORKERS.into_iter().zip(&cluster.conversations) {
        account_for_worker(table, name, address, &results)?;
    }
    let who = format!("workers' threads ({}) -> console", WORKERS.join(", "));
    table.add(row("PUSH/PULL", "ipc", who, &done, expected));
    Ok(())
}

/// Asks a worker what it and its threads have counted; its results say what it should be.
fn account_for_worker(table: &mut Table, name: &str, address: &str, results: &[String]) -> Outcome<()> {
    let delivered = results.iter().filter(|result| result.ends_with(&format!(" {name}"))).count();
    let console = console(address)?;
    let mut report = String::new();
    let complete = until("a worker's threads to report", || {
        console.send("report")?;
        report = text(console.recv()?);
        Ok(number(&report, "done") == number(&report, "jobs"))
    });
    let jobs = number(&report, "jobs").unwrap_or(0);
    let done = number(&report, "done").unwrap_or(0);
    let bad = number(&report, "bad").unwrap_or(done);
    let mut add = |transport, who, sent, received: usize| {
        let verified = received.saturating_sub(bad).min(delivered);
        table.add(Row { pattern: "PUSH/PULL", transport, who, sent, received, verified });
    };
    add("tcp", format!("console (Rust) -> {name} (C)"), delivered, jobs);
    add("inproc", format!("{name} (C) -> its two threads"), jobs, done);
    complete
}

/// The text of a job.
fn block(number: usize) -> String {
    format!("scrub block {} of volume {}", number * 4096, number % 7)
}

/// 32-bit FNV-1a, as the workers compute it.
fn hash(text: &str) -> u32 {
    text.bytes().fold(2_166_136_261, |value, byte| (value ^ u32::from(byte)).wrapping_mul(16_777_619))
}

/// A conversation with a worker, which talks with one console at a time: this one gets in when the one before
/// has left.
fn console(address: &str) -> Outcome<Pair> {
    let pair = Pair::builder()
        .send_timeout(PATIENCE)
        .recv_timeout(PATIENCE)
        .reconnect(Duration::from_millis(20))
        .build()?;
    pair.connect(address)?;
    Ok(pair)
}

pub fn conversation(cluster: &mut Cluster, table: &mut Table) -> Outcome<()> {
    for (name, address) in WORKERS.into_iter().zip(&cluster.conversations) {
        let console = console(address)?;
        let mut heard = Vec::new();
        for number in 1..=LINES {
            console.send(format!("say {number} {}", phrase(number)))?;
            heard.push(text(console.recv()?));
        }
        let expected =
            (1..=LINES).map(|n| format!("heard {n} {}", phrase(n).chars().rev().collect::<String>()));
        table.add(row("PAIR", "tcp", format!("console (Rust) <-> {name} (C)"), &heard, expected));
    }
    Ok(())
}

fn phrase(number: usize) -> String {
    format!("how is disk {number} doing?")
}

/// Compares what was received, message by message, with what was sent.
fn row(
    pattern: &'static str,
    transport: &'static str,
    who: String,
    received: &[String],
    expected: impl Iterator<Item = String>,
) -> Row {
    let expected: Vec<String> = expected.collect();
    let verified = received.iter().zip(&expected).filter(|(got, wanted)| got == wanted).count();
    let row = Row { pattern, transport, who, sent: expected.len(), received: received.len(), verified };
    println!("  {} over {}: {}, {} of {} right", row.pattern, row.transport, row.who, row.verified, row.sent);
    row
}

/// Asks `done` again and again until it says yes, or fails after [`PATIENCE`].
fn until(what: &str, mut done: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}").into());
        }
        std::thread::sleep(ASK_AGAIN);
    }
    Ok(())
}

fn expect(got: &str, wanted: &str) -> Outcome<()> {
    if got == wanted { Ok(()) } else { Err(format!("\"{got}\" in place of \"{wanted}\"").into()) }
}

fn text(message: spmsg::Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}
