//! Who of several candidates is tried next. Pure but for the dice; who may be tried at all is decided elsewhere.

use std::time::Duration;

use tokio::time::Instant;

use super::affinity;
use super::balance::{self, Load};
use super::health::Standing;

/// One open candidate as it stands now.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Its position in the route.
    pub(super) candidate: usize,
    pub(super) priority: u32,
    pub(super) weight: u32,
    /// What its upstream's name comes to, the same in every replica.
    pub(super) identity: u64,
    /// `None` where no such upstream is running.
    pub(super) outlook: Option<Outlook>,
}

/// How an upstream stands before a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    pub(super) standing: Standing,
    pub(super) pending: usize,
    /// Seconds to a first event lately.
    pub(super) latency: Option<f64>,
    /// Whether all its places are taken.
    pub(super) full: bool,
}

/// Of those that are fit the lowest priority, among equals the one that a conversation belongs to, or else as the balance
/// says. Where nobody is fit, whoever will be soonest: an unfit upstream may still answer, and none at all never does.
pub(super) fn choose(
    views: &[View],
    now: Instant,
    conversation: Option<u64>,
    dice: &mut fastrand::Rng,
) -> Option<usize> {
    let fit = || views.iter().filter(|view| view.is_fit());
    let Some(priority) = fit().map(|view| view.priority).min() else {
        return views.iter().min_by_key(|view| view.urgency(now)).map(|view| view.candidate);
    };
    let equals: Vec<&View> = fit().filter(|view| view.priority == priority).collect();
    if let Some(conversation) = conversation {
        return affinity::choose(&equals, conversation)
            .and_then(|chosen| equals.get(chosen))
            .map(|view| view.candidate);
    }
    let loads: Vec<Load> = equals.iter().map(|view| view.load()).collect();
    let chosen = balance::choose(&loads, dice).unwrap_or_default();
    equals.get(chosen).map(|view| view.candidate)
}

impl View {
    /// Whether it may be asked now.
    pub(super) fn is_fit(&self) -> bool {
        self.outlook.is_some_and(|outlook| !outlook.full && !matches!(outlook.standing, Standing::Out(_)))
    }

    fn load(&self) -> Load {
        let (pending, latency) = self.outlook.map(|outlook| (outlook.pending, outlook.latency)).unwrap_or_default();
        Load { weight: self.weight, pending, latency }
    }

    /// Orders unfit candidates: those that only have to recover by how soon, then those without a free place, then those
    /// that do not exist.
    fn urgency(&self, now: Instant) -> (u8, Duration, u32) {
        match self.outlook {
            Some(Outlook { full: false, standing: Standing::Out(until), .. }) => {
                (0, until.saturating_duration_since(now), self.priority)
            }
            Some(_) => (1, Duration::ZERO, self.priority),
            None => (2, Duration::ZERO, self.priority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A candidate as `priority` and a word: `well`, `probe`, `full`, `gone`, or the seconds that it is out for.
    fn view(candidate: usize, told: (u32, &str), now: Instant) -> View {
        let (priority, word) = told;
        let standing = match word {
            "probe" => Standing::Probe,
            word => word.parse().map_or(Standing::Well, |seconds| Standing::Out(now + Duration::from_secs(seconds))),
        };
        let outlook = Outlook { standing, pending: 0, latency: None, full: word == "full" };
        View {
            candidate,
            priority,
            weight: 1,
            identity: candidate as u64,
            outlook: (word != "gone").then_some(outlook),
        }
    }

    fn check(told: &[(u32, &str)], expected: &[usize]) {
        let now = Instant::now();
        let views: Vec<View> = told.iter().enumerate().map(|(index, told)| view(index, *told, now)).collect();
        let mut dice = fastrand::Rng::with_seed(5);
        let mut chosen: Vec<usize> = (0..64).filter_map(|_| choose(&views, now, None, &mut dice)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen, expected, "{told:?}");
    }

    #[test]
    fn fitness_comes_before_priority_and_priority_before_balance() {
        check(&[(0, "well"), (1, "well")], &[0]);
        check(&[(1, "well"), (0, "well"), (0, "probe")], &[1, 2]);
        check(&[(0, "5"), (1, "well"), (2, "well")], &[1]);
        check(&[(0, "full"), (7, "well")], &[1]);
        check(&[(0, "gone"), (7, "well")], &[1]);
    }

    #[test]
    fn where_nobody_is_fit_the_soonest_is_asked() {
        check(&[(0, "9"), (1, "2"), (2, "5")], &[1]);
        check(&[(1, "5"), (0, "5")], &[1]);
        check(&[(0, "full"), (1, "60")], &[1]);
        check(&[(0, "gone"), (1, "full")], &[1]);
        check(&[(0, "gone")], &[0]);
        check(&[], &[]);
    }
}
