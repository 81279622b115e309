//! [`Tempo`]: whether the next event is probably nearer than a wake-up takes, so that looking for it beats sleeping.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::trial::Trial;
use crate::limits::{
    GUEST_AWAY_MAX, SINK_SPINS_MUCH, SPIN_IF_AWAY_BELOW, SPIN_IF_WAITED_BELOW, SPIN_LOOKS_PER_YIELD,
    SPIN_MAX, SPINS_OF_A_SINK_MAX, WAKE_UP_COST,
};

/// Environment variable that switches spinning off when it is `0`; see [`set_spinning`].
///
/// ```
/// assert_eq!(spmsg::SPIN_VARIABLE, "SPMSG_SPIN");
/// ```
pub const SPIN_VARIABLE: &str = "SPMSG_SPIN";

/// Not asked yet, no, yes: a lock for finding out once could be held by a thread that a forked child does not have.
static MAY_SPIN: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// Switches spinning on or off for the whole process, from the next wait on, whatever the environment says; any thread
/// may call it.
///
/// In a brisk conversation a call that waits looks for what it waits for, for at most 50 us, before it sleeps: that saves
/// the wake-up, which costs as much. It never does when messages are rare, nor for long when it was in vain. On by
/// default, save on a machine with one processor, where it never helps, and with [`SPIN_VARIABLE`] set to `0`. Off, a
/// program takes a little less processor time and answers later.
///
/// ```
/// spmsg::set_spinning(false);
/// ```
pub fn set_spinning(on: bool) {
    MAY_SPIN.store(if on && several_processors() { YES } else { NO }, Ordering::Relaxed);
}

fn several_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

/// How quickly those who wait come back, and how long the last one waited.
#[derive(Debug, Default)]
pub(super) struct Tempo {
    left: Option<Instant>,
    last_wait: Duration,
    /// How long whoever waits now, or waited last, had been away.
    away: Duration,
    spinning: Trial,
    /// How much of the wait that is over was spent spinning, if it was for one message, which is not answered.
    taking: Option<Duration>,
    sink: Sink,
}

/// How much of what who takes and does not answer does is spinning.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Waits in a row that were spinning for a good part, with what was done before them.
    much_spun: u32,
}

impl Sink {
    /// Whether to spin, and not to sleep through this one.
    pub(super) fn may_spin(&mut self) -> bool {
        let sleeps = self.much_spun >= SPINS_OF_A_SINK_MAX;
        if sleeps {
            self.much_spun = 0;
        }
        !sleeps
    }

    /// Spun so long for a message that came `since` the one before.
    pub(super) fn spun(&mut self, spun: Duration, since: Duration) {
        let much = spun >= WAKE_UP_COST && spun > since / SINK_SPINS_MUCH;
        self.much_spun = if much { self.much_spun + 1 } else { 0 };
    }
}

impl Tempo {
    /// Whether to spin: the next event is probably nearer than a wake-up takes.
    pub(super) fn is_brisk(&mut self, now: Instant) -> bool {
        let away = self.left.map_or(Duration::MAX, |left| now.saturating_duration_since(left));
        if away >= SPIN_IF_AWAY_BELOW || self.last_wait >= SPIN_IF_WAITED_BELOW {
            return false;
        }
        self.sink.may_spin() && self.spinning.takes()
    }

    /// Somebody is about to wait.
    pub(super) fn came_back(&mut self, now: Instant) {
        self.away = self.left.map_or(Duration::MAX, |left| now.saturating_duration_since(left));
    }

    /// Whether who leaves now will most likely wait again in a moment.
    pub(super) fn is_back_soon(&self) -> bool {
        self.away < GUEST_AWAY_MAX && self.last_wait < SPIN_IF_WAITED_BELOW
    }

    /// How spinning ended. In vain it was most likely because the peer waits for this very processor.
    pub(super) fn spun(&mut self, found: bool) {
        self.spinning.ended(found);
    }

    /// It took so long until one message came, to be taken and not answered.
    pub(super) fn only_took(&mut self, spun: Duration) {
        self.taking = Some(spun);
    }

    #[cfg(all(test, not(loom), any(target_os = "linux", target_os = "android")))]
    pub(super) fn has_only_taken(&self) -> bool {
        self.taking.is_some()
    }

