//! Whether an upstream is fit to be asked: ejection by failures, half-open probes, rests that it asked for. Pure; the
//! caller tells the time, and decides what to do where nobody is fit.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that eject an upstream; Envoy's and pingora's usual number.
const FAILURES: u32 = 5;

/// How long the first ejection lasts; each further one lasts twice as long.
const FIRST_EJECTION: Duration = Duration::from_secs(1);

/// The longest ejection.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// Successes in a row after which earlier ejections are forgotten.
const FORGIVEN_AFTER: u32 = 20;

/// The longest rest that an upstream can ask for: a peer's word must not take it out for ever.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(600);

/// What is known of one upstream's health.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failures since the last success.
    failures: u32,
    /// Successes since the last failure.
    successes: u32,
    /// Ejections that are remembered.
    ejections: u32,
    ejected: Option<Ejection>,
    resting_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    until: Instant,
    /// Whether a probe is on its way.
    probed: bool,
}

/// Whether an upstream is fit to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Well,
    /// One call may find out.
    Probe,
    /// It is not, until then at least.
    Out(Instant),
}

/// What became of health by a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that a human should read.
    None,
    /// It was ejected for that long.
    Ejected(Duration),
}

impl Health {
    /// Whether it is fit now.
    #[must_use]
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        if let Some(until) = self.resting_until
            && now < until
        {
            return Standing::Out(until);
        }
        match self.ejected {
            None => Standing::Well,
            Some(ejection) if now < ejection.until || ejection.probed => Standing::Out(ejection.until),
            Some(_) => Standing::Probe,
        }
    }

    /// Takes note of a call that begins now; tells whether it is the probe.
    pub(crate) fn enter(&mut self, now: Instant) -> bool {
        let probe = self.standing(now) == Standing::Probe;
        if probe && let Some(ejection) = &mut self.ejected {
            ejection.probed = true;
        }
        probe
    }

    /// Takes note of a call that went well; tells whether it ended an ejection.
    pub(crate) fn succeed(&mut self) -> bool {
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        if self.successes >= FORGIVEN_AFTER {
            self.ejections = 0;
        }
        self.ejected.take().is_some()
    }

    /// Takes note of a call that failed.
    pub(crate) fn fail(&mut self, now: Instant, probe: bool) -> Change {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if probe || (self.ejected.is_none() && self.failures >= FAILURES) {
            return Change::Ejected(self.eject(now));
        }
        Change::None
    }

    /// Takes note of a call that showed nothing.
    pub(crate) fn leave(&mut self, probe: bool) {
        if probe && let Some(ejection) = &mut self.ejected {
            ejection.probed = false;
        }
    }

    /// Takes note that the upstream asked not to be called for a while.
    pub(crate) fn rest(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(LONGEST_REST);
        self.resting_until = Some(self.resting_until.map_or(until, |known| known.max(until)));
    }

    fn eject(&mut self, now: Instant) -> Duration {
        let doubled = FIRST_EJECTION.saturating_mul(1_u32.checked_shl(self.ejections.min(16)).unwrap_or(u32::MAX));
        let pause = doubled.min(LONGEST_EJECTION);
        self.ejections = self.ejections.saturating_add(1);
        self.ejected = Some(Ejection { until: now + pause, probed: false });
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to an upstream, and after how many seconds it is expected to be how.
    enum Step {
        Fail(u32),
        Succeed(u32),
        Rest(u64),
        Wait(u64),
        /// A call begins; it must be the probe or not.
        Enter(bool),
        ProbeFails,
        ProbeVanishes,
        Is(&'static str),
    }

    fn check(steps: &[Step]) {
        let mut health = Health::default();
        let mut now = Instant::now();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Fail(times) => (0..*times).for_each(|_| _ = health.fail(now, false)),
                Step::Succeed(times) => (0..*times).for_each(|_| _ = health.succeed()),
                Step::Rest(seconds) => health.rest(now, Duration::from_secs(*seconds)),
                Step::Wait(milliseconds) => now += Duration::from_millis(*milliseconds),
                Step::Enter(probe) => assert_eq!(health.enter(now), *probe, "step {index}"),
                Step::ProbeFails => assert_ne!(health.fail(now, true), Change::None, "step {index}"),
                Step::ProbeVanishes => health.leave(true),
                Step::Is(word) => {
                    let standing = match health.standing(now) {
                        Standing::Well => "well",
                        Standing::Probe => "probe",
                        Standing::Out(_) => "out",
                    };
                    assert_eq!(standing, *word, "step {index}");
                }
            }
        }
    }

    #[test]
    fn failures_in_a_row_eject_and_one_probe_finds_out() {
        use Step::{Enter, Fail, Is, ProbeFails, ProbeVanishes, Rest, Succeed, Wait};
        check(&[Fail(4), Is("well"), Succeed(1), Fail(4), Is("well"), Fail(1), Is("out")]);
        check(&[Fail(5), Wait(999), Is("out"), Wait(1), Is("probe"), Enter(true), Is("out"), Enter(false)]);
        check(&[Fail(5), Wait(1000), Enter(true), Succeed(1), Is("well"), Fail(4), Is("well")]);
        check(&[Fail(5), Wait(1000), Enter(true), ProbeFails, Wait(1999), Is("out"), Wait(1), Is("probe")]);
        check(&[Fail(5), Wait(1000), Enter(true), ProbeVanishes, Is("probe"), Enter(true)]);
        // An ejection is remembered, and forgiven after enough successes.
        check(&[Fail(5), Wait(1000), Succeed(1), Fail(5), Wait(1000), Is("out"), Wait(1000), Is("probe")]);
        check(&[Fail(5), Wait(1000), Succeed(20), Fail(5), Wait(1000), Is("probe")]);
        // A late success of an earlier call shows that it is alive.
        check(&[Fail(5), Is("out"), Succeed(1), Is("well")]);
        // Rests are kept whatever else happens, and do not last for ever.
        check(&[Rest(3), Is("out"), Succeed(1), Is("out"), Wait(3000), Is("well")]);
        check(&[Rest(3), Rest(1), Wait(2000), Is("out")]);
        check(&[Rest(1 << 40), Wait(600_000), Is("well")]);
        check(&[Fail(5), Rest(5), Wait(4999), Is("out"), Wait(1), Is("probe")]);
    }

    #[test]
    fn ejections_grow_to_a_bound() {
        let mut health = Health::default();
        let now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            if let Change::Ejected(pause) = health.fail(now, true) {
                pauses.push(pause.as_secs());
            }
        }
        assert_eq!(pauses.get(..8), Some(&[1, 2, 4, 8, 16, 32, 60, 60][..]));
        assert_eq!(pauses.last(), Some(&60));
    }
}
