//! The immutable rules, routes and settings that one exchange runs under, and their digest. It starts nothing.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use candor_policies::Judge;

use crate::config::{Config, Loaded};
use crate::route::Table;
use crate::screen::Rules;
use crate::upstream::Backends;

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
    /// The settings as they are shown: every value, secrets masked.
    pub shown: String,
    /// SHA-256 over settings (secrets masked), rules and the detector's version, in hexadecimal.
    pub digest: Arc<str>,
}

impl Snapshot {
    /// Builds a snapshot.
    ///
    /// # Errors
    /// Every mistake of the rule packs, and every rule that asks a judge model where none is configured, ready to be shown.
    pub fn build(loaded: Loaded) -> Result<Self, Vec<String>> {
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
        let text = format!("{}\n{}\n{}", loaded.resolved, rules.digest(), judge.version());
        let digest = digest(&SHA256, text.as_bytes());
        let hexadecimal: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = format!("{:#}", loaded.resolved);
        let backends = Backends::none();
        Ok(Self { config: loaded.config, rules, routes, backends, judge, shown, digest: hexadecimal.into() })
    }

    /// The same, with those who can answer.
    #[must_use]
    pub fn answered_by(self, backends: Arc<Backends>) -> Self {
        Self { backends, ..self }
    }

    /// What it consists of, as texts with names: the settings and every pack.
    pub fn documents(&self) -> Vec<(String, String)> {
        let packs = self.rules.packs().map(|(name, text)| (format!("{name}.yaml"), text.to_owned()));
        std::iter::once(("settings.json".to_owned(), self.shown.clone())).chain(packs).collect()
    }
}
