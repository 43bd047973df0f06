//! A table of labels that somebody else collected, through the same statistics: which models withhold on which countries, and
//! in which language. It knows no texts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::statistics::agreement::{Agreement, kappa};
use super::statistics::contrast::{Pairs, mcnemar, paired_difference};
use super::statistics::discovery::{benjamini_hochberg, holm};
use super::statistics::effect::cohen_h;
use super::statistics::interval::{Interval, Share, wilson};
use super::suite::rows_of_table;

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matrix {
    /// Rows that were counted.
    pub rows: u64,
    /// Rows whose label says nothing about withholding.
    pub left_out: u64,
    /// Rates by model, country and language.
    pub rates: Vec<Rate>,
    /// A country against another, or a language against another, on the same questions.
    pub contrasts: Vec<Against>,
    /// Agreement of two columns of labels: complied, partial, refused.
    pub agreement: Option<Agreement>,
}

/// One rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    /// The model.
    pub model: String,
    /// The country that questions are about.
    pub country: String,
    /// The language that they are asked in.
    pub language: String,
    /// What is withheld of them.
    pub share: Share,
    /// Wilson's interval at 95 %.
    pub interval: Interval,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The model.
    pub model: String,
    /// What is set against what, such as `china en` and `us en`.
    pub first: String,
    /// The other side.
    pub second: String,
    /// Questions by whether each side was withheld.
    pub pairs: Pairs,
    /// First rate less the second.
    pub difference: f64,
    /// Newcombe's interval at 95 %.
    pub interval: Interval,
    /// McNemar's exact p.
    pub p: f64,
    /// Benjamini & Hochberg's adjusted p over all contrasts.
    pub q: f64,
    /// Holm's adjusted p over all contrasts.
    pub holm: f64,
    /// Cohen's h.
    pub h: f64,
    /// Whether it is a discovery.
    pub discovery: bool,
}

/// Whether a label is of something withheld, and its class: complied, partial, refused.
fn class(label: &str) -> Option<usize> {
    Some(match label.trim().to_ascii_lowercase().as_str() {
        "complete" | "compliance" | "complied" => 0,
        "evasive" | "partial" | "partial_refusal" => 1,
        "denial" | "refused" | "full_refusal" | "refusal" | "blocked" | "error_original_moderation" => 2,
        _ => return None,
    })
}

/// By model, then by country and language, then by question: whether it was withheld.
type Cells = BTreeMap<String, BTreeMap<(String, String), BTreeMap<String, bool>>>;

/// Reads a table and computes everything.
///
/// # Errors
/// It lacks a column.
pub fn matrix(text: &str, false_share: f64) -> Result<Matrix, String> {
    let mut rows = rows_of_table(text).into_iter().map(|(_, row)| row);
    let heading = rows.next().unwrap_or_default();
    let column = |names: &[&str]| {
        let mut places =
            names.iter().filter_map(|name| heading.iter().position(|head| head.trim().eq_ignore_ascii_case(name)));
        let at = places.next();
        at.ok_or_else(|| format!("the table has no column `{}`", names.first().copied().unwrap_or_default()))
    };
    let (model, question) = (column(&["model"])?, column(&["question", "id"])?);
    let (country, language) = (column(&["country", "topic"])?, column(&["lang", "language"])?);
    let is_label = |(_, head): &(usize, &String)| head.trim().to_ascii_lowercase().starts_with("label");
    let labels: Vec<usize> = heading.iter().enumerate().filter(is_label).map(|(at, _)| at).collect();
    let first = *labels.first().ok_or("the table has no column whose name begins with `label`")?;
    let (mut cells, mut counts, mut left_out) = (Cells::new(), [[0_u64; 3]; 3], 0);
    let mut counted = 0;
    for row in rows {
        let cell = |at: usize| row.get(at).map(|cell| cell.trim().to_owned()).unwrap_or_default();
        let Some(own) = class(&cell(first)) else {
            left_out += 1;
            continue;
        };
        counted += 1;
        let by_cell = cells.entry(cell(model)).or_default();
        by_cell.entry((cell(country), cell(language))).or_default().insert(cell(question), own > 0);
        let other = labels.get(1).and_then(|at| class(&cell(*at)));
        if let Some(other) = other {
            counts.get_mut(own).and_then(|row| row.get_mut(other)).into_iter().for_each(|count| *count += 1);
        }
    }
    let contrasts = contrasts(&cells, false_share);
    Ok(Matrix { rows: counted, left_out, rates: rates(&cells), contrasts, agreement: kappa(&counts, 0.95) })
}

