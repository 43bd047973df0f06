//! What holds for some models of a provider: parameters, roles, thinking, and whether reasoning is sent back. As data.

use serde_json::Value as Json;

use super::Pattern;
use crate::config::{Shared, Table};
use crate::exchange::Dialect;

/// What holds for some models.
#[derive(Debug, Clone)]
pub struct Quirks {
    /// Which models, by their names at the provider.
    pub models: Vec<Pattern>,
    /// The dialect that they are spoken to in.
    pub dialect: Dialect,
    /// How it is said that they think, where it can be said.
    pub thinking: Option<Thinking>,
    /// Whether thinking is refused unless the reply is streamed; the gateway then asks for a stream and gathers it.
    pub thinks_streamed_only: bool,
    /// What is to be done with the reasoning of earlier messages.
    pub echo: Echo,
    /// Parameters that they do not take as they are.
    pub parameters: Vec<Parameter>,
    /// Roles that they know under another name: the client's, and theirs.
    pub roles: Vec<(String, String)>,
    /// Parameters that are taken and have no effect.
    pub ignored: Vec<String>,
    /// Where the facts come from, where not from the provider's sources.
    pub source: Option<String>,
}

impl Quirks {
    /// Whether they are a model's that is spoken to in a dialect.
    #[must_use]
    pub fn matches(&self, dialect: Dialect, model: &str) -> bool {
        self.dialect == dialect && self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether a request may have to be changed at all.
    #[must_use]
    pub fn change_nothing(&self) -> bool {
        self.parameters.is_empty() && self.roles.is_empty() && self.echo == Echo::Ignored && !self.thinks_streamed_only
    }

    /// In words for people, one line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let models: Vec<String> = self.models.iter().map(ToString::to_string).collect();
        let mut lines: Vec<String> = self.parameters.iter().map(ToString::to_string).collect();
        lines.extend(self.roles.iter().map(|(from, to)| format!("role {from} becomes {to}")));
        lines.extend(match self.echo {
            Echo::Never => Some("reasoning of earlier messages is left out".to_owned()),
            Echo::WithTools => Some("reasoning must come back with tool calls".to_owned()),
            Echo::Ignored => None,
        });
        if self.thinks_streamed_only {
            lines.push("thinks only when streamed, and is then gathered".to_owned());
        }
        if !self.ignored.is_empty() {
            lines.push(format!("{} without effect", self.ignored.join(", ")));
        }
        let spoken = match self.dialect {
            Dialect::OpenaiChat => String::new(),
            other => format!(" ({})", other.name()),
        };
        lines.into_iter().map(|line| format!("{}{spoken}: {line}", models.join(", "))).collect()
    }
}

/// How a request says whether the model thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    /// The switch; `None` where there is none.
    pub switch: Option<Switch>,
    /// Whether they think where the request does not say.
    pub usual: bool,
}

/// A parameter that switches thinking on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `enable_thinking: true | false`.
    EnableThinking,
    /// `thinking: {type: enabled | disabled}`.
    ThinkingType,
}

/// What is to be done with the reasoning of earlier messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Sending it is an error, so it is left out.
    Never,
    /// With tool calls, while thinking, it must be sent as `reasoning_content`.
    WithTools,
    /// Nothing: it is taken or ignored.
    Ignored,
}

/// A parameter that is not taken as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name; `outer.inner` is inside an object.
    pub name: String,
    /// Values that are taken; any other is acted on.
    pub takes: Vec<Json>,
    /// Numbers from here on are taken, too.
    pub at_least: Option<f64>,
    /// What else the request must say for anything to be done.
    pub when: Option<Condition>,
    /// What is done.
    pub act: Act,
}

/// What a request must say.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// A parameter; `outer.inner` is inside an object.
    pub name: String,
    /// Values that it must have, any of them; none means that it is there at all.
    pub is: Vec<Json>,
}

/// What is done with a parameter that is not taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// It is left out.
    Drop,
    /// It is sent under this name.
    Rename(String),
    /// This is sent in its place, or where it is absent.
    Set(Json),
    /// The request is refused, for without it the answer would be another; these words say why.
    Refuse(String),
}

impl std::fmt::Display for Parameter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, takes, at_least, when, act } = self;
        let any = |values: &[Json]| values.iter().map(Json::to_string).collect::<Vec<_>>().join(" or ");
        match act {
            Act::Drop => write!(formatter, "{name} dropped")?,
            Act::Rename(to) => write!(formatter, "{name} sent as {to}")?,
            Act::Set(value) => write!(formatter, "{name} set to {value}")?,
            Act::Refuse(_) => write!(formatter, "{name} refused")?,
        }
        match at_least {
            Some(least) => write!(formatter, " unless at least {least}")?,
            None if takes.is_empty() => {}
            None => write!(formatter, " unless {}", any(takes))?,
        }
        match when {
            None => Ok(()),
            Some(Condition { name, is }) if is.is_empty() => write!(formatter, " where {name} is given"),
            Some(Condition { name, is }) => write!(formatter, " where {name} is {}", any(is)),
        }
    }
}

