//! A report as tables of text: for the terminal, as Markdown and as CSV. It fits nothing to a terminal's width.

use super::facts::{Ability, Cell, Contrast, Report, Source};
use super::words::{bounds, percent};
use crate::audit::statistics::interval::Interval;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Its title.
    pub title: &'static str,
    /// Its columns; those that begin with `#` hold numbers.
    pub columns: Vec<&'static str>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// All tables of a report that hold something.
#[must_use]
pub fn sheets(report: &Report) -> Vec<Sheet> {
    let all = [
        sheet(
            "Routes",
            &["ROUTE", "UPSTREAM", "MODEL", "#COUNTED", "#LEFT OUT", "#TOKENS", "#COST", "#MEDIAN MS"],
            routes(report),
        ),
        sheet("Withheld, by topic", &RATES, rates(&report.cells)),
        sheet("Withheld, by caller", &RATES, rates(&report.callers)),
        sheet("Discoveries", &CONTRASTS, contrasts(report, true)),
        sheet("Other differences that were tested", &CONTRASTS, contrasts(report, false)),
        sheet(
            "Where it comes from",
            &[
                "ROUTE",
                "AGAINST",
                "#SIGNAL",
                "#SIGNAL ONLY HERE",
                "#WORDS BOTH",
                "#WORDS HERE",
                "#ONLY THERE",
                "#NEITHER",
                "SAYS",
            ],
            attribution(report),
        ),
        sheet(
            "Reasoning",
            &[
                "ROUTE",
                "#SEEN",
                "#SEEN ON TWINS",
                "#DIVERGENCE",
                "#EMPTY",
                "#SCRIPTED",
                "#MEDIAN GIVEN",
                "#MEDIAN WITHHELD",
            ],
            reasoning(report),
        ),
        sheet(
            "Ability",
            &["ROUTE", "TOPIC", "MEASURE", "#RATE", "#INTERVAL", "#OF", "#WITHHELD"],
            report.ability.iter().map(ability).collect(),
        ),
    ];
    all.into_iter().filter(|sheet| !sheet.rows.is_empty()).collect()
}

const RATES: [&str; 11] = [
    "TOPIC",
    "LANGUAGE",
    "ROUTE",
    "#WITHHELD",
    "#INTERVAL",
    "#CORRECTED",
    "#ITS INTERVAL",
    "#ANSWERS",
    "#PROBES",
    "#BLOCKED/REFUSED/PARTIAL",
    "#TWINS",
];
const CONTRASTS: [&str; 13] = [
    "KIND",
    "TOPIC",
    "FIRST",
    "SECOND",
    "#PAIRS",
    "#ONLY FIRST",
    "#ONLY SECOND",
    "#DIFFERENCE",
    "#INTERVAL",
    "#P",
    "#Q",
    "#HOLM",
    "#H",
];

fn sheet(title: &'static str, columns: &[&'static str], rows: Vec<Vec<String>>) -> Sheet {
    Sheet { title, columns: columns.to_vec(), rows }
}

fn routes(report: &Report) -> Vec<Vec<String>> {
    let row = |route: &super::facts::Route| {
        let left_out: u64 = route.left_out.iter().map(|(_, count)| count).sum();
        vec![
            route.route.clone(),
            route.upstreams.join(", "),
            route.models.join(", "),
            route.counted.to_string(),
            left_out.to_string(),
            format!("{}+{}", route.tokens.first().unwrap_or(&0), route.tokens.last().unwrap_or(&0)),
            costs(&route.costs),
            route.median_ms.map_or_else(|| "-".to_owned(), |median| median.to_string()),
        ]
    };
    report.routes.iter().map(row).collect()
}

