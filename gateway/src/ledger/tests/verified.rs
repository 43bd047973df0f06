//! Bundles that are whole, and what becomes of each way to tamper with one.

use proptest::prelude::*;
use uuid::Uuid;

use crate::ledger::bundle::{Base64, Document, Head, LeafLine, Line, PayloadLine, RowLine, VERSION};
use crate::ledger::checkpoint::{Checkpoint, Signer};
use crate::ledger::hash::Hash;
use crate::ledger::leaf::{Kind, Leaf, Part};
use crate::ledger::tree::root_of;
use crate::ledger::verify::{Conclusion, Reading, Report, Status, Trust};

const LOG: Uuid = Uuid::from_u128(7);
const STREAM: Uuid = Uuid::from_u128(9);

/// A ledger under construction.
struct Book {
    signer: Signer,
    leaves: Vec<Leaf>,
    lines: Vec<Vec<Line>>,
    sequence: u64,
}

fn exchange(number: u64) -> Uuid {
    let at = uuid::Timestamp::from_unix(uuid::NoContext, 1_700_000_000 + number, 0);
    Uuid::new_v7(at)
}

impl Book {
    fn new() -> Self {
        let signer = Signer::read("ledger.example", &Signer::generate().expect("random")).expect("a key");
        let mut book = Self { signer, leaves: Vec::new(), lines: Vec::new(), sequence: 0 };
        book.add(Kind::StreamOpen, Uuid::nil(), 0, "{}", &[]);
        book
    }

    fn add(&mut self, kind: Kind, record: Uuid, sequence: u64, text: &str, parts: &[(&str, &str)]) {
        let index = self.leaves.len() as u64;
        let salt = vec![index as u8; 32];
        let stream = if matches!(kind, Kind::Erase | Kind::RetentionDrop) { Uuid::nil() } else { STREAM };
        let part = |(name, bytes): &(&str, &str)| Part {
            name: (*name).to_owned(),
            size: bytes.len() as u64,
            hash: Hash::payload(&salt, &[bytes]),
        };
        let leaf = Leaf {
            kind,
            log: LOG,
            record,
            stream,
            sequence,
            time: 0,
            row: Hash::row(&salt, text.as_bytes()),
            parts: parts.iter().map(part).collect(),
        };
        let mut lines = vec![
            Line::Leaf(LeafLine { index, bytes: Base64(leaf.write()) }),
            Line::Row(RowLine { index, salt: Base64(salt.clone()), text: text.to_owned() }),
        ];
        lines.extend(parts.iter().map(|(name, bytes)| {
            let (salt, bytes) = (Base64(salt.clone()), Base64(bytes.as_bytes().to_vec()));
            Line::Payload(PayloadLine { index, part: (*name).to_owned(), salt, bytes })
        }));
        self.leaves.push(leaf);
        self.lines.push(lines);
    }

    fn frame(&mut self, kind: Kind, record: Uuid, text: &str, parts: &[(&str, &str)]) {
        self.sequence += 1;
        self.add(kind, record, self.sequence, text, parts);
    }

    fn exchange(&mut self, number: u64) -> Uuid {
        let id = exchange(number);
        self.frame(Kind::Begin, id, "{\"caller\":\"alice\"}", &[("request", "What happened?")]);
        self.frame(Kind::End, id, "{\"outcome\":\"refused\"}", &[("received", "Sorry."), ("segments", "[]")]);
        id
    }

    fn note(&self, size: usize) -> String {
        let root = root_of(self.leaves[..size].iter().map(|leaf| Hash::leaf(&leaf.write())));
        self.signer.sign(&Checkpoint { origin: "candor/test".to_owned(), size: size as u64, root })
    }

    /// The lines of the whole ledger's bundle, without the last one.
    fn lines(&self) -> Vec<Line> {
        let size = self.leaves.len() as u64;
        let origin = "candor/test".to_owned();
        let head = Head { version: VERSION, log: LOG, origin, made_at: 0, from: 0, until: size, size };
        let mut lines = vec![
            Line::Bundle(head),
            Line::Key(self.signer.verifier().to_string()),
            Line::Checkpoint(self.note(self.leaves.len())),
            Line::Range(Vec::new()),
            Line::Document(Document { name: "FORMAT.md".to_owned(), text: "...".to_owned() }),
        ];
        lines.extend(self.lines.iter().flatten().cloned());
        lines
    }

    fn trust(&self) -> Trust {
        Trust { keys: vec![self.signer.verifier()], checkpoints: Vec::new() }
    }
}

