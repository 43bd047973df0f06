//! Packs of rules for scenarios, written from data. What the format can do beyond this is tested beside its reader.

/// One rule of a pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) channels: &'static str,
    /// A regular expression.
    pub(crate) pattern: &'static str,
    /// `flag`, `redact`, `stop`.
    pub(crate) action: &'static str,
}

/// Every channel that text of a model stands on, and the prompt.
pub(crate) const EVERYWHERE: &str = "prompt, reasoning, answer, tool, refusal";

/// Numbers of a made-up form are replaced by `[redacted]`.
pub(crate) const REDACTS: Rule =
    Rule { id: "no-account-numbers", channels: EVERYWHERE, pattern: "ACME-[0-9]{4}", action: "redact" };

/// A made-up name ends the exchange.
pub(crate) const STOPS: Rule =
    Rule { id: "no-bluebird", channels: EVERYWHERE, pattern: "project bluebird", action: "stop" };

/// A made-up word is noted.
pub(crate) const FLAGS: Rule = Rule { id: "watch-heron", channels: EVERYWHERE, pattern: "heron", action: "flag" };

/// A pack of rules.
pub(crate) fn pack(rules: &[Rule]) -> String {
    let mut text = "version: 1\nname: scenario\ndetectors:\n".to_owned();
    for Rule { id, pattern, .. } in rules {
        text.push_str(&format!("  - id: {id}\n    kind: patterns\n    patterns: ['{pattern}']\n"));
    }
    text.push_str("rules:\n");
    for Rule { id, channels, action, .. } in rules {
        text.push_str(&format!("  - id: {id}\n    on: [{channels}]\n    detect: [{id}]\n    action: {action}\n"));
    }
    text
}