fn costs(costs: &[(String, f64)]) -> String {
    let said: Vec<String> = costs.iter().map(|(currency, amount)| format!("{amount:.4} {currency}")).collect();
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

fn rates(cells: &[Cell]) -> Vec<Vec<String>> {
    let row = |cell: &Cell| {
        let corrected = cell.corrected.as_ref();
        let [blocked, refused, partial] = cell.kinds;
        vec![
            cell.subject.clone(),
            cell.language.clone(),
            cell.route.clone(),
            percent(cell.rate.share.rate()),
            bounds(cell.rate.interval),
            corrected.map_or_else(|| "-".to_owned(), |corrected| percent(corrected.rate)),
            corrected.map_or_else(|| "-".to_owned(), |corrected| bounds(corrected.interval)),
            cell.rate.share.of.to_string(),
            cell.rate.clusters.to_string(),
            format!("{blocked}/{refused}/{partial}"),
            cell.twins.map_or_else(|| "-".to_owned(), |twins| percent(twins.rate())),
        ]
    };
    cells.iter().map(row).collect()
}

fn contrasts(report: &Report, discovered: bool) -> Vec<Vec<String>> {
    let row = |one: &Contrast| {
        vec![
            one.kind.to_owned(),
            one.subject.clone(),
            one.first.clone(),
            one.second.clone(),
            one.pairs.count().to_string(),
            one.pairs.first.to_string(),
            one.pairs.second.to_string(),
            format!("{:+.2}", one.difference),
            signed(one.interval),
            probability(one.p),
            probability(one.q),
            probability(one.holm),
            format!("{:+.2}", one.effect.h),
        ]
    };
    report.contrasts.iter().filter(|one| one.discovery == discovered).map(row).collect()
}

fn signed(interval: Interval) -> String {
    format!("{:+.2} to {:+.2}", interval.low, interval.high)
}

fn probability(p: f64) -> String {
    if p < 0.0001 { format!("{p:.0e}") } else { format!("{p:.4}") }
}

fn attribution(report: &Report) -> Vec<Vec<String>> {
    let row = |one: &super::facts::Attribution| {
        let against = one.against.clone().unwrap_or_else(|| "-".to_owned());
        let counts =
            [one.by_signal, one.signal_only, one.in_words_both, one.in_words_here, one.only_there, one.neither];
        let signals: Vec<String> = one.signals.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let signals = if signals.is_empty() { String::new() } else { format!("; signals: {}", signals.join(", ")) };
        [one.route.clone(), if one.same_weights { format!("{against} (same weights)") } else { against }]
            .into_iter()
            .chain(counts.map(|count| count.to_string()))
            .chain([format!("{}{signals}", one.says)])
            .collect()
    };
    report.attribution.iter().map(row).collect()
}

fn reasoning(report: &Report) -> Vec<Vec<String>> {
    let length = |length: Option<usize>| length.map_or_else(|| "-".to_owned(), |length| length.to_string());
    let row = |one: &super::facts::Reasoning| {
        vec![
            one.route.clone(),
            format!("{}/{}", one.seen.hits, one.seen.of),
            format!("{}/{}", one.seen_on_twins.hits, one.seen_on_twins.of),
            one.divergence.to_string(),
            one.empty.to_string(),
            one.scripted.to_string(),
            length(one.median_given),
            length(one.median_withheld),
        ]
    };
    report.reasoning.iter().map(row).collect()
}

fn ability(one: &Ability) -> Vec<String> {
    vec![
        one.route.clone(),
        one.subject.clone(),
        one.measure.to_owned(),
        percent(one.rate.share.rate()),
        bounds(one.rate.interval),
        one.rate.share.of.to_string(),
        percent(one.withheld.rate()),
    ]
}

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = format!("# {}\n\n{}\n\n## Summary\n\n", plain(&report.title), plain(&asked(report)));
    for sentence in &report.summary {
        out.push_str(&format!("- {}\n", plain(sentence)));
    }
    for sheet in sheets(report) {
        let heads: Vec<&str> = sheet.columns.iter().map(|head| head.trim_start_matches('#')).collect();
        let lines: Vec<&str> =
            sheet.columns.iter().map(|head| if head.starts_with('#') { "---:" } else { "---" }).collect();
        out.push_str(&format!("\n## {}\n\n| {} |\n| {} |\n", sheet.title, heads.join(" | "), lines.join(" | ")));
        for row in &sheet.rows {
            let cells: Vec<String> = row.iter().map(|cell| plain(cell)).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    out.push_str("\n## Method and limits\n");
    for paragraph in &report.method {
        out.push_str(&format!("\n{}\n", plain(paragraph)));
    }
    if let Some(proof) = &report.proof {
        let note: String = proof.checkpoint.lines().map(|line| format!("    {}\n", line)).collect();
        out.push_str(&format!("\n## Proof\n\n{} exchanges; `{}`\n\n{note}", proof.exchanges.len(), proof.command));
    }
    out
}

/// A text that Markdown leaves as it is.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// What was asked, in a line.
pub(super) fn asked(report: &Report) -> String {
    match &report.source {
        Source::Run { run, began, suite, digest, samples, seed, probes, .. } => format!(
            "Run {run}, begun {began}: suite {suite} (SHA-256 {digest}), {probes} probes, samples of each: {samples}, seed {seed}."
        ),
        Source::Live { since, until, caller, exchanges } => {
            let of = caller.as_ref().map(|caller| format!(" of {caller}")).unwrap_or_default();
            format!("{exchanges} exchanges{of} from {since} to {until}.")
        }
    }
}

/// All rates and contrasts as one table for programs: numbers in full.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out =
        "table,subject,language,first,second,hits,of,rate,low,high,corrected,corrected_low,corrected_high,p,q,holm,h\n"
            .to_owned();
    let mut row = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        out.push_str(&cells.join(","));
        out.push('\n');
    };
    for (table, cells) in [("topic", &report.cells), ("caller", &report.callers)] {
        for cell in cells {
            let Interval { low, high } = cell.rate.interval;
            let numbers = [cell.rate.share.rate(), low, high].map(|number| number.to_string());
            let corrected = cell.corrected.as_ref().map(|it| [it.rate, it.interval.low, it.interval.high]);
            let corrected = corrected.map_or_else(|| vec![String::new(); 3], |it| it.map(|it| it.to_string()).to_vec());
            let [hits, of] = [cell.rate.share.hits, cell.rate.share.of].map(|count| count.to_string());
            let names = [table, &cell.subject, &cell.language, &cell.route, ""].map(str::to_owned);
            row(names
                .into_iter()
                .chain([hits, of])
                .chain(numbers)
                .chain(corrected)
                .chain(vec![String::new(); 4])
                .collect());
        }
    }
    for one in &report.contrasts {
        let names = [one.kind, &one.subject, "", &one.first, &one.second].map(str::to_owned);
        let counts = [one.pairs.first, one.pairs.count()].map(|count| count.to_string());
        let numbers = [one.difference, one.interval.low, one.interval.high].map(|number| number.to_string());
        let tests = [one.p, one.q, one.holm, one.effect.h].map(|number| number.to_string());
        row(names.into_iter().chain(counts).chain(numbers).chain(vec![String::new(); 3]).chain(tests).collect());
    }
    out
}

/// A cell as RFC 4180 has it; one that a spreadsheet would take for a formula gets an apostrophe.
fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let risky = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if risky { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}
