//! How a streamed reply ends: at its last word, by a rule, by a failure or at shutdown. Frames on their way are
//! [`super::flow`]'s.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::account::{Account, Closed, Outcome};
use super::flow::{Flow, Stage};
use crate::config::Recording;
use crate::dialect::{self, Calls};
use crate::exchange::{Ending, Observed};
use crate::fault::Fault;
use crate::stream::sse::{Frame, Frames, Kind};
use crate::upstream::Reply;

/// Why an exchange failed whose stream carried an error.
pub(super) const IN_STREAM: &str = "an error came in the stream";

impl Flow {
    /// The upstream said its last word.
    pub(super) async fn done(&mut self, last: Option<Bytes>) {
        if !self.flush() {
            return;
        }
        self.complete(last).await;
    }

    /// The upstream's last event came, which may itself say something that must be screened.
    pub(super) async fn last_word(&mut self, bytes: Bytes, observed: Observed) {
        let mut released = Vec::new();
        self.screen(bytes, observed, &mut released);
        self.gate.finish(&mut released);
        // What some servers send behind it belongs to it.
        let mut last = released.pop().map(BytesMut::from).filter(|_| self.gate.stopped().is_none());
        while let (Some(last), Some(Ok(Frame { bytes, kind: Kind::Done | Kind::Other }))) =
            (&mut last, self.frames.next())
        {
            last.extend_from_slice(&bytes);
        }
        self.give(released);
        if self.gate.stopped().is_some() {
            return self.stopped();
        }
        self.complete(last.map(BytesMut::freeze)).await;
    }

    /// All that the upstream had to say was said.
    async fn complete(&mut self, last: Option<Bytes>) {
        self.lingers = last.is_some() && !self.has_closed().await;
        let last = match &mut self.translation {
            None => last,
            Some(translation) => {
                let mut body = last.map(|last| translation.push(last)).map(BytesMut::from).unwrap_or_default();
                let closing = translation.finish();
                body.extend_from_slice(&closing.body);
                if !body.is_empty() {
                    self.hand(body.freeze(), true);
                }
                Some(closing.last).filter(|last| !last.is_empty())
            }
        };
        // An error that came in the stream has left as it came, and is the upstream's.
        match self.account.as_ref().and_then(|account| account.seen.error.as_deref()) {
            Some(error) => {
                match self.reply.is_block(error.as_bytes()) {
                    true => self.reply.lease.succeed(),
                    false => self.reply.lease.fail(),
                }
                self.close(Ending::UpstreamFailed, Some(IN_STREAM.to_owned()), last);
            }
            None => {
                self.reply.lease.succeed();
                self.close(Ending::Complete, None, last);
            }
        }
    }

    /// A rule ended the exchange: the stream closes properly in its dialect.
    pub(super) fn stopped(&mut self) {
        let stop = self.gate.stopped().cloned().unwrap_or_default();
        let choices: Vec<u32> = self.gate.choices().collect();
        let Some(account) = &self.account else { return };
        let (head, message) = (account.reply_head(), account.told(&stop));
        let delivered = self.delivered.so_far(&account.received);
        let frames = dialect::stop_frames(self.spoken, delivered, &head.borrow(), &choices, message.as_deref());
        self.reply.lease.succeed();
        self.hand_some(frames.body);
        self.close(Ending::Stopped, None, Some(frames.last));
    }

    /// The body ended without a last word.
    pub(super) async fn ended_early(&mut self) {
        let said = |account: &Account| !account.seen.finishes.is_empty() || account.seen.error.is_some();
        if self.account.as_ref().is_some_and(said) {
            // Some upstreams close without `[DONE]`; all that was promised has come, or an error in its place.
            return self.done(None).await;
        }
        self.failed(Ending::UpstreamFailed, "the stream ended before its last event".to_owned()).await;
    }

    /// The upstream failed: another one takes over while nothing with meaning has left, else the stream ends with an
    /// error.
    pub(super) async fn failed(&mut self, ending: Ending, fault: String) {
        self.reply.lease.fail();
        if self.semantic.is_none() {
            self.dispatch.note_failure(&fault);
            if let Ok(next) = self.dispatch.next().await
                && next.streams()
            {
                return self.take_over(next);
            }
        }
        self.close_with_error(ending, fault);
    }

