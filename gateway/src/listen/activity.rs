//! What one connection is doing: requests that run, when it fell quiet, whether a request head is on its way. It closes
//! nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::config::Limits;

/// What to do about a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advice {
    /// Look again then.
    Keep(Instant),
    /// Nothing has been asked for long enough.
    Idle,
    /// A request head does not come to its end.
    Slow,
    /// The client does not take its reply.
    Stalled,
}

/// One connection's doings. All of it happens on one thread; the atomics only let it be shared.
#[derive(Debug)]
pub(super) struct Activity {
    begin: Instant,
    running: AtomicUsize,
    answered: AtomicU64,
    /// Microseconds after `begin`.
    quiet_since: AtomicU64,
    /// Microseconds after `begin` when bytes came while nothing ran; 0 where none did.
    heard: AtomicU64,
    /// Streams that were reset before they had an answer, less those that were not.
    resets: AtomicI64,
    turns: Turns,
}

/// Bodies that have given a part and were not asked for the next one since: it is their clients' turn. They are counted
/// by the generation in which they gave it; one that outlives the next generation waits for a client that takes nothing.
#[derive(Debug, Default)]
struct Turns {
    generation: AtomicUsize,
    /// Microseconds after the connection's begin.
    began: AtomicU64,
    even: AtomicUsize,
    odd: AtomicUsize,
}

impl Turns {
    fn of(&self, generation: usize) -> &AtomicUsize {
        if generation.is_multiple_of(2) { &self.even } else { &self.odd }
    }

    fn give(&self) -> usize {
        let generation = self.generation.load(Ordering::Relaxed);
        self.of(generation).fetch_add(1, Ordering::Relaxed);
        generation
    }

    fn take(&self, generation: usize) {
        self.of(generation).fetch_sub(1, Ordering::Relaxed);
    }

    /// Begins the next generation when this one is old enough; whether any body is left of the one before.
    fn stalled(&self, now: u64, patience: u64) -> bool {
        if now < self.began.load(Ordering::Relaxed).saturating_add(patience) {
            return false;
        }
        let next = self.generation.load(Ordering::Relaxed).wrapping_add(1);
        if self.of(next).load(Ordering::Relaxed) > 0 {
            return true;
        }
        self.generation.store(next, Ordering::Relaxed);
        self.began.store(now, Ordering::Relaxed);
        false
    }
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begin: Instant::now(),
            running: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            resets: AtomicI64::new(0),
            turns: Turns::default(),
        })
    }

    /// Bytes came from the client that may be of a request head.
    pub(super) fn hear(&self) {
        if self.running.load(Ordering::Relaxed) == 0 && self.heard.load(Ordering::Relaxed) == 0 {
            self.heard.store(self.now().max(1), Ordering::Relaxed);
        }
    }

    /// A request has come; it runs until what is given back is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running { activity: self.clone(), answered: false }
    }

    /// Whether more streams were opened and reset than may be.
    pub(super) fn flooded(&self, most: usize) -> bool {
        usize::try_from(self.resets.load(Ordering::Relaxed)).is_ok_and(|resets| resets > most)
    }

    /// Whether requests run.
    pub(super) fn busy(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// When the last request ended.
    pub(super) fn quiet_since(&self) -> Instant {
        self.at(&self.quiet_since)
    }

    /// What to do about the connection.
    pub(super) fn advice(&self, limits: &Limits) -> Advice {
        let now = Instant::now();
        // A head may begin at any time, so a look is never further off than the time that one may take.
        let look = now + limits.header_time.min(limits.idle);
        if self.turns.stalled(self.now(), micros(limits.idle)) {
            return Advice::Stalled;
        }
        if self.busy() {
            return Advice::Keep(look);
        }
        if self.heard.load(Ordering::Relaxed) > 0 {
            let end = self.at(&self.heard) + limits.header_time;
            return if now < end { Advice::Keep(end) } else { Advice::Slow };
        }
        // A connection's first request has as long as its head may take.
        let first = self.answered.load(Ordering::Relaxed) == 0;
        let end = if first { self.begin + limits.header_time } else { self.quiet_since() + limits.idle };
        if now < end { Advice::Keep(end.min(look)) } else { Advice::Idle }
    }

    fn end(&self, answered: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if answered {
            // Good streams make up for reset ones, but are not saved up for a flood.
            let resets = self.resets.load(Ordering::Relaxed);
            self.resets.store((resets - 1).max(0), Ordering::Relaxed);
        } else {
            self.resets.fetch_add(1, Ordering::Relaxed);
        }
        self.let_go();
    }

    /// Keeps the connection busy until what is given back is dropped: a body is read on after its answer.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.running.fetch_add(1, Ordering::Relaxed);
        Held(self.clone())
    }

    fn let_go(&self) {
        if self.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.quiet_since.store(self.now(), Ordering::Relaxed);
            self.heard.store(0, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        micros(self.begin.elapsed())
    }

    fn at(&self, mark: &AtomicU64) -> Instant {
        self.begin + Duration::from_micros(mark.load(Ordering::Relaxed))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Something that keeps a connection busy beside its requests.
#[derive(Debug)]
pub(super) struct Held(Arc<Activity>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// A request that runs; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    activity: Arc<Activity>,
    answered: bool,
}

impl Running {
    /// The request has an answer, which is still to be sent.
    pub(super) fn with<B>(mut self, body: B) -> Tracked<B> {
        self.answered = true;
        Tracked { body, given: None, running: self }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.end(self.answered);
    }
}

/// A body whose request runs until it has been sent.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    body: B,
    /// The generation of a part that has been given while the next one was not asked for.
    given: Option<usize>,
    running: Running,
}

impl<B> Tracked<B> {
    fn asked(&mut self) {
        if let Some(generation) = self.given.take() {
            self.running.activity.turns.take(generation);
        }
    }
}

impl<B> Drop for Tracked<B> {
    fn drop(&mut self) {
        self.asked();
    }
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for Tracked<B> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.asked();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(_))) {
            self.given = Some(self.running.activity.turns.give());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
