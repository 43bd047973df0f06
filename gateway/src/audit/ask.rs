//! Asks a gateway the questions of a run over its ordinary front door, so many at once for each route. It judges nothing:
//! verdicts are the gateway's own.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::run::{Note, Plan, Question, Run};
use super::suite::Probe;
use crate::config::{Config, Secret, Transport};
use crate::tls::client::{self, Trust};
use crate::upstream::errand::{Answered, Errands, Error as Unanswered};

/// Says which audit asks.
pub const AUDIT: HeaderName = HeaderName::from_static("x-candor-audit");

/// Bytes of an answer that are looked through for its token counts.
const KEPT: usize = 4 << 20;

/// Times that a question is asked where the gateway says that it cannot now.
const TRIES: u32 = 6;

/// The longest that is waited before it is asked again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tokens that an answer is taken to cost before it is known.
pub const USUAL_ANSWER: u64 = 1_000;

/// A gateway's front door.
#[derive(Debug, Clone)]
pub struct Door {
    errands: Errands,
    url: String,
    key: Option<Secret>,
    limit: Duration,
}

impl Door {
    /// The front door at an address such as `https://localhost:8443`, or the one that a configuration opens (at the address
    /// that was bound, where it is known). Who signed its certificate is whoever is named, else the development authority.
    ///
    /// # Errors
    /// The authority cannot be read.
    pub fn of(
        config: &Config,
        bound: Option<SocketAddr>,
        address: Option<&str>,
        authority: Option<&Path>,
    ) -> Result<Self, client::Error> {
        crate::tls::install();
        let address = address.map_or_else(|| own_address(config, bound), str::to_owned);
        let address = address.trim_end_matches('/').trim_end_matches("/v1");
        let development = config.data.join("tls").join("ca.pem");
        let trust = match address.starts_with("http:") {
            true => Trust::nobody(),
            false => {
                let own = development.is_file().then_some(development);
                Trust::open(authority.or(own.as_deref()))
            }
        };
        let url = format!("{address}/v1/chat/completions");
        Ok(Self { errands: Errands::new(&trust?), url, key: None, limit: Duration::from_secs(600) })
    }

    /// Asks with a key, and waits so long for a whole answer.
    #[must_use]
    pub fn with(self, key: Option<Secret>, limit: Duration) -> Self {
        Self { key, limit, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Posts a request under a tag.
    ///
    /// # Errors
    /// No answer came.
    pub async fn post(&self, tag: &str, body: &Value) -> Result<Answered, Unanswered> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("candor-audit/", env!("CARGO_PKG_VERSION"))));
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(AUDIT, tag);
        }
        let bearer = self.key.as_ref().and_then(|key| HeaderValue::try_from(format!("Bearer {}", key.reveal())).ok());
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        self.errands.post(&self.url, headers, Bytes::from(body.to_string()), (self.limit, KEPT)).await
    }
}

/// The address that a configuration listens on, as a client of this machine reaches it.
fn own_address(config: &Config, bound: Option<SocketAddr>) -> String {
    let bound = bound.unwrap_or(config.listen.address);
    let ip = if bound.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bound.ip() };
    let port = bound.port();
    match config.listen.transport {
        Transport::Plain => format!("http://{}", SocketAddr::new(ip, port)),
        // The development certificate is for this name.
        Transport::Tls(_) if ip.is_loopback() => format!("https://localhost:{port}"),
        Transport::Tls(_) => format!("https://{}", SocketAddr::new(ip, port)),
    }
}

/// Why a run was stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The gateway does not answer.
    Away(String),
    /// The gateway does not let the auditor in, or does not know the route.
    Refused {
        /// The status.
        status: u16,
        /// The gateway's words.
        why: String,
    },
    /// The budget is used up.
    Budget,
    /// The journal cannot be written.
    Journal(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(formatter, "the gateway does not answer: {why}"),
            Self::Refused { status, why } => write!(formatter, "the gateway answered with status {status}: {why}"),
            Self::Budget => formatter.write_str("the budget is used up"),
            Self::Journal(why) => write!(formatter, "the journal cannot be written: {why}"),
        }
    }
}

/// What a run may use up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// Tokens, in and out.
    pub tokens: Option<u64>,
    /// Money, where prices are known.
    pub cost: Option<f64>,
}

