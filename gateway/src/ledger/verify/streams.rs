//! Whether streams are without a gap, and whether what began has ended. It looks at no row but a loss's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use uuid::Uuid;

use super::{Grade, Problem, Seen, some};
use crate::ledger::leaf::Kind;

/// One stream, as its leaves tell.
#[derive(Debug, Default)]
struct Stream {
    opened: bool,
    closed: Option<u64>,
    numbers: BTreeSet<u64>,
}

/// What is wrong with the streams, and how many exchanges still run. `complete`: the bundle begins with the first leaf;
/// `cut`: it ends before the last.
pub(super) fn check(leaves: &[Seen], complete: bool, cut: bool) -> (Vec<Problem>, u64) {
    let mut streams: BTreeMap<Uuid, Stream> = BTreeMap::new();
    let mut begun: BTreeMap<Uuid, Uuid> = BTreeMap::new();
    let mut ended: BTreeSet<Uuid> = BTreeSet::new();
    let mut problems = Vec::new();
    for seen in leaves {
        let leaf = &seen.leaf;
        if leaf.stream.is_nil() {
            continue;
        }
        let stream = streams.entry(leaf.stream).or_default();
        match leaf.kind {
            Kind::StreamOpen => stream.opened = true,
            Kind::StreamClose => stream.closed = Some(leaf.sequence),
            _ => {
                let first = leaf.sequence.saturating_sub(seen.takes.saturating_sub(1));
                // A count that no stream can have is damage told by its row's hash already.
                let twice = (first..=leaf.sequence).take(1 << 24).any(|number| !stream.numbers.insert(number));
                if twice {
                    problems.push(invalid(format!("stream {}: number {} comes twice", leaf.stream, leaf.sequence)));
                }
            }
        }
        match leaf.kind {
            Kind::Begin => drop(begun.insert(leaf.record, leaf.stream)),
            Kind::End => drop(ended.insert(leaf.record)),
            _ => {}
        }
    }
    for (id, stream) in &streams {
        problems.extend(stream.problems(*id, complete));
    }
    let unended: Vec<(&Uuid, &Uuid)> = begun.iter().filter(|(exchange, _)| !ended.contains(exchange)).collect();
    let closed = |stream: &Uuid| streams.get(stream).is_some_and(|stream| stream.closed.is_some());
    let (lost, running): (Vec<_>, Vec<_>) = unended.into_iter().partition(|(_, stream)| !cut && closed(stream));
    for (exchange, _) in lost {
        problems.push(incomplete(format!("exchange {exchange} began and never ended")));
    }
    if complete {
        let orphans = ended.iter().filter(|exchange| !begun.contains_key(exchange));
        problems.extend(orphans.map(|exchange| incomplete(format!("exchange {exchange} ended and never began"))));
    }
    (problems, running.len() as u64)
}

impl Stream {
    fn problems(&self, id: Uuid, complete: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let (Some(&first), Some(&last)) = (self.numbers.first(), self.numbers.last()) else { return problems };
        let first = if complete { 1 } else { first };
        if complete && !self.opened {
            problems.push(incomplete(format!("stream {id} has no opening")));
        }
        let expected = (last - first).saturating_add(1);
        if expected != self.numbers.len() as u64 {
            let gaps: BTreeSet<u64> = gaps(first, &self.numbers).collect();
            let count = expected.saturating_sub(self.numbers.len() as u64);
            problems.push(incomplete(format!("stream {id} lacks {count} numbers: {}", some(&gaps))));
        }
        if self.closed.is_some_and(|closed| closed != last) {
            problems.push(incomplete(format!("stream {id} was closed at another number than its last, {last}")));
        }
        problems
    }
}

/// The first few numbers that are not there.
fn gaps(first: u64, numbers: &BTreeSet<u64>) -> impl Iterator<Item = u64> + '_ {
    let mut next = first;
    numbers
        .iter()
        .flat_map(move |&number| {
            let gap = next..number;
            next = number + 1;
            gap
        })
        .take(6)
}

/// How many numbers of its stream a loss takes.
pub(super) fn numbers_of_loss(text: &str) -> u64 {
    #[derive(Deserialize)]
    struct Loss {
        count: u64,
        why: String,
    }
    match serde_json::from_str::<Loss>(text) {
        Ok(loss) if loss.why == "quarantined" => loss.count.max(1),
        _ => 1,
    }
}

fn incomplete(what: String) -> Problem {
    Problem { grade: Grade::Incomplete, what }
}

fn invalid(what: String) -> Problem {
    Problem { grade: Grade::Invalid, what }
}
