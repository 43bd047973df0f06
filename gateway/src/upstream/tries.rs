//! Which candidates of an exchange may still be tried, and when. Pure; it does not choose among them.

use std::time::Duration;

use super::retry::{LONGEST_WAIT, Next};

/// The tries of one exchange.
#[derive(Debug)]
pub(crate) struct Tries {
    /// Calls that may still be made.
    left: u32,
    /// Rounds over all candidates that may still begin.
    rounds: u32,
    /// The round that runs, from 0.
    round: u32,
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It may be tried.
    Open,
    /// It was tried in this round, and asked for this pause.
    Tried(Duration),
    /// It will not do better.
    Out,
}

/// What may follow a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Another candidate, at once.
    Another,
    /// A further round, after this pause at least.
    Round {
        /// Which one, from 1.
        number: u32,
        /// What its candidates asked for.
        pause: Duration,
    },
    /// Nothing.
    End,
}

impl Tries {
    /// No candidate was tried; at most so many calls will be made.
    #[must_use]
    pub(crate) fn new(candidates: usize, attempts: u32) -> Self {
        Self { left: attempts, rounds: attempts.saturating_sub(1), round: 0, marks: vec![Mark::Open; candidates] }
    }

    /// Whether a candidate may be tried now.
    #[must_use]
    pub(crate) fn is_open(&self, candidate: usize) -> bool {
        self.marks.get(candidate) == Some(&Mark::Open)
    }

    /// Whether a further call may be made.
    #[must_use]
    pub(crate) fn has_left(&self) -> bool {
        self.left > 0
    }

    /// Takes note that a call was made.
    pub(crate) fn count(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Takes note of how a candidate did; `pause` is what it asked for.
    pub(crate) fn mark(&mut self, candidate: usize, next: Next, pause: Duration) {
        if let Some(mark) = self.marks.get_mut(candidate) {
            *mark = match next {
                Next::Again if pause <= LONGEST_WAIT => Mark::Tried(pause),
                Next::Again | Next::Elsewhere | Next::Give => Mark::Out,
            };
        }
    }

    /// What may follow; a further round opens the candidates that were tried before.
    pub(crate) fn plan(&mut self) -> Plan {
        if self.left == 0 {
            return Plan::End;
        }
        if self.marks.contains(&Mark::Open) {
            return Plan::Another;
        }
        let pauses = self.marks.iter().filter_map(|mark| match mark {
            Mark::Tried(pause) => Some(*pause),
            Mark::Open | Mark::Out => None,
        });
        let Some(pause) = pauses.min().filter(|_| self.rounds > 0) else { return Plan::End };
        for mark in &mut self.marks {
            if matches!(mark, Mark::Tried(asked) if *asked <= pause) {
                *mark = Mark::Open;
            }
        }
        self.rounds -= 1;
        self.round += 1;
        Plan::Round { number: self.round, pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates fail as told, in order; what is planned after each is written down.
    fn check(candidates: usize, attempts: u32, fails: &[(usize, Next, u64)], expected: &[&str]) {
        let mut tries = Tries::new(candidates, attempts);
        let plans = fails.iter().map(|(candidate, next, pause)| {
            assert!(tries.is_open(*candidate), "{candidate} is not open");
            tries.count();
            tries.mark(*candidate, *next, Duration::from_secs(*pause));
            match tries.plan() {
                Plan::Another => "another".to_owned(),
                Plan::Round { number, pause } => format!("round {number} after {}", pause.as_secs()),
                Plan::End => "end".to_owned(),
            }
        });
        assert_eq!(plans.collect::<Vec<String>>(), expected);
    }

    #[test]
    fn others_come_first_then_the_same_after_a_pause() {
        use Next::{Again, Elsewhere};
        check(2, 3, &[(0, Again, 0), (1, Again, 0), (0, Again, 0)], &["another", "round 1 after 0", "end"]);
        check(1, 3, &[(0, Again, 2), (0, Again, 0), (0, Again, 0)], &["round 1 after 2", "round 2 after 0", "end"]);
        check(1, 3, &[(0, Again, 4)], &["end"]);
        check(1, 3, &[(0, Elsewhere, 0)], &["end"]);
        check(1, 1, &[(0, Again, 0)], &["end"]);
        check(3, 2, &[(0, Again, 0), (1, Again, 0)], &["another", "end"]);
        check(
            2,
            5,
            &[(0, Elsewhere, 0), (1, Again, 1), (1, Again, 0)],
            &["another", "round 1 after 1", "round 2 after 0"],
        );
        check(2, 5, &[(1, Again, 3), (0, Again, 1)], &["another", "round 1 after 1"]);
    }

    #[test]
    fn candidates_that_are_never_called_do_not_go_round_for_ever() {
        let mut tries = Tries::new(1, 4);
        let mut rounds = 0;
        while tries.plan() != Plan::End {
            tries.mark(0, Next::Again, Duration::ZERO);
            rounds += 1;
            assert!(rounds < 10);
        }
        assert_eq!(rounds, 4);
    }
}