/// What was used up, or is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Use {
    /// Tokens of prompts.
    pub prompt: u64,
    /// Tokens of answers, reasoning included.
    pub completion: u64,
    /// Money, where prices are known.
    pub cost: f64,
}

impl Use {
    fn add(&mut self, plan: &Plan, route: &str, prompt: u64, completion: u64) {
        self.prompt += prompt;
        self.completion += completion;
        if let Some((input, output)) = plan.prices.get(route) {
            self.cost += (prompt as f64 * input + completion as f64 * output) / 1e6;
        }
    }

    fn is_beyond(&self, budget: Budget) -> bool {
        budget.tokens.is_some_and(|tokens| self.prompt + self.completion >= tokens)
            || budget.cost.is_some_and(|cost| self.cost >= cost)
    }
}

/// What questions are expected to use up: four bytes of Latin script, or one character of Chinese, to a token, and for answers
/// the bound, or [`USUAL_ANSWER`] where that is less.
#[must_use]
pub fn estimate(run: &Run, questions: &[Question]) -> Use {
    let mut sum = Use::default();
    let answer = run.plan.max_tokens.map_or(USUAL_ANSWER, |most| USUAL_ANSWER.min(u64::from(most)));
    for question in questions {
        let prompt = run.probe(&question.probe).map_or(0, |probe| tokens_of(&probe.prompt) + 8);
        sum.add(&run.plan, &question.route, prompt, answer);
    }
    sum
}

fn tokens_of(text: &str) -> u64 {
    let quarters: usize = text.chars().map(|c| if c.is_ascii() { 1 } else { c.len_utf8() + 1 }).sum();
    quarters.div_ceil(4) as u64
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Questions answered.
    pub done: u64,
    /// Questions in all.
    pub all: u64,
    /// What they used up.
    pub used: Use,
}

/// What all askers of a run share.
struct Shared {
    run: Arc<Run>,
    door: Door,
    budget: Budget,
    used: Mutex<Use>,
    done: AtomicU64,
    halted: AtomicBool,
    stop: Mutex<Option<Stop>>,
}

