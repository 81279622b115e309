//! Three peers at once on one socket of ours, one of each foreign kind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::cell::Stage;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::place::{Place, Wire};
use crate::puppet::Puppet;
use crate::talk::{self, Account, Run, STEP};

/// How long everything may take.
const WHOLE: Duration = Duration::from_secs(20);

/// How long each peer listens before it says what came to it.
const GLEAN: Duration = Duration::from_millis(300);

/// The seeds of two peers' streams differ by more than a peer's rank adds.
const SEED_STEP: u64 = 10;

/// One socket in the middle and three around it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The pattern.
    pub pattern: Pattern,
    /// Who is in the middle.
    pub hub: Peer,
    /// Whether the middle has the pattern's active part.
    pub hub_is_active: bool,
    /// Whether the middle binds once; otherwise each of the others binds, and it connects to all.
    pub hub_binds: bool,
    /// The transport.
    pub wire: Wire,
}

struct Crowd {
    hub: Puppet,
    spokes: Vec<Puppet>,
    _places: Vec<Place>,
}

impl Plan {
    /// A line of the table.
    pub fn name(&self) -> String {
        let (active, passive) = self.pattern.types();
        let (mine, theirs) = if self.hub_is_active { (active, passive) } else { (passive, active) };
        let who = if self.hub_binds { "binds" } else { "connects" };
        format!("{} {mine} {} {who}, three times {theirs}", self.wire.name(), self.hub.name())
    }

    /// Bring them together and let them talk.
    pub fn run(&self, stage: &mut Stage, seed: u64) -> Result<Account, Trouble> {
        let mut crowd = self.assemble(stage)?;
        let run = Run::one_turn(self.pattern, seed * 1000);
        let account = match (self.pattern, self.hub_is_active) {
            (Pattern::ReqRep, true) => crowd.spread_questions(&run)?,
            (Pattern::PushPull, true) => crowd.spread(&run)?,
            (Pattern::Survey, true) => crowd.ask_everybody(&run)?,
            (Pattern::ReqRep | Pattern::Survey, false) => crowd.answer_everybody(&run)?,
            (Pattern::PushPull, false) => crowd.collect(&run)?,
            (Pattern::PubSub, true) => crowd.tell_everybody(&run)?,
            (Pattern::PubSub, false) => crowd.hear_each(&run)?,
            (Pattern::Bus, _) => crowd.tell_everybody(&run)?.plus(crowd.hear_each(&run)?),
            (Pattern::Pair | Pattern::Pair1, _) => return Err("a pair is of two".to_owned()),
        };
        crowd.expect_silence(self, account)?;
        Ok(account)
    }

    fn assemble(&self, stage: &mut Stage) -> Result<Crowd, Trouble> {
        let open = |is_active: bool, puppet: &mut Puppet| match is_active {
            true => talk::open_active(self.pattern, false, puppet),
            false => talk::open_passive(self.pattern, false, puppet),
        };
        let mut hub = stage.spawn(self.hub, "hub")?;
        open(self.hub_is_active, &mut hub)?;
        let mut places = vec![Place::reserve(self.wire)?];
        if self.hub_binds {
            hub.order(&format!("bind {}", places[0].address()))?;
        }
        let mut spokes = Vec::new();
        for peer in Peer::FOREIGN {
            let mut spoke = stage.spawn(peer, "spoke")?;
            open(!self.hub_is_active, &mut spoke)?;
            if self.hub_binds {
                spoke.order(&format!("connect {}", places[0].address()))?;
            } else {
                let place = Place::reserve(self.wire)?;
                spoke.order(&format!("bind {}", place.address()))?;
                hub.order(&format!("connect {}", place.address()))?;
                places.push(place);
            }
            spoke.order("wait-pipes 1 9000")?;
            spokes.push(spoke);
        }
        hub.order(&format!("wait-pipes {} 9000", spokes.len()))?;
        Ok(Crowd { hub, spokes, _places: places })
    }
}

