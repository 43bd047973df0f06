//! The model: prompt in, tokens out. It knows nothing of chat APIs, policies or records.
//!
//! [`Engine::load`] opens a checkpoint folder and starts the thread that owns the model; [`Engine::prompt`] renders and
//! tokenises a conversation; [`Engine::generate`] queues a request and returns a [`Generation`], whose events are read
//! blocking or as a future. Code map, in reading order: `template` and `tokenize` make a prompt, `worker` runs what
//! `schedule` decides on the `pages` there are, `model` computes with `kernels` on `weights`, `constrain` says which tokens
//! an answer's form leaves, `sample` chooses one, `speech` and `detokenize` turn tokens into text, `mailbox` carries it to
//! the reader. `checkpoint` puts all of that together, if `memory` holds it.

mod checkpoint;
mod constrain;
mod detokenize;
mod kernels;
mod mailbox;
pub mod measure;
mod memory;
mod model;
mod pages;
pub mod plan;
mod sample;
mod schedule;
pub mod shipped;
mod speech;
mod template;
mod tokenize;
pub mod verify;
mod weights;
mod worker;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::task::{Context, Poll};
use std::thread::Thread;

use sha2::{Digest, Sha256};

use crate::constrain::Constraints;
use crate::sample::Sampler;
use crate::speech::Speech;
use crate::template::Template;
use crate::tokenize::Vocabulary;
use crate::worker::{Bounds, Request, Ticket};

pub use crate::constrain::{Constraint, Grammar};
pub use crate::sample::Sampling;

/// How a model is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The checkpoint's folder.
    pub model: PathBuf,
    /// Most tokens of prompt and reply together; the model's own limit, as far as memory allows, where not given.
    pub context: Option<usize>,
    /// Requests that run at once.
    pub sequences: usize,
    /// Requests that may wait beyond those.
    pub queue: usize,
    /// Threads that compute; one per processor where not given.
    pub threads: Option<usize>,
    /// What weights in floats are made smaller to when they are loaded; as they are where not given.
    pub quantise: Option<Quantisation>,
}

/// A type that weights in floats can be made smaller to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantisation {
    /// Eight bits and a half for each weight: hard to tell from the original.
    Q8_0,
    /// Four bits and a half for each weight, six and a half for those of the output.
    Q4K,
}

impl Default for Settings {
    fn default() -> Self {
        Self { model: PathBuf::new(), context: None, sequences: 8, queue: 64, threads: None, quantise: None }
    }
}

/// What a reply is asked to.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// The messages so far.
    pub messages: Vec<Message>,
    /// Tool declarations as JSON text.
    pub tools: Option<String>,
    /// Whether the model shall think, where its template knows a switch.
    pub thinking: Option<bool>,
    /// How hard it shall think, for templates that ask for `reasoning_effort`.
    pub effort: Option<String>,
}

/// One message of a conversation.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool`.
    pub role: String,
    /// What is said.
    pub content: String,
    /// What an assistant thought before.
    pub reasoning: Option<String>,
    /// The tools an assistant called, as JSON text.
    pub tool_calls: Option<String>,
    /// The call that a tool's message answers.
    pub tool_call_id: Option<String>,
    /// The speaker's name.
    pub name: Option<String>,
}

/// Where a reply's text belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Thinking.
    Reasoning,
    /// The answer itself.
    Answer,
}

/// A rendered and tokenised conversation.
#[derive(Debug, Clone)]
pub struct Prompt {
    tokens: Vec<u32>,
    opens_in: Channel,
    forced: String,
    salt: Vec<u8>,
}

impl Prompt {
    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The channel that the model's first token stands on.
    #[must_use]
    pub fn opens_in(&self) -> Channel {
        self.opens_in
    }

    /// Reasoning text that the template wrote in the model's place: what follows the opening mark, without the mark.
    #[must_use]
    pub fn forced(&self) -> &str {
        &self.forced
    }

    /// Shares the cache only with prompts of the same salt, so that nobody can tell by the time to the first token what
    /// others have asked.
    #[must_use]
    pub fn salted(mut self, salt: &[u8]) -> Self {
        self.salt = salt.to_vec();
        self
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model or a stop string ended it.
    Stop,
    /// It reached its limit.
    Length,
    /// The reader asked for no more.
    Cancelled,
}

/// Tokens of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens that the model wrote, marks and the one that ended the reply included.
    pub completion_tokens: usize,
    /// Those of them that belong to the reasoning, its marks included.
    pub reasoning_tokens: usize,
    /// Tokens of the prompt that were already computed for an earlier one.
    pub cached_tokens: usize,
    /// Those of the completion that the engine wrote in the model's place, to end its reasoning.
    pub forced_tokens: usize,
}