/// Reads what holds for some models; in the provider's main dialect, where it names none.
pub(super) fn read(table: &mut Table, main: Dialect, shared: &mut Shared<'_>) -> Quirks {
    let models = super::read::patterns(table, shared);
    let words = Dialect::ALL.map(|dialect| (dialect.name(), dialect));
    let dialect = table.choice("dialect", &words, main.name(), shared).unwrap_or(main);
    let words = [("never", Echo::Never), ("with_tools", Echo::WithTools), ("ignored", Echo::Ignored)];
    let echo = table.choice("echo_reasoning", &words, "ignored", shared).unwrap_or(Echo::Ignored);
    let thinking = thinking(table, shared);
    let thinks_streamed_only = table.flag("thinks_streamed_only", false, shared);
    if thinks_streamed_only && thinking.is_none() {
        let hint = Some("such as `thinking: {switch: enable_thinking, usual: true}`".to_owned());
        shared.mistake(table.place_of("thinks_streamed_only"), "`thinks_streamed_only` needs `thinking`", hint);
    }
    let (mut parameters, mut shown) = (Vec::new(), Vec::new());
    for mut entry in table.tables("parameters", shared) {
        parameters.extend(parameter(&mut entry, shared));
        shown.push(entry.finish(shared));
    }
    table.note("parameters", shown);
    let roles = table.texts_by_name("roles", shared);
    table.note("roles", roles.iter().map(|(from, to)| (from.clone(), Json::from(to.clone()))).collect::<Json>());
    let ignored = table.texts("ignored", &[], shared);
    let source = table.text("source", shared);
    if dialect != Dialect::OpenaiChat && (thinking.is_some() || echo != Echo::Ignored || !roles.is_empty()) {
        let message = "`thinking`, `echo_reasoning` and `roles` are known of Chat Completions only";
        shared.mistake(table.place_of("dialect"), message, None);
    }
    Quirks { models, dialect, thinking, thinks_streamed_only, echo, parameters, roles, ignored, source }
}

fn thinking(table: &mut Table, shared: &mut Shared<'_>) -> Option<Thinking> {
    let given = table.has("thinking");
    let mut inner = table.table("thinking", shared);
    let words = [
        ("none", None),
        ("enable_thinking", Some(Switch::EnableThinking)),
        ("thinking.type", Some(Switch::ThinkingType)),
    ];
    let switch = inner.choice("switch", &words, "none", shared).flatten();
    let usual = inner.flag("usual", true, shared);
    let shown = inner.finish(shared);
    if given {
        table.note("thinking", shown);
    }
    given.then_some(Thinking { switch, usual })
}

fn parameter(entry: &mut Table, shared: &mut Shared<'_>) -> Option<Parameter> {
    const VERBS: [&str; 4] = ["drop", "rename", "set", "refuse"];
    let given: Vec<&str> = VERBS.into_iter().filter(|verb| entry.has(verb)).collect();
    let json = |text: &str| Some(serde_json::from_str(text).unwrap_or_else(|_| Json::from(text)));
    let [dropped, renamed, set, refused] = VERBS.map(|verb| entry.text(verb, shared));
    let to = entry.text("to", shared);
    let because = entry.text("because", shared);
    let takes = entry.texts("takes", &[], shared).iter().filter_map(|text| json(text)).collect();
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let at_least = entry.parsed("at_least", "a number", number, shared);
    let is: Vec<Json> = entry.texts("is", &[], shared).iter().filter_map(|text| json(text)).collect();
    let when = entry.text("when", shared).map(|name| Condition { name, is: is.clone() });
    if when.is_none() && !is.is_empty() {
        shared.mistake(entry.place_of("is"), "`is` needs `when`, the parameter that must be so", None);
    }
    if given.len() != 1 {
        let hint = Some(format!("give one of {}", VERBS.map(|verb| format!("`{verb}`")).join(", ")));
        shared.mistake(entry.place(), "a parameter needs exactly one thing that is done with it", hint);
        return None;
    }
    if [&dropped, &renamed, &set, &refused].into_iter().flatten().any(|name| matches!(name.as_str(), "true" | "false"))
    {
        let hint = Some("YAML reads a bare `n` or `y` as true or false: write it in quotes".to_owned());
        shared.mistake(entry.place(), "a parameter's name must be text", hint);
        return None;
    }
    let missing = |what: &str, shared: &mut Shared<'_>| {
        shared.mistake(entry.place(), format!("a parameter lacks `{what}`"), None);
        None
    };
    let (name, act) = match (dropped, renamed, set, refused) {
        (Some(name), ..) => (name, Act::Drop),
        (_, Some(name), ..) if name.contains('.') => {
            shared.mistake(entry.place(), format!("`{name}` is inside an object and cannot be renamed"), None);
            return None;
        }
        (_, Some(name), ..) => (name, Act::Rename(to.or_else(|| missing("to", shared))?)),
        (_, _, Some(name), _) => (name, Act::Set(json(&to.or_else(|| missing("to", shared))?)?)),
        (.., Some(name)) => (name, Act::Refuse(because.or_else(|| missing("because", shared))?)),
        (None, None, None, None) => return None,
    };
    Some(Parameter { name, takes, at_least, when, act })
}