impl Crowd {
    fn seed(run: &Run, rank: usize) -> u64 {
        run.seed + SEED_STEP * rank as u64
    }

    /// Everything that comes to the hub: one stream from each.
    fn all_seeds(&self, run: &Run) -> String {
        let seeds: Vec<String> =
            (0..self.spokes.len()).map(|rank| Crowd::seed(run, rank).to_string()).collect();
        seeds.join(",")
    }

    /// The hub hears what each of the others says, all at the same time. It tells them apart by content, so
    /// none may be so short that two say the same.
    fn at_the_same_time(&mut self, run: &Run, verb: &str) -> Result<Account, Trouble> {
        let sizes = run.sizes.iter().map(|size| if *size < 8 { size + 8 } else { *size }).collect();
        let run = &Run { sizes, ..run.clone() };
        let command = run.command("gather", 0, run.count, WHOLE);
        let (_, rest) = command.split_once(&format!(" {} ", run.seed)).unwrap_or_default();
        self.hub.tell(&format!("gather {} {rest}", self.all_seeds(run)))?;
        for (rank, spoke) in self.spokes.iter_mut().enumerate() {
            spoke.tell(&run.reseeded(Crowd::seed(run, rank)).command(verb, 0, run.count, WHOLE))?;
        }
        let mut sent = Account::default();
        for spoke in &mut self.spokes {
            let tally = spoke.hear_tally(WHOLE)?;
            sent = sent.plus(Account {
                messages: tally.count,
                bytes: tally.bytes,
                resent: tally.repeats,
                again: 0,
            });
        }
        let came = self.hub.hear_tally(WHOLE)?;
        if (came.count, came.bytes) != (sent.messages, sent.bytes) || came.repeats > sent.resent {
            return Err(format!("sent {sent:?}, came {came:?}"));
        }
        Ok(sent)
    }

    fn collect(&mut self, run: &Run) -> Result<Account, Trouble> {
        self.at_the_same_time(run, "burst")
    }

    fn answer_everybody(&mut self, run: &Run) -> Result<Account, Trouble> {
        let asked = self.at_the_same_time(run, "ask")?;
        Ok(Account { messages: 2 * asked.messages, ..asked })
    }

    /// Each question goes to all, and all answer.
    fn ask_everybody(&mut self, run: &Run) -> Result<Account, Trouble> {
        for (rank, spoke) in self.spokes.iter_mut().enumerate() {
            spoke.tell(&format!("{} {rank}", run.command("answer", 0, run.count, WHOLE)))?;
        }
        self.hub.tell(&format!("{} {}", run.command("ask", 0, run.count, WHOLE), self.spokes.len()))?;
        let asked = self.hub.hear_tally(WHOLE)?;
        for spoke in &mut self.spokes {
            let answered = spoke.hear_tally(WHOLE)?;
            talk::same(&asked, &answered)?;
        }
        let messages = asked.count * (1 + self.spokes.len() as u64);
        Ok(Account { messages, bytes: asked.bytes, resent: asked.repeats, again: 0 })
    }

    /// What the hub sends is spread over the others: each message to exactly one, and some to each.
    fn spread(&mut self, run: &Run) -> Result<Account, Trouble> {
        self.spread_by("burst", run)
    }

    /// As [`Crowd::spread`], and each is answered by who got it.
    fn spread_questions(&mut self, run: &Run) -> Result<Account, Trouble> {
        let asked = self.spread_by("ask", run)?;
        Ok(Account { messages: 2 * asked.messages, ..asked })
    }

