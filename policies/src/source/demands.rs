//! What rules demand beside their action, and what they tell clients, as a pack writes it.

use super::conditions::{Condition, read_tags};
use super::read::{Notes, Table, Text};
use crate::demand::{Demands, RouteDemand};
use crate::message::Messages;

/// Wire formats that a message may be for, by their names in records.
const DIALECTS: [&str; 3] = ["openai-chat", "openai-responses", "anthropic"];

/// Characters of a question.
const ASK_MOST: usize = 500;

/// Reads `route`, `review` and `record`.
pub(super) fn read_demands(table: &mut Table, notes: &mut Notes<'_>) -> Demands {
    const ANSWERS: [(&str, bool); 2] = [("true", true), ("false", false)];
    const PROMISES: [(&str, bool); 1] = [("required", true)];
    Demands {
        route: read_route(table, notes),
        review: table.word("review", &ANSWERS, notes).unwrap_or(false),
        record: table.word("record", &PROMISES, notes).unwrap_or(false),
    }
}

/// Reads `ask`: a question of some length that a judge model can be asked.
pub(super) fn read_ask(rule: &mut Table, notes: &mut Notes<'_>) -> Option<String> {
    const HINT: &str = "write a question about the exchange that can be answered with yes or no";
    if rule.may_have("ask") && !rule.is_scalar("ask") {
        notes.add(rule.place, format!("`ask` of {} must be one text", rule.what()), Some(HINT.to_owned()));
        return None;
    }
    let text = rule.text("ask", notes)?;
    let length = text.text.trim().chars().count();
    if !(1..=ASK_MOST).contains(&length) {
        let message = format!("`ask` of {} must have 1 to {ASK_MOST} characters, not {length}", rule.what());
        notes.add(text.place, message, Some(HINT.to_owned()));
    }
    Some(text.text)
}

fn read_route(rule: &mut Table, notes: &mut Notes<'_>) -> Option<RouteDemand> {
    const ANSWERS: [(&str, bool); 2] = [("true", true), ("false", false)];
    if !rule.may_have("route") {
        return None;
    }
    let mut table = rule.table("route", notes);
    let demand = RouteDemand {
        local_only: table.word("local_only", &ANSWERS, notes).unwrap_or(false),
        upstream: Condition::read(table.texts("upstream", notes)),
        jurisdiction: Condition::read(table.texts("jurisdiction", notes)),
        tags: read_tags(&mut table, notes),
    };
    if demand.is_empty() {
        let hint = Some("write `route: {local_only: true}`, `jurisdiction`, `tags` or `upstream`".to_owned());
        notes.add(table.place, format!("{} demands nothing", table.what()), hint);
    }
    table.finish(notes);
    Some(demand)
}

/// Reads `message`: one text, texts by language, or either by dialect.
pub(super) fn read_message(rule: &mut Table, notes: &mut Notes<'_>) -> Option<Messages> {
    let mut messages = Messages::default();
    if !rule.may_have("message") {
        return None;
    }
    if rule.is_scalar("message") {
        messages.add(None, None, rule.text("message", notes)?.text);
        return Some(messages);
    }
    for (key, texts) in rule.texts_by_key("message", notes) {
        if DIALECTS.contains(&key.text.as_str()) {
            for (language, text) in texts {
                let language = language.filter(|language| is_language(language, notes));
                messages.add(Some(&key.text), language.as_ref().map(|language| language.text.as_str()), text.text);
            }
            continue;
        }
        if !is_language(&key, notes) {
            continue;
        }
        for (inner, text) in texts {
            if let Some(inner) = inner {
                let hint = Some(format!("write texts by language, or below one of {}", DIALECTS.join(", ")));
                notes.add(inner.place, format!("`{}` cannot stand below a language", inner.text), hint);
            }
            messages.add(None, Some(&key.text), text.text);
        }
    }
    (!messages.is_empty()).then_some(messages)
}

/// Whether a key is the code of a language, as `pt`.
fn is_language(key: &Text, notes: &mut Notes<'_>) -> bool {
    let fits = matches!(key.text.len(), 2 | 3) && key.text.bytes().all(|byte| byte.is_ascii_lowercase());
    if !fits {
        let hint = Some(format!("write a code such as `en`, or one of {}", DIALECTS.join(", ")));
        notes.add(key.place, format!("`{}` is neither a language nor a dialect", key.text), hint);
    }
    fits
}
