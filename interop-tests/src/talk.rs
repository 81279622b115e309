//! Conversations between two peers that check content, count and order.

use std::time::{Duration, Instant};

use crate::Trouble;
use crate::pattern::{LIMIT, Pattern};
use crate::puppet::{Puppet, Tally};

/// How long a run of messages may take.
const RUN: Duration = Duration::from_secs(20);

/// How long a message over an existing path may take before its sender concludes that it was dropped.
pub const STEP: Duration = Duration::from_millis(700);

/// One attempt to get a probe through.
const PROBE: Duration = Duration::from_millis(200);

/// How long to listen for what must not come, after everything that must.
const QUIET: Duration = Duration::from_millis(20);

/// How long a survey stays open.
const SURVEY_DEADLINE: Duration = Duration::from_millis(600);

/// A numbered run of generated messages.
#[derive(Clone, Debug)]
pub struct Run {
    /// Tells its content from every other run's.
    pub seed: u64,
    /// How many.
    pub count: u64,
    /// Message number i has the i-th size, over and over.
    pub sizes: Vec<usize>,
}

impl Run {
    /// Everything a pattern lets through `devices` devices: four turns of its sizes, 108 messages.
    pub fn full(pattern: Pattern, devices: usize, seed: u64) -> Run {
        let sizes = pattern.sizes(devices);
        Run { seed, count: 4 * sizes.len() as u64, sizes }
    }

    /// One turn of a pattern's sizes.
    pub fn one_turn(pattern: Pattern, seed: u64) -> Run {
        let sizes = pattern.sizes(0);
        Run { seed, count: sizes.len() as u64, sizes }
    }

    /// A few small messages.
    pub fn short(seed: u64) -> Run {
        Run { seed, count: 12, sizes: vec![100, 0, 40] }
    }

    /// The same sizes with other content.
    pub fn reseeded(&self, seed: u64) -> Run {
        Run { seed, ..self.clone() }
    }

    /// A command over messages `from..from + count`.
    pub fn command(&self, verb: &str, from: u64, count: u64, within: Duration) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(usize::to_string).collect();
        format!("{verb} {} {from} {count} {} {}", self.seed, sizes.join(","), within.as_millis())
    }
}

/// What a conversation came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// Messages that arrived and were as they had to be, both ways.
    pub messages: u64,
    /// Bytes of bodies sent by the active side, or both ways where both sides are equal.
    pub bytes: u64,
    /// Messages that had to be sent again because the pattern may drop.
    pub resent: u64,
    /// How often the cell had to begin again because a foreign connector hung; see [`arbiter`](crate::arbiter).
    pub again: u64,
}

impl Account {
    fn of(tally: &Tally, ways: u64, resent: u64) -> Account {
        Account { messages: tally.count * ways, bytes: tally.bytes, resent, again: 0 }
    }

    /// Both together.
    pub fn plus(self, other: Account) -> Account {
        Account {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            resent: self.resent + other.resent,
            again: self.again + other.again,
        }
    }
}

/// Open the sockets of a pattern and set what a conversation needs.
pub fn open(pattern: Pattern, active: &mut Puppet, passive: &mut Puppet) -> Result<(), Trouble> {
    open_active(pattern, false, active)?;
    open_passive(pattern, false, passive)
}

fn open_socket(kind: &str, is_raw: bool, puppet: &mut Puppet) -> Result<(), Trouble> {
    puppet.order(&format!("open {kind}{}", if is_raw { " raw" } else { "" }))?;
    puppet.note_raw(is_raw);
    if puppet.peer().begins_unlimited() {
        puppet.order(&format!("opt rcvmaxsize {LIMIT}"))?;
    }
    Ok(())
}

/// The active side's part of [`open`].
pub fn open_active(pattern: Pattern, is_raw: bool, active: &mut Puppet) -> Result<(), Trouble> {
    open_socket(pattern.types().0, is_raw, active)?;
    if pattern == Pattern::Survey && !is_raw {
        active.order(&format!("opt deadline {}", SURVEY_DEADLINE.as_millis()))?;
    }
    Ok(())
}

/// The passive side's part of [`open`].
pub fn open_passive(pattern: Pattern, is_raw: bool, passive: &mut Puppet) -> Result<(), Trouble> {
    open_socket(pattern.types().1, is_raw, passive)?;
    if pattern == Pattern::PubSub {
        passive.order("opt subscribe -")?;
    }
    Ok(())
}

