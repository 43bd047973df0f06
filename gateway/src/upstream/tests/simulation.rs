//! The balance, health and quotas over a virtual clock, without sockets: do they spare callers a slow and a failing upstream,
//! and one whose rate is spent?

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::balance::Latency;
use crate::upstream::choice::{self, Outlook, View};
use crate::upstream::health::{Health, Standing};
use crate::upstream::quota::Quotas;

const ARRIVALS: u32 = 20_000;
const BETWEEN: Duration = Duration::from_millis(5);

/// Requests that [`Kind::Limited`] takes, and in which time.
const RATE: u32 = 600;
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    /// Ten times slower.
    Slow,
    /// Half of its calls fail at once.
    Failing,
    /// It takes so many a minute, and says when it takes more.
    Limited,
}

#[derive(Debug)]
struct Upstream {
    kind: Kind,
    health: Health,
    latency: Latency,
    pending: usize,
    /// Calls taken in the window that runs.
    taken: u32,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Answered,
    /// And nothing more will be until then.
    Last(Instant),
    Failed,
    /// Nothing will be answered until then.
    Refused(Instant),
}

/// A call on its way, ordered by when it ends.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    ends: Instant,
    upstream: usize,
    probe: bool,
    end: End,
    /// When the request had come.
    came: Instant,
}

/// Who chooses for each try.
enum Chooser {
    /// One after the other; the count of all tries so far.
    RoundRobin(usize),
    /// As the gateway does.
    Balance(fastrand::Rng),
}

impl Chooser {
    fn balance() -> Self {
        Self::Balance(fastrand::Rng::with_seed(13))
    }

    fn choose(&mut self, world: &World, now: Instant) -> usize {
        let dice = match self {
            Self::RoundRobin(tries) => {
                *tries += 1;
                return *tries % world.upstreams.len();
            }
            Self::Balance(dice) => dice,
        };
        let views = world.upstreams.iter().enumerate().map(|(candidate, upstream)| {
            let spent = world.quotas.until(candidate as u64, &world.model, now);
            let standing = spent.map_or_else(|| upstream.health.standing(now), Standing::Out);
            let latency = upstream.latency.seconds(now);
            let outlook = Outlook { standing, pending: upstream.pending, latency, full: false };
            View { candidate, priority: 0, weight: 1, identity: 0, outlook: Some(outlook) }
        });
        choice::choose(&views.collect::<Vec<View>>(), now, None, dice).unwrap_or_else(|| panic!("nobody"))
    }
}

/// What became of all requests.
struct Told {
    /// Milliseconds that 99 % of them stayed under.
    p99: u128,
    /// Calls refused because a rate was spent.
    refused: usize,
    /// Calls that each upstream answered.
    answered: Vec<usize>,
}

struct World {
    upstreams: Vec<Upstream>,
    quotas: Quotas,
    model: Arc<str>,
    calls: BinaryHeap<Reverse<Call>>,
    start: Instant,
    dice: fastrand::Rng,
}

impl World {
    fn new(kinds: &[Kind]) -> Self {
        let upstream = |kind: &Kind| Upstream {
            kind: *kind,
            health: Health::default(),
            latency: Latency::default(),
            pending: 0,
            taken: 0,
        };
        Self {
            upstreams: kinds.iter().map(upstream).collect(),
            quotas: Quotas::default(),
            model: "m".into(),
            calls: BinaryHeap::new(),
            start: Instant::now(),
            dice: fastrand::Rng::with_seed(11),
        }
    }

    /// When the window of limited upstreams that runs at some time ends.
    fn window_end(&self, now: Instant) -> Instant {
        let windows = (now - self.start).as_secs() / WINDOW.as_secs() + 1;
        self.start + WINDOW * u32::try_from(windows).unwrap_or(u32::MAX)
    }

