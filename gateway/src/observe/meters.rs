//! The measurements that are exported over OTLP, under the names of the GenAI conventions. They are not kept here.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use super::families::{SECONDS, TOKENS};
use super::metrics::Finished;
use super::names::{CHAT, attribute, metric};

/// Instruments that an exporter reads.
#[derive(Debug)]
pub struct Meters {
    duration: Histogram<f64>,
    first_chunk: Histogram<f64>,
    tokens: Histogram<u64>,
}

impl Meters {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name| meter.f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec()).build();
        let tokens = meter.u64_histogram(metric::TOKEN_USAGE).with_unit("{token}");
        Self {
            duration: seconds(metric::OPERATION_DURATION),
            first_chunk: seconds(metric::TIME_TO_FIRST_CHUNK),
            tokens: tokens.with_boundaries(TOKENS.to_vec()).build(),
        }
    }

    /// Measures an exchange; `model` is its bounded label.
    pub(super) fn note(&self, finished: &Finished<'_>, model: &str, upstream: &str) {
        let mut labels = vec![
            KeyValue::new(attribute::OPERATION_NAME, CHAT),
            KeyValue::new(attribute::PROVIDER_NAME, upstream.to_owned()),
            KeyValue::new(attribute::REQUEST_MODEL, model.to_owned()),
            KeyValue::new(attribute::OUTCOME, finished.outcome),
        ];
        let counts = [("input", finished.usage.prompt), ("output", finished.usage.completion)];
        for (kind, count) in counts {
            let Some(count) = count else { continue };
            labels.push(KeyValue::new(attribute::TOKEN_TYPE, kind));
            self.tokens.record(count, &labels);
            labels.pop();
        }
        if let Some(time) = finished.timings.first_byte {
            self.first_chunk.record(time.as_secs_f64(), &labels);
        }
        if let Some(kind) = finished.error() {
            labels.push(KeyValue::new(attribute::ERROR_TYPE, kind));
        }
        self.duration.record(finished.timings.total.as_secs_f64(), &labels);
    }
}
