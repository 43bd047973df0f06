//! A streamed reply on its way: upstream bytes to frames, frames through the gate, what may leave to the client.
//! It is pulled by whoever takes the bytes, so a slow client slows the upstream and nothing piles up.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::account::{Account, ClientLeft};
use super::kept::Delivered;
use crate::admit::Phase;
use crate::dialect::{self, Calls, Translation};
use crate::exchange::{Channel, Dialect, Ending, ExchangeId, Observed};
use crate::fault::Fault;
use crate::record::Durable;
use crate::screen::Gate;
use crate::stream::sse::{Frame, Frames, Kind};
use crate::upstream::{self, Dispatch, Reply};

/// Bytes joined into one write while the upstream has more at hand; measured to halve the cost of bursts.
const JOINED: usize = 16 << 10;

/// Chunks closer together than this are of a burst, of which more may come when others were given their turn.
const BURST: Duration = Duration::from_micros(500);

/// How often a step of a burst yields for more before it hands over what it has.
const YIELDS: u32 = 2;

/// Bytes that an upstream may send before the first event that carries meaning.
const MOST_HELD: usize = 1 << 20;

/// How long an upstream that has said its last word may take to close the reply.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The state of a streamed reply.
pub struct Flow {
    pub(super) account: Option<Account>,
    /// What the upstream speaks.
    pub(super) dialect: Dialect,
    /// What the client speaks.
    pub(super) spoken: Dialect,
    /// Set where that is not the same.
    pub(super) translation: Option<Box<Translation>>,
    pub(super) dispatch: Dispatch,
    pub(super) reply: Reply,
    pub(super) frames: Frames,
    /// Tool calls so far.
    pub(super) calls: Calls,
    pub(super) gate: Gate,
    /// Frames before the first that carries meaning: until then another upstream may still take over.
    pub(super) prelude: Vec<(Bytes, Observed)>,
    /// Bytes in the prelude.
    pub(super) held: usize,
    pub(super) semantic: Option<Instant>,
    /// Bytes that may go to the client.
    pub(super) out: VecDeque<Bytes>,
    pub(super) delivered: Delivered,
    pub(super) stage: Stage,
    client_left: ClientLeft,
    /// When a chunk last came.
    chunked: Instant,
    /// When bytes were last handed to whoever takes them.
    handed: Instant,
    id: ExchangeId,
    pub(super) early_fault: Option<Fault>,
    /// Whether the client has left: the rest is read for the record alone.
    pub(super) left: bool,
    /// Whether the upstream has not closed its reply though its last word was read.
    pub(super) lingers: bool,
}

/// Where a flow stands.
pub(super) enum Stage {
    /// Frames are coming.
    Reading,
    /// All is sent but the last frame, which waits for the record.
    Sealing(Durable, Option<Bytes>),
    /// All is sent; the upstream is given a moment to close its reply, so that the connection serves again.
    Lingering,
    /// Nothing follows.
    Over,
}

/// What the upstream did next.
enum Event {
    Chunk(Bytes),
    End,
    Failed(upstream::Error),
    TimedOut(&'static str),
    Ending,
}

impl Flow {
    /// A flow over a reply whose head has come.
    pub fn new(account: Account, dispatch: Dispatch, reply: Reply) -> Box<Self> {
        let limits = &account.admission.snapshot.config.limits;
        Box::new(Self {
            dialect: reply.dialect,
            spoken: account.dialect,
            translation: account.translation(&reply),
            calls: Calls::default(),
            frames: Frames::new(limits.event_bytes),
            gate: account.gate(&reply),
            client_left: account.client_left.clone(),
            id: account.id,
            account: Some(account),
            dispatch,
            reply,
            prelude: Vec::new(),
            held: 0,
            semantic: None,
            out: VecDeque::new(),
            delivered: Delivered::default(),
            left: false,
            stage: Stage::Reading,
            chunked: Instant::now(),
            handed: Instant::now(),
            early_fault: None,
            lingers: false,
        })
    }

    /// The flag that says the client has left.
    pub fn client_left(&self) -> ClientLeft {
        self.client_left.clone()
    }

    /// The next bytes for the client; none at the end.
    pub async fn step(mut self: Box<Self>) -> (Box<Self>, Option<Bytes>) {
        // The time that the client took counts for no gap; the upstream's frames without meaning still do.
        let away = self.handed.elapsed();
        self.semantic = self.semantic.map(|last| last + away);
        loop {
            if let Some(bytes) = self.take_out() {
                self.handed = Instant::now();
                return (self, Some(bytes));
            }
            match &mut self.stage {
                Stage::Reading => self.read().await,
                Stage::Sealing(durable, last) => {
                    // A record that could not be made durable withholds the last frame: the client sees a cut stream.
                    let kept = durable.await.is_ok();
                    let last = last.take().filter(|_| kept);
                    self.out.extend(last);
                    self.stage = Stage::Lingering;
                }
                Stage::Lingering => {
                    if self.lingers {
                        let _ = tokio::time::timeout(LAST_WORDS, self.reply.body.chunk()).await;
                    }
                    self.stage = Stage::Over;
                }
                Stage::Over => return (self, None),
            }
        }
    }

