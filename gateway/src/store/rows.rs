//! Frames as rows: what goes into which table, in texts that Postgres can take. It speaks no SQL.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::leaves::{Draft, Salt, begin_text, end_text, loss_text, salt};
use super::packing::Loose;
use crate::config::Recording;
use crate::cost::Cost;
use crate::exchange::{Channel, Evidence, ExchangeId, Finding, Segment};
use crate::ledger::hash::Hash;
use crate::ledger::leaf::Kind;
use crate::ledger::row;
use crate::record::{Attempt, Begin, End, Entry, Frame};
use crate::thinking::Thinking;

/// Bytes of a name at most: an index entry has room for it, and no honest name is longer.
pub(super) const NAME: usize = 256;

/// Bytes of a sentence at most.
pub(super) const SENTENCE: usize = 2048;

/// Characters of a text that lists show.
const PREVIEW: usize = 200;

/// What every row says of its exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) exchange: Uuid,
    pub(super) occurred_at: OffsetDateTime,
}

/// A row of `record_begin`.
#[derive(Debug)]
pub(super) struct BeginRow<'a> {
    pub(super) key: Key,
    pub(super) sequence: i64,
    pub(super) begin: &'a Begin,
    pub(super) preview: Option<String>,
    pub(super) salt: Salt,
}

/// A row of `record_end`; without an end where the exchange was closed afterwards.
#[derive(Debug)]
pub(super) struct EndRow<'a> {
    pub(super) key: Key,
    pub(super) sequence: i64,
    pub(super) at: OffsetDateTime,
    pub(super) ending: &'static str,
    pub(super) end: Option<&'a End>,
    pub(super) salt: Salt,
}

impl<'a> EndRow<'a> {
    /// What it cost.
    pub(super) fn cost(&self) -> Option<&'a Cost> {
        self.end?.cost.as_ref()
    }

    /// What its upstream spoke.
    pub(super) fn upstream_dialect(&self) -> Option<&'static str> {
        Some(self.end?.upstream_dialect?.name())
    }

    /// How the model thought.
    pub(super) fn thinking(&self) -> Option<&'a Thinking> {
        self.end?.thinking.as_ref()
    }

    /// How much was found.
    pub(super) fn findings(&self) -> i32 {
        self.end.map_or(0, |end| end.findings.len().try_into().unwrap_or(i32::MAX))
    }

    /// The strictest action that was asked for.
    pub(super) fn action(&self) -> Option<&'static str> {
        Some(self.end?.findings.iter().map(|finding| finding.action).max()?.name())
    }

    /// `pending` where a rule wants a person to look at the exchange.
    pub(super) fn review(&self) -> Option<&'static str> {
        self.end.filter(|end| end.review).map(|_| "pending")
    }

    /// Bytes that came from the upstream.
    pub(super) fn reply_bytes(&self) -> i64 {
        let Some(end) = self.end else { return 0 };
        let kept: usize = end.received.iter().map(Bytes::len).sum();
        signed(kept).saturating_add(signed(end.unkept_bytes))
    }
}

/// A row of `payload`.
#[derive(Debug)]
pub(super) struct PayloadRow {
    pub(super) key: Key,
    pub(super) part: &'static str,
    pub(super) codec: &'static str,
    pub(super) size: i64,
    pub(super) bytes: Bytes,
    pub(super) salt: Salt,
    pub(super) key_id: Option<String>,
}

/// A row of `loss`.
#[derive(Debug)]
pub(super) struct LossRow {
    pub(super) sequence: i64,
    pub(super) at: OffsetDateTime,
    pub(super) count: i64,
    pub(super) why: &'static str,
    pub(super) salt: Salt,
}

/// One of several things of an exchange, with its place among them.
#[derive(Debug)]
pub(super) struct Nth<'a, T> {
    pub(super) key: Key,
    pub(super) ordinal: i32,
    pub(super) thing: &'a T,
}