/// How likely a reply's token was.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub chosen: Likelihood,
    /// The likeliest tokens at its place.
    pub top: Vec<Likelihood>,
}

/// A token and how likely it was, by the model's logits before any setting changed them.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// Its text.
    pub text: String,
    /// Its bytes, which may be a part of a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Event {
    /// More of the reply.
    Text {
        /// Where it belongs.
        channel: Channel,
        /// Whole characters.
        text: String,
        /// Tokens that this text came from.
        tokens: usize,
        /// Those tokens' probabilities, where asked for.
        logprobs: Vec<TokenLogprob>,
    },
    /// The end.
    Done {
        /// Why.
        finish: Finish,
        /// What it cost.
        usage: Usage,
    },
    /// The end of a request that failed.
    Failed(Error),
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// As many requests wait as may.
    Busy,
    /// The request cannot be served as it is (too long, bad sampling value ...): the caller's fault.
    Request(String),
    /// Files are missing, broken or of an unknown kind.
    Model(String),
    /// The engine failed.
    Internal(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => f.write_str("run another request: as many wait as may"),
            Self::Request(what) | Self::Model(what) | Self::Internal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// A running model; cheap to clone. When the last one is gone its thread finishes the replies it has begun and ends.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    digest: String,
    context: usize,
    /// Requests that may run or wait at the same time.
    places: usize,
    taken: Arc<AtomicUsize>,
    thinks: bool,
    vocabulary: Arc<Vocabulary>,
    /// Token ids below this have weights.
    tokens: usize,
    template: Option<Template>,
    constraints: Constraints,
    door: Door,
}

impl Engine {
    /// Loads a model and starts its thread; blocks meanwhile.
    ///
    /// # Errors
    /// [`Error::Model`] names the file, field or tensor that is missing, broken or unknown.
    pub fn load(settings: Settings) -> Result<Self, Error> {
        if settings.sequences == 0 {
            return Err(Error::Request("at least one request must be able to run".to_owned()));
        }
        let places = settings.sequences.saturating_add(settings.queue);
        let loaded = checkpoint::load(&settings)?;
        // A request holds its place until it has ended, so the channel never holds more than there are places.
        let (sender, requests) = sync_channel(places.min(1 << 16));
        let worker = loaded.worker;
        let thread = std::thread::Builder::new().name("candor-engine".to_owned());
        let thread = thread.spawn(move || worker.serve(&requests));
        let thread = thread.map_err(|error| Error::Internal(format!("cannot start the engine's thread: {error}")))?;
        let shared = Shared {
            name: loaded.name,
            digest: loaded.digest,
            context: loaded.context,
            places,
            taken: Arc::default(),
            thinks: loaded.thinks,
            vocabulary: loaded.vocabulary,
            tokens: loaded.tokens,
            template: loaded.template,
            constraints: Constraints::new(loaded.ends),
            door: Door { sender: Some(sender), engine: thread.thread().clone() },
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The checkpoint's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// SHA-256 over config, template, tokenizer, the weights' headers and the sampler's version, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.shared.digest
    }

    /// Most tokens of prompt and reply together.
    #[must_use]
    pub fn context(&self) -> usize {
        self.shared.context
    }

    /// Whether this model can think: its template or vocabulary has think marks.
    #[must_use]
    pub fn thinks(&self) -> bool {
        self.shared.thinks
    }

    /// Renders and tokenises a conversation. A model without a chat template is a base model: it continues the
    /// messages' texts, put one after the other.
    ///
    /// # Errors
    /// [`Error::Request`] where the template refuses the conversation or the prompt leaves no room for a reply.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Prompt, Error> {
        let shared = &self.shared;
        let (tokens, opens_in, forced) = match &shared.template {
            Some(template) => {
                let rendered = template.render(&template.suited(conversation)?, shared.vocabulary.marks())?;
                let (tokens, opening) = shared.vocabulary.encode(&rendered)?;
                (tokens, opening.channel, opening.forced)
            }
            None => {
                let text: String = conversation.messages.iter().map(|message| message.content.as_str()).collect();
                (shared.vocabulary.encode_document(&text)?, Channel::Answer, String::new())
            }
        };
        if let Some(token) = tokens.iter().find(|token| **token as usize >= shared.tokens) {
            return Err(Error::Model(format!("the tokenizer gives token {token}, the weights have {}", shared.tokens)));
        }
        Ok(Prompt { opens_in, forced, ..self.tokens(tokens)? })
    }