/// Wait until messages can pass. Nothing that a test checks is sent before.
pub fn settle(pattern: Pattern, active: &mut Puppet, passive: &mut Puppet) -> Result<(), Trouble> {
    match pattern {
        Pattern::ReqRep => Ok(()), // a request waits for its path
        Pattern::Survey => active.order("wait-pipes 1 9000").map(drop),
        _ => {
            probe(active, passive)?;
            if pattern.is_symmetric() { probe(passive, active) } else { Ok(()) }
        }
    }
}

/// Send probes until one arrives.
fn probe(from: &mut Puppet, to: &mut Puppet) -> Result<(), Trouble> {
    let start = Instant::now();
    let mut last = String::new();
    for nonce in 0_u64.. {
        if start.elapsed() > RUN {
            break;
        }
        to.tell(&format!("seek {nonce} {}", PROBE.as_millis()))?;
        from.tell(&format!("probe {nonce} {}", PROBE.as_millis()))?;
        let sent = from.hear(PROBE)?;
        let found = to.hear(PROBE)?;
        if found == "ok" {
            return Ok(());
        }
        last = format!("probe: {sent}, seek: {found}");
        if [&sent, &found].iter().any(|a| *a != "ok" && !a.starts_with("err ETIMEDOUT")) {
            break;
        }
    }
    Err(format!("no path from {} to {}: {last}", from.peer().name(), to.peer().name()))
}

/// Hold the pattern's conversation over an existing path.
pub fn converse(
    pattern: Pattern,
    active: &mut Puppet,
    passive: &mut Puppet,
    run: &Run,
) -> Result<Account, Trouble> {
    let back = run.reseeded(run.seed ^ 0x5555_5555);
    match pattern {
        Pattern::Pair | Pattern::Pair1 => {
            Ok(stream(active, passive, run)?.plus(stream(passive, active, &back)?))
        }
        Pattern::PushPull => stream(active, passive, run),
        Pattern::PubSub => step_by_step(active, passive, run),
        Pattern::Bus => Ok(step_by_step(active, passive, run)?.plus(step_by_step(passive, active, &back)?)),
        Pattern::ReqRep | Pattern::Survey => dialogue(active, passive, run),
    }
}

/// Nothing more comes, on either side.
pub fn expect_silence(pattern: Pattern, active: &mut Puppet, passive: &mut Puppet) -> Result<(), Trouble> {
    match pattern {
        Pattern::ReqRep | Pattern::Survey if active.is_raw() => quiet(active)?,
        Pattern::ReqRep => expect_error(active, 100, "EFSM")?,
        Pattern::Survey => survey_ends(active)?,
        Pattern::Pair | Pattern::Pair1 | Pattern::Bus => quiet(active)?,
        Pattern::PubSub | Pattern::PushPull => {}
    }
    quiet(passive)
}

/// Nothing comes to this one.
pub fn quiet(puppet: &mut Puppet) -> Result<(), Trouble> {
    puppet.order(&format!("quiet {}", QUIET.as_millis())).map(drop)
}

fn expect_error(puppet: &mut Puppet, within_ms: u64, error: &str) -> Result<(), Trouble> {
    let answer = puppet.request(&format!("recv {within_ms}"))?;
    if answer.starts_with(&format!("err {error}")) {
        return Ok(());
    }
    Err(format!("{}: wanted {error}, got {answer}", puppet.peer().name()))
}

/// The open survey brings nothing more; mangos reports its end as a wrong state, the others as a timeout,
/// once (R196, R197).
fn survey_ends(surveyor: &mut Puppet) -> Result<(), Trouble> {
    if surveyor.peer().reports_survey_end() {
        expect_error(surveyor, 5000, "ETIMEDOUT")?;
    }
    expect_error(surveyor, 5000, "EFSM")
}

/// What came is what was sent.
pub fn same(sent: &Tally, came: &Tally) -> Result<(), Trouble> {
    if (sent.count, sent.bytes, &sent.digest) == (came.count, came.bytes, &came.digest) {
        return Ok(());
    }
    Err(format!("sent {sent:?}, came {came:?}"))
}

/// All messages one after the other; the pattern must hold the sender back and lose none.
fn stream(from: &mut Puppet, to: &mut Puppet, run: &Run) -> Result<Account, Trouble> {
    to.tell(&run.command("drain", 0, run.count, RUN))?;
    from.tell(&run.command("burst", 0, run.count, RUN))?;
    let (sent, came) = (from.hear_tally(RUN), to.hear_tally(RUN));
    let (sent, came) = both(sent, came)?;
    same(&sent, &came)?;
    Ok(Account::of(&came, 1, 0))
}

