//! Rules and tests as a pack writes them. Whether what they name exists is asked later.

use super::read::{Notes, Table, Text, one_of};
use crate::Channel;
use crate::action::{Action, Severity};

/// What joins detectors and topics to an action.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Text,
    pub(crate) on: Vec<Channel>,
    pub(crate) detect: Vec<Text>,
    pub(crate) topics: Vec<Text>,
    pub(crate) when: Conditions,
    pub(crate) action: Action,
    pub(crate) replacement: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) monitored: bool,
    pub(crate) severity: Severity,
}

/// For whom and for which model a rule holds; an empty condition holds for all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Conditions {
    pub(crate) caller: Condition,
    pub(crate) team: Condition,
    pub(crate) role: Condition,
    pub(crate) model: Condition,
}

impl Conditions {
    /// Whether the rule holds for all.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.caller, &self.team, &self.role, &self.model].iter().all(|condition| condition.is_empty())
    }
}

/// Names with `*` for any text: one of `any` must fit, where there are some, and none of `none`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Condition {
    any: Vec<String>,
    none: Vec<String>,
}

impl Condition {
    fn read(texts: Vec<Text>) -> Self {
        let mut condition = Self::default();
        for text in texts {
            match text.text.strip_prefix('!') {
                Some(name) => condition.none.push(name.to_owned()),
                None => condition.any.push(text.text),
            }
        }
        condition
    }

    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    /// Whether it holds for a value that may be absent.
    pub(crate) fn holds(&self, value: Option<&str>) -> bool {
        let fits = |name: &String| value.is_some_and(|value| glob(name, value));
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

/// One test of a pack.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) channel: Channel,
    pub(crate) caller: String,
    pub(crate) team: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) model: String,
    /// The rules of the pack that must fire, all of them and no other.
    pub(crate) rules: Option<Vec<Text>>,
    /// The topics of the pack that must be found, all of them and no other.
    pub(crate) topics: Option<Vec<Text>>,
    /// What the text must leave as.
    pub(crate) redacted: Option<String>,
}

const CHANNELS: [(&str, Channel); 5] = [
    ("prompt", Channel::Prompt),
    ("reasoning", Channel::Reasoning),
    ("answer", Channel::Answer),
    ("tool", Channel::Tool),
    ("refusal", Channel::Refusal),
];

pub(super) fn read_rules(root: &mut Table, notes: &mut Notes<'_>) -> Vec<Rule> {
    const ACTIONS: [(&str, Action); 4] =
        [("allow", Action::Allow), ("flag", Action::Flag), ("redact", Action::Redact), ("stop", Action::Stop)];
    const MODES: [(&str, bool); 2] = [("enforce", false), ("monitor", true)];
    const SEVERITIES: [(&str, Severity); 5] = [
        ("info", Severity::Info),
        ("low", Severity::Low),
        ("medium", Severity::Medium),
        ("high", Severity::High),
        ("critical", Severity::Critical),
    ];
    let mut rules = Vec::new();
    for mut table in root.tables("rules", "a rule", notes) {
        let id = super::read_id(&mut table, "rule", notes);
        let on = read_channels(&mut table, notes);
        let detect = table.texts("detect", notes);
        let topics = table.texts("topics", notes);
        if detect.is_empty() && topics.is_empty() {
            let hint = Some("give it `detect: [...]` or `topics: [...]`".to_owned());
            notes.add(table.place, format!("{} looks for nothing", table.what()), hint);
        }
        let when = read_conditions(&mut table, notes);
        if !table.has("action") {
            let hint = Some("write `action: flag`, `redact`, `stop` or `allow`".to_owned());
            notes.add(table.place, format!("{} lacks `action`", table.what()), hint);
        }
        let action = table.word("action", &ACTIONS, notes).unwrap_or(Action::Flag);
        let replacement = table.text("replacement", notes);
        if let Some(replacement) = replacement.as_ref().filter(|_| action != Action::Redact) {
            let message = format!("`replacement` means nothing with action `{}`", action.name());
            notes.add(replacement.place, message, Some("write `action: redact` or leave it out".to_owned()));
        }
        let message = table.text("message", notes).map(|text| text.text);
        let monitored = table.word("mode", &MODES, notes).unwrap_or(false);
        let severity = table.word("severity", &SEVERITIES, notes).unwrap_or(Severity::Medium);
        let _ = table.text("about", notes);
        table.finish(notes);
        let replacement = replacement.map(|text| text.text);
        rules.extend(id.map(|id| Rule {
            id,
            on,
            detect,
            topics,
            when,
            action,
            replacement,
            message,
            monitored,
            severity,
        }));
    }
    rules
}

fn read_channels(table: &mut Table, notes: &mut Notes<'_>) -> Vec<Channel> {
    if !table.has("on") {
        return CHANNELS.iter().map(|(_, channel)| *channel).collect();
    }
    let place = table.place;
    let texts = table.texts("on", notes);
    if texts.is_empty() {
        notes.add(place, format!("{} looks at no channel", table.what()), Some("leave `on` out for all".to_owned()));
    }
    texts.iter().filter_map(|text| one_of(text, "on", &CHANNELS, notes)).collect()
}

fn read_conditions(table: &mut Table, notes: &mut Notes<'_>) -> Conditions {
    let mut when = table.table("when", notes);
    let mut condition = |key| Condition::read(when.texts(key, notes));
    let conditions = Conditions {
        caller: condition("caller"),
        team: condition("team"),
        role: condition("role"),
        model: condition("model"),
    };
    when.finish(notes);
    conditions
}

pub(super) fn read_tests(root: &mut Table, notes: &mut Notes<'_>) -> Vec<Test> {
    let mut tests = Vec::new();
    for mut table in root.tables("tests", "a test", notes) {
        let place = table.place;
        let Some(text) = table.required("text", notes) else { continue };
        let name = table.text("name", notes).map_or_else(|| shortened(&text.text), |name| name.text);
        let channel = table.word("channel", &CHANNELS, notes).unwrap_or(Channel::Prompt);
        let mut fact = |key| table.text(key, notes).map(|text| text.text);
        let (caller, team, role, model) = (fact("caller"), fact("team"), fact("role"), fact("model"));
        let redacted = fact("redacted");
        let mut expected = |key: &'static str| table.has(key).then(|| table.texts(key, notes));
        let (rules, topics) = (expected("rules"), expected("topics"));
        if rules.is_none() && topics.is_none() && redacted.is_none() {
            let hint = Some("give it `rules: [...]`, `topics: [...]` or `redacted`; `[]` means none".to_owned());
            notes.add(place, "a test expects nothing", hint);
        }
        table.finish(notes);
        tests.push(Test {
            name,
            text: text.text,
            channel,
            caller: caller.unwrap_or_default(),
            team,
            role,
            model: model.unwrap_or_default(),
            rules,
            topics,
            redacted,
        });
    }
    tests
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if line.len() < text.len() { format!("{}...", line.trim_end()) } else { line }
}
