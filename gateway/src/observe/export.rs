//! Export of traces and metrics over OTLP/HTTP. Nothing may depend on it: a collector that is away loses what it was to
//! be told.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tokio::runtime::Handle;

use super::meters::Meters;
use super::traces::Traces;
use crate::config::Observe;
use crate::tls;

const NAME: &str = "candor";
/// How long one request to the collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often metrics are sent.
const METRICS_EVERY: Duration = Duration::from_secs(15);
/// Spans that may wait to be sent; what is beyond is lost.
const WAITING: usize = 8192;

/// Why nothing can be exported.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint cannot be used.
    Endpoint(String),
    /// TLS could not be set up.
    Tls(tls::client::Error),
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(why) => write!(formatter, "observe.otlp.endpoint: {why}; write `http://127.0.0.1:4318`"),
            Self::Tls(error) => write!(formatter, "observe.otlp: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Sends to a collector, until it is stopped.
#[derive(Debug)]
pub struct Export {
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Export {
    /// Starts to export, where an endpoint is configured; requests to it run on the given runtime.
    ///
    /// # Errors
    /// Where the endpoint cannot be used. That it does not answer is no error.
    pub fn start(observe: &Observe, runtime: &Handle) -> Result<Option<Self>, Error> {
        let Some(endpoint) = &observe.otlp else { return Ok(None) };
        let collector = Collector::new(endpoint, runtime.clone())?;
        let endpoint = endpoint.trim_end_matches('/');
        let headers: HashMap<String, String> =
            observe.otlp_headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
        let wrong = |error: opentelemetry_otlp::ExporterBuildError| Error::Endpoint(error.to_string());
        let spans = SpanExporter::builder()
            .with_http()
            .with_http_client(collector.clone())
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(TIMEOUT)
            .with_headers(headers.clone())
            .build()
            .map_err(wrong)?;
        let metrics = MetricExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .with_timeout(TIMEOUT)
            .with_headers(headers)
            .build()
            .map_err(wrong)?;
        Ok(Some(Self::of(spans, metrics)))
    }

    fn of(spans: SpanExporter, metrics: MetricExporter) -> Self {
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(NAME).with_attribute(version).build();
        let batches = BatchConfigBuilder::default().with_max_queue_size(WAITING).build();
        let spans = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            // The client decides where it traces; where it does not, we do.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_span_processor(BatchSpanProcessor::builder(spans).with_batch_config(batches).build())
            .build();
        let reader = PeriodicReader::builder(metrics).with_interval(METRICS_EVERY).build();
        let metrics = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
        Self { spans, metrics }
    }

    /// What makes spans.
    #[must_use]
    pub fn traces(&self) -> Traces {
        Traces::new(self.spans.tracer(NAME))
    }

    /// What measures.
    #[must_use]
    pub fn meters(&self) -> Meters {
        Meters::new(&self.metrics.meter(NAME))
    }

    /// Sends what waits, and ends. The runtime must go on meanwhile, since requests run on it.
    pub async fn stop(self, patience: Duration) {
        let Self { spans, metrics } = self;
        let end = tokio::task::spawn_blocking(move || {
            // What the collector did not take was told of when it did not.
            let _ = spans.shutdown_with_timeout(patience);
            let _ = metrics.shutdown_with_timeout(patience);
        });
        let _ = tokio::time::timeout(patience, end).await;
    }
}

/// Sends requests to the collector on a captured runtime: the exporters' own threads have none, and hyper would panic
/// there and take the thread with it.
#[derive(Debug, Clone)]
struct Collector {
    client: HyperClient<tls::Connector>,
    runtime: Handle,
    failing: Arc<AtomicBool>,
}

impl Collector {
    fn new(endpoint: &str, runtime: Handle) -> Result<Self, Error> {
        let client = HyperClient::new(tls::connector(endpoint).map_err(Error::Tls)?, TIMEOUT, None);
        Ok(Self { client, runtime, failing: Arc::default() })
    }

    /// Tells once that the collector fails, and once that it does no more.
    fn note(&self, outcome: &Result<Response<Bytes>, HttpError>) {
        let why = match outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        match why {
            Some(why) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(why, "the OTLP collector does not take what it is sent");
            }
            None if self.failing.swap(false, Ordering::Relaxed) => tracing::info!("the OTLP collector works again"),
            _ => {}
        }
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let this = self.clone();
        let sent = self.runtime.spawn(async move {
            let outcome = this.client.send_bytes(request).await;
            this.note(&outcome);
            outcome
        });
        Box::pin(async move { sent.await? })
    }
}

#[cfg(test)]
mod tests;
