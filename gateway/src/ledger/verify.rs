//! What a bundle proves: the tree, the signature, each record, each stream. It needs nothing but the bundle's lines and
//! what the auditor trusts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

use super::bundle::{Base64, Consistency, EventLine, Head, Line, PayloadLine, RowLine, VERSION};
use super::checkpoint::{Checkpoint, Verifier, unverified};
use super::hash::Hash;
use super::leaf::{Kind, Leaf};
use super::proof::{inclusion_root, is_consistent, range_root};
use super::tree::root_of;

mod events;
mod report;
mod streams;

use events::Events;
pub use report::{Conclusion, Grade, Problem, Report, Status};

/// What an auditor brings.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys that he knows to be the ledger's; without any, the bundle's own are taken and nothing is anchored.
    pub keys: Vec<Verifier>,
    /// Signed checkpoints that he kept.
    pub checkpoints: Vec<String>,
}

/// Problems that are listed at most.
const LISTED: usize = 100;

/// Reads a bundle line by line.
#[derive(Debug, Default)]
pub struct Reading {
    head: Option<Head>,
    keys: Vec<Verifier>,
    checkpoint: Option<String>,
    range: Vec<Base64>,
    consistencies: Vec<Consistency>,
    leaves: Vec<Seen>,
    hashes: Vec<Hash>,
    events: Events,
    /// Events from outside the range: place, hash of the leaf, audit path.
    outside: Vec<(u64, Hash, Vec<Base64>)>,
    unsealed: u64,
    lines: u64,
    ended: bool,
    problems: Vec<Problem>,
}

/// One leaf, and what was found of it.
#[derive(Debug)]
struct Seen {
    leaf: Leaf,
    row: Option<bool>,
    /// Numbers taken in the stream.
    takes: u64,
    /// For each part whether it is there, and whether it is as it was.
    parts: Vec<Option<bool>>,
}

