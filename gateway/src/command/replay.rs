//! `candor policy replay`: recorded traffic under other rules, and the difference they would have made. It changes
//! nothing, neither rules nor records.

use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::database::{Expect, with_store};
use super::print::Style;
use super::table::{Column, lay_out, room};
use super::{Failure, print, records};
use crate::cli::PolicyReplay;
use crate::exchange::{Action, Caller, Channel, Enforced, QUESTION};
use crate::record::wall_clock;
use crate::route::Place;
use crate::screen::{Found, Judged, Rules, Watch};
use crate::store::Store;
use crate::store::texts::Text;
use crate::store::trace::{self, Parts, Trace};

/// Exchanges that are read from the database at once.
const PAGE: u32 = 100;

const CHANNELS: [Channel; 5] = [Channel::Prompt, Channel::Reasoning, Channel::Answer, Channel::Tool, Channel::Refusal];

/// Runs the command.
pub(super) fn run(arguments: &PolicyReplay, rules: &Rules) -> Result<ExitCode, Failure> {
    let difference = with_store(&arguments.configured, Expect::Cluster, async |store| {
        let mut difference = Difference { show: arguments.show, ..Difference::default() };
        replay(store, arguments, rules, &mut difference).await?;
        Ok(difference)
    })?;
    print::progress("");
    if arguments.configured.json {
        print::line(difference.describe(rules).to_string());
    } else if difference.exchanges == 0 {
        print::error(&format!("no exchange is recorded within {}; look further back with --since", arguments.since));
    } else {
        difference.print(rules, arguments);
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(
    store: &Store,
    arguments: &PolicyReplay,
    rules: &Rules,
    difference: &mut Difference,
) -> Result<(), Failure> {
    let since = records::back(&arguments.since, wall_clock())?;
    let upstreams = print::configuration(&arguments.configured)?.config.upstreams;
    let places: Vec<Place> = upstreams.iter().map(Place::of).collect();
    let mut before = None;
    let mut left = arguments.limit;
    while left > 0 {
        let rows = left.min(PAGE);
        let traces = trace::page(store, since, before, rows, Parts::Texts).await?;
        let Some(last) = traces.last() else { return Ok(()) };
        before = Some(last.record.exchange);
        left -= rows;
        for trace in &traces {
            difference.add(trace, rules, &places);
        }
        print::progress(&format!("{} exchanges replayed", difference.exchanges));
    }
    Ok(())
}

/// One rule that fired, by pack and name.
type Name = (String, String);

/// What rules did, or would have done, to one exchange.
#[derive(Debug, Default, PartialEq, Eq)]
struct Effect {
    /// What really happened; nothing where no rule fired.
    action: Option<Action>,
    /// The rules that fired, in whatever mode.
    fired: HashSet<Name>,
    /// Whether a person was to look at it.
    review: bool,
    /// Whether whoever answered would not have been permitted to.
    barred: bool,
}

impl Effect {
    fn note(&mut self, pack: &str, rule: &str, action: Action) {
        self.action = self.action.max(Some(action));
        self.fired.insert((pack.to_owned(), rule.to_owned()));
    }

    /// What the rules did that were in force when it was recorded.
    fn recorded(trace: &Trace) -> Self {
        let mut effect = Self::default();
        // What a judge model answered then it is not asked again.
        let (asked, found): (Vec<_>, Vec<_>) = trace.findings.iter().partition(|finding| finding.detector == QUESTION);
        for finding in found {
            effect.note(&finding.pack, &finding.rule, applied(&finding.action, &finding.enforced));
        }
        effect.review = trace.record.review.is_some() && asked.is_empty();
        effect
    }

    /// What these rules would have done. A prompt that is stopped gets no reply, and no verdict on one.
    fn of(trace: &Trace, mut watch: Watch, place: &Place) -> Self {
        let (mut effect, mut found) = (Self::default(), Found::default());
        scan(trace.prompt().unwrap_or_default(), &mut watch, &mut found);
        effect.barred = found.bars(place).is_some();
        effect.note_all(&found);
        if effect.action >= Some(Action::Stop) || effect.barred {
            return effect;
        }
        scan(trace.reply().unwrap_or_default(), &mut watch, &mut found);
        let record = &trace.record;
        if let Some(outcome) = &record.outcome {
            let manners: Vec<&str> = record.manners.iter().map(String::as_str).collect();
            let (language, confidence) = (record.language.as_deref(), record.confidence.unwrap_or_default());
            let judged = Judged { outcome, manners: &manners, language, confidence, ..Judged::default() };
            watch.judge(None, &judged, &mut found);
        }
        effect.note_all(&found);
        effect
    }

    fn note_all(&mut self, found: &Found) {
        self.review |= found.review;
        for finding in &found.kept {
            let action = match finding.enforced {
                Enforced::Observed => finding.action.min(Action::Flag),
                Enforced::Applied | Enforced::Late => finding.action,
            };
            self.note(&finding.pack, &finding.rule, action);
        }
    }
}

/// Finds what rules find in texts, those of a channel that follow each other together.
fn scan(texts: Vec<Text>, watch: &mut Watch, found: &mut Found) {
    for texts in texts.chunk_by(|a, b| a.channel == b.channel) {
        let channel =
            texts.first().and_then(|text| CHANNELS.into_iter().find(|channel| channel.name() == text.channel));
        let Some(channel) = channel else { continue };
        let texts: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
        watch.scan(channel, &texts, found);
    }
}

/// What became of a recorded finding: one that was only observed did no more than a flag.
fn applied(action: &str, enforced: &str) -> Action {
    let action = [Action::Allow, Action::Flag, Action::Redact, Action::Stop].into_iter().find(|it| it.name() == action);
    let action = action.unwrap_or(Action::Flag);
    if enforced == Enforced::Observed.name() { action.min(Action::Flag) } else { action }
}

/// One exchange that would have gone another way.
#[derive(Debug)]
struct Change {
    exchange: String,
    caller: String,
    model: String,
    before: Option<Action>,
    after: Option<Action>,
    new: Vec<Name>,
    gone: Vec<Name>,
    prompt: String,
}

/// How often something was, and would have been.
#[derive(Debug, Default, Clone, Copy)]
struct Pair {
    before: u64,
    after: u64,
}

/// The difference over all exchanges.
#[derive(Debug, Default)]
struct Difference {
    exchanges: u64,
    /// Exchanges whose texts are gone or cannot be read.
    without_texts: u64,
    /// Exchanges whose prompt was stopped then and would pass now: what the model would have said is not known.
    unknown_replies: u64,
    /// Exchanges that would have had to go elsewhere.
    barred: u64,
    reviews: Pair,
    actions: BTreeMap<Option<Action>, Pair>,
    rules: BTreeMap<Name, Pair>,
    changed: u64,
    /// The newest of those that changed, as many as are to be shown.
    changes: Vec<Change>,
    show: usize,
}

impl Difference {
    fn add(&mut self, trace: &Trace, rules: &Rules, places: &[Place]) {
        self.exchanges += 1;
        if trace.prompt().is_err() && trace.reply().is_err() {
            self.without_texts += 1;
            return;
        }
        let record = &trace.record;
        let caller = Caller {
            name: record.caller.clone(),
            team: record.team.clone(),
            role: record.role.clone(),
            key_id: record.key_id.clone(),
        };
        let watch = rules.watch(&caller, &record.model, record.accepted_at);
        let answered = |place: &&Place| record.upstream.as_deref() == Some(&place.name);
        let unknown = Place { name: record.upstream.clone().unwrap_or_default(), ..Place::default() };
        let place = places.iter().find(answered).unwrap_or(&unknown);
        let watch = if record.upstream.is_some() { watch.at(place) } else { watch };
        let (before, after) = (Effect::recorded(trace), Effect::of(trace, watch, place));
        self.reviews.before += u64::from(before.review);
        self.reviews.after += u64::from(after.review);
        self.barred += u64::from(after.barred && record.upstream.is_some());
        if before.action == Some(Action::Stop) && after.action < Some(Action::Stop) && trace.reply().is_err() {
            self.unknown_replies += 1;
        }
        self.actions.entry(before.action).or_default().before += 1;
        self.actions.entry(after.action).or_default().after += 1;
        for name in &before.fired {
            self.rules.entry(name.clone()).or_default().before += 1;
        }
        for name in &after.fired {
            self.rules.entry(name.clone()).or_default().after += 1;
        }
        if before != after {
            self.changed += 1;
            if self.changes.len() < self.show {
                self.changes.push(Change::of(trace, &before, &after));
            }
        }
    }

    fn describe(&self, rules: &Rules) -> Value {
        let actions: serde_json::Map<_, _> =
            self.actions.iter().map(|(action, pair)| (word(*action).to_owned(), pair.describe())).collect();
        let fired: Vec<_> = self
            .rules
            .iter()
            .map(|((pack, rule), pair)| json!({"pack": pack, "rule": rule, "before": pair.before, "after": pair.after}))
            .collect();
        json!({
            "digest": rules.digest(),
            "exchanges": self.exchanges,
            "without_texts": self.without_texts,
            "unknown_replies": self.unknown_replies,
            "rerouted": self.barred,
            "reviews": self.reviews.describe(),
            "actions": actions,
            "rules": fired,
            "changed": self.changed,
            "changes": self.changes.iter().map(Change::describe).collect::<Vec<_>>(),
        })
    }

    fn print(&self, rules: &Rules, arguments: &PolicyReplay) {
        let style = Style::of_stdout();
        let digest: String = rules.digest().chars().take(12).collect();
        let changed = self.changed;
        print::line(style.bold(&format!(
            "{} exchanges within {} under rules {digest}: {changed} would have gone another way",
            self.exchanges, arguments.since
        )));
        for (count, what) in [
            (self.without_texts, "have no texts any more and were left out"),
            (self.barred, "would have had to go to another upstream: what it would have said is not known"),
            (self.unknown_replies, "were stopped and would pass: what the model would have said is not known"),
        ] {
            if count > 0 {
                print::line(format!("{count} {what}"));
            }
        }
        let Pair { before, after } = self.reviews;
        if before + after > 0 {
            print::line(format!("{before} were to be reviewed by a person; {after} would have been"));
        }
        let cells = |pair: &Pair| vec![pair.before.to_string(), pair.after.to_string(), pair.shift()];
        let actions =
            self.actions.iter().rev().map(|(action, pair)| [vec![word(*action).to_owned()], cells(pair)].concat());
        let heads = |name| {
            [
                Column::text(name, 0),
                Column::number("BEFORE", 0),
                Column::number("AFTER", 0),
                Column::number("CHANGE", 0),
            ]
        };
        print_table(&heads("EXCHANGES"), actions.collect());
        let fired =
            self.rules.iter().map(|((pack, rule), pair)| [vec![format!("{pack}/{rule}")], cells(pair)].concat());
        print_table(&heads("RULE"), fired.collect());
        print_table(&CHANGED, self.changes.iter().map(Change::row).collect());
        let shown = self.changes.len() as u64;
        if changed > shown {
            print::line(format!("... and {} more; see --show", changed - shown));
        }
    }
}

fn print_table(columns: &[Column], rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        print::line("");
        lay_out(columns, &rows, room()).iter().for_each(print::line);
    }
}

const CHANGED: [Column; 6] = [
    Column::text("ID", 0),
    Column::text("CALLER", 1),
    Column::text("MODEL", 2),
    Column::text("CHANGE", 0),
    Column::text("RULES", 0),
    Column::text("PROMPT", 3),
];

impl Change {
    fn of(trace: &Trace, before: &Effect, after: &Effect) -> Self {
        let sorted = |names: &HashSet<Name>, without: &HashSet<Name>| {
            let mut names: Vec<Name> = names.difference(without).cloned().collect();
            names.sort();
            names
        };
        let record = &trace.record;
        Self {
            exchange: record.exchange.to_string(),
            caller: record.caller.clone(),
            model: record.model.clone(),
            before: before.action,
            after: after.action,
            new: sorted(&after.fired, &before.fired),
            gone: sorted(&before.fired, &after.fired),
            prompt: record.prompt_preview.clone().unwrap_or_default(),
        }
    }

    fn row(&self) -> Vec<String> {
        let signed = |sign: char, names: &[Name]| -> Vec<String> {
            names.iter().map(|(pack, rule)| print::safe(&format!("{sign}{pack}/{rule}"))).collect()
        };
        vec![
            self.exchange.clone(),
            print::safe(&self.caller),
            print::safe(&self.model),
            format!("{} -> {}", word(self.before), word(self.after)),
            [signed('+', &self.new), signed('-', &self.gone)].concat().join(" "),
            print::safe(&self.prompt).replace('\n', " "),
        ]
    }

    fn describe(&self) -> Value {
        let names = |names: &[Name]| -> Vec<Value> {
            names.iter().map(|(pack, rule)| json!({"pack": pack, "rule": rule})).collect()
        };
        json!({
            "exchange": self.exchange,
            "caller": self.caller,
            "model": self.model,
            "before": word(self.before),
            "after": word(self.after),
            "new": names(&self.new),
            "gone": names(&self.gone),
        })
    }
}

impl Pair {
    fn describe(&self) -> Value {
        json!({"before": self.before, "after": self.after})
    }

    /// The change, with its sign.
    fn shift(&self) -> String {
        match self.after.cmp(&self.before) {
            std::cmp::Ordering::Less => format!("-{}", self.before - self.after),
            std::cmp::Ordering::Equal => "0".to_owned(),
            std::cmp::Ordering::Greater => format!("+{}", self.after - self.before),
        }
    }
}

/// What became of an exchange, in a word.
fn word(action: Option<Action>) -> &'static str {
    action.map_or("untouched", Action::name)
}
