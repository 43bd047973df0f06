//! Conditions as a pack writes them. Whether what they name exists is asked later.

use super::hours::{self, Hours};
use super::read::{Notes, Table, Text, did_you_mean};
use crate::mistake::nearest;
use crate::verdict::{Manner, Outcome};

/// Under which conditions a rule holds; an empty condition holds for all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Conditions {
    pub(crate) caller: Condition,
    pub(crate) team: Condition,
    pub(crate) role: Condition,
    pub(crate) model: Condition,
    pub(crate) upstream: Condition,
    pub(crate) jurisdiction: Condition,
    /// Tags of the upstream by name.
    pub(crate) tags: Vec<(String, Condition)>,
    /// References to topics of which one must have been found; with `!`, which must not.
    pub(crate) topic: Vec<Text>,
    pub(crate) verdict: Option<Judged>,
    pub(crate) time: Option<Hours>,
    /// What the plain keys cannot say, in CEL.
    pub(crate) expression: Option<Text>,
}

/// What the verdict must be.
#[derive(Debug, Default, Clone)]
pub(crate) struct Judged {
    pub(crate) outcome: Condition,
    pub(crate) manner: Condition,
    pub(crate) language: Condition,
}

impl Conditions {
    /// Whether the rule holds for all.
    pub(crate) fn is_empty(&self) -> bool {
        let names = [&self.caller, &self.team, &self.role, &self.model, &self.upstream, &self.jurisdiction];
        names.iter().all(|condition| condition.is_empty())
            && self.tags.is_empty()
            && self.topic.is_empty()
            && self.verdict.is_none()
            && self.time.is_none()
            && self.expression.is_none()
    }
}

/// Names with `*` for any text: one of `any` must fit, where there are some, and none of `none`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    any: Vec<String>,
    none: Vec<String>,
}

impl Condition {
    pub(super) fn read(texts: Vec<Text>) -> Self {
        let mut condition = Self::default();
        for text in texts {
            match text.text.strip_prefix('!') {
                Some(name) => condition.none.push(name.to_owned()),
                None => condition.any.push(text.text),
            }
        }
        condition
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    /// Whether it holds for a value that may be absent.
    pub(crate) fn holds(&self, value: Option<&str>) -> bool {
        self.holds_for(value.into_iter())
    }

    /// Whether it holds for any number of values: one of them must fit `any`, and none may fit `none`.
    pub(crate) fn holds_for<'a>(&self, values: impl Iterator<Item = &'a str> + Clone) -> bool {
        let fits = |name: &String| values.clone().any(|value| glob(name, value));
        (self.any.is_empty() || self.any.iter().any(fits)) && !self.none.iter().any(fits)
    }
}

/// Whether a name with `*` for any text fits a value.
pub(crate) fn glob(name: &str, value: &str) -> bool {
    let mut pieces = name.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = value.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

/// Reads `when`: a mapping of plain keys, or an expression alone.
pub(super) fn read_conditions(table: &mut Table, notes: &mut Notes<'_>) -> Conditions {
    if table.is_scalar("when") {
        return Conditions { expression: table.text("when", notes), ..Conditions::default() };
    }
    let mut when = table.table("when", notes);
    let mut condition = |key| Condition::read(when.texts(key, notes));
    let conditions = Conditions {
        caller: condition("caller"),
        team: condition("team"),
        role: condition("role"),
        model: condition("model"),
        upstream: condition("upstream"),
        jurisdiction: condition("jurisdiction"),
        tags: read_tags(&mut when, notes),
        topic: when.texts("topic", notes),
        verdict: read_verdict(&mut when, notes),
        time: hours::read_hours(&mut when, notes),
        expression: when.text("expression", notes),
    };
    when.finish(notes);
    conditions
}

/// Reads `tags`: names and what their values must be.
pub(super) fn read_tags(table: &mut Table, notes: &mut Notes<'_>) -> Vec<(String, Condition)> {
    let tags = table.lists_by_name("tags", notes);
    tags.into_iter().map(|(name, texts)| (name.text, Condition::read(texts))).collect()
}

fn read_verdict(when: &mut Table, notes: &mut Notes<'_>) -> Option<Judged> {
    if !when.may_have("verdict") {
        return None;
    }
    let mut table = when.table("verdict", notes);
    let outcomes: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
    let manners: Vec<&str> = Manner::ALL.iter().map(|manner| manner.name()).collect();
    let mut known = |table: &mut Table, key, words: &[&str]| {
        let texts = table.texts(key, notes);
        for text in &texts {
            check_word(text, key, words, notes);
        }
        Condition::read(texts)
    };
    let judged = Judged {
        outcome: known(&mut table, "outcome", &outcomes),
        manner: known(&mut table, "manner", &manners),
        language: Condition::read(table.texts("language", notes)),
    };
    if judged.outcome.is_empty() && judged.manner.is_empty() && judged.language.is_empty() {
        let hint = Some("write `verdict: {outcome: [refused]}`, or `manner`".to_owned());
        notes.add(table.place, format!("{} asks nothing", table.what()), hint);
    }
    table.finish(notes);
    Some(judged)
}

/// A word that no verdict has would never fit.
fn check_word(text: &Text, key: &str, words: &[&str], notes: &mut Notes<'_>) {
    let name = text.text.strip_prefix('!').unwrap_or(&text.text);
    if !words.iter().any(|word| glob(name, word)) {
        let hint = nearest(name, words).map_or_else(|| format!("known: {}", words.join(", ")), did_you_mean);
        notes.add(text.place, format!("`{name}` is no value of `{key}`"), Some(hint));
    }
}
