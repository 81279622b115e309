//! [`Trial`]: something that pays while it succeeds, and is given up for longer each time that it does not.

use crate::limits::{TRIAL_PENALTY_MAX, TRIAL_PENALTY_MIN};

#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Chances that are not taken because it was in vain lately, and how many the next vain one will cost.
    pause: u32,
    penalty: u32,
}

impl Trial {
    /// There is a chance: whether to take it. Then say how it [`ended`](Trial::ended).
    pub(super) fn takes(&mut self) -> bool {
        let takes = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        takes
    }

    pub(super) fn ended(&mut self, well: bool) {
        if well {
            self.penalty /= 2;
        } else {
            self.penalty = self.penalty.saturating_mul(2).clamp(TRIAL_PENALTY_MIN, TRIAL_PENALTY_MAX);
            self.pause = self.penalty;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chances that are not taken before one is.
    fn pause(trial: &mut Trial) -> usize {
        (0..).take_while(|_| !trial.takes()).count()
    }

    #[test]
    fn what_is_in_vain_is_given_up_for_longer_each_time() {
        let mut trial = Trial::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            trial.ended(false);
            pauses.push(pause(&mut trial));
        }
        let expected: Vec<_> =
            (0..10).map(|n| (TRIAL_PENALTY_MIN << n).min(TRIAL_PENALTY_MAX) as usize).collect();
        assert_eq!(pauses, expected);
    }

    #[test]
    fn what_succeeds_is_taken_and_forgives() {
        let mut trial = Trial::default();
        (0..100).for_each(|_| trial.ended(false));
        assert_eq!(pause(&mut trial), TRIAL_PENALTY_MAX as usize);
        for _ in 0..20 {
            trial.ended(true);
            assert_eq!(pause(&mut trial), 0);
        }
        trial.ended(false);
        assert_eq!(pause(&mut trial), TRIAL_PENALTY_MIN as usize);
    }
}