    pub(super) fn note(&mut self, began: Instant, ended: Instant) {
        self.last_wait = ended.saturating_duration_since(began);
        if let Some(spun) = self.taking.take() {
            let since = self.left.map_or(Duration::MAX, |left| ended.saturating_duration_since(left));
            self.sink.spun(spun, since);
        }
        self.left = Some(ended);
    }
}

/// Whether to spin at all; finds out once.
pub(super) fn may_spin() -> bool {
    match MAY_SPIN.load(Ordering::Relaxed) {
        UNKNOWN => {
            set_spinning(std::env::var_os(SPIN_VARIABLE).is_none_or(|value| value != "0"));
            MAY_SPIN.load(Ordering::Relaxed) == YES
        }
        known => known == YES,
    }
}

/// Spins: looks again and again, for a bounded time from `now` on, which is kept; what was found.
#[inline(never)]
pub(super) fn spin<T>(now: &mut Instant, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = *now + SPIN_MAX;
    let mut looks: usize = 0;
    loop {
        let found = look();
        if found.is_some() {
            return found;
        }
        *now = Instant::now();
        if *now >= end {
            return None;
        }
        looks += 1;
        if looks.is_multiple_of(SPIN_LOOKS_PER_YIELD) {
            // Whom it waits for may have to run on this processor.
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TRIAL_PENALTY_MAX;

    #[test]
    fn spinning_ends_when_something_is_found_or_in_time() {
        let (mut now, mut looks) = (Instant::now(), 0);
        let began = now;
        let found = spin(&mut now, || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!((found, looks), (Some(3), 3));
        assert!(now >= began);
        let began = Instant::now();
        let mut now = began;
        assert_eq!(spin(&mut now, || None::<()>), None);
        assert!(now.duration_since(began) >= SPIN_MAX, "gave up after {:?}", now.duration_since(began));
    }

    #[test]
    fn only_brisk_conversations_spin() {
        let start = Instant::now();
        let at = |us| start + Duration::from_micros(us);
        let mut tempo = Tempo::default();
        assert!(!tempo.is_brisk(start), "nobody was here before");
        tempo.note(start, at(20));
        assert!(tempo.is_brisk(at(30)));
        assert!(!tempo.is_brisk(at(1020)), "away for a millisecond");
        tempo.note(at(30), at(1030));
        assert!(!tempo.is_brisk(at(1031)), "the last wait was long");
    }

    /// A round of who takes something every 10 us: whether it spins, and if so for how long.
    fn round(tempo: &mut Tempo, at: &mut Instant, spun: Duration, answers: bool) -> bool {
        let began = *at;
        *at += Duration::from_micros(10);
        let spins = tempo.is_brisk(began);
        if spins {
            tempo.spun(true);
            if !answers {
                tempo.only_took(spun);
            }
        }
        tempo.note(began, *at);
        spins
    }

    #[test]
    fn who_never_answers_sleeps_now_and_then_instead_of_spinning_all_the_time() {
        let spins = |spun, answers| {
            let (mut tempo, mut at) = (Tempo::default(), Instant::now());
            tempo.note(at, at);
            (0..40).filter(|_| round(&mut tempo, &mut at, Duration::from_micros(spun), answers)).count()
        };
        let sleeps = 40 / (SPINS_OF_A_SINK_MAX as usize + 1);
        assert_eq!(spins(8, false), 40 - sleeps);
        assert_eq!(spins(3, false), 40, "it has more to do than to wait");
        assert_eq!(spins(8, true), 40, "somebody waits for the answer");
    }

    #[test]
    fn the_program_has_the_last_word() {
        set_spinning(false);
        assert!(!may_spin());
        set_spinning(true);
        assert_eq!(may_spin(), several_processors());
    }

    #[test]
    fn spinning_in_vain_is_given_up_for_a_while() {
        let start = Instant::now();
        let mut tempo = Tempo { left: Some(start), ..Tempo::default() };
        assert!(tempo.is_brisk(start));
        tempo.spun(false);
        assert!(!tempo.is_brisk(start));
        assert!((0..TRIAL_PENALTY_MAX).any(|_| tempo.is_brisk(start)));
    }
}
