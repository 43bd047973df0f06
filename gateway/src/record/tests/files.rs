//! The spool on the machine's own file system: locks between processes' spools, and frames on a real disk.

use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::samples;
use super::shipping::{Memory, block_on, labels, record, soon};
use crate::config::{PayloadKey, Recording, Spool};
use crate::record::{Recorder, Shipper};

const CONFIG: Spool = Spool {
    group: Duration::from_millis(1),
    segment_bytes: 4 << 10,
    total_bytes: 64 << 20,
    batch_rows: 7,
    keys: Vec::new(),
};

/// A directory that goes when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("candor-spool-{}", Uuid::now_v7())))
    }

    fn open(&self) -> (Recorder, Shipper) {
        self.open_with(&[])
    }

    /// Opens with keys of these names; frames are hidden under the first.
    fn open_with(&self, keys: &[&str]) -> (Recorder, Shipper) {
        let key = |id: &&str| PayloadKey { id: (*id).to_owned(), bytes: [7; 32] };
        Recorder::open(&self.0, &Spool { keys: keys.iter().map(key).collect(), ..CONFIG }).unwrap()
    }

    /// Everything that is on the disk.
    fn bytes(&self) -> Vec<u8> {
        let streams = std::fs::read_dir(self.0.join("spool")).unwrap();
        let files = streams.flat_map(|stream| std::fs::read_dir(stream.unwrap().path()).unwrap());
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Names of streams that are there.
    fn streams(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join("spool")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_stream_is_taken_over_only_when_its_process_is_gone() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(&scratch.0).unwrap();
    let memory = Memory::default();
    block_on(async {
        let (first, first_shipper) = scratch.open();
        record(&first, 0..3).await;
        let mut slot = first.reserve(Recording::Required).unwrap();
        slot.begin(samples::begin(3)).await.unwrap();
        let (second, mut second_shipper) = scratch.open();
        record(&second, 10..13).await;
        assert_eq!(second_shipper.drain(&memory, soon()).await, 0);
        assert_eq!(memory.labels(), labels(10..13), "the first one lives");
        first.close();
        drop((first, first_shipper));
        drop(slot);
        let (third, mut third_shipper) = scratch.open();
        assert_eq!(third_shipper.drain(&memory, soon()).await, 0);
        let expected = [labels(0..3), vec!["begin 3".to_owned(), "crashed 3".to_owned()], labels(10..13)].concat();
        assert_eq!(memory.labels(), expected);
        assert_eq!(scratch.streams().len(), 2, "those of the two that live");
        for (recorder, shipper) in [(second, &mut second_shipper), (third, &mut third_shipper)] {
            recorder.close();
            assert_eq!(shipper.drain(&memory, soon()).await, 0);
            assert_eq!(recorder.counts().tally().bytes, 0);
        }
        assert_eq!(scratch.streams().len(), 0, "what is stored leaves nothing behind");
    });
}

#[test]
fn a_hidden_spool_says_nothing_and_waits_for_its_key() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(&scratch.0).unwrap();
    let memory = Memory::default();
    let holds = |word: &str| scratch.bytes().windows(word.len()).any(|part| part == word.as_bytes());
    block_on(async {
        let (recorder, shipper) = scratch.open_with(&["k1"]);
        record(&recorder, 0..5).await;
        drop(recorder.reserve(Recording::Required).unwrap().begin(samples::begin(5)));
        recorder.close();
        drop((recorder, shipper));
        assert!(!holds("request 2") && holds("k1"));
        // Without its key it stays as it is; what others write is stored all the same.
        let (other, mut shipper) = scratch.open();
        record(&other, 10..11).await;
        assert!(holds("request 10"));
        other.close();
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
        assert_eq!(memory.labels(), labels(10..11));
        drop((other, shipper));
        // After a rotation, the key among those that are only read with.
        let (rotated, mut shipper) = scratch.open_with(&["k2", "k1"]);
        rotated.close();
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
        let last = vec!["begin 5".to_owned(), "abandoned 5".to_owned()];
        assert_eq!(memory.labels(), [labels(0..5), last, labels(10..11)].concat());
    });
}

#[test]
fn a_damaged_spool_on_disk_is_shipped_around_and_kept() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(&scratch.0).unwrap();
    let memory = Memory::default();
    block_on(async {
        let (recorder, shipper) = scratch.open();
        record(&recorder, 0..8).await;
        recorder.close();
        drop((recorder, shipper));
        let stream = scratch.0.join("spool").join(&scratch.streams()[0]);
        let mut segments: Vec<PathBuf> =
            std::fs::read_dir(&stream).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some());
        segments.sort();
        let mut bytes = std::fs::read(&segments[0]).unwrap();
        let at = bytes.windows(9).position(|window| window == b"request 2").unwrap();
        bytes[at] ^= 1;
        std::fs::write(&segments[0], bytes).unwrap();
        let (next, mut shipper) = scratch.open();
        assert_eq!(shipper.drain(&memory, soon()).await, 0);
        next.close();
        let replaced = |label: String| if label == "begin 2" { "quarantined 1".to_owned() } else { label };
        assert_eq!(memory.labels(), labels(0..8).into_iter().map(replaced).collect::<Vec<_>>());
        assert!(segments[0].with_extension("bad").exists() && !segments[0].exists());
    });
}