    /// Runs to the end for the record's sake.
    pub async fn drain(mut self: Box<Self>) {
        self.left = matches!(self.stage, Stage::Reading);
        self.abandon();
        loop {
            self.out.clear();
            let (flow, bytes) = Box::pin(self.step()).await;
            if bytes.is_none() {
                return;
            }
            self = flow;
        }
    }

    fn take_out(&mut self) -> Option<Bytes> {
        let first = self.out.pop_front()?;
        if self.out.is_empty() {
            return Some(first);
        }
        let mut joined = BytesMut::with_capacity(first.len() + self.out.iter().map(Bytes::len).sum::<usize>());
        joined.extend_from_slice(&first);
        for next in self.out.drain(..) {
            joined.extend_from_slice(&next);
        }
        Some(joined.freeze())
    }

    /// Reads until there is something for the client, then as much more as is at hand.
    async fn read(&mut self) {
        let event = self.event().await;
        let now = Instant::now();
        let burst = now.saturating_duration_since(std::mem::replace(&mut self.chunked, now)) < BURST;
        self.take(event).await;
        let mut yields = if burst { 0 } else { YIELDS };
        while matches!(self.stage, Stage::Reading)
            && !self.out.is_empty()
            && self.out.iter().map(Bytes::len).sum::<usize>() < JOINED
        {
            match self.ready_chunk().await {
                Some(event) => self.take(event).await,
                None if yields < YIELDS => {
                    yields += 1;
                    tokio::task::yield_now().await;
                }
                None => return,
            }
        }
    }

