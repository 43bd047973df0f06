//! Loads a model and lets it answer. Rendering and generating happen off the async runtime.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use candor_engine::{self as model, Channel, Engine, Generation, Prompt, Sampling, Settings};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout};
use tracing::info;

use super::ask::{self, Question};
use super::speech::Speech;
use super::write::{Form, Writer};
use crate::config::{HubModel, LocalModel, Place, Quantise, Timeouts};
use crate::dialect::{self, Translated};
use crate::exchange::{Dialect, ExchangeId, Request};
use crate::record::wall_clock;
use crate::upstream::failure::Error;
use crate::upstream::hub;
use crate::upstream::reply::{Answer, Tells};

/// A loaded model.
#[derive(Debug)]
pub(crate) struct Local {
    engine: Engine,
    timeouts: Timeouts,
}

/// What is asked of the engine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Our id of the exchange.
    pub id: ExchangeId,
    /// The model's name as the reply shall say it.
    pub model: &'a str,
    /// The screened request.
    pub request: &'a Request,
}

impl Local {
    /// Loads a model; blocking and slow.
    ///
    /// # Errors
    /// What is wrong with its files.
    pub(crate) fn open(name: &str, config: &LocalModel) -> Result<Self, String> {
        let path = match &config.place {
            Place::Here(path) => path.clone(),
            Place::Hub(model) => fetch(name, model)?,
        };
        info!(upstream = name, path = %path.display(), "loading a model");
        let settings = Settings {
            model: path,
            context: config.context,
            sequences: config.sequences,
            queue: config.queue,
            threads: config.threads,
            quantise: config.quantise.map(|kind| match kind {
                Quantise::Q8_0 => model::Quantisation::Q8_0,
                Quantise::Q4K => model::Quantisation::Q4K,
            }),
        };
        let began = Instant::now();
        let engine = Engine::load(settings).map_err(|error| format!("failed to load the model: {error}"))?;
        info!(upstream = name, model = engine.name(), context = engine.context(), took = ?began.elapsed(), "model loaded");
        Ok(Self { engine, timeouts: config.timeouts })
    }

    /// Its time limits. A whole reply has no event before its end, so only the total holds for it.
    pub(crate) fn timeouts(&self, streams: bool) -> Timeouts {
        let first_event = if streams { self.timeouts.first_event } else { self.timeouts.total };
        Timeouts { first_event, ..self.timeouts }
    }

    /// Whether its replies show reasoning: whether it can think at all.
    pub(crate) fn exposes_reasoning(&self) -> bool {
        self.engine.thinks()
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) async fn answer(&self, call: Call<'_>) -> Result<Answer, Error> {
        let places = self.engine.places();
        if usize::try_from(call.request.choices).is_ok_and(|choices| choices > places) {
            let message = format!("This model gives at most {places} choices at once.");
            return Err(Error::Request { parameter: Some("n".to_owned()), message });
        }
        let question = ask::read(call.request)?;
        let (prompt, question) = self.render(question).await?;
        let forced = forced(&prompt);
        let seeds = seeds(question.sampling.seed, call.request.choices);
        let generations = seeds.map(|seed| {
            let sampling = Sampling { seed, ..question.sampling.clone() };
            self.engine.generate(prompt.clone(), sampling).map_err(explain)
        });
        let generations: Vec<Generation> = generations.collect::<Result<_, _>>()?;
        let form = if call.request.stream { Form::Events } else { Form::Whole };
        let kind = if call.request.stream { "text/event-stream" } else { "application/json" };
        let writer = Writer::new(call.id, call.model, form, &forced, generations.len());
        Ok(Answer {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]),
            body: Speech::new(generations, writer).into(),
            started: Instant::now(),
            tells: Tells::Nothing,
            authored: forced.len(),
            adapted: Vec::new(),
            gathers: false,
            // It is told in any case, and not shown to a client that did not ask.
            asks_usage: call.request.stream && !call.request.stream_usage,
        })
    }

    /// Counts the tokens of a Messages request as the model would read it: by its own template and tokenizer.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) async fn count(&self, call: Call<'_>) -> Result<Answer, Error> {
        let messages = Request { dialect: Dialect::Anthropic, ..call.request.clone() };
        let Translated { request, .. } = dialect::translate(&messages, Dialect::OpenaiChat)?;
        let (prompt, _) = self.render(ask::read(&request)?).await?;
        Ok(Answer {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            body: dialect::write_count(prompt.tokens().len()).into(),
            started: Instant::now(),
            tells: Tells::Nothing,
            authored: 0,
            adapted: Vec::new(),
            gathers: false,
            asks_usage: false,
        })
    }

    /// Renders, tokenises and compiles on a thread that may block: long conversations and large schemas take a while.
    async fn render(&self, mut question: Question) -> Result<(Prompt, Question), Error> {
        let engine = self.engine.clone();
        let rendering = tokio::task::spawn_blocking(move || {
            let prompt = engine.prompt(&question.conversation).map_err(explain)?;
            let grammar = question.constraint.as_ref().map(|constraint| engine.constrain(constraint)).transpose();
            question.sampling.grammar = grammar.map_err(unfit)?;
            Ok((prompt, question))
        });
        let limit: Duration = self.timeouts.first_event;
        match timeout(limit, rendering).await {
            Ok(Ok(rendered)) => rendered,
            Ok(Err(_)) => Err(Error::Engine("rendering the prompt failed".to_owned())),
            Err(_) => Err(Error::HeadTimedOut(limit)),
        }
    }
}

/// Fetches a model that the hub's cache lacks, and logs each tenth of a file.
fn fetch(name: &str, model: &HubModel) -> Result<PathBuf, String> {
    info!(upstream = name, model = %format_args!("{}/{}", model.organisation, model.name), "fetching a model");
    let told = Mutex::new((String::new(), 0));
    let tell = |progress: hub::Progress<'_>| {
        let tenth = progress.here.saturating_mul(10) / progress.all.max(1);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != progress.file || tenth > told.1 {
            *told = (progress.file.to_owned(), tenth);
            info!(upstream = name, file = progress.file, bytes = progress.here, of = progress.all, "fetching");
        }
    };
    hub::fetch(model, &tell).map_err(|error| format!("failed to {error}"))
}

/// Reasoning text that the template makes every answer begin with. What it closes again was never the model's to fill,
/// and must not look like reasoning that the model left empty.
fn forced(prompt: &Prompt) -> String {
    match prompt.opens_in() {
        Channel::Reasoning => prompt.forced().to_owned(),
        Channel::Answer => String::new(),
    }
}

/// One seed for each choice; all follow from the client's, where it gave one.
fn seeds(seed: Option<u64>, choices: u32) -> impl Iterator<Item = Option<u64>> {
    (0..choices).map(move |choice| seed.map(|seed| seed.wrapping_add(u64::from(choice))))
}

/// What a failure of the engine comes to.
pub(crate) fn explain(error: model::Error) -> Error {
    match error {
        model::Error::Busy => Error::Busy,
        model::Error::Request(message) => Error::Request { parameter: None, message },
        other => Error::Engine(other.to_string()),
    }
}

/// What a constraint that cannot be compiled comes to.
fn unfit(error: model::Error) -> Error {
    match error {
        model::Error::Request(message) => Error::Request { parameter: Some("response_format".to_owned()), message },
        other => explain(other),
    }
}

/// Seconds since 1970.
pub(crate) fn created() -> i64 {
    wall_clock().unix_timestamp()
}