/// All rows of a batch, and the leaf that each frame of it gets.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) begins: Vec<BeginRow<'a>>,
    pub(super) ends: Vec<EndRow<'a>>,
    pub(super) payloads: Vec<Loose>,
    pub(super) findings: Vec<Nth<'a, Finding>>,
    pub(super) evidence: Vec<Nth<'a, Evidence>>,
    pub(super) attempts: Vec<Nth<'a, Attempt>>,
    pub(super) losses: Vec<LossRow>,
    pub(super) drafts: Vec<Draft>,
}

impl<'a> Batch<'a> {
    /// Sorts frames into rows.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn of(frames: &'a [Frame]) -> io::Result<Self> {
        let mut batch = Self {
            begins: Vec::new(),
            ends: Vec::new(),
            payloads: Vec::new(),
            findings: Vec::new(),
            evidence: Vec::new(),
            attempts: Vec::new(),
            losses: Vec::new(),
            drafts: Vec::new(),
        };
        for frame in frames {
            match &frame.entry {
                Entry::Begin(begin) => batch.begin(frame, begin)?,
                Entry::End(end) => batch.end(frame, end)?,
                Entry::Closed { exchange, why } => {
                    let key = key(*exchange, frame.at);
                    let sequence = signed(frame.sequence);
                    batch.ends.push(EndRow {
                        key,
                        sequence,
                        at: frame.at,
                        ending: why.name(),
                        end: None,
                        salt: salt()?,
                    });
                    batch.draft_end(frame);
                }
                Entry::Loss { count, why } => batch.loss(frame, *count, why.name())?,
            }
        }
        Ok(batch)
    }

    fn begin(&mut self, frame: &Frame, begin: &'a Begin) -> io::Result<()> {
        let key = key(begin.exchange, begin.at);
        let preview = begin.preview.as_deref().map(preview);
        let row = BeginRow { key, sequence: signed(frame.sequence), begin, preview, salt: salt()? };
        let hash = Hash::row(&row.salt, row::text(&begin_text(frame.stream, &row)).as_bytes());
        self.payload(key, "request", std::slice::from_ref(&begin.request));
        if !begin.headers.is_empty() {
            let headers = serde_json::to_vec(&begin.headers).unwrap_or_default().into();
            self.payload(key, "headers", &[headers]);
        }
        self.drafts.push(Draft {
            kind: Kind::Begin,
            record: key.exchange,
            sequence: row.sequence,
            time: begin.at,
            row: hash,
            parts: Vec::new(),
        });
        self.begins.push(row);
        Ok(())
    }

    fn end(&mut self, frame: &Frame, end: &'a End) -> io::Result<()> {
        let key = key(end.exchange, end.at);
        let sequence = signed(frame.sequence);
        self.ends.push(EndRow { key, sequence, at: end.at, ending: end.ending.name(), end: Some(end), salt: salt()? });
        self.findings.extend(numbered(key, &end.findings));
        self.evidence.extend(numbered(key, &end.verdict.evidence));
        self.attempts.extend(numbered(key, &end.attempts));
        if let Some(sent) = &end.sent {
            self.payload(key, "sent", std::slice::from_ref(sent));
        }
        if !end.adapted.is_empty() {
            let adapted = serde_json::to_vec(&end.adapted).unwrap_or_default().into();
            self.payload(key, "adapted", &[adapted]);
        }
        self.payload(key, "received", &end.received);
        if let Some(delivered) = &end.delivered {
            self.payload(key, "delivered", delivered);
        }
        if !end.segments.is_empty() {
            self.payload(key, "segments", &[write_segments(&end.segments)]);
        }
        self.draft_end(frame);
        Ok(())
    }

    /// The leaf of the end that was pushed last.
    fn draft_end(&mut self, frame: &Frame) {
        let Some(end) = self.ends.last() else { return };
        let hash = Hash::row(&end.salt, row::text(&end_text(frame.stream, end)).as_bytes());
        let (record, sequence, time) = (end.key.exchange, end.sequence, end.at);
        self.drafts.push(Draft { kind: Kind::End, record, sequence, time, row: hash, parts: Vec::new() });
    }

    fn loss(&mut self, frame: &Frame, count: u64, why: &'static str) -> io::Result<()> {
        let sequence = signed(frame.sequence);
        let loss = LossRow { sequence, at: frame.at, count: signed(count), why, salt: salt()? };
        let hash = Hash::row(&loss.salt, row::text(&loss_text(frame.stream, &loss)).as_bytes());
        let (kind, record, time, parts) = (Kind::Loss, Uuid::nil(), frame.at, Vec::new());
        self.drafts.push(Draft { kind, record, sequence, time, row: hash, parts });
        self.losses.push(loss);
        Ok(())
    }

    /// A payload of the frame whose leaf is drafted next.
    fn payload(&mut self, key: Key, part: &'static str, pieces: &[Bytes]) {
        if pieces.iter().any(|piece| !piece.is_empty()) {
            self.payloads.push(Loose { leaf: self.drafts.len(), key, part, pieces: pieces.to_vec() });
        }
    }
}

