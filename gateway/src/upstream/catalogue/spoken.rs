//! Which dialects a provider speaks under a configured address. It decides nothing about requests.

use super::Provider;
use crate::exchange::Dialect;

impl Provider {
    /// What it speaks and under which base URL, the main dialect first. Where the configured address is not the usual one, a
    /// further dialect is spoken there too if it usually shares the main one's address, and not at all if it has its own.
    #[must_use]
    pub fn spoken<'a>(&'a self, base: &'a str) -> Vec<(Dialect, &'a str)> {
        let usual = self.base_url.as_deref();
        let further = self.speaks.iter().filter_map(|(name, url)| {
            let place = match &**url {
                "" => base,
                url if Some(url) == usual => base,
                url if usual == Some(base) => url,
                _ => return None,
            };
            Some((Dialect::named(name)?, place))
        });
        Dialect::named(&self.dialect).map(|main| (main, base)).into_iter().chain(further).collect()
    }
}
