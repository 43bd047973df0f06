//! The spool against a model: random groups, faults, crashes and flipped bits on a disk that forgets.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::record::counts::Counts;
use crate::record::tests::disk::Broken;
use crate::record::tests::samples;
use crate::record::{ClosedWhy, Entry, Frame, LossWhy};

/// What is done with one exchange.
#[derive(Debug, Clone, Copy)]
enum Act {
    Begin,
    /// Of the open exchange at this place.
    End(prop::sample::Index),
    Abandon(prop::sample::Index),
}

/// One step of a life of the spool.
#[derive(Debug, Clone)]
enum Step {
    /// One group, and which of the disk's operations fail meanwhile.
    Round(Vec<Act>, Vec<bool>),
    /// The process dies and another takes over; which of its first operations fail, and a seed for what the disk keeps.
    Crash(Vec<bool>, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        4 => Just(Act::Begin),
        3 => any::<prop::sample::Index>().prop_map(Act::End),
        1 => any::<prop::sample::Index>().prop_map(Act::Abandon),
    ];
    let faults = || prop_oneof![3 => Just(Vec::new()), 1 => vec(prop::bool::weighted(0.3), 0..8)];
    let round = (vec(act, 0..6), faults()).prop_map(|(acts, faults)| Step::Round(acts, faults));
    let crash = (faults(), any::<u64>()).prop_map(|(faults, seed)| Step::Crash(faults, seed));
    vec(prop_oneof![5 => round, 1 => crash], 1..40)
}

/// The kind of a frame and its exchange.
fn label(entry: &Entry) -> (&'static str, Uuid) {
    match entry {
        Entry::Begin(begin) => ("begin", begin.exchange.0),
        Entry::End(end) => ("end", end.exchange.0),
        Entry::Closed { exchange, why: ClosedWhy::Crashed } => ("crashed", exchange.0),
        Entry::Closed { exchange, why: ClosedWhy::Abandoned } => ("abandoned", exchange.0),
        Entry::Closed { exchange, .. } => ("end_lost", exchange.0),
        Entry::Loss { why: LossWhy::Quarantined, .. } => ("quarantined", Uuid::nil()),
        Entry::Loss { .. } => ("loss", Uuid::nil()),
    }
}

/// A process's life with the spool.
struct Life {
    log: Arc<Log>,
    queue: Arc<Queue>,
    writer: Writer,
}

/// Small, so that there are many.
const SEGMENT: u64 = 2000;

fn data() -> &'static Path {
    Path::new("/data")
}

impl Life {
    fn start(disk: &Broken) -> std::io::Result<(Self, Vec<Arc<Log>>)> {
        let streams =
            Streams::open(Arc::new(disk.clone()), data(), (Arc::new(Counts::default()), Arc::default()), SEGMENT)?;
        let orphans = streams.adopt()?;
        let log = streams.begin()?;
        let queue = Arc::new(Queue::default());
        let mut writer = Writer::new(log.clone(), queue.clone(), Duration::ZERO, SEGMENT);
        writer.prepare()?;
        Ok((Self { log, queue, writer }, orphans))
    }

    fn round(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            self.queue.push(job, true).unwrap();
        }
        let mut taken = Vec::new();
        self.queue.take(&mut taken, Duration::ZERO, Some(Duration::ZERO));
        self.writer.round(&mut taken);
    }
}

fn read_all(log: &Arc<Log>) -> Vec<Frame> {
    let mut reader = Reader::new(log.clone(), log.view().segments.first().map_or(0, |segment| segment.first - 1));
    let mut frames = Vec::new();
    loop {
        let read = reader.read(3, 400).unwrap();
        if read.frames.is_empty() {
            return frames;
        }
        frames.extend(read.frames);
    }
}

/// What was promised, by stream.
#[derive(Default)]
struct Promises {
    kept: HashMap<Uuid, Vec<(&'static str, Uuid)>>,
    open: Vec<u64>,
    next: u64,
}

impl Promises {
    fn round(&mut self, life: &mut Life, acts: &[Act]) {
        let mut jobs = Vec::new();
        let mut receipts = Vec::new();
        for act in acts {
            let open = self.open.len();
            let entry = match act {
                Act::Begin => {
                    self.next += 1;
                    self.open.push(self.next);
                    Entry::Begin(Box::new(samples::begin(self.next)))
                }
                Act::End(_) | Act::Abandon(_) if open == 0 => continue,
                Act::End(place) => Entry::End(Box::new(samples::end(self.open.remove(place.index(open))))),
                Act::Abandon(place) => {
                    let exchange = samples::exchange(self.open.remove(place.index(open)));
                    Entry::Closed { exchange, why: ClosedWhy::Abandoned }
                }
            };
            let label = label(&entry);
            let (draft, receipt) = awaited(entry, crate::record::wall_clock());
            jobs.push(Job::Frame(draft));
            receipts.push((label, receipt));
        }
        life.round(jobs);
        let kept = self.kept.entry(life.log.stream).or_default();
        kept.extend(receipts.into_iter().filter_map(|(label, mut receipt)| receipt.try_recv().ok().map(|()| label)));
    }