    fn begin(&mut self, upstream: usize, came: Instant, now: Instant) {
        let until = self.window_end(now);
        let one = &mut self.upstreams[upstream];
        let probe = one.health.enter(now);
        one.pending += 1;
        one.taken += u32::from(one.kind == Kind::Limited);
        let usual = Duration::from_millis(100);
        let (pause, end) = match one.kind {
            Kind::Good => (usual, End::Answered),
            Kind::Slow => (usual * 10, End::Answered),
            Kind::Failing if self.dice.bool() => (usual / 20, End::Failed),
            Kind::Failing => (usual, End::Answered),
            Kind::Limited if one.taken < RATE => (usual, End::Answered),
            Kind::Limited if one.taken == RATE => (usual, End::Last(until)),
            Kind::Limited => (usual / 20, End::Refused(until)),
        };
        let ends = now + pause.mul_f64(0.5 + self.dice.f64());
        self.calls.push(Reverse(Call { ends, upstream, probe, end, came }));
    }

    /// Takes the call that ended first, if one has.
    fn due(&mut self, now: Instant) -> Option<Call> {
        let due = self.calls.peek().is_some_and(|Reverse(call)| call.ends <= now);
        if due { self.calls.pop().map(|Reverse(call)| call) } else { None }
    }

    /// Runs all requests, failed calls being tried again at once.
    fn run(mut self, mut chooser: Chooser) -> Told {
        let (mut took, mut refused, mut answered) = (Vec::new(), 0, vec![0; self.upstreams.len()]);
        let mut window = self.window_end(self.start);
        for arrival in 0..ARRIVALS {
            let now = self.start + BETWEEN * arrival;
            if now >= window {
                window = self.window_end(now);
                self.upstreams.iter_mut().for_each(|upstream| upstream.taken = 0);
            }
            while let Some(Call { ends, upstream, probe, end, came }) = self.due(now) {
                let one = &mut self.upstreams[upstream];
                one.pending -= 1;
                if let End::Last(until) | End::Refused(until) = end {
                    self.quotas.note(upstream as u64, &self.model, until, ends);
                }
                match end {
                    End::Answered | End::Last(_) => {
                        one.health.succeed();
                        one.latency.note(ends - came, ends);
                        took.push(ends - came);
                        answered[upstream] += 1;
                        continue;
                    }
                    End::Failed => {
                        one.health.fail(ends, probe);
                        one.latency.note_failure(ends - came, ends);
                    }
                    End::Refused(_) => refused += 1,
                }
                let next = chooser.choose(&self, ends);
                self.begin(next, came, ends);
            }
            let first = chooser.choose(&self, now);
            self.begin(first, now, now);
        }
        took.sort_unstable();
        Told { p99: took[took.len() * 99 / 100].as_millis(), refused, answered }
    }
}

#[test]
fn the_balance_spares_callers_what_round_robin_does_not() {
    let kinds = [Kind::Good, Kind::Good, Kind::Good, Kind::Slow, Kind::Failing];
    let round_robin = World::new(&kinds).run(Chooser::RoundRobin(0)).p99;
    let balanced = World::new(&kinds).run(Chooser::balance()).p99;
    assert!(round_robin >= 1000, "round robin: {round_robin} ms");
    assert!(balanced * 4 <= round_robin, "balanced: {balanced} ms, round robin: {round_robin} ms");
}

#[test]
fn whose_rate_is_spent_is_not_asked_until_it_is_back_and_then_is() {
    let kinds = [Kind::Good, Kind::Good, Kind::Limited];
    let round_robin = World::new(&kinds).run(Chooser::RoundRobin(0));
    let balanced = World::new(&kinds).run(Chooser::balance());
    assert!(round_robin.refused >= 4000, "round robin: {} refused", round_robin.refused);
    // Those that were on their way when the last one was answered.
    assert!(balanced.refused <= 40, "balanced: {} refused", balanced.refused);
    let windows = (BETWEEN * ARRIVALS).as_secs().div_ceil(WINDOW.as_secs());
    let whole = (u64::from(RATE) * windows) as usize;
    assert_eq!(balanced.answered[2], whole, "what may be asked of it is asked");
}
