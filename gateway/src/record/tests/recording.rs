//! What exchanges see of recording: slots, receipts, losses, and the sum that must add up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::disk::Broken;
use super::samples;
use crate::config::{Recording, Spool};
use crate::record::{LossWhy, Lost, Recorder, Refused, Shipper, Tally};

const CONFIG: Spool = Spool {
    group: Duration::from_millis(1),
    segment_bytes: 64 << 10,
    total_bytes: 1 << 20,
    batch_rows: 10,
    keys: Vec::new(),
};

fn open(disk: &Broken) -> (Recorder, Shipper) {
    Recorder::open_on(Arc::new(disk.clone()), Path::new("/data"), &CONFIG).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Runs an exchange to its end, and gives what became of its two frames.
async fn run(recorder: &Recorder, recording: Recording, number: u64) -> [Result<(), Lost>; 2] {
    let mut slot = recorder.reserve(recording).unwrap();
    let begun = slot.begin(samples::begin(number)).await;
    [begun, slot.end(samples::end(number)).await]
}

/// Closes the recorder and makes sure that nothing is unaccounted for.
fn tally(recorder: &Recorder) -> Tally {
    recorder.close();
    let tally = recorder.counts().tally();
    assert!(tally.adds_up() && tally.open == 0, "{tally:?}");
    tally
}

#[test]
fn frames_of_both_promises_become_durable() {
    let disk = Broken::default();
    let (recorder, _shipper) = open(&disk);
    for (number, recording) in [Recording::Required, Recording::BestEffort].into_iter().enumerate() {
        assert_eq!(block_on(run(&recorder, recording, number as u64)), [Ok(()), Ok(())]);
    }
    let tally = tally(&recorder);
    assert_eq!((tally.admitted, tally.recorded, tally.begins, tally.ends, tally.frames), (2, 2, 2, 2, 4));
}

#[test]
fn a_receipt_may_be_dropped_and_asked_twice() {
    let (recorder, _shipper) = open(&Broken::default());
    let mut slot = recorder.reserve(Recording::Required).unwrap();
    drop(slot.begin(samples::begin(1)));
    let mut durable = slot.end(samples::end(1));
    assert_eq!(block_on(async { [(&mut durable).await, (&mut durable).await] }), [Ok(()), Ok(())]);
    assert_eq!(tally(&recorder).recorded, 1);
}

#[test]
fn a_dropped_slot_is_closed_or_given_back() {
    let (recorder, _shipper) = open(&Broken::default());
    drop(recorder.reserve(Recording::Required).unwrap());
    let mut slot = recorder.reserve(Recording::BestEffort).unwrap();
    drop(slot.begin(samples::begin(1)));
    drop(slot);
    let tally = tally(&recorder);
    assert_eq!((tally.admitted, tally.unused, tally.recorded, tally.begins, tally.ends), (2, 1, 1, 1, 1));
}

#[test]
fn a_full_disk_refuses_required_and_counts_best_effort() {
    let disk = Broken::default();
    let (recorder, _shipper) = open(&disk);
    disk.set_full(true);
    assert_eq!(block_on(run(&recorder, Recording::Required, 1)), [Err(Lost), Err(Lost)]);
    assert_eq!(recorder.reserve(Recording::Required).unwrap_err(), Refused::Broken);
    assert_eq!(block_on(run(&recorder, Recording::BestEffort, 2)), [Err(Lost), Err(Lost)]);
    assert!(recorder.counts().is_broken());
    disk.set_full(false);
    assert_eq!(block_on(run(&recorder, Recording::BestEffort, 3)), [Ok(()), Ok(())]);
    assert!(!recorder.counts().is_broken());
    assert_eq!(block_on(run(&recorder, Recording::Required, 4)), [Ok(()), Ok(())]);
    let tally = tally(&recorder);
    assert_eq!((tally.admitted, tally.recorded, tally.lost), (4, 2, 2));
    assert_eq!(recorder.counts().losses_for(LossWhy::WriteFailed), 4);
    assert_eq!(tally.frames, 5, "four frames of exchanges, and one that tells of the loss");
}

#[test]
fn an_end_that_is_lost_leaves_a_closing() {
    let disk = Broken::default();
    let (recorder, _shipper) = open(&disk);
    let mut slot = recorder.reserve(Recording::Required).unwrap();
    assert_eq!(block_on(slot.begin(samples::begin(1))), Ok(()));
    disk.set_full(true);
    assert_eq!(block_on(slot.end(samples::end(1))), Err(Lost));
    disk.set_full(false);
    let tally = tally(&recorder);
    assert_eq!((tally.recorded, tally.lost, tally.begins, tally.ends, tally.frames), (0, 1, 1, 1, 3));
}

#[test]
fn one_failed_sync_costs_a_segment_and_no_record() {
    let disk = Broken::default();
    let (recorder, _shipper) = open(&disk);
    assert_eq!(block_on(run(&recorder, Recording::Required, 1)), [Ok(()), Ok(())]);
    disk.fail_next([false, true]);
    assert_eq!(block_on(run(&recorder, Recording::Required, 2)), [Ok(()), Ok(())]);
    assert_eq!(tally(&recorder).recorded, 2);
    let segments = disk.files().into_iter().filter(|(path, _)| path.extension().is_some()).count();
    assert_eq!(segments, 2);
}

#[test]
fn a_spool_at_its_budget_refuses_required_before_best_effort_is_counted_for_nothing() {
    let (recorder, _shipper) = open(&Broken::default());
    let mut number = 0;
    let big = |number| crate::record::End {
        received: vec![bytes::Bytes::from(vec![b'x'; 40 << 10])],
        ..samples::end(number)
    };
    // Best effort stops first, and nothing of it is refused.
    while recorder.counts().losses_for(LossWhy::BestEffortFull) == 0 {
        number += 1;
        let mut slot = recorder.reserve(Recording::BestEffort).unwrap();
        let _ = block_on(slot.begin(samples::begin(number)));
        let _ = block_on(slot.end(big(number)));
        assert!(number < 100);
    }
    assert!(recorder.counts().tally().bytes < CONFIG.total_bytes);
    // Required ones still find room, until that is used up too.
    while let Ok(mut slot) = recorder.reserve(Recording::Required) {
        number += 1;
        assert_eq!(block_on(slot.begin(samples::begin(number))), Ok(()));
        assert_eq!(block_on(slot.end(big(number))), Ok(()));
        assert!(number < 200);
    }
    assert_eq!(recorder.reserve(Recording::Required).unwrap_err(), Refused::NoRoom);
    assert!(recorder.counts().tally().bytes <= CONFIG.total_bytes + (64 << 10));
    let tally = tally(&recorder);
    assert_eq!(tally.lost, 1);
}

#[test]
fn nothing_waits_for_a_writer_that_has_ended() {
    let (recorder, _shipper) = open(&Broken::default());
    let mut slot = recorder.reserve(Recording::Required).unwrap();
    recorder.close();
    assert_eq!(block_on(slot.begin(samples::begin(1))), Err(Lost));
    drop(slot);
    assert_eq!(tally(&recorder).lost, 1);
}

#[test]
fn many_threads_record_at_once() {
    let (recorder, _shipper) = open(&Broken::default());
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let recorder = &recorder;
            scope.spawn(move || {
                block_on(async {
                    for number in 0..100 {
                        let recording = if number % 2 == 0 { Recording::Required } else { Recording::BestEffort };
                        let outcome = run(recorder, recording, thread * 1000 + number).await;
                        assert_eq!(outcome, [Ok(()), Ok(())]);
                    }
                });
            });
        }
    });
    let tally = tally(&recorder);
    assert_eq!((tally.admitted, tally.recorded, tally.frames), (400, 400, 800));
}
