//! The frames of one segment file, one after the other, and the way past a damaged one.
//! It does not know which frames count: that is for whoever knows the segments around.

use std::io;

use bytes::Bytes;
use memchr::memmem;

use super::disk::Input;
use crate::record::codec::{HEADER, Header, MAGIC};

/// Bytes looked through at once for the next frame behind damage.
const WINDOW: usize = 64 << 10;

/// Bytes read ahead at once: short frames come by the dozen with one read.
const AHEAD: u64 = 256 << 10;

/// Where a scan stands in its file.
pub(in crate::record) struct Scan {
    input: Box<dyn Input>,
    seed: u32,
    offset: u64,
    size: u64,
    /// Bytes of the file from `ahead_at` on.
    ahead: Bytes,
    ahead_at: u64,
    /// Where the frame ends whose payload is damaged; its header holds.
    damaged_to: Option<u64>,
}

/// What a scan came upon.
#[derive(Debug)]
pub(in crate::record) enum Step {
    /// A frame whose checksum holds.
    Frame(Header, [u8; HEADER], Bytes),
    /// Bytes that are no whole frame of this stream.
    Damage,
    /// The end of the file.
    End,
}

impl Scan {
    /// A scan from the start of a file.
    pub(in crate::record) fn new(input: Box<dyn Input>, seed: u32) -> io::Result<Self> {
        let size = input.size()?;
        Ok(Self { input, seed, offset: 0, size, ahead: Bytes::new(), ahead_at: 0, damaged_to: None })
    }

    /// Where the next step begins.
    pub(in crate::record) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame. Damage is not stepped over: [`Self::skip_damage`] does that.
    pub(in crate::record) fn step(&mut self) -> io::Result<Step> {
        if self.offset >= self.size {
            self.size = self.input.size()?;
        }
        if self.offset >= self.size {
            return Ok(Step::End);
        }
        Ok(match self.frame_at(self.offset)? {
            Some((header, bytes, payload)) => {
                self.offset += (HEADER + payload.len()) as u64;
                Step::Frame(header, bytes, payload)
            }
            None => Step::Damage,
        })
    }

    /// Moves to the next place behind this one where a whole frame stands, or to the end of the file.
    pub(in crate::record) fn skip_damage(&mut self) -> io::Result<()> {
        if let Some(end) = self.damaged_to.take() {
            self.offset = end;
            return Ok(());
        }
        let finder = memmem::Finder::new(&MAGIC);
        let mut window = vec![0; WINDOW];
        let mut from = self.offset + 1;
        while from < self.size {
            let filled = self.input.read_at(&mut window, from)?;
            let looked = window.get(..filled).unwrap_or_default();
            for found in finder.find_iter(looked) {
                let at = from + found as u64;
                if self.frame_at(at)?.is_some() || self.damaged_to.is_some() {
                    self.offset = at;
                    return Ok(());
                }
            }
            if filled < WINDOW {
                break;
            }
            // A magic that stands across two windows is seen whole in the second.
            from += (WINDOW - MAGIC.len() + 1) as u64;
        }
        self.offset = self.size;
        Ok(())
    }

    /// The whole frame that stands at a place, if one does. What was read ahead may have been half written then, so that
    /// a frame is only told to be damaged by bytes read now.
    fn frame_at(&mut self, at: u64) -> io::Result<Option<(Header, [u8; HEADER], Bytes)>> {
        let ahead = !self.ahead.is_empty();
        match self.parse(at)? {
            None if ahead => {
                self.ahead = Bytes::new();
                self.parse(at)
            }
            frame => Ok(frame),
        }
    }

    fn parse(&mut self, at: u64) -> io::Result<Option<(Header, [u8; HEADER], Bytes)>> {
        self.damaged_to = None;
        let Some(&bytes) = self.bytes_at(at, HEADER)?.first_chunk::<HEADER>() else { return Ok(None) };
        let Ok(header) = Header::read(&bytes, self.seed) else { return Ok(None) };
        let end = at + HEADER as u64 + u64::from(header.length);
        if end > self.size {
            // The file may have grown since it was measured.
            self.size = self.input.size()?;
        }
        if end > self.size {
            return Ok(None);
        }
        let payload = self.bytes_at(at + HEADER as u64, header.length as usize)?;
        if payload.len() < header.length as usize {
            return Ok(None);
        }
        if Header::verify(&bytes, self.seed, &payload).is_err() {
            self.damaged_to = Some(end);
            return Ok(None);
        }
        Ok(Some((header, bytes, payload)))
    }

    /// So many bytes of the file from a place on, fewer where it ends; out of what was read ahead if they are there.
    fn bytes_at(&mut self, at: u64, length: usize) -> io::Result<Bytes> {
        let known = at.checked_sub(self.ahead_at).and_then(|start| usize::try_from(start).ok());
        if let Some(start) = known
            && let Some(end) = start.checked_add(length)
            && end <= self.ahead.len()
        {
            return Ok(self.ahead.slice(start..end));
        }
        let more = usize::try_from(self.size.saturating_sub(at).min(AHEAD)).unwrap_or_default();
        let mut buffer = vec![0; length.max(more)];
        let filled = self.input.read_at(&mut buffer, at)?;
        buffer.truncate(filled);
        self.ahead = Bytes::from(buffer);
        self.ahead_at = at;
        Ok(self.ahead.slice(..length.min(filled)))
    }
}
