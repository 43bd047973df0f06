//! Numbers that somebody else keeps, read when metrics are. It keeps none itself.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Whether a number that somebody else keeps only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
}

/// A number that somebody else keeps.
pub(super) struct Watched {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) read: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Watched").field(&self.name).finish()
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let value = (self.read)();
        match self.kind {
            Kind::Counter => self.put(&mut encoder, &ConstCounter::new(value)),
            Kind::Gauge => self.put(&mut encoder, &ConstGauge::new(value)),
        }
    }
}

impl Watched {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, value: &impl EncodeMetric) -> Result<(), fmt::Error> {
        value.encode(encoder.encode_descriptor(self.name, self.help, None, value.metric_type())?)
    }
}