fn verify(lines: &[Line], trust: &Trust) -> Report {
    let mut reading = Reading::default();
    for line in lines.iter().chain([&Line::End(lines.len() as u64)]) {
        reading.line(&serde_json::to_vec(line).expect("JSON"));
    }
    reading.conclude(trust)
}

fn book() -> Book {
    let mut book = Book::new();
    for number in 0..5 {
        book.exchange(number);
    }
    book
}

#[test]
fn a_whole_bundle_is_verified_and_without_a_known_key_unanchored() {
    let book = book();
    let report = verify(&book.lines(), &book.trust());
    assert_eq!((report.conclusion, report.problems.as_slice()), (Conclusion::Verified, [].as_slice()));
    assert_eq!(report.records.get("present-verified"), Some(&5));
    assert_eq!(verify(&book.lines(), &Trust::default()).conclusion, Conclusion::Unanchored);
    let kept = Trust { keys: Vec::new(), checkpoints: vec![book.note(4)] };
    assert_eq!(verify(&book.lines(), &kept).conclusion, Conclusion::Verified);
    assert_eq!(verify(&book.lines(), &Book::new().trust()).conclusion, Conclusion::Invalid, "another's key");
}

/// Finds a line, changes it, and says what becomes of the bundle.
fn tampered(change: impl Fn(&mut Vec<Line>)) -> Report {
    let book = book();
    let mut lines = book.lines();
    change(&mut lines);
    verify(&lines, &book.trust())
}

#[test]
fn each_way_to_tamper_is_named() {
    let row = tampered(|lines| {
        let Some(Line::Row(row)) = lines.iter_mut().find(|line| matches!(line, Line::Row(row) if row.index == 2))
        else {
            panic!("no row")
        };
        row.text = row.text.replace("refused", "complied");
    });
    assert_eq!(row.conclusion, Conclusion::Invalid);
    assert!(row.problems[0].what.contains("leaf 2: the row of end") && row.problems[0].what.contains("altered"));
    assert_eq!(row.exceptions.values().copied().collect::<Vec<_>>(), [Status::Altered]);

    let payload = tampered(|lines| {
        for line in lines.iter_mut() {
            if let Line::Payload(payload) = line
                && payload.index == 4
            {
                payload.bytes.0[0] ^= 1;
            }
        }
    });
    assert_eq!(payload.conclusion, Conclusion::Invalid);
    assert!(payload.problems.iter().any(|problem| problem.what.contains("leaf 4: the payload")));

    let gone = tampered(|lines| lines.retain(|line| !matches!(line, Line::Row(row) if row.index == 3)));
    assert_eq!(gone.conclusion, Conclusion::Incomplete);
    assert!(gone.problems[0].what.contains("leaf 3: the row of begin"));
    assert_eq!(gone.exceptions.values().copied().collect::<Vec<_>>(), [Status::Missing]);

    let leaf = tampered(|lines| lines.retain(|line| !matches!(line, Line::Leaf(leaf) if leaf.index == 3)));
    assert_eq!(leaf.conclusion, Conclusion::Invalid);

    let swapped = tampered(|lines| {
        let places: Vec<usize> =
            (0..lines.len()).filter(|at| matches!(lines[*at], Line::Leaf(ref leaf) if leaf.index > 2)).collect();
        lines.swap(places[0], places[1]);
    });
    assert_eq!(swapped.conclusion, Conclusion::Invalid);

    let book = book();
    let lines = book.lines();
    let cut = {
        let mut reading = Reading::default();
        lines.iter().for_each(|line| reading.line(&serde_json::to_vec(line).expect("JSON")));
        reading.conclude(&book.trust())
    };
    assert_eq!(cut.conclusion, Conclusion::Incomplete, "without its last line");
}

#[test]
fn newest_records_that_are_taken_away_show_against_a_kept_checkpoint() {
    let mut book = book();
    let kept = book.note(book.leaves.len());
    book.leaves.truncate(7);
    book.lines.truncate(7);
    let trust = Trust { checkpoints: vec![kept], ..book.trust() };
    let report = verify(&book.lines(), &trust);
    assert_eq!(report.conclusion, Conclusion::Incomplete);
    assert!(report.problems.iter().any(|problem| problem.what.contains("once had 11 leaves")));
}