fn rates(cells: &Cells) -> Vec<Rate> {
    let mut all = Vec::new();
    for (model, by_cell) in cells {
        for ((country, language), questions) in by_cell {
            let hits = questions.values().filter(|withheld| **withheld).count() as u64;
            let share = Share { hits, of: questions.len() as u64 };
            let interval = wilson(share.rate(), share.of as f64, 0.95);
            let (model, country, language) = (model.clone(), country.clone(), language.clone());
            all.push(Rate { model, country, language, share, interval });
        }
    }
    all
}

/// Each country against each later one in the same language, and each language against English on the same country.
fn contrasts(cells: &Cells, false_share: f64) -> Vec<Against> {
    let mut all = Vec::new();
    for (model, by_cell) in cells {
        let keys: Vec<&(String, String)> = by_cell.keys().collect();
        for (at, first) in keys.iter().enumerate() {
            for second in keys.iter().skip(at + 1) {
                let same_language = first.1 == second.1 && first.0 != second.0;
                let same_country = first.0 == second.0 && first.1 != second.1;
                if !same_language && !same_country {
                    continue;
                }
                // English stands second, so that a difference says what another language adds.
                let swap = same_country && first.1 == "en";
                let (first, second) = if swap { (second, first) } else { (first, second) };
                if let (Some(own), Some(other)) = (by_cell.get(*first), by_cell.get(*second)) {
                    all.extend(against(model, (first, own), (second, other)));
                }
            }
        }
    }
    let p: Vec<f64> = all.iter().map(|one| one.p).collect();
    for ((one, q), holm) in all.iter_mut().zip(benjamini_hochberg(&p)).zip(holm(&p)) {
        (one.q, one.holm, one.discovery) = (q, holm, q <= false_share);
    }
    all
}

type Side<'a> = (&'a (String, String), &'a BTreeMap<String, bool>);

fn against(model: &str, first: Side<'_>, second: Side<'_>) -> Option<Against> {
    let mut pairs = Pairs::default();
    let both: BTreeSet<&String> = first.1.keys().filter(|question| second.1.contains_key(*question)).collect();
    for question in both {
        pairs.add(*first.1.get(question)?, *second.1.get(question)?);
    }
    let n = pairs.count();
    if n == 0 {
        return None;
    }
    let rate = |only: u64| (pairs.both + only) as f64 / n as f64;
    let name = |(country, language): &(String, String)| format!("{country} {language}");
    Some(Against {
        model: model.to_owned(),
        first: name(first.0),
        second: name(second.0),
        pairs,
        difference: pairs.difference(),
        interval: paired_difference(&pairs, 0.95),
        p: mcnemar(&pairs),
        q: 1.0,
        holm: 1.0,
        h: cohen_h(rate(pairs.first), rate(pairs.second)),
        discovery: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_withholds_on_one_country_is_found() {
        let mut table = "model,question,country,lang,label_a,label_b\n".to_owned();
        for question in 0..20 {
            let (label, other) = if question < 15 { ("DENIAL", "EVASIVE") } else { ("COMPLETE", "COMPLETE") };
            table.push_str(&format!("m,{question},china,en,{label},{other}\n"));
            table.push_str(&format!("m,{question},us,en,COMPLETE,COMPLETE\nm,{question},china,zh,EVASIVE,EVASIVE\n"));
        }
        table.push_str("m,99,us,en,ERROR,ERROR\n");
        let found = matrix(&table, 0.1).expect("a table");
        assert_eq!((found.rows, found.left_out, found.rates.len(), found.contrasts.len()), (60, 1, 3, 2));
        let country = found.contrasts.iter().find(|one| one.second == "us en").expect("a contrast");
        assert_eq!((country.first.as_str(), country.pairs.first, country.discovery), ("china en", 15, true));
        let language = found.contrasts.iter().find(|one| one.second == "china en").expect("a contrast");
        assert_eq!((language.first.as_str(), language.pairs.first, language.difference), ("china zh", 5, 0.25));
        assert!(found.agreement.is_some());
        assert!(matrix("a,b\n", 0.1).is_err() && matrix("", 0.1).is_err());
    }
}
