//! One span for each exchange, with the attributes of the GenAI conventions and never its text. Where nothing is
//! exported, spans are not made and cost nothing.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, Tracer};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use time::OffsetDateTime;

use super::metrics::Finished;
use super::names::{CHAT, attribute};
use crate::exchange::ExchangeId;

const TRACEPARENT: &str = "traceparent";
/// Characters of a client's model name that a span keeps.
const MODEL_LENGTH: usize = 200;

/// Makes spans, where they are exported.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<SdkTracer>);

/// What an exchange is known by at its end, beside what metrics are told.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Our id of it.
    pub id: ExchangeId,
    /// What metrics are told.
    pub finished: &'a Finished<'a>,
    /// The model that the upstream says answered.
    pub reply_model: Option<&'a str>,
    /// The upstream's id of the reply.
    pub reply_id: Option<&'a str>,
    /// Why each choice ended.
    pub finishes: &'a [(u32, String)],
    /// Number of findings.
    pub findings: usize,
}

impl Traces {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// Begins the span of an exchange that was accepted at some time; a `traceparent` among its headers is its parent.
    #[must_use]
    pub fn begin(&self, headers: &HeaderMap, model: &str, stream: bool, accepted: OffsetDateTime) -> Exchange {
        let Some(tracer) = &self.0 else { return Exchange(None) };
        let model: String = model.chars().take(MODEL_LENGTH).collect();
        let builder = SpanBuilder::from_name(format!("{CHAT} {model}"))
            .with_kind(SpanKind::Client)
            .with_start_time(SystemTime::from(accepted))
            .with_attributes([
                KeyValue::new(attribute::OPERATION_NAME, CHAT),
                KeyValue::new(attribute::REQUEST_MODEL, model),
                KeyValue::new(attribute::REQUEST_STREAM, stream),
            ]);
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        Exchange(Some(Box::new(tracer.build_with_context(builder, &parent))))
    }
}

/// The span of an exchange. Dropped without [`Exchange::end`], it ends with what was known at its beginning.
#[derive(Debug, Default)]
pub struct Exchange(Option<Box<Span>>);

impl Exchange {
    /// Makes this span the parent of whatever the upstream does; without a span, the client's parent stays.
    pub fn propagate(&self, headers: &mut HeaderMap) {
        let Some(span) = &self.0 else { return };
        let context = span.span_context();
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
        if let Ok(value) = HeaderValue::from_str(&format!("00-{trace}-{span}-{flags:02x}")) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Ends the span.
    pub fn end(self, ended: &Ended<'_>) {
        let Some(mut span) = self.0 else { return };
        if !span.is_recording() {
            return;
        }
        let finished = ended.finished;
        if let Some(kind) = finished.error() {
            span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, kind.clone()));
            span.set_status(Status::error(kind));
        }
        span.set_attributes(attributes(ended));
        span.end();
    }
}

fn attributes(ended: &Ended<'_>) -> Vec<KeyValue> {
    let Finished { upstream, status, ending, outcome, manners, timings, usage, .. } = *ended.finished;
    let mut all = vec![
        KeyValue::new(attribute::EXCHANGE_ID, ended.id.to_string()),
        KeyValue::new(attribute::STATUS, i64::from(status)),
        KeyValue::new(attribute::ENDING, ending),
        KeyValue::new(attribute::OUTCOME, outcome),
        KeyValue::new(attribute::MANNERS, texts(manners.iter().map(|manner| (*manner).into()))),
        KeyValue::new(attribute::FINDINGS, count(ended.findings)),
    ];
    let mut put = |name: &'static str, value: Option<Value>| {
        all.extend(value.map(|value| KeyValue::new(name, value)));
    };
    let text = |text: Option<&str>| text.map(|text| Value::from(text.to_owned()));
    put(attribute::PROVIDER_NAME, text(upstream));
    put(attribute::UPSTREAM, text(upstream));
    put(attribute::RESPONSE_MODEL, text(ended.reply_model));
    put(attribute::RESPONSE_ID, text(ended.reply_id));
    let finishes = texts(ended.finishes.iter().map(|(_, finish)| finish.clone().into()));
    put(attribute::FINISH_REASONS, (!ended.finishes.is_empty()).then_some(finishes));
    put(attribute::TIME_TO_FIRST_CHUNK, timings.first_byte.map(|time| time.as_secs_f64().into()));
    put(attribute::INPUT_TOKENS, usage.prompt.map(count));
    put(attribute::OUTPUT_TOKENS, usage.completion.map(count));
    put(attribute::REASONING_TOKENS, usage.reasoning.map(count));
    put(attribute::CACHED_TOKENS, usage.cached.map(count));
    all
}

fn texts(texts: impl Iterator<Item = StringValue>) -> Value {
    Value::Array(Array::String(texts.collect()))
}

fn count(count: impl TryInto<i64>) -> Value {
    Value::I64(count.try_into().unwrap_or(i64::MAX))
}