/// Asks questions, so many at once for each route, until all are answered or something stops it. What came of each is in the
/// run's journal before the next is asked.
///
/// # Errors
/// Why it ended early; what was answered until then is kept.
pub async fn ask_all(
    (run, door): (Arc<Run>, Door),
    questions: Vec<Question>,
    concurrency: usize,
    budget: Budget,
    tell: impl Fn(Progress),
) -> Result<Use, Stop> {
    let all = questions.len() as u64;
    let mut queues: BTreeMap<String, VecDeque<Question>> = BTreeMap::new();
    for question in questions {
        queues.entry(question.route.clone()).or_default().push_back(question);
    }
    let shared = Arc::new(Shared {
        run,
        door,
        budget,
        used: Mutex::default(),
        done: AtomicU64::new(0),
        halted: AtomicBool::new(false),
        stop: Mutex::default(),
    });
    let mut askers = JoinSet::new();
    for queue in queues.into_values() {
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..concurrency.max(1) {
            askers.spawn(work(shared.clone(), queue.clone()));
        }
    }
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            ended = askers.join_next() => if ended.is_none() { break },
            _ = tick.tick() => {}
        }
        tell(Progress { done: shared.done.load(Ordering::Relaxed), all, used: *lock(&shared.used) });
    }
    match lock(&shared.stop).take() {
        Some(stop) => Err(stop),
        None => Ok(*lock(&shared.used)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(shared: Arc<Shared>, queue: Arc<Mutex<VecDeque<Question>>>) {
    while !shared.halted.load(Ordering::Relaxed) {
        let Some(question) = lock(&queue).pop_front() else { return };
        if let Err(stop) = shared.ask(question).await {
            shared.halted.store(true, Ordering::Relaxed);
            lock(&shared.stop).get_or_insert(stop);
        }
        shared.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Asks one question to its end.
    async fn ask(&self, question: Question) -> Result<(), Stop> {
        if lock(&self.used).is_beyond(self.budget) {
            return Err(Stop::Budget);
        }
        let Some(probe) = self.run.probe(&question.probe) else { return Ok(()) };
        let journal = |note: &Note| self.run.note(note).map_err(|error| Stop::Journal(error.to_string()));
        journal(&Note::Asking(question.clone()))?;
        let body = request(&self.run.plan, &question, probe);
        let tag = question.tag(&self.run.plan.run);
        let mut wait = Duration::from_secs(1);
        let mut tried = 0;
        let answered = loop {
            tried += 1;
            match self.door.post(&tag, &body).await {
                Ok(answered) if tried < TRIES && is_busy(answered.status) => {
                    tokio::time::sleep(asked_to_wait(&answered.headers).unwrap_or(wait).min(PATIENCE)).await;
                }
                Ok(answered) => break answered,
                // An answer that takes too long is one question's; it is in the records as far as it came.
                Err(Unanswered::TimedOut) => {
                    let why = Some(Unanswered::TimedOut.to_string());
                    return journal(&Note::Asked { question, exchange: None, status: None, why });
                }
                Err(error) if tried < TRIES && matches!(error, Unanswered::Connection(_)) => {
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(Stop::Away(error.to_string())),
            }
            wait = (wait * 2).min(PATIENCE);
        };
        let exchange = exchange_of(&answered.headers);
        let status = answered.status.as_u16();
        if matches!(status, 401 | 403 | 404) && exchange.is_none_or(|_| is_own_refusal(&answered)) {
            return Err(Stop::Refused { status, why: words(&answered) });
        }
        let (prompt, completion) = usage(&answered.body);
        let prompt = prompt.unwrap_or_else(|| tokens_of(&probe.prompt));
        let completion = completion.unwrap_or(answered.body.len() as u64 / 64);
        lock(&self.used).add(&self.run.plan, &question.route, prompt, completion);
        let why = exchange.is_none().then(|| format!("status {status}"));
        journal(&Note::Asked { question, exchange, status: Some(status), why })
    }
}

/// The request of a question: a stream, so that what a host cuts or takes back is seen.
fn request(plan: &Plan, question: &Question, probe: &Probe) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = &probe.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.push(json!({"role": "user", "content": probe.prompt}));
    let mut body = json!({
        "model": question.route,
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
        "seed": plan.sampling_seed(question.sample),
    });
    if let (Some(most), Value::Object(body)) = (plan.max_tokens, &mut body) {
        body.insert("max_tokens".to_owned(), most.into());
    }
    body
}

/// Whether the gateway, or the vendor behind it, only says that it cannot now.
fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// How long the answer asks to wait, in seconds.
fn asked_to_wait(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn exchange_of(headers: &HeaderMap) -> Option<Uuid> {
    headers.get("x-request-id")?.to_str().ok()?.parse().ok()
}

/// Whether an error is the gateway's own word on a key or a model, not what a vendor says of a prompt.
fn is_own_refusal(answered: &Answered) -> bool {
    let error: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let code = error.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
    matches!(code, "invalid_api_key" | "missing_api_key" | "model_not_found" | "unknown_model")
}

/// What an error says, for a person.
fn words(answered: &Answered) -> String {
    let error: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let said = error.pointer("/error/message").and_then(Value::as_str).unwrap_or("it does not say why");
    said.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The last counts of tokens that an answer names.
fn usage(body: &[u8]) -> (Option<u64>, Option<u64>) {
    let text = String::from_utf8_lossy(body);
    let last = |name: &str| {
        let at = text.rfind(&format!("\"{name}\""))? + name.len() + 2;
        let rest = text.get(at..)?.trim_start().strip_prefix(':')?.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    (last("prompt_tokens"), last("completion_tokens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_counts_are_found_where_answers_name_them() {
        let stream = b"data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\": 11,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n";
        assert_eq!(usage(stream), (Some(11), Some(7)));
        assert_eq!(usage(b"\"prompt_tokens\""), (None, None));
        assert_eq!(usage("\u{fffd}\"completion_tokens\": -".as_bytes()), (None, None));
    }

    #[test]
    fn tokens_are_guessed_by_script() {
        assert_eq!((tokens_of("abcdefgh"), tokens_of("天安门"), tokens_of("")), (2, 3, 0));
    }

    #[test]
    fn waiting_is_what_the_answer_asks_for() {
        let mut headers = HeaderMap::new();
        assert_eq!(asked_to_wait(&headers), None);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(asked_to_wait(&headers), Some(Duration::from_secs(7)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT"));
        assert_eq!(asked_to_wait(&headers), None);
    }
}
