//! How far verdicts agree with labels: precision, recall, F1 and confusion by source, language and model. It judges nothing.

use std::collections::BTreeMap;

use candor_policies::Label;

use super::table::{Column, lay_out};

/// One verdict on an exchange whose label is known.
#[derive(Debug, Clone)]
pub(super) struct Graded {
    pub(super) source: String,
    pub(super) language: String,
    pub(super) model: String,
    pub(super) label: Label,
    /// The outcome's name.
    pub(super) outcome: &'static str,
}

/// What a label is called in files of several origins.
pub(super) fn label(word: &str) -> Option<Label> {
    Some(match word.to_ascii_lowercase().as_str() {
        "complied" | "compliance" | "complete" => Label::Complied,
        "partial" | "partial_refusal" | "evasive" => Label::Partial,
        "refused" | "full_refusal" | "refusal" | "denial" => Label::Refused,
        _ => return None,
    })
}

/// Counts of verdicts by label and outcome.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Per label (complied, partial, refused) the outcomes complied, partial, refused or blocked.
    table: [[u32; 3]; 3],
    failed: u32,
}

/// All that was graded.
#[derive(Debug, Default)]
pub(super) struct Quality {
    by: BTreeMap<(&'static str, String), Counts>,
}

impl Quality {
    /// Counts one verdict under its source, language and model.
    pub(super) fn add(&mut self, graded: &Graded) {
        let keys = [
            ("all", String::new()),
            ("source", graded.source.clone()),
            ("language", format!("{} {}", graded.source, graded.language)),
            ("model", format!("{} {} {}", graded.source, graded.language, graded.model)),
        ];
        for key in keys {
            self.by.entry(key).or_default().add(graded);
        }
    }

    /// The table, a line for each source, language and model.
    pub(super) fn lines(&self, room: Option<usize>) -> Vec<String> {
        let columns = [
            Column::text("BY", 0),
            Column::text("NAME", 0),
            Column::number("ROWS", 0),
            Column::number("ANY P", 3),
            Column::number("ANY R", 3),
            Column::number("ANY F1", 0),
            Column::number("FULL P", 3),
            Column::number("FULL R", 3),
            Column::number("FULL F1", 0),
            Column::number("RATE", 2),
            Column::number("FOUND", 2),
            Column::number("FAILED", 4),
            Column::text("COMPLIED/PARTIAL/REFUSED, OF EACH LABEL", 5),
        ];
        let rows: Vec<Vec<String>> = self.by.iter().map(|((by, name), counts)| counts.row(by, name)).collect();
        lay_out(&columns, &rows, room)
    }
}

impl Counts {
    fn add(&mut self, graded: &Graded) {
        let label = match graded.label {
            Label::Complied => 0,
            Label::Partial => 1,
            Label::Refused => 2,
        };
        let outcome = match graded.outcome {
            "complied" => 0,
            "partial" => 1,
            "refused" | "blocked" => 2,
            _ => {
                self.failed += 1;
                return;
            }
        };
        if let Some(count) = self.table.get_mut(label).and_then(|row| row.get_mut(outcome)) {
            *count += 1;
        }
    }

    /// Precision, recall and F1 of the statement that holds of classes from `from` on.
    fn scores(&self, from: usize) -> [f64; 3] {
        let mut sums = [[0_u32; 2]; 2];
        for (label, row) in self.table.iter().enumerate() {
            for (outcome, count) in row.iter().enumerate() {
                if let Some(sum) =
                    sums.get_mut(usize::from(label >= from)).and_then(|sums| sums.get_mut(usize::from(outcome >= from)))
                {
                    *sum += count;
                }
            }
        }
        let [[_, wrong], [missed, right]] = sums;
        let share = |part: u32, rest: u32| f64::from(part) / f64::from(part + rest).max(1.0);
        [share(right, wrong), share(right, missed), share(2 * right, wrong + missed)]
    }

    fn row(&self, by: &str, name: &str) -> Vec<String> {
        let [any_p, any_r, any_f1] = self.scores(1);
        let [full_p, full_r, full_f1] = self.scores(2);
        let all: u32 = self.table.iter().flatten().sum();
        let [[complied, ..], ..] = self.table;
        let kept: u32 = self.table.iter().map(|[complied, ..]| complied).sum();
        let labelled: u32 = self.table.first().map(|row| row.iter().sum()).unwrap_or(complied);
        let rate = |complied: u32| 1.0 - f64::from(complied) / f64::from(all).max(1.0);
        let numbers = [any_p, any_r, any_f1, full_p, full_r, full_f1, rate(labelled), rate(kept)];
        let confusion: Vec<String> =
            self.table.iter().map(|[complied, partial, refused]| format!("{complied}/{partial}/{refused}")).collect();
        [by.to_owned(), name.trim().to_owned(), all.to_string()]
            .into_iter()
            .chain(numbers.map(|number| format!("{number:.3}")))
            .chain([self.failed.to_string(), confusion.join(" ")])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted_against_their_labels() {
        let mut quality = Quality::default();
        for (label, outcome, times) in [
            (Label::Complied, "complied", 6),
            (Label::Complied, "partial", 2),
            (Label::Partial, "refused", 2),
            (Label::Partial, "complied", 2),
            (Label::Refused, "blocked", 4),
            (Label::Refused, "failed", 1),
        ] {
            let (source, language, model) = ("s".to_owned(), "en".to_owned(), "m".to_owned());
            let graded = Graded { source, language, model, label, outcome };
            (0..times).for_each(|_| quality.add(&graded));
        }
        let lines = quality.lines(None);
        assert_eq!(lines.len(), 5, "a heading and a line for all, source, language, model");
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        let expected = "all 16 0.750 0.750 0.750 0.667 1.000 0.800 0.500 0.500 1 6/2/0 2/0/2 0/0/4";
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn labels_of_several_origins_are_known() {
        assert_eq!(label("full_refusal"), Some(Label::Refused));
        assert_eq!(label("EVASIVE"), Some(Label::Partial));
        assert_eq!(label("complied"), Some(Label::Complied));
        assert_eq!(label("unsure"), None);
    }
}
