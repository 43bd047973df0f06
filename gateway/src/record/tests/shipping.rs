//! The way from the spool to a store that is away, slow to take, or refuses: everything arrives once and in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::disk::Broken;
use super::samples;
use crate::config::{Recording, Spool};
use crate::record::shipper::Pace;
use crate::record::{ClosedWhy, Entry, Frame, LossWhy, Recorder, Shipper, Sink, SinkError};

const CONFIG: Spool =
    Spool { group: Duration::ZERO, segment_bytes: 4 << 10, total_bytes: 64 << 20, batch_rows: 7, keys: Vec::new() };

/// A store in memory, which keeps the contract and can be told to break.
#[derive(Default)]
pub(super) struct Memory {
    state: Mutex<Stored>,
}

#[derive(Default)]
struct Stored {
    cursors: BTreeMap<Uuid, u64>,
    frames: Vec<(Uuid, u64, String)>,
    away: VecDeque<bool>,
    /// Exchanges that cannot be stored.
    poison: BTreeSet<Uuid>,
    /// The next writes are stored, and their answers lost.
    mute: usize,
}

impl Sink for Memory {
    async fn position(&self, stream: Uuid) -> Result<u64, SinkError> {
        let mut state = self.state.lock().unwrap();
        state.away()?;
        Ok(*state.cursors.entry(stream).or_default())
    }

    async fn write(&self, stream: Uuid, frames: &[Frame]) -> Result<(), SinkError> {
        if self.store(stream, frames)? {
            return std::future::pending().await;
        }
        Ok(())
    }

    async fn finish(&self, stream: Uuid) -> Result<(), SinkError> {
        let mut state = self.state.lock().unwrap();
        state.away()?;
        assert!(state.cursors.contains_key(&stream), "a stream that nobody knows was closed");
        Ok(())
    }
}

impl Memory {
    /// Stores frames, and tells whether the answer is to be lost.
    fn store(&self, stream: Uuid, frames: &[Frame]) -> Result<bool, SinkError> {
        let mut state = self.state.lock().unwrap();
        state.away()?;
        if frames.iter().any(|frame| state.poison.contains(&label(frame).1)) {
            return Err(SinkError::Poison("no such thing".to_owned()));
        }
        for frame in frames {
            assert!(frame.sequence > state.cursors[&stream], "a frame came twice");
            state.cursors.insert(stream, frame.sequence);
            state.frames.push((stream, frame.sequence, label(frame).0));
        }
        let mute = state.mute > 0;
        state.mute = state.mute.saturating_sub(1);
        Ok(mute)
    }

    /// What is stored, stream after stream.
    pub(super) fn labels(&self) -> Vec<String> {
        let mut frames = self.state.lock().unwrap().frames.clone();
        // Streams are shipped side by side; a stable sort keeps the order within each.
        frames.sort_by_key(|(stream, ..)| *stream);
        frames.iter().map(|(_, _, label)| label.clone()).collect()
    }
}

impl Stored {
    fn away(&mut self) -> Result<(), SinkError> {
        match self.away.pop_front() {
            Some(true) => Err(SinkError::Unavailable("gone".to_owned())),
            _ => Ok(()),
        }
    }
}

fn label(frame: &Frame) -> (String, Uuid) {
    let short = |exchange: Uuid| exchange.as_u128() & 0xffff_ffff;
    match &frame.entry {
        Entry::Begin(begin) => (format!("begin {}", short(begin.exchange.0)), begin.exchange.0),
        Entry::End(end) => (format!("end {}", short(end.exchange.0)), end.exchange.0),
        Entry::Closed { exchange, why } => (format!("{} {}", why.name(), short(exchange.0)), exchange.0),
        Entry::Loss { count, why } => (format!("{} {count}", why.name()), Uuid::nil()),
    }
}

fn open(disk: &Broken) -> (Recorder, Shipper) {
    let (recorder, mut shipper) = Recorder::open_on(Arc::new(disk.clone()), Path::new("/data"), &CONFIG).unwrap();
    let short = Duration::from_micros(10);
    shipper.pace = Pace { linger: Duration::ZERO, first: short, longest: short, adopt: Duration::from_secs(60) };
    (recorder, shipper)
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(super) async fn record(recorder: &Recorder, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut slot = recorder.reserve(Recording::Required).unwrap();
        drop(slot.begin(samples::begin(number)));
        slot.end(samples::end(number)).await.unwrap();
    }
}

