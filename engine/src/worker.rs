//! The thread that owns a model: takes requests, runs steps, sends events. It decides neither order nor sampling.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use crate::kernels::Pool;
use crate::mailbox::Post;
use crate::model::{Batch, Decoder, Row};
use crate::pages::{PageHash, Pages};
use crate::sample::{Choice, Sampler};
use crate::schedule::{Limits, Readiness, Schedule, Sequence, Share};
use crate::speech::Speech;
use crate::tokenize::Vocabulary;
use crate::{Error, Event, Finish, Grammar, Likelihood, TokenLogprob, Usage};

/// What the engine's handle sends.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) tokens: Vec<u32>,
    /// The hash that the prompt's pages are chained to.
    pub(crate) seed: PageHash,
    pub(crate) sampler: Sampler,
    pub(crate) grammar: Option<Grammar>,
    pub(crate) speech: Speech,
    pub(crate) bounds: Bounds,
    pub(crate) post: Post,
    pub(crate) ticket: Ticket,
}

/// How long a reply may and must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Most tokens.
    pub(crate) tokens: usize,
    /// Tokens before which nothing ends it.
    pub(crate) least: usize,
    /// Most tokens of reasoning.
    pub(crate) reasoning: Option<usize>,
}

/// A request's place among those that run or wait, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    /// Takes one of so many places.
    pub(crate) fn take(taken: &Arc<AtomicUsize>, places: usize) -> Option<Self> {
        let one_more = |taken: usize| (taken < places).then_some(taken + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the thread works with.
pub(crate) struct Worker {
    pub(crate) model: Decoder,
    pub(crate) pages: Pages,
    pub(crate) pool: Pool,
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) ends: Vec<u32>,
    pub(crate) limits: Limits,
}

/// A request while it runs.
#[derive(Debug)]
struct Reply {
    prompt: usize,
    written: usize,
    /// Tokens that are written next without asking the model, the first one last.
    forced: Vec<u32>,
    /// How many of those were written.
    forced_tokens: usize,
    bounds: Bounds,
    sampler: Sampler,
    /// What the rest of the answer must look like.
    grammar: Option<Grammar>,
    speech: Speech,
    post: Post,
    over: bool,
    _ticket: Ticket,
}

impl Worker {
    /// Serves until every handle is gone and every reply is finished.
    pub(crate) fn serve(mut self, requests: &Receiver<Request>) {
        let mut schedule = Schedule::new(self.limits);
        let mut open = true;
        while open || !schedule.is_idle() {
            open = self.receive(requests, &mut schedule) && open;
            self.retire(&mut schedule);
            schedule.admit(&mut self.pages);
            let shares = schedule.next(&mut self.pages, readiness);
            if shares.is_empty() {
                // A new request, a reader that caught up or left, and the last handle's end all wake the thread, also
                // where they come just before this line.
                if open || !schedule.is_idle() {
                    std::thread::park();
                }
                continue;
            }
            self.step(&mut schedule, &shares);
        }
    }

    fn receive(&self, requests: &Receiver<Request>, schedule: &mut Schedule<Reply>) -> bool {
        loop {
            match requests.try_recv() {
                Ok(request) => schedule.enqueue(reply(request)),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn retire(&mut self, schedule: &mut Schedule<Reply>) {
        for sequence in &mut schedule.running {
            if !sequence.request.over && sequence.request.post.is_cancelled() {
                self.finish(sequence, Finish::Cancelled);
            }
        }
        let over = |reply: &Reply| reply.over || reply.post.is_cancelled();
        for mut reply in schedule.retire(&mut self.pages, over) {
            if !reply.over {
                reply.over = true;
                let usage = Usage { prompt_tokens: reply.prompt, completion_tokens: reply.written, ..Usage::default() };
                reply.post.send(Event::Done { finish: Finish::Cancelled, usage });
            }
        }
    }

    /// Computes a step. Where that panics, each sequence is computed alone, so that only the one at fault fails; what a
    /// sequence gets is the same either way.
    fn step(&mut self, schedule: &mut Schedule<Reply>, shares: &[Share]) {
        if let Some(logits) = self.compute(schedule, shares) {
            self.advance(schedule, shares, logits);
            return;
        }
        for share in shares {
            match self.compute(schedule, std::slice::from_ref(share)) {
                Some(logits) => self.advance(schedule, std::slice::from_ref(share), logits),
                None => fail(&mut schedule.running[share.index].request),
            }
        }
    }

    fn compute(&mut self, schedule: &Schedule<Reply>, shares: &[Share]) -> Option<Vec<f32>> {
        let mut batch = Batch::default();
        for (table, share) in shares.iter().enumerate() {
            let sequence = &schedule.running[share.index];
            let row = |position: usize| Row { token: sequence.tokens[position], position, table };
            batch.rows.extend(share.rows.clone().map(row));
            batch.tables.push(&sequence.table);
            if share.rows.end == sequence.tokens.len() {
                batch.wanted.push(batch.rows.len() - 1);
            }
        }
        // Whatever a panic leaves half done is overwritten before it is read: rows write their own positions first.
        catch_unwind(AssertUnwindSafe(|| self.model.step(&self.pool, &batch, &mut self.pages, &mut ()))).ok()
    }

    fn advance(&mut self, schedule: &mut Schedule<Reply>, shares: &[Share], mut logits: Vec<f32>) {
        let mut rows = logits.chunks_exact_mut(self.model.vocabulary());
        for share in shares {
            schedule.computed(share, &mut self.pages);
            let sequence = &mut schedule.running[share.index];
            if share.rows.end == sequence.tokens.len()
                && let Some(logits) = rows.next()
            {
                match catch_unwind(AssertUnwindSafe(|| self.write(sequence, logits))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => fail_with(&mut sequence.request, error),
                    Err(_) => fail(&mut sequence.request),
                }
            }
        }
    }

    /// Chooses a sequence's next token and says what it says.
    fn write(&self, sequence: &mut Sequence<Reply>, logits: &mut [f32]) -> Result<(), Error> {
        let reply = &mut sequence.request;
        let choice = self.choose(reply, logits)?;
        reply.written += 1;
        if self.ends.contains(&choice.token) {
            self.finish(sequence, Finish::Stop);
            return Ok(());
        }
        let complete = self.follow(reply, choice.token)?;
        let logprob = self.logprob(&choice);
        let mut spoken = Vec::new();
        let stopped = reply.speech.push(&self.vocabulary, (choice.token, logprob), &mut spoken);
        send(reply, spoken);
        sequence.tokens.push(choice.token);
        if stopped || complete {
            self.finish(sequence, Finish::Stop);
        } else if sequence.request.written >= sequence.request.bounds.tokens {
            self.finish(sequence, Finish::Length);
        }
        Ok(())
    }

    /// The sampler's choice, or what closes a reasoning that has used up its share.
    fn choose(&self, reply: &mut Reply, logits: &mut [f32]) -> Result<Choice, Error> {
        let reasoning = reply.speech.is_reasoning();
        let held = match &reply.grammar {
            // An answer of a given form still has to come.
            Some(_) => reasoning,
            None => reply.written < reply.bounds.least,
        };
        if held {
            self.ends.iter().for_each(|end| logits[*end as usize] = f32::NEG_INFINITY);
        }
        if reply.forced.is_empty()
            && reply.forced_tokens == 0
            && reasoning
            && reply.bounds.reasoning.is_some_and(|most| reply.speech.reasoning_tokens() >= most)
        {
            reply.forced = self.vocabulary.closing();
            reply.forced.reverse();
        }
        if let Some(token) = reply.forced.pop() {
            reply.forced_tokens += 1;
            return Ok(Choice { token, logprobs: None });
        }
        let mut allowed = match &mut reply.grammar {
            Some(grammar) if !reasoning => Some(grammar.allowed()?),
            _ => None,
        };
        if let Some(allowed) = &mut allowed
            && let Some([open, _]) = self.vocabulary.think()
            && reply.written == 0
        {
            // Some models open their thinking themselves.
            allowed.add(open);
        }
        Ok(reply.sampler.choose(logits, allowed.as_ref()))
    }

    /// Takes the grammar on by a token of the answer; returns `true` where the answer is complete.
    fn follow(&self, reply: &mut Reply, token: u32) -> Result<bool, Error> {
        let thinks = reply.speech.is_reasoning() || self.vocabulary.think().is_some_and(|[open, _]| token == open);
        match &mut reply.grammar {
            Some(grammar) if !thinks => grammar.advance(token),
            _ => Ok(false),
        }
    }

    fn finish(&self, sequence: &mut Sequence<Reply>, finish: Finish) {
        let reply = &mut sequence.request;
        let mut spoken = Vec::new();
        // A stop string can complete in text that was held for want of a whole character.
        let stopped = reply.speech.end(&self.vocabulary, &mut spoken);
        send(reply, spoken);
        let usage = Usage {
            prompt_tokens: reply.prompt,
            completion_tokens: reply.written,
            reasoning_tokens: reply.speech.reasoning_tokens(),
            cached_tokens: sequence.cached.unwrap_or(0),
            forced_tokens: reply.forced_tokens,
        };
        reply.over = true;
        reply.post.send(Event::Done { finish: if stopped { Finish::Stop } else { finish }, usage });
    }

    fn logprob(&self, choice: &Choice) -> Option<TokenLogprob> {
        let (logprob, top) = choice.logprobs.as_ref()?;
        let likelihood = |token: u32, logprob: f32| Likelihood {
            text: self.vocabulary.decode(&[token]),
            bytes: self.vocabulary.bytes(token),
            logprob,
        };
        let top = top.iter().map(|(token, logprob)| likelihood(*token, *logprob)).collect();
        Some(TokenLogprob { chosen: likelihood(choice.token, *logprob), top })
    }
}

fn fail(reply: &mut Reply) {
    fail_with(reply, Error::Internal("the model failed on this request".to_owned()));
}

fn fail_with(reply: &mut Reply, error: Error) {
    reply.over = true;
    reply.post.send(Event::Failed(error));
}

fn readiness(reply: &Reply) -> Readiness {
    if reply.over || !reply.post.has_room() { Readiness::Paused } else { Readiness::Ready }
}

fn reply(request: Request) -> Sequence<Reply> {
    let reply = Reply {
        prompt: request.tokens.len(),
        written: 0,
        forced: Vec::new(),
        forced_tokens: 0,
        bounds: request.bounds,
        sampler: request.sampler,
        grammar: request.grammar,
        speech: request.speech,
        post: request.post,
        over: false,
        _ticket: request.ticket,
    };
    Sequence::new(request.tokens, request.seed, reply)
}

fn send(reply: &Reply, spoken: Vec<crate::speech::Spoken>) {
    for part in spoken {
        let crate::speech::Spoken { channel, text, tokens, logprobs } = part;
        reply.post.send(Event::Text { channel, text, tokens, logprobs });
    }
}
