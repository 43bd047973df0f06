//! Asks the gateway through its own front door as any client would, and waits for the record of it. It shows nothing.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::MODEL;
use crate::assemble::Told;
use crate::command::Failure;
use crate::exchange::Channel;
use crate::store::Store;
use crate::store::trace::{self, Trace};
use crate::stream::sse::{Frames, Kind};
use crate::tls::{self, Connector};

/// Longest event that the demo reads.
const EVENT: usize = 1 << 20;
/// Most tokens of a reply.
const TOKENS: u32 = 400;
/// How long a record may take to reach the database.
const STORED: Duration = Duration::from_secs(20);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// Where the gateway is asked, and as whom.
#[derive(Debug)]
pub(super) struct Door {
    /// Its base URL as clients of OpenAI want it.
    pub(super) url: String,
    /// The development CA.
    pub(super) authority: PathBuf,
    /// The caller's key, made for this run.
    pub(super) key: String,
}

impl Door {
    /// The door that was opened.
    pub(super) fn of(told: &Told, key: &str) -> Result<Self, Failure> {
        let authority = told.tls.as_ref().and_then(|tls| tls.authority.clone());
        let authority = authority.ok_or_else(|| {
            Failure::usage("the demo needs its development CA; unset variables that begin with CANDOR_LISTEN_")
        })?;
        let authority = std::path::absolute(authority)?;
        Ok(Self { url: format!("https://{}/v1", told.address), authority, key: key.to_owned() })
    }
}

/// A client of the gateway.
pub(super) struct Asker {
    client: Client<Connector, Full<Bytes>>,
    url: String,
    key: String,
}

/// A reply that has been heard to its end.
#[derive(Debug)]
pub(super) struct Heard {
    /// The exchange's id.
    pub(super) exchange: Uuid,
    /// What the model thought.
    pub(super) reasoning: String,
    /// What it answered.
    pub(super) answer: String,
    /// When its first text came.
    pub(super) first_piece: Instant,
    /// From the question to its first text.
    pub(super) first: Duration,
    /// From the question to the end.
    pub(super) took: Duration,
    /// Tokens of the reply, as the gateway counted them.
    pub(super) tokens: u64,
}

impl Asker {
    /// A client that trusts the development CA.
    pub(super) fn new(door: &Door) -> Result<Self, Failure> {
        let connector = tls::connector_trusting(&door.authority).map_err(Failure::outside)?;
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, url: format!("{}/chat/completions", door.url), key: door.key.clone() })
    }

    /// Asks and hears the reply to its end; pieces of it are told as they come.
    pub(super) async fn ask(&self, question: &str, mut tell: impl FnMut(Channel, &str)) -> Result<Heard, Failure> {
        let began = Instant::now();
        let response = self.client.request(self.request(question)?).await.map_err(Failure::outside)?;
        let exchange = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()?.parse().ok());
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await.map_err(Failure::outside)?.to_bytes();
            return Err(Failure::outside(format!("the gateway answered {status}: {}", String::from_utf8_lossy(&body))));
        }
        let exchange = exchange.ok_or_else(|| Failure::outside("the gateway named no exchange"))?;
        let mut heard = Heard {
            exchange,
            reasoning: String::new(),
            answer: String::new(),
            first_piece: began,
            first: Duration::ZERO,
            took: Duration::ZERO,
            tokens: 0,
        };
        heard.listen(response, began, &mut tell).await?;
        Ok(heard)
    }

    fn request(&self, question: &str) -> Result<Request<Full<Bytes>>, Failure> {
        let body = json!({
            "model": MODEL,
            "messages": [{"role": "user", "content": question}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": 0,
            "max_tokens": TOKENS,
        });
        Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(Failure::outside)
    }
}

impl Heard {
    async fn listen(
        &mut self,
        response: Response<Incoming>,
        began: Instant,
        tell: &mut impl FnMut(Channel, &str),
    ) -> Result<(), Failure> {
        let (mut body, mut frames) = (response.into_body(), Frames::new(EVENT));
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame.map_err(Failure::outside)?.into_data() else { continue };
            frames.push(chunk);
            while let Some(frame) = frames.next() {
                let frame = frame.map_err(Failure::outside)?;
                if let Kind::Data(span) = frame.kind {
                    self.read(frame.bytes.get(span).unwrap_or_default(), began, tell)?;
                }
            }
        }
        self.took = began.elapsed();
        Ok(())
    }

    fn read(&mut self, event: &[u8], began: Instant, tell: &mut impl FnMut(Channel, &str)) -> Result<(), Failure> {
        let event: Value = serde_json::from_slice(event).map_err(Failure::outside)?;
        if let Some(error) = event.pointer("/error/message").and_then(Value::as_str) {
            return Err(Failure::outside(error));
        }
        self.tokens = event.pointer("/usage/completion_tokens").and_then(Value::as_u64).unwrap_or(self.tokens);
        for (name, channel) in [("reasoning_content", Channel::Reasoning), ("content", Channel::Answer)] {
            let text = event.pointer(&format!("/choices/0/delta/{name}")).and_then(Value::as_str).unwrap_or_default();
            if text.is_empty() {
                continue;
            }
            if self.reasoning.is_empty() && self.answer.is_empty() {
                (self.first_piece, self.first) = (Instant::now(), began.elapsed());
            }
            match channel {
                Channel::Reasoning => self.reasoning.push_str(text),
                _ => self.answer.push_str(text),
            }
            tell(channel, text);
        }
        Ok(())
    }
}

/// The record of an exchange, once it has reached the database whole.
pub(super) async fn recorded(store: &Store, exchange: Uuid) -> Result<Trace, Failure> {
    let began = Instant::now();
    while began.elapsed() < STORED {
        if let Some(trace) = trace::show(store, exchange).await?
            && trace.record.ended_at.is_some()
        {
            return Ok(trace);
        }
        sleep(LOOK).await;
    }
    Err(Failure::outside(format!("exchange {exchange} has not reached the database within {STORED:?}")))
}