    async fn ready_chunk(&mut self) -> Option<Event> {
        poll_fn(|context| match self.reply.body.poll_chunk(context) {
            Poll::Ready(chunk) => Poll::Ready(Some(Event::of(chunk))),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    async fn event(&mut self) -> Event {
        let (deadline, limit) = self.deadline();
        let Some(account) = &mut self.account else { return Event::End };
        let closing = &mut account.admission.closing;
        let mut deadline = std::pin::pin!(tokio::time::sleep_until(deadline));
        tokio::select! {
            biased;
            chunk = self.reply.body.chunk() => Event::of(chunk),
            () = &mut deadline => Event::TimedOut(limit),
            _ = closing.wait_for(|phase| *phase == Phase::Ending) => Event::Ending,
        }
    }

    /// The nearest time limit, and its name. Time that the client took counts for none but the total.
    fn deadline(&self) -> (Instant, &'static str) {
        let timeouts = &self.reply.timeouts;
        let (near, name) = match self.semantic {
            None => (self.reply.started + timeouts.first_event, "first_event"),
            Some(last) => (last + timeouts.gap, "gap"),
        };
        let total = self.reply.started + timeouts.total;
        if total < near { (total, "total") } else { (near, name) }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Chunk(chunk) => self.take_chunk(chunk).await,
            Event::End => {
                if let Some(tail) = self.frames.finish() {
                    self.take_frame(tail).await;
                }
                if matches!(self.stage, Stage::Reading) {
                    self.ended_early().await;
                }
            }
            Event::Failed(error) => self.failed(Ending::UpstreamFailed, error.to_string()).await,
            Event::TimedOut(limit) => self.failed(Ending::TimedOut, format!("time limit `{limit}` passed")).await,
            Event::Ending => self.close_with_error(Ending::Drained, "the gateway was shutting down".to_owned()),
        }
    }

    async fn take_chunk(&mut self, chunk: Bytes) {
        if let Some(account) = &mut self.account {
            let limit = account.reply_limit();
            account.received.push(&chunk, limit);
        }
        self.frames.push(chunk);
        while matches!(self.stage, Stage::Reading) {
            match self.frames.next() {
                None => return,
                Some(Ok(frame)) => self.take_frame(frame).await,
                Some(Err(error)) => return self.failed(Ending::UpstreamFailed, error.to_string()).await,
            }
        }
    }

    async fn take_frame(&mut self, frame: Frame) {
        match &frame.kind {
            Kind::Done => self.done(Some(frame.bytes)).await,
            Kind::Data(_) | Kind::Lines(_) => match dialect::read_chunk(self.dialect, &frame) {
                Ok(observed) if self.is_beside(&frame, &observed) => self.withhold(observed),
                Ok(mut observed) => {
                    self.calls.settle(&mut observed);
                    self.take_observed(frame.bytes, observed).await;
                }
                Err(error) => self.take_unread(frame.bytes, &error).await,
            },
            Kind::Other if frame.is_foreign() && self.gate.enforces() => {
                self.failed(Ending::UpstreamFailed, "a line of the stream is no event".to_owned()).await;
            }
            // What is no event is held as long as it may still show that this is no stream at all.
            Kind::Other if self.prelude.is_empty() && (self.semantic.is_some() || !frame.is_foreign()) => {
                self.let_through(frame.bytes, Observed::default());
            }
            Kind::Other if self.semantic.is_some() => self.let_through(frame.bytes, Observed::default()),
            Kind::Other => self.hold(frame.bytes, Observed::default()).await,
        }
    }

    async fn take_observed(&mut self, bytes: Bytes, observed: Observed) {
        if self.semantic.is_none()
            && let Some(error) = &observed.error
            && observed.deltas.is_empty()
            && !self.reply.is_block(error.as_bytes())
            && self.try_another().await
        {
            return;
        }
        if observed.semantic {
            if self.semantic.is_none() {
                self.reply.lease.first_event();
            }
            self.semantic = Some(Instant::now());
        }
        if observed.last {
            self.let_prelude_through();
            return self.last_word(bytes, observed).await;
        }
        if self.semantic.is_none() {
            return self.hold(bytes, observed).await;
        }
        self.let_prelude_through();
        self.let_through(bytes, observed);
    }

    /// Whether an event is there only because the gateway asked for usage, and the client did not.
    fn is_beside(&self, frame: &Frame, observed: &Observed) -> bool {
        let counts_only = observed.usage.is_some() && !observed.semantic && observed.deltas.is_empty();
        self.reply.asks_usage && counts_only && dialect::usage::is_alone(&frame.payload())
    }

    /// Takes note of what the client did not ask for, which does not go on.
    fn withhold(&mut self, mut observed: Observed) {
        let Some(account) = &mut self.account else { return };
        account.seen.note(&mut observed);
        account.adapted.push("its chunk withheld".to_owned());
        if !self.delivered.is_empty() {
            self.delivered.part_from(&account.received);
        }
    }

    /// What cannot be read cannot be screened: it passes only where no rule could have changed or stopped it.
    async fn take_unread(&mut self, bytes: Bytes, error: &dialect::Error) {
        if error.is_broken() || self.gate.enforces() {
            return self.failed(Ending::UpstreamFailed, error.to_string()).await;
        }
        if let Some(account) = &mut self.account {
            account.seen.unread += 1;
        }
        if self.semantic.is_none() {
            return self.hold(bytes, Observed::default()).await;
        }
        self.let_through(bytes, Observed::default());
    }

    /// Holds a frame back while another upstream could still take over.
    async fn hold(&mut self, bytes: Bytes, observed: Observed) {
        self.held += bytes.len();
        self.prelude.push((bytes, observed));
        if self.held > MOST_HELD {
            self.failed(Ending::UpstreamFailed, format!("{MOST_HELD} bytes came without an event that means anything"))
                .await;
        }
    }

    pub(super) fn let_prelude_through(&mut self) {
        self.held = 0;
        for (bytes, observed) in std::mem::take(&mut self.prelude) {
            self.let_through(bytes, observed);
        }
    }

    fn let_through(&mut self, bytes: Bytes, observed: Observed) {
        let mut released = Vec::with_capacity(1);
        self.screen(bytes, observed, &mut released);
        self.give(released);
        if self.gate.stopped().is_some() {
            self.stopped();
        }
    }

    /// Takes a frame through the gate, and takes note of what it says.
    pub(super) fn screen(&mut self, bytes: Bytes, mut observed: Observed, released: &mut Vec<Bytes>) {
        self.gate.push(bytes, &observed, released);
        if let Some(account) = &mut self.account {
            for delta in &observed.deltas {
                let thinking = delta.channel == Channel::Answer
                    && self.gate.has_text(Channel::Reasoning)
                    && !self.gate.has_text(Channel::Answer);
                account.note_text(if thinking { Channel::Reasoning } else { delta.channel });
            }
            account.seen.note(&mut observed);
        }
    }

    /// Hands frames that the gate has released to the client, in its dialect.
    pub(super) fn give(&mut self, released: Vec<Bytes>) {
        let changed = self.gate.changed();
        for bytes in released {
            match &mut self.translation {
                None => self.hand(bytes, changed),
                Some(translation) => {
                    let told = translation.push(bytes);
                    if !told.is_empty() {
                        self.hand(told, true);
                    }
                }
            }
        }
    }

    /// Hands bytes to the client; `own` where they are not those that came.
    pub(super) fn hand(&mut self, bytes: Bytes, own: bool) {
        if self.left {
            return;
        }
        if let Some(account) = &self.account {
            let limit = account.reply_limit();
            match own {
                true => self.delivered.put(&bytes, &account.received, limit),
                false => self.delivered.pass(&bytes, limit),
            }
        }
        self.out.push_back(bytes);
    }

    /// Whether the upstream has closed its reply by now.
    pub(super) async fn has_closed(&mut self) -> bool {
        matches!(self.ready_chunk().await, Some(Event::End))
    }

    /// What the head of the response is made from.
    pub fn head(&self) -> (ExchangeId, StatusCode, HeaderMap) {
        (self.id, self.reply.status, self.reply.headers.clone())
    }

    /// Set where the stream failed before anything went to the client, so that a status can still say so.
    pub fn early_fault(&self) -> Option<&Fault> {
        self.early_fault.as_ref()
    }
}

impl Event {
    fn of(chunk: Option<Result<Bytes, upstream::Error>>) -> Self {
        match chunk {
            Some(Ok(bytes)) => Self::Chunk(bytes),
            Some(Err(error)) => Self::Failed(error),
            None => Self::End,
        }
    }
}
