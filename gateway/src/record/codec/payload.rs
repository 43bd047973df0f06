//! An entry to the bytes behind a frame's header, and back. Reading takes any bytes and never allocates more than a
//! small multiple of their number.
//!
//! Begin and end: payload version 1, length of the JSON part 4, JSON, then parts of tag 1, length 4 and bytes.
//! Closed: version, reason. Loss: version, reason, count 8.

use bytes::{Buf, Bytes};

use super::header::take;
use super::meta::{BeginMeta, EndMeta};
use super::{Error, Header, Kind, MAX_PAYLOAD, Names};
use crate::config::Recording;
use crate::exchange::{Ending, ExchangeId, Timings, Usage, Verdict};
use crate::record::ship::{ClosedWhy, Entry, LossWhy};
use crate::record::{Begin, End};
use std::sync::Arc;
use uuid::Uuid;

const VERSION: u8 = 1;

const REQUEST: u8 = 1;
const SENT: u8 = 2;
const RECEIVED: u8 = 3;
const DELIVERED: u8 = 4;
const TEXT: u8 = 5;

/// Appends an entry's payload, and says of which kind it is and which exchange it is about.
pub(in crate::record) fn write(entry: &Entry, out: &mut Vec<u8>) -> Result<(Kind, Uuid), Error> {
    out.push(VERSION);
    match entry {
        Entry::Begin(begin) => {
            write_meta(&BeginMeta::of(begin), out)?;
            write_part(REQUEST, [&begin.request], out)?;
            Ok((Kind::Begin, begin.exchange.0))
        }
        Entry::End(end) => {
            write_meta(&EndMeta::of(end), out)?;
            if let Some(sent) = &end.sent {
                write_part(SENT, [sent], out)?;
            }
            write_part(RECEIVED, &end.received, out)?;
            if let Some(delivered) = &end.delivered {
                write_part(DELIVERED, delivered, out)?;
            }
            for segment in &end.segments {
                write_part(TEXT, [&segment.text], out)?;
            }
            Ok((Kind::End, end.exchange.0))
        }
        Entry::Closed { exchange, why } => {
            out.push(code(&ClosedWhy::ALL, why));
            Ok((Kind::Closed, exchange.0))
        }
        Entry::Loss { count, why } => {
            out.push(code(&LossWhy::ALL, why));
            out.extend_from_slice(&count.to_le_bytes());
            Ok((Kind::Loss, Uuid::nil()))
        }
    }
}

/// Reads the payload of a frame whose checksum holds.
pub(in crate::record) fn read(header: &Header, mut payload: Bytes, names: &mut Names) -> Result<Entry, Error> {
    match payload.try_get_u8() {
        Ok(VERSION) => {}
        Ok(version) => return Err(Error::Version(version)),
        Err(_) => return Err(Error::Truncated),
    }
    let exchange = ExchangeId(header.exchange);
    match header.kind {
        Kind::Open => Err(Error::Kind(0)),
        Kind::Begin => Ok(Entry::Begin(Box::new(read_begin(header, payload)?))),
        Kind::End => Ok(Entry::End(Box::new(read_end(header, payload, names)?))),
        Kind::Closed => {
            let [why] = take(&mut payload.as_ref())?;
            Ok(Entry::Closed { exchange, why: decode(&ClosedWhy::ALL, why)? })
        }
        Kind::Loss => {
            let mut rest = payload.as_ref();
            let [why] = take(&mut rest)?;
            Ok(Entry::Loss { count: u64::from_le_bytes(take(&mut rest)?), why: decode(&LossWhy::ALL, why)? })
        }
    }
}