/// Questions and answers, each checked by its receiver.
fn dialogue(active: &mut Puppet, passive: &mut Puppet, run: &Run) -> Result<Account, Trouble> {
    passive.tell(&run.command("answer", 0, run.count, RUN))?;
    active.tell(&run.command("ask", 0, run.count, RUN))?;
    let (asked, answered) = both(active.hear_tally(RUN), passive.hear_tally(RUN))?;
    same(&asked, &answered)?;
    if answered.repeats > asked.repeats {
        return Err(format!("{} questions came twice, {} were repeated", answered.repeats, asked.repeats));
    }
    Ok(Account::of(&answered, 2, asked.repeats))
}

/// A request that is out already is answered, and the answer comes.
pub fn answer_pending(active: &mut Puppet, passive: &mut Puppet, pending: &Run) -> Result<(), Trouble> {
    passive.tell(&pending.command("answer", 0, pending.count, RUN))?;
    let reply = pending.reseeded(pending.seed + 1);
    active.tell(&reply.command("drain", 0, pending.count, RUN))?;
    both(passive.hear_tally(RUN), active.hear_tally(RUN)).map(drop)
}

/// One message at a time, for patterns that may drop when a peer is busy: what does not come is sent again,
/// and nothing may come more often than it was sent.
pub fn step_by_step(from: &mut Puppet, to: &mut Puppet, run: &Run) -> Result<Account, Trouble> {
    let (mut account, mut sendings, mut arrivals) = (Account::default(), 0, 0);
    for number in 0..run.count {
        let start = Instant::now();
        let (sent, came) = loop {
            to.tell(&run.command("sift", number, 1, STEP))?;
            let sent = from.order(&run.command("burst", number, 1, STEP));
            sendings += 1;
            let answer = to.hear(STEP)?;
            let sent = sent?;
            if answer.starts_with("ok") {
                break (sent, answer);
            }
            if !answer.starts_with("err ETIMEDOUT") || start.elapsed() > RUN {
                return Err(format!("message {number}: {}: {answer}", to.peer().name()));
            }
        };
        let came = came.trim_start_matches("ok ").to_owned();
        let (sent, came) = (crate::puppet::tally(&sent)?, crate::puppet::tally(&came)?);
        same(&sent, &came)?;
        arrivals += came.count + came.repeats;
        account.messages += 1;
        account.bytes += came.bytes;
    }
    if arrivals > sendings {
        return Err(format!("{arrivals} messages came, {sendings} were sent"));
    }
    account.resent = sendings - run.count;
    Ok(account)
}

/// A burst that a dropping pattern may thin out: what comes is in order, whole and at most once, and the
/// last message, sent again until it comes, does come.
pub fn thinned_burst(from: &mut Puppet, to: &mut Puppet, run: &Run) -> Result<Account, Trouble> {
    let last = run.count.saturating_sub(1);
    to.tell(&run.command("sift", 0, run.count, RUN))?;
    let start = Instant::now();
    from.tell(&run.command("burst", 0, last, RUN))?;
    let mut sent = from.hear_tally(RUN)?.count;
    let answer = loop {
        from.order(&run.command("burst", last, 1, RUN))?;
        sent += 1;
        if let Some(answer) = to.hear_within(STEP)? {
            break answer;
        }
        if start.elapsed() > RUN {
            return Err("the last message never came".to_owned());
        }
    };
    let came = match answer.strip_prefix("ok ") {
        Some(text) => crate::puppet::tally(text)?,
        None => return Err(format!("{}: {answer}", to.peer().name())),
    };
    if came.count + came.repeats > sent {
        return Err(format!("{came:?} came, {sent} were sent"));
    }
    Ok(Account { messages: came.count, bytes: came.bytes, resent: sent - run.count, again: 0 })
}

/// Both or the troubles of both: the second one is often the cause of the first.
fn both<T>(one: Result<T, Trouble>, two: Result<T, Trouble>) -> Result<(T, T), Trouble> {
    match (one, two) {
        (Ok(one), Ok(two)) => Ok((one, two)),
        (Err(one), Err(two)) => Err(format!("{one}; {two}")),
        (Err(one), _) | (_, Err(one)) => Err(one),
    }
}
