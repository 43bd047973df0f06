//! The part of a configuration that says what callers and teams may ask for, and how much of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::read::{Shared, Table};
use crate::cost::read_nanos;

/// What somebody may ask for, and how much of it; what is absent is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Models by name; a trailing `*` matches any suffix.
    pub models: Option<Vec<String>>,
    /// Requests in a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in a minute, of prompts and completions.
    pub tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u64>,
    /// Billionths of a dollar in a day (UTC).
    pub budget_day: Option<u64>,
    /// Billionths of a dollar in a month (UTC).
    pub budget_month: Option<u64>,
}

impl Terms {
    /// Whether a model may be asked for.
    #[must_use]
    pub fn allow(&self, model: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => pattern == model,
        };
        self.models.as_ref().is_none_or(|models| models.iter().any(fits))
    }

    /// Whether nothing is to be counted.
    #[must_use]
    pub fn count_nothing(&self) -> bool {
        Self { models: None, ..self.clone() } == Self::default()
    }

    /// These terms, and others where these say nothing.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        Self {
            models: self.models.clone().or_else(|| others.models.clone()),
            requests_per_minute: self.requests_per_minute.or(others.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(others.tokens_per_minute),
            concurrency: self.concurrency.or(others.concurrency),
            budget_day: self.budget_day.or(others.budget_day),
            budget_month: self.budget_month.or(others.budget_month),
        }
    }
}

/// What a team's callers may take together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its name, as keys and tokens say it.
    pub name: String,
    /// What it is counted under.
    pub scope: Arc<str>,
    /// What it may take.
    pub terms: Arc<Terms>,
}

/// Reads what terms a table holds.
pub(super) fn terms(table: &mut Table, shared: &mut Shared<'_>) -> Terms {
    let models = table.has("models").then(|| table.texts("models", &[], shared));
    if models.is_none() {
        let _ = table.tables("models", shared);
    }
    for model in models.iter().flatten().filter(|model| model.trim_end_matches('*').contains('*')) {
        let message = format!("`{model}`: a model's `*` may only stand at its end");
        shared.mistake(table.place_of("models"), message, None);
    }
    let amount = "an amount of dollars such as `25` or `0.50`, above 0";
    let money = |text: &str| read_nanos(text).filter(|nanos| *nanos > 0);
    let number = |table: &mut Table, key, shared: &mut Shared<'_>| {
        table.parsed(key, "a whole number of at least 1", |text| text.parse().ok().filter(|n: &u64| *n >= 1), shared)
    };
    Terms {
        models,
        requests_per_minute: number(table, "requests_per_minute", shared),
        tokens_per_minute: number(table, "tokens_per_minute", shared),
        concurrency: number(table, "concurrency", shared),
        budget_day: table.parsed("budget_day", amount, money, shared),
        budget_month: table.parsed("budget_month", amount, money, shared),
    }
}

/// Reads `teams`.
pub(super) fn teams(root: &mut Table, shared: &mut Shared<'_>) -> Vec<Team> {
    let (mut teams, mut shown, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for mut entry in root.tables("teams", shared) {
        let name = entry.required("name", shared);
        let terms = terms(&mut entry, shared);
        if let Some(name) = name {
            if !names.insert(name.clone()) {
                shared.mistake(entry.place_of("name"), format!("team `{name}` is defined twice"), None);
            }
            teams.push(Team { scope: format!("team:{name}").into(), name, terms: Arc::new(terms) });
        }
        shown.push(entry.finish(shared));
    }
    root.note("teams", shown);
    teams
}
