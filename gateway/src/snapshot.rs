//! The immutable rules, routes and settings that one exchange runs under, and their digest. It starts nothing.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use candor_policies::Judge;
use time::OffsetDateTime;

use crate::config::{Config, Hidden, LOCAL, Loaded, UpstreamKind};
use crate::cost::{Cost, Price, Prices};
use crate::exchange::Usage;
use crate::route::Table;
use crate::screen::Rules;
use crate::upstream::Backends;
use crate::upstream::catalogue::shipped_prices;

/// What is billed: a model at an upstream.
#[derive(Debug, Clone, Copy)]
pub struct Billed<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// The model's name there, as it was sent.
    pub model: &'a str,
    /// The model's name as the upstream tells it.
    pub told: Option<&'a str>,
    /// The price of this candidate alone, where it has one.
    pub price: Option<&'a Price>,
}

/// What an exchange runs under.
#[derive(Debug)]
pub struct Snapshot {
    /// Settings.
    pub config: Config,
    /// Rules.
    pub rules: Rules,
    /// Routes.
    pub routes: Table,
    /// Who can answer; nobody until [`Snapshot::answered_by`] says who.
    pub backends: Arc<Backends>,
    /// Says what models did.
    pub judge: Judge,
    /// What models cost.
    pub prices: Prices,
    /// The settings as they are shown: every value, secrets masked.
    pub shown: String,
    /// SHA-256 over settings (secrets masked), rules, the detector's version and renewals, in hexadecimal.
    pub digest: Arc<str>,
    /// What the settings do not show.
    hidden: Hidden,
    /// How often that has changed since the gateway started: a secret or a certificate behind the same setting.
    renewals: u64,
}

impl Snapshot {
    /// Builds a snapshot, to take the place of another where there is one.
    ///
    /// # Errors
    /// Every mistake of the rule packs, and every rule that asks a judge model where none is configured, ready to be shown.
    pub fn build(loaded: Loaded, before: Option<&Self>) -> Result<Self, Vec<String>> {
        let policies = &loaded.config.policies;
        let rules = Rules::compile(&policies.shipped, &policies.files)?;
        let asking = rules.asking();
        if loaded.config.judge.is_none() && !asking.is_empty() {
            let mistake = |rule: &String| {
                format!(
                    "rule `{rule}` asks a judge model, and `judge` names none\n  \
                     hint: write `judge: {{model: NAME}}` with a model that is served, or leave the pack out"
                )
            };
            return Err(asking.iter().map(mistake).collect());
        }
        let routes = Table::new(&loaded.config.models, &loaded.config.upstreams);
        let judge = Judge::shipped();
        let shipped =
            shipped_prices().map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let prices = Prices::of(vec![loaded.config.prices.clone(), shipped]);
        let renewals = before.map_or(0, |before| before.renewals + u64::from(before.hidden != loaded.hidden));
        let mut resolved = loaded.resolved;
        if let (Some(resolved), 1..) = (resolved.as_object_mut(), renewals) {
            resolved.insert("renewals".to_owned(), renewals.into());
        }
        let text = format!("{resolved}\n{}\n{}", rules.digest(), judge.version());
        let digest = digest(&SHA256, text.as_bytes());
        let hexadecimal: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            config: loaded.config,
            rules,
            routes,
            backends: Backends::none(),
            judge,
            prices,
            shown: format!("{resolved:#}"),
            digest: hexadecimal.into(),
            hidden: loaded.hidden,
            renewals,
        })
    }

    /// The same, with those who can answer.
    #[must_use]
    pub fn answered_by(self, backends: Arc<Backends>) -> Self {
        Self { backends, ..self }
    }

    /// What a reply cost, now that its tokens are counted.
    #[must_use]
    pub fn cost(&self, billed: &Billed<'_>, usage: &Usage, at: OffsetDateTime) -> Option<Cost> {
        if let Some(price) = billed.price {
            return price.cost(usage, at);
        }
        let upstream = self.config.upstreams.iter().find(|upstream| upstream.name == billed.upstream)?;
        let provider = match &upstream.kind {
            UpstreamKind::Remote(remote) => remote.provider.as_str(),
            UpstreamKind::Local(_) => LOCAL,
        };
        let names = std::iter::once(billed.model).chain(billed.told);
        let price = names.into_iter().find_map(|model| self.prices.find(Some(provider), model, at));
        match price {
            Some(price) => price.cost(usage, at),
            None => (provider == LOCAL).then(Price::free)?.cost(usage, at),
        }
    }

    /// What it consists of, as texts with names: the settings and every pack.
    pub fn documents(&self) -> Vec<(String, String)> {
        let packs = self.rules.packs().map(|(name, text)| (format!("{name}.yaml"), text.to_owned()));
        std::iter::once(("settings.json".to_owned(), self.shown.clone())).chain(packs).collect()
    }
}
