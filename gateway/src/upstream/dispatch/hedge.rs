//! Two candidates asked for one exchange: the second when the first has said nothing for a while; whoever first says
//! something that carries meaning answers (Dean, Barroso 2013, "The Tail at Scale": hedged requests).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Dispatch, Lease, Next, Tried, View, choice};
use crate::dialect;
use crate::record::Attempt;
use crate::stream::sse::{Frames, Kind};
use crate::upstream::failure::Error;
use crate::upstream::reply::Reply;

/// Bytes of one event that are looked into; an event that is longer is the reader's to judge.
const MOST: usize = 1 << 20;

/// A call that is to be made.
struct Entered {
    candidate: usize,
    began: Instant,
    lease: Lease,
    model: Arc<str>,
}

/// A call that was made.
pub(super) struct Ended {
    pub(super) candidate: usize,
    pub(super) began: Instant,
    pub(super) tried: Tried,
}

/// How a race went.
struct Raced {
    /// One that failed before the other answered or failed too.
    earlier: Option<Ended>,
    /// One that had said nothing when the other answered, and when it was asked.
    outrun: Option<(usize, Instant)>,
    last: Ended,
}

impl Dispatch {
    /// Asks one candidate, and a second one beside it where the first says nothing within `after`. The second costs the
    /// gateway's budget and one of the exchange's attempts.
    pub(super) async fn try_hedged(&mut self, candidate: usize, began: Instant, after: Duration) -> Ended {
        let (lease, model) = match self.enter(candidate, began) {
            Ok(entered) => entered,
            Err(error) => return Ended { candidate, began, tried: Tried::failed(error) },
        };
        self.tries.count();
        let raced = self.race(Entered { candidate, began, lease, model }, after).await;
        if raced.earlier.is_some() || raced.outrun.is_some() {
            self.tries.count();
        }
        if let Some(earlier) = &raced.earlier {
            self.note(earlier.candidate, earlier.began, &earlier.tried);
        }
        if let Some((candidate, began)) = raced.outrun {
            self.note_outrun(candidate, began);
        }
        raced.last
    }

    async fn race(&self, mut first: Entered, after: Duration) -> Raced {
        first.lease.race();
        let one = (first.candidate, first.began);
        let mut first = pin!(self.lead(first));
        tokio::select! {
            biased;
            last = &mut first => return Raced { earlier: None, outrun: None, last },
            () = sleep(after) => {}
        }
        let Some(mut second) = self.second(one.0) else {
            return Raced { earlier: None, outrun: None, last: first.await };
        };
        second.lease.race();
        let two = (second.candidate, second.began);
        let mut second = pin!(self.lead(second));
        let (ended, left) = tokio::select! {
            ended = &mut first => (ended, two),
            ended = &mut second => (ended, one),
        };
        if ended.tried.answers() {
            return Raced { earlier: None, outrun: Some(left), last: ended };
        }
        let last = if left == two { second.await } else { first.await };
        Raced { earlier: Some(ended), outrun: None, last }
    }

    /// Another candidate that is fit, where there is one, and the exchange and the gateway may add a call.
    fn second(&self, first: usize) -> Option<Entered> {
        let now = Instant::now();
        let open = (0..self.route.candidates.len()).filter(|other| *other != first && self.tries.is_open(*other));
        let views: Vec<View> = open.filter_map(|other| self.view(other, now)).filter(View::is_fit).collect();
        if views.is_empty() || !self.tries.has_left() || !self.backends.budget().spend(now) {
            return None;
        }
        let candidate = choice::choose(&views, now, None, &mut fastrand::Rng::new())?;
        let (lease, model) = self.enter(candidate, now).ok()?;
        Some(Entered { candidate, began: now, lease, model })
    }

    /// Makes one call, and reads on until the reply says something.
    async fn lead(&self, entered: Entered) -> Ended {
        let Entered { candidate, began, mut lease, model } = entered;
        let price = self.route.candidates.get(candidate).and_then(|candidate| candidate.price.clone());
        let tried = match self.call(&lease, &model).await {
            Ok(called) => self.judge(called, lease, model, price),
            Err(error) => {
                Self::settle(&mut lease, &error);
                Tried::failed(error)
            }
        };
        Ended { candidate, began, tried: speak(tried).await }
    }

    fn note_outrun(&mut self, candidate: usize, began: Instant) {
        self.tries.mark(candidate, Next::Again, Duration::ZERO);
        let Some(upstream) = self.route.candidates.get(candidate).map(|candidate| candidate.upstream.clone()) else {
            return;
        };
        let fault = Some("given up: another candidate answered first".to_owned());
        self.attempts.push(Attempt { upstream, status: None, fault, took: began.elapsed() });
    }
}

/// Waits for a stream to say something.
async fn speak(tried: Tried) -> Tried {
    let Tried { outcome: Ok(mut reply), next, pause } = tried else { return tried };
    if !reply.streams() {
        return Tried { outcome: Ok(reply), next, pause };
    }
    let limit = reply.timeouts.first_event;
    let spoken = timeout_at(reply.started + limit, until_meaning(&mut reply)).await;
    match spoken.unwrap_or(Err(Error::HeadTimedOut(limit))) {
        Ok(read) => {
            reply.body.give_back(read);
            Tried { outcome: Ok(reply), next, pause }
        }
        Err(error) => {
            reply.lease.fail();
            Tried::failed(error)
        }
    }
}

/// Reads up to the first event that carries meaning, or cannot be read; gives all bytes back.
async fn until_meaning(reply: &mut Reply) -> Result<Vec<Bytes>, Error> {
    let (mut read, mut frames) = (Vec::new(), Frames::new(MOST));
    loop {
        let Some(chunk) = reply.body.chunk().await.transpose()? else {
            return Err(Error::Broken("the stream ended before it said anything"));
        };
        frames.push(chunk.clone());
        read.push(chunk);
        while let Some(frame) = frames.next() {
            let Ok(frame) = frame else { return Ok(read) };
            let silent = match &frame.kind {
                Kind::Other => true,
                Kind::Done => false,
                Kind::Data(_) | Kind::Lines(_) => {
                    dialect::read_chunk(reply.dialect, &frame).is_ok_and(|observed| !observed.semantic)
                }
            };
            if !silent {
                return Ok(read);
            }
        }
    }
}