    fn spread_by(&mut self, verb: &str, run: &Run) -> Result<Account, Trouble> {
        self.hub.tell(&run.command(verb, 0, run.count, WHOLE))?;
        let start = Instant::now();
        let mut came: Vec<Vec<u64>> = vec![Vec::new(); self.spokes.len()];
        while came.iter().map(Vec::len).sum::<usize>() < run.count as usize {
            if start.elapsed() > WHOLE {
                return Err(format!("these came: {came:?}"));
            }
            self.glean(run, &mut came)?;
        }
        let sent = self.hub.hear_tally(WHOLE)?;
        let distinct: BTreeSet<u64> = came.iter().flatten().copied().collect();
        let total: usize = came.iter().map(Vec::len).sum();
        if distinct.len() != total || total as u64 != sent.count || came.iter().any(Vec::is_empty) {
            return Err(format!("{} were sent, these came: {came:?}", sent.count));
        }
        Ok(Account { messages: sent.count, bytes: sent.bytes, resent: sent.repeats, again: 0 })
    }

    /// All listen for a while; what came to each is added to its list.
    fn glean(&mut self, run: &Run, came: &mut [Vec<u64>]) -> Result<(), Trouble> {
        for (spoke, list) in self.spokes.iter_mut().zip(&*came) {
            let from = list.last().map_or(0, |last| last + 1);
            spoke.tell(&run.command("glean", from, run.count - from, GLEAN))?;
        }
        for (spoke, list) in self.spokes.iter_mut().zip(came) {
            let answer = spoke.hear_ok(GLEAN)?;
            if answer == "-" || answer.is_empty() {
                continue;
            }
            for number in answer.split(',') {
                list.push(number.parse().map_err(|_| format!("no list: {answer}"))?);
            }
        }
        Ok(())
    }

    /// One message at a time from the hub to all; who did not get it makes it be sent again.
    fn tell_everybody(&mut self, run: &Run) -> Result<Account, Trouble> {
        let mut account = Account::default();
        for number in 0..run.count {
            let mut waiting: Vec<usize> = (0..self.spokes.len()).collect();
            let start = Instant::now();
            while !waiting.is_empty() {
                for rank in &waiting {
                    self.spokes[*rank].tell(&run.command("sift", number, 1, STEP))?;
                }
                self.hub.order(&run.command("burst", number, 1, STEP))?;
                let before = waiting.len();
                waiting = self.still_waiting(waiting)?;
                account.resent += u64::from(!waiting.is_empty());
                account.messages += (before - waiting.len()) as u64;
                if start.elapsed() > WHOLE {
                    return Err(format!("message {number} did not come to all"));
                }
            }
            account.bytes += run.sizes[(number % run.sizes.len() as u64) as usize] as u64;
        }
        Ok(account)
    }

    fn still_waiting(&mut self, waiting: Vec<usize>) -> Result<Vec<usize>, Trouble> {
        let mut without = Vec::new();
        for rank in waiting {
            let answer = self.spokes[rank].hear(STEP)?;
            if answer.starts_with("err ETIMEDOUT") {
                without.push(rank);
            } else if !answer.starts_with("ok ") {
                return Err(format!("{}: {answer}", self.spokes[rank].peer().name()));
            }
        }
        Ok(without)
    }

    /// Each of the others speaks to the hub, one after the other.
    fn hear_each(&mut self, run: &Run) -> Result<Account, Trouble> {
        let mut account = Account::default();
        for (rank, spoke) in self.spokes.iter_mut().enumerate() {
            let own = run.reseeded(Crowd::seed(run, rank + 1));
            account = account.plus(talk::step_by_step(spoke, &mut self.hub, &own)?);
        }
        Ok(account)
    }

    /// Nothing more comes to those who may receive at any time.
    fn expect_silence(&mut self, plan: &Plan, account: Account) -> Result<(), Trouble> {
        if account.resent > 0 {
            return Ok(());
        }
        let is_passive = |puppet_is_active: bool| plan.pattern == Pattern::Bus || !puppet_is_active;
        if is_passive(plan.hub_is_active) {
            talk::quiet(&mut self.hub)?;
        }
        if is_passive(!plan.hub_is_active) {
            for spoke in &mut self.spokes {
                talk::quiet(spoke)?;
            }
        }
        Ok(())
    }
}