    /// The first thing that the upstream said is an error: `true` where another one has taken over.
    pub(super) async fn try_another(&mut self) -> bool {
        self.reply.lease.fail();
        self.dispatch.note_failure(IN_STREAM);
        match self.dispatch.next().await {
            Ok(next) if next.streams() => {
                self.take_over(next);
                true
            }
            _ => false,
        }
    }

    fn take_over(&mut self, next: Reply) {
        let Some(account) = &mut self.account else { return };
        if !self.delivered.is_empty() {
            self.delivered.part_from(&account.received);
        }
        account.take_over(&next);
        // Nothing with meaning has gone through it yet.
        self.gate = account.gate(&next);
        self.dialect = next.dialect;
        self.translation = account.translation(&next);
        self.calls = Calls::default();
        self.frames = Frames::new(account.admission.snapshot.config.limits.event_bytes);
        self.prelude.clear();
        self.held = 0;
        self.reply = next;
    }

    /// Ends the stream with an error in its dialect, or leaves the status to say it where nothing has left yet.
    pub(super) fn close_with_error(&mut self, ending: Ending, fault: String) {
        let error = public_fault(ending);
        if self.semantic.is_none() {
            // What came before any meaning says nothing to the client; the status or the error frame does.
            self.prelude.clear();
        }
        if !self.flush() {
            return;
        }
        if self.delivered.is_empty() {
            self.early_fault = Some(error);
            return self.close(ending, Some(fault), None);
        }
        let Some(account) = &self.account else { return };
        let (head, delivered) = (account.reply_head(), self.delivered.so_far(&account.received));
        let frames = dialect::error_frames(self.spoken, delivered, &head.borrow(), &error);
        self.hand_some(frames.body);
        self.close(ending, Some(fault), Some(frames.last));
    }

    /// Lets all that was held leave; `false` where a rule stopped the exchange at that.
    fn flush(&mut self) -> bool {
        self.let_prelude_through();
        if matches!(self.stage, Stage::Reading) {
            let mut released = Vec::new();
            self.gate.finish(&mut released);
            self.give(released);
            if self.gate.stopped().is_some() {
                self.stopped();
            }
        }
        matches!(self.stage, Stage::Reading)
    }

    /// Hands over what the gateway itself says, if anything.
    fn hand_some(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.hand(bytes, true);
        }
    }

    /// Ends a reply that is made for its reader alone, who has left.
    pub(super) fn abandon(&mut self) {
        if matches!(self.stage, Stage::Reading) && self.reply.ends_with_reader() {
            self.close(Ending::ClientLeft, None, None);
        }
    }

    /// Writes the record; the last frame waits for it where that was promised.
    fn close(&mut self, ending: Ending, fault: Option<String>, last: Option<Bytes>) {
        let Some(mut account) = self.account.take() else { return };
        let changed = self.gate.changed() || self.translation.is_some() || self.left || ending != Ending::Complete;
        let delivered = std::mem::take(&mut self.delivered);
        let delivered = changed.then(|| {
            let last = last.as_ref().filter(|_| !self.left);
            delivered.into_parts(&account.received).into_iter().chain(last.cloned()).collect()
        });
        account.courses = self.gate.take_courses();
        let (mut segments, found) = self.gate.take_parts();
        self.reply.note(&mut segments);
        account.found.append(found);
        account.attempts = self.dispatch.take_attempts();
        let Closed { durable, recording } = account.close(Outcome {
            ending: Some(ending),
            status: self.early_fault.as_ref().map_or(200, |fault| fault.status),
            fault,
            segments,
            delivered,
            host_error: None,
        });
        self.stage = match recording {
            Recording::Required => Stage::Sealing(durable, last),
            Recording::BestEffort => {
                self.out.extend(last);
                Stage::Lingering
            }
        };
    }
}

/// What the client may read of an ending.
fn public_fault(ending: Ending) -> Fault {
    match ending {
        Ending::TimedOut => Fault::upstream(504, "upstream_timeout", "The upstream's reply did not come in time."),
        Ending::Drained => {
            Fault::unavailable("gateway_draining", "The gateway is shutting down.", Duration::from_secs(1))
        }
        _ => Fault::upstream(502, "upstream_failed", "The upstream's reply ended early."),
    }
}
