//! What models an upstream says it has, for the list that clients are given where any name passes. It is asked when a client
//! asks, and kept for a while; nothing that is served depends on it.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::lock::lock;

/// How long a list is good, and how long nobody is asked who gave none.
const GOOD: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(60);

/// Names of models.
pub(crate) type Names = Arc<[Arc<str>]>;

/// One upstream's list.
#[derive(Debug, Default)]
pub(super) struct Offers {
    known: Mutex<(Names, Option<Instant>)>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
}

impl Offers {
    /// The list as it was last read; it is read where that was long ago, until then at most, by one caller at a time.
    pub(super) async fn get(&self, until: Instant, ask: impl Future<Output = Option<Vec<Arc<str>>>>) -> Names {
        if let Some(names) = self.fresh() {
            return names;
        }
        let Ok(_turn) = timeout_at(until, self.asking.lock()).await else { return self.last() };
        if let Some(names) = self.fresh() {
            return names;
        }
        let read = timeout_at(until, ask).await.ok().flatten();
        let mut known = lock(&self.known);
        known.1 = Some(Instant::now() + if read.is_some() { GOOD } else { PAUSE });
        if let Some(names) = read {
            known.0 = names.into();
        }
        known.0.clone()
    }

    fn fresh(&self) -> Option<Names> {
        let known = lock(&self.known);
        known.1.is_some_and(|until| Instant::now() < until).then(|| known.0.clone())
    }

    fn last(&self) -> Names {
        lock(&self.known).0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Option<Vec<Arc<str>>> {
        Some(names.iter().map(|name| Arc::from(*name)).collect())
    }

    /// What was read last is old now.
    fn age(offers: &Offers) {
        lock(&offers.known).1 = Some(Instant::now());
    }

    #[tokio::test]
    async fn a_list_is_read_once_in_a_while_and_kept_where_it_cannot_be() {
        let offers = Offers::default();
        let soon = || Instant::now() + Duration::from_millis(20);
        assert!(offers.get(soon(), async { None }).await.is_empty());
        assert!(offers.get(soon(), async { names(&["a"]) }).await.is_empty(), "nobody is asked again at once");
        age(&offers);
        assert_eq!(offers.get(soon(), async { names(&["a"]) }).await.len(), 1);
        assert_eq!(offers.get(soon(), async { None }).await.len(), 1);
        age(&offers);
        assert_eq!(offers.get(soon(), std::future::pending()).await.len(), 1, "what was known stays");
        assert_eq!(offers.get(soon(), async { names(&[]) }).await.len(), 1, "nor is who did not answer asked at once");
        age(&offers);
        assert_eq!(offers.get(soon(), async { names(&["a", "b"]) }).await.len(), 2);
        // Whoever waits for another's question takes what was known, in the end.
        age(&offers);
        let _other = offers.asking.lock().await;
        assert_eq!(offers.get(soon(), async { names(&[]) }).await.len(), 2);
    }
}
