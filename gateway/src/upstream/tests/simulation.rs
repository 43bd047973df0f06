//! The balance and health over a virtual clock, without sockets: does it spare callers a slow and a failing upstream?

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::balance::Latency;
use crate::upstream::choice::{self, Outlook, View};
use crate::upstream::health::Health;

/// Three good upstreams, one that is ten times slower, one that fails half of its calls at once.
const UPSTREAMS: [Kind; 5] = [Kind::Good, Kind::Good, Kind::Good, Kind::Slow, Kind::Failing];

const ARRIVALS: u32 = 20_000;
const BETWEEN: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Good,
    Slow,
    Failing,
}

#[derive(Debug, Default)]
struct Upstream {
    health: Health,
    latency: Latency,
    pending: usize,
}

/// A call on its way, ordered by when it ends.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    ends: Instant,
    upstream: usize,
    probe: bool,
    fails: bool,
    /// When the request had come.
    came: Instant,
}

/// Chooses for each try; the second argument counts all tries so far.
type Chooser<'a> = &'a mut dyn FnMut(&[Upstream], u64, Instant) -> usize;

/// Runs all requests, failed calls being tried again at once, and gives the time in milliseconds that 99 % stay under.
fn p99(choose: Chooser<'_>) -> u128 {
    let mut dice = fastrand::Rng::with_seed(11);
    let mut upstreams: Vec<Upstream> = UPSTREAMS.iter().map(|_| Upstream::default()).collect();
    let start = Instant::now();
    let mut calls = BinaryHeap::new();
    let mut took = Vec::new();
    let mut tries = 0;
    let mut begin = |upstreams: &mut [Upstream], calls: &mut BinaryHeap<Reverse<Call>>, came: Instant, now: Instant| {
        let upstream = choose(upstreams, tries, now);
        tries += 1;
        let probe = upstreams[upstream].health.enter(now);
        upstreams[upstream].pending += 1;
        let (pause, fails) = match UPSTREAMS[upstream] {
            Kind::Good => (Duration::from_millis(100), false),
            Kind::Slow => (Duration::from_secs(1), false),
            Kind::Failing if dice.bool() => (Duration::from_millis(5), true),
            Kind::Failing => (Duration::from_millis(100), false),
        };
        let ends = now + pause.mul_f64(0.5 + dice.f64());
        calls.push(Reverse(Call { ends, upstream, probe, fails, came }));
    };
    for arrival in 0..ARRIVALS {
        let now = start + BETWEEN * arrival;
        while let Some(Call { ends, upstream, probe, fails, came }) = due(&mut calls, now) {
            let Upstream { health, latency, pending } = &mut upstreams[upstream];
            *pending -= 1;
            if fails {
                health.fail(ends, probe);
                latency.note_failure(ends - came, ends);
                begin(&mut upstreams, &mut calls, came, ends);
            } else {
                health.succeed();
                latency.note(ends - came, ends);
                took.push(ends - came);
            }
        }
        begin(&mut upstreams, &mut calls, now, now);
    }
    took.sort_unstable();
    took[took.len() * 99 / 100].as_millis()
}

/// Takes the call that ended first, if one has.
fn due(calls: &mut BinaryHeap<Reverse<Call>>, now: Instant) -> Option<Call> {
    let due = calls.peek().is_some_and(|Reverse(call)| call.ends <= now);
    if due { calls.pop().map(|Reverse(call)| call) } else { None }
}

#[test]
fn the_balance_spares_callers_what_round_robin_does_not() {
    let round_robin = p99(&mut |upstreams, tries, _| (tries % upstreams.len() as u64) as usize);
    let mut dice = fastrand::Rng::with_seed(13);
    let balanced = p99(&mut |upstreams, _, now| {
        let views = upstreams.iter().enumerate().map(|(candidate, upstream)| {
            let Upstream { health, latency, pending } = upstream;
            let standing = health.standing(now);
            let outlook = Outlook { standing, pending: *pending, latency: latency.seconds(now), full: false };
            View { candidate, priority: 0, weight: 1, identity: 0, outlook: Some(outlook) }
        });
        choice::choose(&views.collect::<Vec<View>>(), now, None, &mut dice).unwrap_or_else(|| panic!("nobody"))
    });
    assert!(round_robin >= 1000, "round robin: {round_robin} ms");
    assert!(balanced * 4 <= round_robin, "balanced: {balanced} ms, round robin: {round_robin} ms");
}
