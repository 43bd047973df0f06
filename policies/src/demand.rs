//! What a rule demands beside its action: of the route, of the record, of a reviewer. It fulfils nothing.

use crate::facts::Upstream;
use crate::source::Condition;

/// What a rule demands where it fires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// Who may serve the exchange.
    pub route: Option<RouteDemand>,
    /// Whether a person must look at it.
    pub review: bool,
    /// Whether its record must be durable.
    pub record: bool,
}

impl Demands {
    pub(crate) fn is_empty(&self) -> bool {
        self.route.is_none() && !self.review && !self.record
    }
}

/// Which upstreams may serve an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteDemand {
    pub(crate) local_only: bool,
    pub(crate) upstream: Condition,
    pub(crate) jurisdiction: Condition,
    pub(crate) tags: Vec<(String, Condition)>,
}

impl RouteDemand {
    /// Whether an upstream satisfies it. One that does not say of itself what is asked satisfies nothing.
    #[must_use]
    pub fn permits(&self, upstream: &Upstream<'_>) -> bool {
        let says = |name: &str, condition: &Condition| upstream.tag(name).is_some_and(|tag| condition.holds(Some(tag)));
        (!self.local_only || upstream.local)
            && self.upstream.holds(Some(upstream.name))
            && (self.jurisdiction.is_empty() || says("jurisdiction", &self.jurisdiction))
            && self.tags.iter().all(|(name, condition)| says(name, condition))
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.local_only && self.upstream.is_empty() && self.jurisdiction.is_empty() && self.tags.is_empty()
    }
}