pub(super) fn labels(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.flat_map(|number| [format!("begin {number}"), format!("end {number}")]).collect()
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Segments and other files of records.
fn files(disk: &Broken, extension: &str) -> usize {
    disk.files().iter().filter(|(path, _)| path.extension().is_some_and(|found| found == extension)).count()
}

#[test]
fn everything_arrives_once_and_stored_segments_go() {
    let disk = Broken::default();
    let (recorder, mut shipper) = open(&disk);
    let memory = Memory::default();
    block_on(async {
        record(&recorder, 0..40).await;
        assert!(files(&disk, "seg") > 3);
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    assert_eq!(memory.labels(), labels(0..40));
    assert_eq!(files(&disk, "seg"), 1, "the segment that is written to stays");
    let tally = recorder.counts().tally();
    assert_eq!((tally.frames, tally.shipped, tally.spooled), (80, 80, 0));
    let left: usize = disk.files().iter().map(|(_, size)| size).sum();
    assert_eq!(tally.bytes, left as u64);
}

#[test]
fn a_store_that_is_away_is_waited_for() {
    let (recorder, mut shipper) = open(&Broken::default());
    let memory = Memory::default();
    memory.state.lock().unwrap().away = (0..30).map(|number| number % 3 != 0).collect();
    block_on(async {
        record(&recorder, 0..20).await;
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    assert_eq!(memory.labels(), labels(0..20));
    assert!(!recorder.counts().tally().store_down);
}

#[test]
fn a_deadline_ends_the_drain_and_the_next_start_ships_the_rest() {
    let disk = Broken::default();
    let (recorder, mut shipper) = open(&disk);
    let memory = Memory::default();
    block_on(async {
        record(&recorder, 0..5).await;
        memory.state.lock().unwrap().away = std::iter::repeat_n(true, 1_000_000).collect();
        assert_eq!(shipper.drain(&memory, Instant::now() + Duration::from_millis(20)).await, 10);
        assert!(recorder.counts().tally().store_down);
        memory.state.lock().unwrap().away.clear();
        recorder.close();
        drop((recorder, shipper));
        let (next, mut shipper) = open(&disk);
        record(&next, 5..8).await;
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    assert_eq!(memory.labels(), labels(0..8));
}

#[test]
fn what_was_stored_when_the_answer_was_lost_is_not_shipped_again() {
    let (recorder, mut shipper) = open(&Broken::default());
    let memory = Memory::default();
    memory.state.lock().unwrap().mute = 1;
    block_on(async {
        record(&recorder, 0..9).await;
        assert!(shipper.drain(&memory, Instant::now() + Duration::from_millis(50)).await > 0);
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    assert_eq!(memory.labels(), labels(0..9));
}

#[test]
fn shipping_may_move_between_threads() {
    fn movable<T: Send>(_: &T) {}
    let (_recorder, mut shipper) = open(&Broken::default());
    let memory = Memory::default();
    movable(&shipper.run(&memory));
    movable(&shipper.drain(&memory, soon()));
}

#[test]
fn what_comes_while_it_runs_is_shipped() {
    let (recorder, mut shipper) = open(&Broken::default());
    let memory = Memory::default();
    let counts = recorder.counts();
    block_on(async {
        let all = async {
            for round in 0..10 {
                record(&recorder, 5 * round..5 * round + 5).await;
                while counts.tally().spooled > 0 {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            () = shipper.run(&memory) => {}
            () = all => {}
        }
    });
    assert_eq!(memory.labels(), labels(0..50));
}

#[test]
fn poison_goes_to_the_dead_letters_and_blocks_nothing() {
    let disk = Broken::default();
    let (recorder, mut shipper) = open(&disk);
    let memory = Memory::default();
    let poisoned = [3, 4, 11].map(|number| samples::exchange(number).0);
    memory.state.lock().unwrap().poison.extend(poisoned);
    block_on(async {
        record(&recorder, 0..12).await;
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    let expected: Vec<String> = (0..12)
        .flat_map(|number| match number {
            3 | 4 | 11 => ["poison 1".to_owned(), "poison 1".to_owned()],
            _ => [format!("begin {number}"), format!("end {number}")],
        })
        .collect();
    assert_eq!(memory.labels(), expected);
    assert_eq!(recorder.counts().losses_for(LossWhy::Poison), 6);
    assert_eq!(files(&disk, "spool"), 1);
}

#[test]
fn a_crashed_process_s_stream_is_closed_shipped_and_removed() {
    let disk = Broken::default();
    let memory = Memory::default();
    let mut random = fastrand::Rng::with_seed(7);
    block_on(async {
        let (recorder, shipper) = open(&disk);
        record(&recorder, 0..10).await;
        let mut slot = recorder.reserve(Recording::Required).unwrap();
        slot.begin(samples::begin(10)).await.unwrap();
        recorder.close();
        disk.crash(&mut random);
        // What the dead process still does reaches no disk.
        drop((slot, recorder, shipper));
        let (next, mut shipper) = open(&disk);
        record(&next, 20..22).await;
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
        assert_eq!(memory.labels().iter().filter(|label| *label == "crashed 10").count(), 1);
        let streams: BTreeSet<Uuid> = memory.state.lock().unwrap().frames.iter().map(|(stream, ..)| *stream).collect();
        assert_eq!(streams.len(), 2);
        assert_eq!(next.counts().tally().spooled, 0);
    });
    let mut found = memory.labels();
    found.retain(|label| !label.starts_with(ClosedWhy::Crashed.name()));
    found.sort();
    let mut expected = [labels(0..10), vec!["begin 10".to_owned()], labels(20..22)].concat();
    expected.sort();
    assert_eq!(found, expected);
    let names: BTreeSet<_> = disk.files().iter().filter_map(|(path, _)| path.parent().map(Path::to_owned)).collect();
    assert_eq!(names.len(), 1, "the stream that was taken over is removed: {names:?}");
}

#[test]
fn a_damaged_frame_is_counted_and_the_rest_arrives() {
    let disk = Broken::default();
    let (recorder, mut shipper) = open(&disk);
    let memory = Memory::default();
    block_on(async {
        record(&recorder, 0..6).await;
        let (segment, _) = disk.files().into_iter().find(|(path, _)| path.extension().is_some()).unwrap();
        let needle = b"reply 2";
        disk.change(&segment, |bytes| {
            let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
            bytes[at] ^= 1;
        });
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    let expected: Vec<String> = labels(0..6)
        .into_iter()
        .map(|label| if label == "end 2" { "quarantined 1".to_owned() } else { label })
        .collect();
    assert_eq!(memory.labels(), expected);
    assert_eq!((files(&disk, "bad"), recorder.counts().losses_for(LossWhy::Quarantined)), (1, 1));
}

#[test]
fn a_segment_that_cannot_be_read_is_given_up_and_kept() {
    let disk = Broken::default();
    let (recorder, mut shipper) = open(&disk);
    let memory = Memory::default();
    block_on(async {
        record(&recorder, 0..20).await;
        let (segment, _) = disk.files().into_iter().filter(|(path, _)| path.extension().is_some()).nth(1).unwrap();
        disk.make_unreadable(&segment);
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    let lost = recorder.counts().losses_for(LossWhy::Quarantined);
    let found = memory.labels();
    assert!(lost > 0 && found.contains(&format!("quarantined {lost}")));
    assert_eq!(found.len() as u64 - 1 + lost, 40);
    assert_eq!(files(&disk, "bad"), 1);
}

#[test]
fn a_frame_in_a_prompt_is_never_taken_for_a_frame() {
    // In the header, so that the way past it is searched for, and in the payload, whose end is known.
    for damage in [20, 70] {
        forged_frame(damage);
    }
}

fn forged_frame(damage: usize) {
    let disk = Broken::default();
    let (recorder, mut shipper) = open(&disk);
    let memory = Memory::default();
    block_on(async {
        record(&recorder, 0..1).await;
        let (segment, size) = disk.files().into_iter().find(|(path, _)| path.extension().is_some()).unwrap();
        // A client sends a piece of another stream's segment, and the frame that holds it is damaged.
        let other = Broken::default();
        let (elsewhere, _shipper) = open(&other);
        record(&elsewhere, 90..92).await;
        let (path, _) = other.files().into_iter().find(|(path, _)| path.extension().is_some()).unwrap();
        let mut forged = Vec::new();
        other.change(&path, |bytes| forged = bytes.clone());
        let mut slot = recorder.reserve(Recording::Required).unwrap();
        let begin = crate::record::Begin { request: Bytes::from(forged), ..samples::begin(1) };
        slot.begin(begin).await.unwrap();
        slot.end(samples::end(1)).await.unwrap();
        disk.change(&segment, |bytes| bytes[size + damage] ^= 1);
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
    });
    assert_eq!(memory.labels(), ["begin 0", "end 0", "quarantined 1", "end 1"]);
}
