//! How fast a running model is: prompts of a given length, then replies of a given length, for one reader or several. It
//! reads no clock of its own and prints nothing.

use std::time::Duration;

use crate::kernels::Pool;
use crate::{Engine, Error, Event, Prompt, Sampling};

/// Leaves AVX-512 and AMX alone, to see what a machine without them would do. To be called before anything else is
/// computed.
pub fn leave_avx512() {
    crate::kernels::dot::limit();
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Tokens of each prompt.
    pub prompt_tokens: usize,
    /// Tokens of each reply after its first.
    pub gen_tokens: usize,
    /// How many replies run side by side; one measurement each.
    pub streams: Vec<usize>,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    /// Replies side by side.
    pub streams: usize,
    /// Tokens of each prompt.
    pub prompt_tokens: usize,
    /// Tokens of each reply after its first.
    pub gen_tokens: usize,
    /// From asking for all replies to the first token of the last, none of their prompts known.
    pub cold: Duration,
    /// The same once all prompts are known.
    pub repeated: Duration,
    /// From asking to the end of all replies, their prompts known.
    pub whole: Duration,
}

impl Speed {
    /// Prompt tokens per second over all streams.
    #[must_use]
    pub fn prefill(&self) -> f64 {
        (self.streams * self.prompt_tokens) as f64 / self.cold.as_secs_f64()
    }

    /// Reply tokens per second over all streams.
    #[must_use]
    pub fn decode(&self) -> f64 {
        // Of very short replies the difference can be lost in what else the machine does.
        let reply = if self.whole > self.repeated { self.whole - self.repeated } else { self.whole };
        (self.streams * self.gen_tokens) as f64 / reply.as_secs_f64().max(1e-9)
    }
}

/// Measures; `clock` tells the time since any fixed moment.
///
/// # Errors
/// What [`Engine::generate`] refuses, and [`Error::Internal`] where a reply fails.
pub fn speed(engine: &Engine, plan: &Plan, clock: &dyn Fn() -> Duration) -> Result<Vec<Speed>, Error> {
    let mut tokens = Tokens { state: 1, below: engine.vocabulary() };
    let mut measured = Vec::new();
    for streams in &plan.streams {
        let prompts: Vec<Prompt> = (0..*streams)
            .map(|_| engine.tokens((0..plan.prompt_tokens.max(1)).map(|_| tokens.next()).collect()))
            .collect::<Result<_, _>>()?;
        let timed = |length: usize| {
            let began = clock();
            run(engine, &prompts, length)?;
            Ok::<_, Error>(clock().saturating_sub(began))
        };
        let (cold, repeated, whole) = (timed(1)?, timed(1)?, timed(1 + plan.gen_tokens)?);
        let (prompt_tokens, gen_tokens) = (plan.prompt_tokens, plan.gen_tokens);
        measured.push(Speed { streams: *streams, prompt_tokens, gen_tokens, cold, repeated, whole });
    }
    Ok(measured)
}

/// Asks for all replies at once and reads them to their ends.
fn run(engine: &Engine, prompts: &[Prompt], length: usize) -> Result<(), Error> {
    let sampling = Sampling { temperature: 0.0, max_tokens: Some(length), min_tokens: length, ..Sampling::default() };
    let mut replies = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        replies.push(engine.generate(prompt.clone(), sampling.clone())?);
    }
    let read = |mut reply: crate::Generation| {
        let mut failed = None;
        while let Some(event) = reply.next_blocking() {
            if let Event::Failed(error) = event {
                failed = Some(error);
            }
        }
        failed
    };
    // A reader that falls behind would hold its reply up, so each has a thread.
    let failed = std::thread::scope(|scope| {
        let readers: Vec<_> = replies.into_iter().map(|reply| scope.spawn(|| read(reply))).collect();
        readers.into_iter().find_map(|reader| match reader.join() {
            Ok(failed) => failed,
            Err(_) => Some(Error::Internal("a reader panicked".to_owned())),
        })
    });
    failed.map_or(Ok(()), Err)
}

/// Bytes that this machine reads from memory in a second, on so many threads: the limit of every reply's speed.
#[must_use]
pub fn bandwidth(threads: usize, clock: &dyn Fn() -> Duration) -> f64 {
    // Far more than any cache holds.
    const WORDS: usize = 32 << 20;
    const ROUNDS: usize = 4;
    let pool = Pool::new(threads.clamp(1, 256));
    let words = vec![1u64; WORDS];
    let units = pool.threads() * 16;
    let pass = || {
        pool.run(units, &|unit| {
            let part = &words[unit * (WORDS / units)..][..WORDS / units];
            std::hint::black_box(crate::kernels::dot::sum(part));
        });
    };
    pass();
    let best = (0..ROUNDS).map(|_| {
        let began = clock();
        pass();
        clock().saturating_sub(began).as_secs_f64()
    });
    let best = best.fold(f64::INFINITY, f64::min);
    (WORDS / units * units * size_of::<u64>()) as f64 / best.max(1e-9)
}

/// Tokens that no two prompts share a beginning of.
struct Tokens {
    state: u64,
    below: usize,
}

impl Tokens {
    fn next(&mut self) -> u32 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) % self.below.max(1) as u64) as u32
    }
}