fn code<T: PartialEq>(all: &[T], value: &T) -> u8 {
    all.iter().position(|known| known == value).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn decode<T: Copy>(all: &[T], code: u8) -> Result<T, Error> {
    all.get(usize::from(code)).copied().ok_or(Error::Name)
}

fn write_meta(meta: &impl serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, meta).map_err(|_| Error::Meta)?;
    let length = u32::try_from(out.len() - at - 4).map_err(|_| Error::Length)?;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

fn write_part<B: AsRef<[u8]>>(
    tag: u8,
    pieces: impl IntoIterator<Item = B> + Clone,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let length: usize = pieces.clone().into_iter().map(|piece| piece.as_ref().len()).sum();
    if length > MAX_PAYLOAD || out.len().saturating_add(length) > isize::MAX as usize {
        return Err(Error::Length);
    }
    out.push(tag);
    out.extend_from_slice(&u32::try_from(length).map_err(|_| Error::Length)?.to_le_bytes());
    out.reserve(length);
    for piece in pieces {
        out.extend_from_slice(piece.as_ref());
    }
    Ok(())
}

fn read_begin(header: &Header, mut payload: Bytes) -> Result<Begin, Error> {
    let json = read_length(&mut payload)?;
    let meta: BeginMeta<'_> = serde_json::from_slice(&json).map_err(|_| Error::Meta)?;
    let Some((REQUEST, request)) = read_part(&mut payload)? else { return Err(Error::Truncated) };
    if !payload.is_empty() {
        return Err(Error::Truncated);
    }
    Ok(Begin {
        exchange: ExchangeId(header.exchange),
        at: header.at(),
        dialect: meta.dialect()?,
        caller: meta.caller.restore(),
        peer: meta.peer.into_owned(),
        client_request_id: meta.client_request_id.map(std::borrow::Cow::into_owned),
        subject: meta.subject.map(std::borrow::Cow::into_owned),
        audit: meta.audit.map(std::borrow::Cow::into_owned),
        model: meta.model.into_owned(),
        stream: meta.stream,
        preview: meta.preview.map(std::borrow::Cow::into_owned),
        request,
        headers: meta.headers.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        snapshot: Arc::from(meta.snapshot.as_ref()),
        recording: if meta.required { Recording::Required } else { Recording::BestEffort },
    })
}

fn read_end(header: &Header, mut payload: Bytes, names: &mut Names) -> Result<End, Error> {
    let json = read_length(&mut payload)?;
    let meta: EndMeta<'_> = serde_json::from_slice(&json).map_err(|_| Error::Meta)?;
    let mut end = empty_end(header);
    let mut texts = Vec::new();
    while let Some((tag, part)) = read_part(&mut payload)? {
        match tag {
            SENT => end.sent = Some(part),
            RECEIVED if part.is_empty() => end.received = Vec::new(),
            RECEIVED => end.received = vec![part],
            DELIVERED => end.delivered = Some(if part.is_empty() { Vec::new() } else { vec![part] }),
            TEXT => texts.push(std::str::from_utf8(&part).map_err(|_| Error::Meta)?.to_owned()),
            _ => return Err(Error::Kind(tag)),
        }
    }
    if texts.len() != meta.texts() {
        return Err(Error::Truncated);
    }
    meta.restore(&mut end, texts, names)?;
    Ok(end)
}

/// An end of which only the header's part is known yet.
fn empty_end(header: &Header) -> End {
    End {
        exchange: ExchangeId(header.exchange),
        at: header.at(),
        ending: Ending::Complete,
        status: 0,
        fault: None,
        attempts: Vec::new(),
        upstream: None,
        upstream_dialect: None,
        upstream_model: None,
        upstream_reply_id: None,
        sent: None,
        adapted: Vec::new(),
        received: Vec::new(),
        delivered: None,
        unkept_bytes: 0,
        segments: Vec::new(),
        finishes: Vec::new(),
        unread_frames: 0,
        findings: Vec::new(),
        unkept_findings: 0,
        verdict: Verdict {
            choice: 0,
            outcome: "failed",
            manners: Vec::new(),
            evidence: Vec::new(),
            language: None,
            confidence: 0.0,
            decided_by: "",
            signal: None,
            detector: "",
        },
        review: false,
        usage: Usage::default(),
        cost: None,
        thinking: None,
        timings: Timings::default(),
    }
}

/// The next part: its tag and bytes, which stay where they are. None at the end.
fn read_part(payload: &mut Bytes) -> Result<Option<(u8, Bytes)>, Error> {
    let Ok(tag) = payload.try_get_u8() else { return Ok(None) };
    Ok(Some((tag, read_length(payload)?)))
}

/// Bytes that follow their length.
fn read_length(payload: &mut Bytes) -> Result<Bytes, Error> {
    let length = payload.try_get_u32_le().map_err(|_| Error::Truncated)? as usize;
    if length > payload.len() {
        return Err(Error::Truncated);
    }
    Ok(payload.split_to(length))
}