    /// Tokens that the model knows: ids below this have weights.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.shared.tokens
    }

    /// A prompt of tokens that somebody else made.
    ///
    /// # Errors
    /// [`Error::Request`] where a token is unknown or the prompt leaves no room for a reply.
    pub fn tokens(&self, tokens: Vec<u32>) -> Result<Prompt, Error> {
        let shared = &self.shared;
        if let Some(token) = tokens.iter().find(|token| **token as usize >= shared.tokens) {
            return Err(Error::Request(format!("token {token} is unknown, the model has {}", shared.tokens)));
        }
        if tokens.is_empty() {
            return Err(Error::Request("the prompt is empty".to_owned()));
        }
        if tokens.len() >= shared.context {
            let (length, context) = (tokens.len(), shared.context);
            return Err(Error::Request(format!("the prompt has {length} tokens, the context holds {context}")));
        }
        Ok(Prompt { tokens, opens_in: Channel::Answer, forced: String::new(), salt: Vec::new() })
    }

    /// How many requests may run or wait at once; one more is [`Error::Busy`].
    #[must_use]
    pub fn places(&self) -> usize {
        self.shared.places
    }

    /// Compiles what an answer shall look like, for [`Sampling::grammar`]; takes milliseconds, the first time longer.
    ///
    /// # Errors
    /// [`Error::Request`] names what is wrong with it or which limit it breaks.
    pub fn constrain(&self, constraint: &Constraint) -> Result<Grammar, Error> {
        self.shared.constraints.compile(constraint, &self.shared.vocabulary, self.shared.tokens)
    }

    /// Queues a request; never blocks.
    ///
    /// # Errors
    /// [`Error::Busy`] where as many requests wait as may; [`Error::Request`] where a sampling value is impossible.
    pub fn generate(&self, prompt: Prompt, sampling: Sampling) -> Result<Generation, Error> {
        let shared = &self.shared;
        let room = shared.context.saturating_sub(prompt.tokens.len());
        let max_tokens = sampling.max_tokens.map_or(room, |limit| limit.min(room));
        let speech = Speech::new(prompt.opens_in, sampling.stop.clone());
        let bounds = Bounds {
            tokens: max_tokens,
            least: sampling.min_tokens.min(max_tokens),
            reasoning: sampling.max_reasoning_tokens,
        };
        if let Some((token, _)) = sampling.logit_bias.iter().find(|(token, _)| *token as usize >= shared.tokens) {
            return Err(Error::Request(format!("logit_bias names token {token}, the model has {}", shared.tokens)));
        }
        let grammar = sampling.grammar.clone();
        let sampler = Sampler::new(sampling, &prompt.tokens)?;
        let Some(sender) = &shared.door.sender else {
            return Err(Error::Internal("the engine is closed".to_owned()));
        };
        let ticket = Ticket::take(&shared.taken, shared.places).ok_or(Error::Busy)?;
        let (post, reader) = mailbox::mailbox(shared.door.engine.clone());
        let seed = Sha256::digest(&prompt.salt).into();
        let request = Request { tokens: prompt.tokens, seed, sampler, grammar, speech, bounds, post, ticket };
        sender.try_send(request).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Disconnected(_) => Error::Internal("the engine's thread has ended".to_owned()),
        })?;
        shared.door.engine.unpark();
        Ok(Generation { reader })
    }
}

/// The way to the engine's thread; closing it ends the thread.
#[derive(Debug)]
struct Door {
    sender: Option<SyncSender<Request>>,
    engine: Thread,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.sender = None;
        self.engine.unpark();
    }
}

/// The events of one request; dropping it cancels. Needs no particular runtime.
#[derive(Debug)]
pub struct Generation {
    reader: mailbox::Reader,
}

impl Generation {
    /// The next event, or `None` after the last; registers the waker where there is none yet.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.reader.poll(context)
    }

    /// Waits for the next event; `None` after the last.
    pub fn next_blocking(&mut self) -> Option<Event> {
        self.reader.next_blocking()
    }

    /// Ends the reply within a step. What was said until then still arrives, then [`Finish::Cancelled`] with the usage.
    pub fn cancel(&self) {
        self.reader.cancel();
    }
}