    /// A stream holds what was promised of it: once, in order, without a gap, and every begin is closed.
    fn check(&self, log: &Arc<Log>, closed: bool) -> Result<(), TestCaseError> {
        let frames = read_all(log);
        let first = log.view().segments.first().map_or(1, |segment| segment.first);
        let sequences: Vec<u64> = frames.iter().map(|frame| frame.sequence).collect();
        prop_assert_eq!(sequences, (first..=log.durable()).collect::<Vec<_>>());
        let labels: Vec<_> = frames.iter().map(|frame| label(&frame.entry)).collect();
        prop_assert!(!labels.iter().any(|(kind, _)| *kind == "quarantined"), "false alarm: {:?}", labels);
        let mut found = labels.iter();
        for promised in self.kept.get(&log.stream).into_iter().flatten() {
            prop_assert!(found.any(|label| label == promised), "{:?} is missing in {:?}", promised, labels);
        }
        for (place, label) in labels.iter().enumerate().filter(|(_, (kind, _))| *kind != "loss") {
            prop_assert!(!labels[..place].contains(label), "{:?} is there twice", label);
            let of_it = labels.iter().filter(|(kind, exchange)| *exchange == label.1 && *kind != "begin").count();
            prop_assert!(of_it <= 1 && (of_it == 1 || !closed), "{:?} ends {} times: {:?}", label, of_it, labels);
        }
        Ok(())
    }
}

fn live(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let disk = Broken::default();
    let (mut life, _) = Life::start(&disk).unwrap();
    let mut promises = Promises::default();
    for step in steps {
        match step {
            Step::Round(acts, faults) => {
                disk.fail_next(faults);
                promises.round(&mut life, &acts);
                promises.check(&life.log, false)?;
            }
            Step::Crash(faults, seed) => {
                drop(life);
                promises.open.clear();
                let mut random = fastrand::Rng::with_seed(seed);
                disk.crash(&mut random);
                disk.fail_next(faults);
                // The next process may itself fail at once; the one after it finds all the same.
                drop(Life::start(&disk));
                disk.crash(&mut random);
                let (next, orphans) = Life::start(&disk).unwrap();
                for orphan in &orphans {
                    promises.check(orphan, true)?;
                }
                let kept = promises.kept.iter().filter(|(_, kept)| !kept.is_empty());
                for (stream, _) in kept {
                    prop_assert!(orphans.iter().any(|orphan| orphan.stream == *stream), "a stream is gone");
                }
                life = next;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_scan_of_any_bytes_ends(pieces in vec(prop_oneof![Just(b"CSPL\x01\x01\0\0\x08\0\0\0".to_vec()), vec(any::<u8>(), 0..40)], 0..40)) {
        let disk = Broken::default();
        let path = Path::new("/some");
        disk.append(path).unwrap().write(&pieces.concat()).unwrap();
        let mut scan = super::scan::Scan::new(disk.open(path).unwrap(), 7).unwrap();
        let mut steps = 0;
        loop {
            match scan.step().unwrap() {
                super::scan::Step::End => break,
                super::scan::Step::Damage => scan.skip_damage().unwrap(),
                super::scan::Step::Frame(..) => {}
            }
            steps += 1;
            prop_assert!(steps <= 2000);
        }
    }

    #[test]
    fn what_was_promised_is_read_back_once_and_in_order(steps in steps()) {
        live(steps)?;
    }

    #[test]
    fn flipped_bits_are_counted_and_never_skipped(
        rounds in 2..12usize,
        flips in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8u8), 1..5),
    ) {
        let disk = Broken::default();
        let (mut life, _) = Life::start(&disk).unwrap();
        for round in 0..rounds as u64 {
            let drafts = (0..3).map(|place| Entry::Begin(Box::new(samples::begin(3 * round + place))));
            life.round(drafts.map(|entry| Job::Frame(awaited(entry, crate::record::wall_clock()).0)).collect());
        }
        let segments: Vec<PathBuf> =
            disk.files().into_iter().map(|(path, _)| path).filter(|path| path.extension().is_some()).collect();
        for (segment, place, bit) in &flips {
            disk.change(&segments[segment.index(segments.len())], |bytes| *place.get_mut(bytes.as_mut_slice()) ^= 1 << *bit);
        }
        let frames = read_all(&life.log);
        let mut next = 1;
        for frame in &frames {
            let stands_for = match frame.entry {
                Entry::Loss { count, why: LossWhy::Quarantined } => count,
                _ => 1,
            };
            next += stands_for;
            prop_assert_eq!(frame.sequence, next - 1, "a gap that nothing tells of");
        }
        let durable = life.log.durable();
        prop_assert_eq!(next - 1, durable);
        let lost = frames.iter().any(|frame| matches!(frame.entry, Entry::Loss { .. }));
        let kept = disk.files().iter().any(|(path, _)| path.extension().is_some_and(|extension| extension == "bad"));
        prop_assert_eq!(lost, kept, "evidence is kept of damage, and of nothing else");
        // The next process finds no less, but for the last group, which could as well have been torn by the crash, and
        // what it alone could show to have been synced.
        let single = flips.len() == 1;
        drop(life);
        let (_next, orphans) = Life::start(&disk).unwrap();
        let mut next = 1;
        for frame in read_all(&orphans[0]) {
            let count = match frame.entry {
                Entry::Loss { count, why: LossWhy::Quarantined } => count,
                Entry::Closed { .. } => continue,
                _ => 1,
            };
            next += count;
            prop_assert_eq!(frame.sequence, next - 1, "a gap that nothing tells of");
        }
        prop_assert!(!single || next >= durable - 2, "{} of {} frames are found", next - 1, durable);
    }
}