impl Reading {
    /// Takes one line; an empty one is passed over.
    pub fn line(&mut self, text: &[u8]) {
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        if self.ended {
            self.invalid("there are lines behind the end".to_owned());
            return;
        }
        let number = self.lines + 1;
        match serde_json::from_slice(text) {
            Ok(line) => self.take(line),
            Err(_) => self.invalid(format!("line {number} is no line of a bundle")),
        }
        self.lines = number;
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Bundle(head) if self.lines == 0 => {
                if head.version != VERSION {
                    self.invalid(format!("version {} of the format is not known", head.version));
                }
                self.head = Some(head);
            }
            Line::Bundle(_) => self.invalid("a second head".to_owned()),
            Line::Key(text) => match Verifier::read(&text) {
                Some(key) => self.keys.push(key),
                None => self.invalid("a key that is none".to_owned()),
            },
            Line::Checkpoint(note) => match self.checkpoint {
                None => self.checkpoint = Some(note),
                Some(_) => self.invalid("a second checkpoint".to_owned()),
            },
            Line::Range(proof) => self.range = proof,
            Line::Consistency(proof) => self.consistencies.push(proof),
            Line::Leaf(leaf) => self.leaf(leaf.index, &leaf.bytes.0),
            Line::Row(row) => self.row(&row),
            Line::Payload(payload) => self.payload(&payload),
            Line::Event(event) => self.event(event),
            Line::Unsealed(_) => self.unsealed += 1,
            Line::Document(_) => {}
            Line::End(lines) => {
                self.ended = true;
                if lines != self.lines {
                    self.incomplete(format!("{lines} lines were written, {} are there", self.lines));
                }
            }
        }
    }

    fn leaf(&mut self, index: u64, bytes: &[u8]) {
        let (from, log) = self.head.as_ref().map_or((0, Uuid::nil()), |head| (head.from, head.log));
        let expected = from + self.leaves.len() as u64;
        let Some(leaf) = Leaf::read(bytes) else {
            self.invalid(format!("leaf {index} cannot be read"));
            return;
        };
        if index != expected {
            self.incomplete(format!("leaf {expected} should come, leaf {index} does"));
        }
        if leaf.log != log {
            self.invalid(format!("leaf {index} belongs to another ledger"));
        }
        self.hashes.push(Hash::leaf(bytes));
        let parts = vec![None; leaf.parts.len()];
        self.leaves.push(Seen { leaf, row: None, takes: 1, parts });
    }

    /// Whom a row or a payload belongs to: always the last leaf.
    fn owner(&mut self, index: u64) -> Option<&mut Seen> {
        let from = self.head.as_ref().map_or(0, |head| head.from);
        let last = from + self.leaves.len() as u64;
        if index.checked_add(1) == Some(last) { self.leaves.last_mut() } else { None }
    }

    fn row(&mut self, row: &RowLine) {
        let Some(seen) = self.owner(row.index) else {
            self.invalid(format!("a row of leaf {} does not follow it", row.index));
            return;
        };
        let good = Hash::row(&row.salt.0, row.text.as_bytes()) == seen.leaf.row;
        seen.row = Some(good && seen.row != Some(false));
        if !good {
            let what =
                format!("leaf {}: the row of {} {} was altered", row.index, seen.leaf.kind.name(), seen.leaf.record);
            self.invalid(what);
            return;
        }
        if seen.leaf.kind == Kind::Loss {
            seen.takes = streams::numbers_of_loss(&row.text);
        }
        let kind = seen.leaf.kind;
        self.events.take(kind, &row.text);
    }

    fn payload(&mut self, payload: &PayloadLine) {
        let index = payload.index;
        let Some(seen) = self.owner(index) else {
            self.invalid(format!("a payload of leaf {index} does not follow it"));
            return;
        };
        let at = seen.leaf.parts.iter().position(|part| part.name == payload.part);
        let place = at.and_then(|at| Some((seen.leaf.parts.get(at)?, seen.parts.get_mut(at)?)));
        let Some((part, found)) = place else {
            self.invalid(format!("leaf {index} has no payload {:?}", payload.part));
            return;
        };
        let same = part.size == payload.bytes.0.len() as u64;
        let good = same && Hash::payload(&payload.salt.0, &[&payload.bytes.0]) == part.hash;
        *found = Some(good && *found != Some(false));
        if !good {
            let what = format!("leaf {index}: the payload {} of {} was altered", payload.part, seen.leaf.record);
            self.invalid(what);
        }
    }

    fn event(&mut self, event: EventLine) {
        let index = event.index;
        let log = self.head.as_ref().map(|head| head.log);
        let leaf = Leaf::read(&event.bytes.0).filter(|leaf| Some(leaf.log) == log);
        let Some(leaf) = leaf else {
            self.invalid(format!("event {index} cannot be read, or is of another ledger"));
            return;
        };
        if Hash::row(&event.salt.0, event.text.as_bytes()) != leaf.row {
            self.invalid(format!("leaf {index}: the row of {} {} was altered", leaf.kind.name(), leaf.record));
            return;
        }
        self.events.take(leaf.kind, &event.text);
        self.outside.push((index, Hash::leaf(&event.bytes.0), event.proof));
    }

    /// What the lines prove.
    #[must_use]
    pub fn conclude(mut self, trust: &Trust) -> Report {
        if !self.ended {
            self.incomplete("the bundle is cut off: its last line is missing".to_owned());
        }
        let head = self.head.clone();
        let Some(head) = head else {
            self.invalid("this is no evidence bundle".to_owned());
            return self.report(None, Signed::default(), BTreeMap::new(), 0);
        };
        let signed = self.check_head(&head, trust);
        let records = self.statuses();
        let complete = head.from == 0;
        let (gaps, running) = streams::check(&self.leaves, complete, head.until < head.size);
        gaps.into_iter().for_each(|problem| self.problems.push(problem));
        self.report(Some(&head), signed, records, running)
    }

    /// The tree, its signature and the auditor's checkpoints.
    fn check_head(&mut self, head: &Head, trust: &Trust) -> Signed {
        if head.until.checked_sub(head.from) != Some(self.leaves.len() as u64) {
            self.incomplete(format!(
                "leaves {} to {} should be there, {} are",
                head.from,
                head.until,
                self.leaves.len()
            ));
        }
        let Some(note) = self.checkpoint.clone() else {
            self.invalid("there is no checkpoint".to_owned());
            return Signed::default();
        };
        let keys = if trust.keys.is_empty() { &self.keys } else { &trust.keys };
        let by = keys.iter().find_map(|key| Some((key.name().to_owned(), key.open(&note)?)));
        let Some((key, checkpoint)) = by else {
            let whose = if trust.keys.is_empty() { "a key of the bundle" } else { "a key you gave" };
            self.invalid(format!("the checkpoint is not signed by {whose}"));
            return Signed::default();
        };
        if checkpoint.origin != head.origin || checkpoint.size != head.size {
            self.invalid("the checkpoint is of another ledger or size".to_owned());
        }
        let proof: Option<Vec<Hash>> = self.range.iter().map(Base64::hash).collect();
        let root = match (proof, self.hashes.as_slice()) {
            (Some(proof), []) if proof.is_empty() && head.size == 0 => Some(Hash::empty()),
            (Some(proof), hashes) => range_root(head.from, hashes, head.size, &proof),
            (None, _) => None,
        };
        if root != Some(checkpoint.root) {
            self.invalid("the leaves do not give the root that was signed".to_owned());
        }
        for (index, leaf, proof) in std::mem::take(&mut self.outside) {
            let path: Option<Vec<Hash>> = proof.iter().map(Base64::hash).collect();
            if path.and_then(|path| inclusion_root(index, leaf, head.size, &path)) != Some(checkpoint.root) {
                self.invalid(format!("event {index} is not of this ledger"));
            }
        }
        let anchors = trust.checkpoints.iter().filter(|note| self.agrees(note, &checkpoint, head, trust)).count();
        Signed { by: Some(key), known: !trust.keys.is_empty(), anchors }
    }

    /// Whether a checkpoint that the auditor kept is of this ledger.
    fn agrees(&mut self, note: &str, now: &Checkpoint, head: &Head, trust: &Trust) -> bool {
        let keys = self.keys.iter().chain(&trust.keys);
        let Some(kept) = keys.filter_map(|key| key.open(note)).next() else {
            self.invalid("a checkpoint you gave is not signed by a key of this ledger".to_owned());
            return false;
        };
        let size = kept.size;
        if kept.origin != now.origin {
            self.invalid(format!("the checkpoint of {size} leaves is of another ledger"));
            return false;
        }
        if size > now.size {
            let what = format!(
                "the ledger once had {size} leaves, this bundle knows {}: leaves were taken away, or the bundle is older",
                now.size
            );
            self.incomplete(what);
            return false;
        }
        let before = usize::try_from(size).ok().and_then(|size| self.hashes.get(..size));
        let same = match before {
            _ if size == now.size => Some(kept.root == now.root),
            Some(before) if head.from == 0 => Some(root_of(before.iter().copied()) == kept.root),
            _ => self.proven(note, &kept, now),
        };
        match same {
            Some(true) => return true,
            Some(false) => self.invalid(format!("the checkpoint of {size} leaves tells of another past")),
            None => self.incomplete(format!("the bundle has no proof for the checkpoint of {size} leaves")),
        }
        false
    }

    fn proven(&self, note: &str, kept: &Checkpoint, now: &Checkpoint) -> Option<bool> {
        let same = |proof: &&Consistency| unverified(&proof.checkpoint).as_ref() == unverified(note).as_ref();
        let proof: Option<Vec<Hash>> = self.consistencies.iter().find(same)?.proof.iter().map(Base64::hash).collect();
        Some(is_consistent((kept.size, kept.root), (now.size, now.root), &proof?))
    }

    /// What is left of each exchange.
    fn statuses(&mut self) -> BTreeMap<Uuid, Status> {
        let mut records = BTreeMap::new();
        let mut missing = Vec::new();
        let mut told = HashSet::new();
        for (seen, at) in self.leaves.iter().zip(0u64..) {
            if seen.leaf.kind == Kind::Duplicate {
                continue;
            }
            let index = at + self.head.as_ref().map_or(0, |head| head.from);
            let status = self.status(seen, index, &mut missing);
            if matches!(seen.leaf.kind, Kind::Begin | Kind::End) {
                let worst = records.entry(seen.leaf.record).or_insert(status);
                *worst = (*worst).max(status);
            }
        }
        for (record, what) in missing {
            if told.insert((record, what.clone())) {
                self.incomplete(what);
            }
        }
        records
    }

    fn status(&self, seen: &Seen, index: u64, missing: &mut Vec<(Uuid, String)>) -> Status {
        let leaf = &seen.leaf;
        let mut worst = match seen.row {
            Some(true) => Status::PresentVerified,
            Some(false) => Status::Altered,
            None if self.events.row_expired(leaf) => Status::ExpiredUnderPolicy,
            None => {
                missing.push((
                    leaf.record,
                    format!("leaf {index}: the row of {} {} is missing", leaf.kind.name(), leaf.record),
                ));
                Status::Missing
            }
        };
        for (part, found) in leaf.parts.iter().zip(&seen.parts) {
            let status = match found {
                Some(true) => Status::PresentVerified,
                Some(false) => Status::Altered,
                None if self.events.erased(leaf.record, &part.name) => Status::ErasedUnderAuthority,
                None if self.events.payload_expired(leaf) => Status::ExpiredUnderPolicy,
                None => {
                    let what = format!("leaf {index}: the payload {} of {} is missing", part.name, leaf.record);
                    missing.push((leaf.record, what));
                    Status::Missing
                }
            };
            worst = worst.max(status);
        }
        worst
    }

    fn report(mut self, head: Option<&Head>, signed: Signed, records: BTreeMap<Uuid, Status>, running: u64) -> Report {
        self.problems.sort_by_key(|problem| std::cmp::Reverse(problem.grade));
        let gravest = self.problems.first().map(|problem| problem.grade);
        self.problems.truncate(LISTED);
        let anchored = signed.known || signed.anchors > 0;
        Report {
            conclusion: match gravest {
                Some(Grade::Invalid) => Conclusion::Invalid,
                Some(Grade::Incomplete) => Conclusion::Incomplete,
                None if anchored => Conclusion::Verified,
                None => Conclusion::Unanchored,
            },
            origin: head.map_or_else(String::new, |head| head.origin.clone()),
            leaves: self.leaves.len() as u64,
            size: head.map_or(0, |head| head.size),
            signed_by: signed.by,
            anchors: signed.anchors,
            records: counted(&records),
            exceptions: records.into_iter().filter(|(_, status)| *status != Status::PresentVerified).collect(),
            running,
            unsealed: self.unsealed,
            problems: self.problems,
        }
    }

    fn invalid(&mut self, what: String) {
        self.problems.push(Problem { grade: Grade::Invalid, what });
    }

    fn incomplete(&mut self, what: String) {
        self.problems.push(Problem { grade: Grade::Incomplete, what });
    }
}

/// What stands behind a head.
#[derive(Debug, Default)]
struct Signed {
    by: Option<String>,
    known: bool,
    anchors: usize,
}

fn counted(records: &BTreeMap<Uuid, Status>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for status in records.values() {
        *counts.entry(status.name()).or_default() += 1;
    }
    counts
}

/// Numbers that are named in one problem at most.
fn some(numbers: &BTreeSet<u64>) -> String {
    let first: Vec<String> = numbers.iter().take(5).map(u64::to_string).collect();
    let more = if numbers.len() > 5 { " ..." } else { "" };
    format!("{}{more}", first.join(", "))
}
