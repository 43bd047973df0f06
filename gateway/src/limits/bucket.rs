//! A rate with a burst, kept as a moment: the generic cell rate algorithm. It reads no clock; whoever asks says what time
//! it is, as the time since some beginning.
//!
//! A bucket lets `limit` units pass at once and refills evenly over [`WINDOW`]. Between any two moments no more than
//! `limit` + `limit` × time / [`WINDOW`] units pass. What is kept is when the bucket will be full again, so that a changed
//! limit needs no conversion.

use std::time::Duration;

/// What limits are given for.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// One bucket; a new one is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bucket {
    /// When it will be full again.
    full: Duration,
}

impl Bucket {
    /// Takes some units, or says after how long it would have them; more than the limit it never has.
    pub(super) fn take(&mut self, units: u64, limit: u64, now: Duration) -> Result<(), Duration> {
        let full = self.full.max(now).saturating_add(time_of(units, limit));
        match full.saturating_sub(now).checked_sub(WINDOW) {
            None | Some(Duration::ZERO) => {
                self.full = full;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    /// Takes units that were used whether it has them or not; it owes them then.
    pub(super) fn charge(&mut self, units: u64, limit: u64, now: Duration) {
        self.full = self.full.max(now).saturating_add(time_of(units, limit));
    }

    /// Puts units back that were taken and not used.
    pub(super) fn give_back(&mut self, units: u64, limit: u64) {
        self.full = self.full.saturating_sub(time_of(units, limit));
    }

    /// Units that it has now.
    pub(super) fn left(&self, limit: u64, now: Duration) -> u64 {
        let empty = self.until_full(now).min(WINDOW);
        let left = WINDOW.saturating_sub(empty).as_nanos().saturating_mul(u128::from(limit)) / WINDOW.as_nanos();
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// Time until it is full.
    pub(super) fn until_full(&self, now: Duration) -> Duration {
        self.full.saturating_sub(now)
    }
}

/// Time in which so many units come back; rounded up, so that never more than the limit passes.
fn time_of(units: u64, limit: u64) -> Duration {
    let nanos = WINDOW.as_nanos().saturating_mul(u128::from(units)).div_ceil(u128::from(limit.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_what_is_beyond_waits_for_its_share() {
        let (mut bucket, start) = (Bucket::default(), Duration::from_secs(1000));
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..6 {
            assert_eq!(bucket.take(1, 6, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(1, 6, at(0)), Err(Duration::from_secs(10)));
        assert_eq!((bucket.left(6, at(0)), bucket.left(6, at(25))), (0, 2));
        assert_eq!(bucket.take(1, 6, at(10)), Ok(()));
        assert_eq!(bucket.take(2, 6, at(10)), Err(Duration::from_secs(20)));
        assert_eq!(bucket.until_full(at(10)), Duration::from_secs(60));
        bucket.give_back(3, 6);
        assert_eq!(bucket.left(6, at(10)), 3);
        bucket.charge(9, 6, at(10));
        assert_eq!(bucket.take(1, 6, at(10)), Err(Duration::from_secs(70)));
        assert_eq!(bucket.take(7, 6, at(900)), Err(Duration::from_secs(10)), "more than the limit never passes");
    }

    proptest! {
        #[test]
        fn in_no_window_more_passes_than_burst_and_rate(limit in 1u64..200, asked in vec((0u64..4000, 1u64..5), 1..200)) {
            let (mut bucket, mut now, mut passed) = (Bucket::default(), Duration::ZERO, Vec::new());
            for (pause, units) in asked {
                now += Duration::from_millis(pause);
                if bucket.take(units, limit, now).is_ok() {
                    passed.push((now, units));
                }
            }
            for (first, (begin, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (end, units) in &passed[first..] {
                    sum += units;
                    let most = limit as f64 * (1.0 + (*end - *begin).as_secs_f64() / WINDOW.as_secs_f64());
                    prop_assert!(sum as f64 <= most + 1e-6, "{sum} in {:?} at {limit}", *end - *begin);
                }
            }
        }

        #[test]
        fn what_was_given_back_never_makes_it_more_than_full(limit in 1u64..1000, steps in vec((0u64..9000, 1u64..500, 0u64..500), 1..100)) {
            let (mut bucket, mut now, mut used) = (Bucket::default(), Duration::ZERO, 0);
            for (pause, reserved, unused) in steps {
                now += Duration::from_millis(pause);
                if bucket.take(reserved, limit, now).is_ok() {
                    let unused = unused.min(reserved);
                    bucket.give_back(unused, limit);
                    used += reserved - unused;
                }
                prop_assert!(bucket.left(limit, now) <= limit);
                let most = limit as f64 * (1.0 + now.as_secs_f64() / WINDOW.as_secs_f64());
                prop_assert!(used as f64 <= most + 1e-6);
            }
        }

        #[test]
        fn whoever_waits_as_long_as_told_gets_it(limit in 1u64..500, before in 0u64..2000, units in 1u64..500) {
            let (mut bucket, now) = (Bucket::default(), Duration::from_secs(7));
            bucket.charge(before, limit, now);
            let units = units.min(limit);
            if let Err(wait) = bucket.take(units, limit, now) {
                prop_assert_eq!(bucket.take(units, limit, now + wait), Ok(()));
            }
        }
    }
}
