//! Rules and tests as a pack writes them. Whether what they name exists is asked later.

use super::conditions::{Conditions, read_conditions};
use super::demands::{read_ask, read_demands, read_message};
use super::hours;
use super::read::{Notes, Table, Text, one_of};
use super::tree::Place;
use crate::Channel;
use crate::action::{Action, Severity};
use crate::demand::Demands;
use crate::message::Messages;

/// What joins detectors and topics to an action.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Text,
    pub(crate) on: Vec<Channel>,
    pub(crate) detect: Vec<Text>,
    pub(crate) topics: Vec<Text>,
    pub(crate) when: Conditions,
    /// What a judge model must answer with yes.
    pub(crate) ask: Option<String>,
    pub(crate) action: Action,
    pub(crate) replacement: Option<String>,
    pub(crate) message: Option<Messages>,
    pub(crate) demands: Demands,
    pub(crate) monitored: bool,
    pub(crate) severity: Severity,
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
    /// The upstream, where one is named or described.
    pub(crate) upstream: Option<TestUpstream>,
    /// When, in seconds since 1970 (UTC).
    pub(crate) at: Option<i64>,
    /// What the model did, as outcome and manners.
    pub(crate) verdict: Option<(String, Vec<String>)>,
    /// What a judge model answers to which rule: whether it is yes.
    pub(crate) answers: Vec<(Text, bool)>,
    /// The rules of the pack that must fire, all of them and no other.
    pub(crate) rules: Option<Vec<Text>>,
    /// The topics of the pack that must be found, all of them and no other.
    pub(crate) topics: Option<Vec<Text>>,
    /// What the text must leave as.
    pub(crate) redacted: Option<String>,
}

/// An upstream of a test.
#[derive(Debug)]
pub(crate) struct TestUpstream {
    pub(crate) name: String,
    pub(crate) local: bool,
    pub(crate) tags: Vec<(String, String)>,
}

const CHANNELS: [(&str, Channel); 5] = [
    ("prompt", Channel::Prompt),
    ("reasoning", Channel::Reasoning),
    ("answer", Channel::Answer),
    ("tool", Channel::Tool),
    ("refusal", Channel::Refusal),
];

const ACTIONS: [(&str, Asked); 5] = [
    ("allow", Asked::Action(Action::Allow)),
    ("flag", Asked::Action(Action::Flag)),
    ("redact", Asked::Action(Action::Redact)),
    ("stop", Asked::Action(Action::Stop)),
    ("reroute", Asked::Reroute),
];
const MODES: [(&str, bool); 2] = [("enforce", false), ("monitor", true)];
const SEVERITIES: [(&str, Severity); 5] = [
    ("info", Severity::Info),
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

pub(super) fn read_rules(root: &mut Table, notes: &mut Notes<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for mut table in root.tables("rules", "a rule", notes) {
        let place = table.place;
        let id = super::read_id(&mut table, "rule", notes);
        let says_where = table.has("on");
        let on = read_channels(&mut table, notes);
        let detect = table.texts("detect", notes);
        let topics = table.texts("topics", notes);
        let when = read_conditions(&mut table, notes);
        let ask = read_ask(&mut table, notes);
        if detect.is_empty() && topics.is_empty() && when.is_empty() && !table.has("ask") {
            let hint = "give it `detect: [...]` or `topics: [...]`, conditions under `when`, or a question under `ask`";
            let hint = Some(hint.to_owned());
            notes.add(table.place, format!("{} looks for nothing", table.what()), hint);
        }
        if !table.has("action") {
            let hint = Some("write `action: flag`, `redact`, `stop`, `reroute` or `allow`".to_owned());
            notes.add(table.place, format!("{} lacks `action`", table.what()), hint);
        }
        let asked = table.word("action", &ACTIONS, notes).unwrap_or(Asked::Action(Action::Flag));
        let replacement = table.text("replacement", notes);
        let message = read_message(&mut table, notes);
        let demands = read_demands(&mut table, notes);
        let monitored = table.word("mode", &MODES, notes).unwrap_or(false);
        let severity = table.word("severity", &SEVERITIES, notes).unwrap_or(Severity::Medium);
        let _ = table.text("about", notes);
        let action = asked.action();
        if let Some(replacement) = replacement.as_ref().filter(|_| action != Action::Redact) {
            let message = format!("`replacement` means nothing with action `{}`", asked.name());
            notes.add(replacement.place, message, Some("write `action: redact` or leave it out".to_owned()));
        }
        if asked == Asked::Reroute && demands.route.is_none() {
            let hint = Some("write `route: {local_only: true}`, `jurisdiction`, `tags` or `upstream`".to_owned());
            notes.add(table.place, format!("{} does not say where to", table.what()), hint);
        }
        let whole = detect.is_empty() && topics.is_empty();
        // What a route can still change is the prompt's; a rule about an exchange as a whole looks at no channel.
        let on = if !says_where && demands.route.is_some() { vec![Channel::Prompt] } else { on };
        let asks = table.has("ask");
        let rule = Shape { what: table.what(), place, on: says_where.then_some(on.as_slice()), whole, asks, action };
        check_shape(&rule, &when, &demands, notes);
        if asks {
            check_asking(&rule, &demands, notes);
        }
        table.finish(notes);
        let replacement = replacement.map(|text| text.text);
        rules.extend(id.map(|id| Rule {
            id,
            on,
            detect,
            topics,
            when,
            ask,
            action,
            replacement,
            message,
            demands,
            monitored,
            severity,
        }));
    }
    rules
}

/// An action as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Action(Action),
    /// A flag that demands a route.
    Reroute,
}