#[test]
fn another_past_shows_against_a_kept_checkpoint() {
    let mut book = book();
    let kept = book.note(5);
    book.leaves[1].time = 1;
    let bytes = Base64(book.leaves[1].write());
    book.lines[1][0] = Line::Leaf(LeafLine { index: 1, bytes });
    let trust = Trust { checkpoints: vec![kept], ..book.trust() };
    let report = verify(&book.lines(), &trust);
    assert_eq!(report.conclusion, Conclusion::Invalid);
    assert!(report.problems.iter().any(|problem| problem.what.contains("another past")));
}

#[test]
fn what_was_erased_or_has_expired_is_told_from_what_is_missing() {
    let mut book = book();
    let (erased, expired) = (exchange(1), exchange(3));
    let (erased_id, expired_id) = (book.leaves[3].record, book.leaves[7].record);
    assert_ne!(erased, expired);
    let second = 1_700_000_003_i64 * 1_000_000;
    book.add(Kind::Erase, Uuid::from_u128(1), 0, &format!("{{\"exchange\":\"{erased_id}\",\"parts\":[]}}"), &[]);
    let drop = format!("{{\"table\":\"payload\",\"from\":{second},\"until\":{}}}", second + 1_000_000);
    book.add(Kind::RetentionDrop, Uuid::from_u128(2), 0, &drop, &[]);
    let gone = [3, 4, 7, 8];
    let mut lines = book.lines();
    lines.retain(|line| !matches!(line, Line::Payload(payload) if gone.contains(&payload.index)));
    let report = verify(&lines, &book.trust());
    assert_eq!(report.conclusion, Conclusion::Verified, "{:?}", report.problems);
    assert_eq!(report.exceptions.get(&erased_id), Some(&Status::ErasedUnderAuthority));
    assert_eq!(report.exceptions.get(&expired_id), Some(&Status::ExpiredUnderPolicy));
    assert_eq!(report.records.get("present-verified"), Some(&3));
}

#[test]
fn gaps_and_ends_without_beginnings_are_told() {
    let mut book = book();
    book.sequence += 1;
    let lost = exchange(9);
    book.frame(Kind::End, lost, "{}", &[]);
    let running = exchange(10);
    book.frame(Kind::Begin, running, "{}", &[]);
    let report = verify(&book.lines(), &book.trust());
    assert_eq!(report.conclusion, Conclusion::Incomplete);
    assert_eq!(report.running, 1);
    let all: Vec<&str> = report.problems.iter().map(|problem| problem.what.as_str()).collect();
    assert!(all.iter().any(|what| what.contains("lacks 1 numbers: 11")), "{all:?}");
    assert!(all.iter().any(|what| what.contains("ended and never began")), "{all:?}");
    // Once its stream is closed, an exchange without an end is no longer running.
    book.add(Kind::StreamClose, Uuid::nil(), book.sequence, "{}", &[]);
    let report = verify(&book.lines(), &book.trust());
    assert!(report.problems.iter().any(|problem| problem.what.contains("began and never ended")));
}

proptest! {
    #[test]
    fn a_changed_byte_never_verifies(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let book = book();
        let lines = book.lines();
        let mut text = Vec::new();
        for line in lines.iter().chain([&Line::End(lines.len() as u64)]) {
            // What a document says is outside the proof.
            if !matches!(line, Line::Document(_)) {
                text.extend(serde_json::to_vec(line).expect("JSON"));
            } else {
                text.extend(b"{\"unsealed\":\"00000000-0000-0000-0000-000000000000\"}");
            }
            text.push(b'\n');
        }
        let at = at.index(text.len());
        prop_assume!(text[at] != to && !text[at].is_ascii_whitespace() && !to.is_ascii_whitespace());
        let whole = text.clone();
        text[at] = to;
        let read = |text: &[u8]| {
            let mut reading = Reading::default();
            text.split(|byte| *byte == b'\n').for_each(|line| reading.line(line));
            reading.conclude(&book.trust())
        };
        let (before, after) = (read(&whole), read(&text));
        prop_assert_eq!(before.conclusion, Conclusion::Verified);
        // The time at which the bundle was made, its own keys and its count of unsealed exchanges prove nothing.
        let line = whole[..at].iter().filter(|byte| **byte == b'\n').count();
        let free = line == 0 || line == 1 || line == 4;
        prop_assert!(free || after.conclusion != Conclusion::Verified, "byte {} of line {}", at, line);
    }

    #[test]
    fn any_lines_are_read(lines in prop::collection::vec(".{0,80}", 0..10)) {
        let mut reading = Reading::default();
        lines.iter().for_each(|line| reading.line(line.as_bytes()));
        prop_assert_ne!(reading.conclude(&Trust::default()).conclusion, Conclusion::Verified);
    }
}
