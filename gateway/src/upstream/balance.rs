//! Who is asked first: power of two choices over what waiting there has cost lately. Pure but for the dice; it knows
//! nothing of connections or health.

use std::time::Duration;

use tokio::time::Instant;

/// How fast an old latency fades beside new ones.
const FADING: Duration = Duration::from_secs(10);

/// After this long without news an estimate says nothing: a slow upstream gets another chance.
const STALE: Duration = Duration::from_secs(30);

/// What a failure costs at least, so that an upstream that fails fast does not look fast.
const FAILURE_COST: Duration = Duration::from_secs(3);

/// The least part of an estimate that one new latency makes up, however fast they come.
const LEAST_SHARE: f64 = 0.05;

/// How much dearer the drawn one must be before the other takes its place: less is noise, and noise must not bend shares.
const CLEARLY: f64 = 1.25;

/// A fading average of the time to the first event.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    average: Option<(f64, Instant)>,
}

impl Latency {
    /// Takes note of a first event.
    pub(crate) fn note(&mut self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        let average = match self.current(now) {
            None => took,
            Some((average, at)) => {
                let age = now.saturating_duration_since(at).as_secs_f64();
                let share = (1.0 - (-age / FADING.as_secs_f64()).exp()).max(LEAST_SHARE);
                average + (took - average) * share
            }
        };
        self.average = Some((average, now));
    }

    /// Takes note of a failure.
    pub(crate) fn note_failure(&mut self, took: Duration, now: Instant) {
        self.note(took.max(FAILURE_COST), now);
    }

    /// The average in seconds, where there is news to make one.
    #[must_use]
    pub(crate) fn seconds(&self, now: Instant) -> Option<f64> {
        self.current(now).map(|(average, _)| average)
    }

    fn current(&self, now: Instant) -> Option<(f64, Instant)> {
        self.average.filter(|(_, at)| now.saturating_duration_since(*at) < STALE)
    }
}

/// What is weighed of one candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Its configured share.
    pub weight: u32,
    /// Calls on their way.
    pub pending: usize,
    /// Seconds to a first event lately.
    pub latency: Option<f64>,
}

/// Chooses among candidates of equal standing, by position.
///
/// One is drawn by weight and a second one beside it; the second takes its place where it is clearly the better choice,
/// and, where it is the lighter of the two, only at the ratio of their weights: a canary's share at most doubles.
#[must_use]
pub(crate) fn choose(loads: &[Load], dice: &mut fastrand::Rng) -> Option<usize> {
    let first = draw(loads, None, dice)?;
    let Some(second) = draw(loads, Some(first), dice) else { return Some(first) };
    let (Some(a), Some(b)) = (loads.get(first), loads.get(second)) else { return Some(first) };
    let (cost_of_first, cost_of_second) = costs(a, b);
    if cost_of_first <= cost_of_second * CLEARLY {
        return Some(first);
    }
    let ratio = f64::from(b.weight) / f64::from(a.weight.max(1));
    Some(if dice.f64() < ratio { second } else { first })
}

/// What waiting at either costs. Where one has no latency yet, only their queues are compared.
fn costs(a: &Load, b: &Load) -> (f64, f64) {
    let (latency_a, latency_b) = a.latency.zip(b.latency).unwrap_or((1.0, 1.0));
    let lighter = f64::from(a.weight.min(b.weight).max(1));
    let queue = |load: &Load| 1.0 + count(load.pending) * lighter / f64::from(load.weight.max(1));
    (latency_a * queue(a), latency_b * queue(b))
}

fn count(pending: usize) -> f64 {
    f64::from(u32::try_from(pending).unwrap_or(u32::MAX))
}

fn draw(loads: &[Load], except: Option<usize>, dice: &mut fastrand::Rng) -> Option<usize> {
    let open = || loads.iter().enumerate().filter(|(index, load)| Some(*index) != except && load.weight > 0);
    let total: u64 = open().map(|(_, load)| u64::from(load.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut at = dice.u64(..total);
    for (index, load) in open() {
        match at.checked_sub(u64::from(load.weight)) {
            Some(rest) => at = rest,
            None => return Some(index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(weight: u32, pending: usize, milliseconds: u32) -> Load {
        Load { weight, pending, latency: (milliseconds > 0).then(|| f64::from(milliseconds) / 1e3) }
    }

    /// Draws many times; each share must be within two points of what is expected, in percent.
    fn check(loads: &[Load], expected: &[u32]) {
        let mut dice = fastrand::Rng::with_seed(7);
        let mut counts = vec![0_u32; loads.len()];
        for _ in 0..20_000 {
            counts[choose(loads, &mut dice).unwrap_or_else(|| panic!("nobody"))] += 1;
        }
        let shares: Vec<u32> = counts.iter().map(|count| (count + 100) / 200).collect();
        let close = shares.iter().zip(expected).all(|(share, expected)| share.abs_diff(*expected) <= 2);
        assert!(close, "{loads:?}: {shares:?}, not {expected:?}");
    }

    #[test]
    fn weights_are_shares_while_all_do_equally_well() {
        check(&[load(9, 0, 0), load(1, 0, 0)], &[90, 10]);
        check(&[load(9, 0, 100), load(1, 0, 110)], &[90, 10]);
        check(&[load(9, 9, 100), load(1, 1, 100)], &[90, 10]);
        check(&[load(1, 0, 0), load(1, 0, 0), load(2, 0, 0)], &[25, 25, 50]);
        check(&[load(5, 3, 0)], &[100]);
        check(&[load(1, 0, 0), load(0, 0, 0)], &[100, 0]);
    }

    #[test]
    fn the_slower_or_busier_of_two_is_passed_over() {
        check(&[load(1, 0, 100), load(1, 0, 1000)], &[100, 0]);
        check(&[load(1, 0, 100), load(1, 5, 100)], &[100, 0]);
        check(&[load(1, 20, 100), load(1, 0, 1000)], &[0, 100]);
        // Without news of one, the queues alone are compared: nobody is flooded for being new.
        check(&[load(1, 1, 0), load(1, 0, 1000)], &[0, 100]);
        check(&[load(1, 0, 100), load(1, 0, 100), load(1, 0, 1000)], &[50, 50, 0]);
    }

    #[test]
    fn a_canary_at_most_doubles_its_share() {
        check(&[load(9, 0, 1000), load(1, 0, 10)], &[80, 20]);
        check(&[load(9, 0, 10), load(1, 0, 1000)], &[100, 0]);
    }

    #[test]
    fn nobody_is_chosen_of_none() {
        assert_eq!(choose(&[], &mut fastrand::Rng::with_seed(1)), None);
        assert_eq!(choose(&[load(0, 0, 0)], &mut fastrand::Rng::with_seed(1)), None);
    }

    #[test]
    fn a_latency_fades_and_goes_stale() {
        let mut latency = Latency::default();
        let start = Instant::now();
        assert_eq!(latency.seconds(start), None);
        latency.note(Duration::from_secs(1), start);
        assert_eq!(latency.seconds(start), Some(1.0));
        latency.note(Duration::from_secs(3), start + FADING);
        let blended = latency.seconds(start + FADING).unwrap_or_default();
        assert!((2.2..2.3).contains(&blended), "{blended}");
        assert_eq!(latency.seconds(start + FADING + STALE), None);
        latency.note_failure(Duration::from_millis(1), start + FADING + STALE);
        assert_eq!(latency.seconds(start + FADING + STALE), Some(3.0));
    }
}