/// The partition key of an exchange: the time inside its id, so that the id alone leads to its rows.
pub(super) fn occurred_at(exchange: Uuid) -> Option<OffsetDateTime> {
    let (seconds, nanos) = exchange.get_timestamp()?.to_unix();
    let start = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    start.checked_add(time::Duration::nanoseconds(nanos.into()))
}

/// A text that Postgres takes: without NUL, and not longer than so many bytes.
pub(super) fn fit(text: &str, most: usize) -> Cow<'_, str> {
    let cut = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
    if cut.contains('\0') { Cow::Owned(cut.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(cut) }
}

/// The name of what was promised of a record.
pub(super) fn promise(recording: Recording) -> &'static str {
    match recording {
        Recording::Required => "required",
        Recording::BestEffort => "best_effort",
    }
}

/// A count as Postgres has it.
pub(super) fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// An HTTP status as a column has it.
pub(super) fn small(status: u16) -> i16 {
    status.try_into().unwrap_or(i16::MAX)
}

/// Why the choices ended, in the upstream's words.
pub(super) fn finishes(end: &End) -> Option<String> {
    let words: Vec<&str> = end.finishes.iter().map(|(_, word)| word.as_str()).collect();
    (!words.is_empty()).then(|| fit(&words.join(", "), NAME).into_owned())
}

/// A time as a column has it.
pub(super) fn micros(time: Duration) -> i64 {
    signed(time.as_micros())
}

/// The first characters of a reply's answer, or of what stands in its place.
pub(super) fn answer_preview(end: &End) -> Option<String> {
    let of = |channel| end.segments.iter().find(|segment| segment.channel == channel && !segment.text.is_empty());
    of(Channel::Answer).or_else(|| of(Channel::Refusal)).map(|segment| preview(&segment.text))
}

fn preview(text: &str) -> String {
    let words = text.trim_start().chars().take(PREVIEW);
    words
        .map(|c| {
            if c == '\0' {
                '\u{fffd}'
            } else if c.is_whitespace() {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn key(exchange: ExchangeId, otherwise: OffsetDateTime) -> Key {
    Key { exchange: exchange.0, occurred_at: occurred_at(exchange.0).unwrap_or(otherwise) }
}

fn numbered<T>(key: Key, things: &[T]) -> impl Iterator<Item = Nth<'_, T>> {
    things.iter().zip(0..).map(move |(thing, ordinal)| Nth { key, ordinal, thing })
}

/// A text of a reply as it stands in a payload.
#[derive(Serialize)]
struct Text<'a> {
    choice: u32,
    channel: &'static str,
    part: u32,
    role: Option<&'a str>,
    authored_bytes: usize,
    text: &'a str,
}

fn write_segments(segments: &[Segment]) -> Bytes {
    let texts: Vec<_> = segments
        .iter()
        .map(|segment| Text {
            choice: segment.choice,
            channel: segment.channel.name(),
            part: segment.part,
            role: segment.role.as_deref(),
            authored_bytes: segment.authored_bytes,
            text: &segment.text,
        })
        .collect();
    // Numbers and texts always have a JSON form.
    serde_json::to_vec(&texts).unwrap_or_default().into()
}