impl Asked {
    fn action(self) -> Action {
        match self {
            Self::Action(action) => action,
            Self::Reroute => Action::Flag,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Action(action) => action.name(),
            Self::Reroute => "reroute",
        }
    }
}

/// What decides whether the parts of a rule fit together.
struct Shape<'a> {
    what: &'a str,
    place: Place,
    /// Channels, where the rule names them.
    on: Option<&'a [Channel]>,
    /// Whether it looks at no text.
    whole: bool,
    /// Whether a judge model is asked.
    asks: bool,
    action: Action,
}

/// Says what can never happen: a rule that asks for it would only look as if it were in force.
fn check_shape(rule: &Shape<'_>, when: &Conditions, demands: &Demands, notes: &mut Notes<'_>) {
    let mut say = |message: String, hint: &str| notes.add(rule.place, message, Some(hint.to_owned()));
    if when.verdict.is_some() {
        if rule.action.holds() {
            let message =
                format!("{} cannot {} on a verdict: the reply has left by then", rule.what, rule.action.name());
            say(message, "write `action: flag`, with `review: true` or `record: required` where wanted");
        }
        if demands.route.is_some() {
            say(
                format!("{} cannot choose a route on a verdict: it has been taken by then", rule.what),
                "leave `route` out",
            );
        }
    }
    if rule.whole && rule.action == Action::Redact {
        say(format!("{} has nothing to redact: it looks for nothing", rule.what), "give it `detect` or `topics`");
    }
    if rule.whole && rule.on.is_some() {
        say(format!("`on` means nothing in {}, which looks for nothing", rule.what), "leave `on` out, or add `detect`");
    }
    if rule.whole && !rule.asks && !when.topic.is_empty() && when.verdict.is_none() {
        say(
            format!("{} looks for nothing but asks for a topic", rule.what),
            "name it under `topics` of the rule instead",
        );
    }
    if demands.route.is_some() {
        if rule.on.is_some_and(|on| on.iter().any(|channel| *channel != Channel::Prompt)) {
            say(
                format!("{} cannot choose a route by a reply: it has been taken by then", rule.what),
                "write `on: [prompt]`",
            );
        }
        if rule.action == Action::Stop {
            say(format!("{} both stops and chooses a route", rule.what), "write `action: reroute`");
        }
    }
}

/// Says what comes too late for an answer that is given when the exchange has ended and its record is written.
fn check_asking(rule: &Shape<'_>, demands: &Demands, notes: &mut Notes<'_>) {
    let mut say = |what: &str, why: &str, hint: &str| {
        let message = format!("{} cannot {what} on an answer to `ask`: {why} by then", rule.what);
        notes.add(rule.place, message, Some(hint.to_owned()));
    };
    if rule.action != Action::Flag {
        let hint = "write `action: flag`, with `review: true` where wanted";
        say(rule.action.name(), "the exchange has ended", hint);
    }
    if demands.route.is_some() {
        say("choose a route", "it has been taken", "leave `route` out");
    }
    if demands.record {
        say("demand a durable record", "it is written", "leave `record` out");
    }
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
        let (upstream, at) = (read_test_upstream(&mut table, notes), hours::read_moment(&mut table, notes));
        let verdict = read_test_verdict(&mut table, notes);
        let answers = read_answers(&mut table, notes);
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
            upstream,
            at,
            verdict,
            answers,
            rules,
            topics,
            redacted,
        });
    }
    tests
}

fn read_test_upstream(table: &mut Table, notes: &mut Notes<'_>) -> Option<TestUpstream> {
    const ANSWERS: [(&str, bool); 2] = [("true", true), ("false", false)];
    if !table.may_have("upstream") {
        return None;
    }
    if table.is_scalar("upstream") {
        let name = table.text("upstream", notes)?.text;
        return Some(TestUpstream { name, local: false, tags: Vec::new() });
    }
    let mut upstream = table.table("upstream", notes);
    let name = upstream.text("name", notes).map(|name| name.text).unwrap_or_default();
    let local = upstream.word("local", &ANSWERS, notes).unwrap_or(false);
    let tags = upstream.lists_by_name("tags", notes).into_iter();
    let tags = tags.flat_map(|(tag, values)| values.into_iter().map(move |value| (tag.text.clone(), value.text)));
    let read = TestUpstream { name, local, tags: tags.collect() };
    upstream.finish(notes);
    Some(read)
}

fn read_test_verdict(table: &mut Table, notes: &mut Notes<'_>) -> Option<(String, Vec<String>)> {
    if !table.may_have("verdict") {
        return None;
    }
    let mut verdict = table.table("verdict", notes);
    let outcome = verdict.required("outcome", notes).map(|outcome| outcome.text).unwrap_or_default();
    let manners = verdict.texts("manners", notes).into_iter().map(|manner| manner.text).collect();
    verdict.finish(notes);
    Some((outcome, manners))
}

fn read_answers(table: &mut Table, notes: &mut Notes<'_>) -> Vec<(Text, bool)> {
    const ANSWERS: [(&str, bool); 4] = [("yes", true), ("no", false), ("true", true), ("false", false)];
    let mut answers = Vec::new();
    for (rule, texts) in table.texts_by_key("answers", notes) {
        if texts.len() != 1 {
            let hint = Some("write `yes` or `no`".to_owned());
            notes.add(rule.place, format!("`answers` must hold one answer to rule `{}`", rule.text), hint);
        }
        for (_, text) in texts {
            answers.extend(one_of(&text, "answers", &ANSWERS, notes).map(|yes| (rule.clone(), yes)));
        }
    }
    answers
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if line.len() < text.len() { format!("{}...", line.trim_end()) } else { line }
}
