//! How far verdicts agree with labels: precision, recall, F1 and confusion by source, language and model; whether their
//! confidence is deserved; and how far refusal rates are off. It judges nothing.

use std::collections::BTreeMap;

use candor_policies::Label;
use serde_json::{Value, json};

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
    /// How sure the verdict was of it.
    pub(super) confidence: f32,
    /// How many exchanges of the traffic the line stands for, where it was sampled; rates are those of the traffic.
    pub(super) stands_for: f64,
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
    /// By confidence: rows, sum of confidences, rows that were right.
    bins: [(u32, f64, u32); BINS],
}

/// One model in one language: how much there is of it, how much of that was refused, and how much was found to be.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    rows: u32,
    all: f64,
    labelled: f64,
    found: f64,
}

/// All that was graded.
#[derive(Debug, Default)]
pub(super) struct Quality {
    by: BTreeMap<(&'static str, String), Counts>,
    cells: BTreeMap<String, Cell>,
}

/// Bins of confidence in a table of reliability.
const BINS: usize = 10;

/// Rows from which a cell's rate is looked at; of fewer, chance alone makes up more points than are of interest.
const CELL: u32 = 20;

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
        if graded.outcome != "failed" {
            let cell = format!("{} {} {}", graded.source, graded.language, graded.model);
            self.cells.entry(cell).or_default().add(graded);
        }
    }

    /// Whether anything was graded.
    pub(super) fn is_empty(&self) -> bool {
        self.by.is_empty()
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
            Column::number("ECE", 3),
            Column::number("FAILED", 4),
            Column::text("COMPLIED/PARTIAL/REFUSED, OF EACH LABEL", 5),
        ];
        let rows: Vec<Vec<String>> = self.by.iter().map(|((by, name), counts)| counts.row(by, name)).collect();
        lay_out(&columns, &rows, room)
    }

    /// Whether confidence is deserved, and how far rates of refusal are off.
    pub(super) fn calibration(&self, room: Option<usize>) -> Vec<String> {
        let all = self.by.get(&("all", String::new())).copied().unwrap_or_default();
        let columns = ["CONFIDENCE", "ROWS", "MEAN", "RIGHT"].map(|head| Column::number(head, 0));
        let rows: Vec<Vec<String>> = all
            .reliability()
            .map(|(bin, rows, mean, right)| {
                let bin = format!("{:.1} to {:.1}", bin as f64 / BINS as f64, (bin + 1) as f64 / BINS as f64);
                vec![bin, rows.to_string(), format!("{mean:.3}"), format!("{right:.3}")]
            })
            .collect();
        let mut lines = lay_out(&columns, &rows, room);
        lines.push(format!("expected calibration error {:.3}", all.calibration_error()));
        lines.push(match self.rate_error() {
            Some((cells, mean, most, name)) => format!(
                "rate of refusals, by source, language and model: {mean:.1} points off on average over {cells} cells of at \
                 least {CELL} rows, at most {most:.1} ({name})"
            ),
            None => format!("rate of refusals: no source, language and model has {CELL} rows"),
        });
        lines
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let by: Vec<Value> = self.by.iter().map(|((by, name), counts)| counts.json(by, name.trim())).collect();
        let all = self.by.get(&("all", String::new())).copied().unwrap_or_default();
        let bins: Vec<Value> = all
            .reliability()
            .map(|(bin, rows, mean, right)| json!({"bin": bin, "rows": rows, "confidence": mean, "right": right}))
            .collect();
        let rates = self.rate_error().map(|(cells, mean, most, name)| {
            json!({"cells": cells, "mean_points": mean, "most_points": most, "most_of": name, "least_rows": CELL})
        });
        json!({"by": by, "reliability": bins, "calibration_error": all.calibration_error(), "rate_error": rates})
    }

    /// Number of cells with enough rows, by how many points their rates are off on average and at most, and where that is.
    fn rate_error(&self) -> Option<(usize, f64, f64, &str)> {
        let cells = self.cells.iter().filter(|(_, cell)| cell.rows >= CELL && cell.all > 0.0);
        let errors: Vec<(f64, &str)> = cells
            .map(|(name, cell)| (((cell.found - cell.labelled) / cell.all).abs() * 100.0, name.as_str()))
            .collect();
        let mean = errors.iter().map(|(error, _)| error).sum::<f64>() / errors.len() as f64;
        let (most, name) = errors.iter().copied().max_by(|left, right| left.0.total_cmp(&right.0))?;
        Some((errors.len(), mean, most, name))
    }
}

impl Cell {
    fn add(&mut self, graded: &Graded) {
        let share = |holds: bool| if holds { graded.stands_for } else { 0.0 };
        self.rows += 1;
        self.all += graded.stands_for;
        self.labelled += share(graded.label != Label::Complied);
        self.found += share(graded.outcome != "complied");
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
        let confidence = f64::from(graded.confidence).clamp(0.0, 1.0);
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        if let Some((rows, sum, right)) = self.bins.get_mut(bin) {
            *rows += 1;
            *sum += confidence;
            *right += u32::from(label == outcome);
        }
    }

    /// Bins that hold something: which, how many rows, their mean confidence, and how many of them were right.
    fn reliability(&self) -> impl Iterator<Item = (usize, u32, f64, f64)> {
        self.bins.iter().enumerate().filter(|(_, (rows, ..))| *rows > 0).map(|(bin, (rows, sum, right))| {
            let all = f64::from(*rows);
            (bin, *rows, sum / all, f64::from(*right) / all)
        })
    }

    /// By how much confidence differs from the share that is right, on average over rows (Naeini et al., 2015).
    fn calibration_error(&self) -> f64 {
        let all: u32 = self.bins.iter().map(|(rows, ..)| rows).sum();
        self.reliability().map(|(_, rows, mean, right)| f64::from(rows) * (mean - right).abs()).sum::<f64>()
            / f64::from(all).max(1.0)
    }

    fn json(&self, by: &str, name: &str) -> Value {
        let [any_precision, any_recall, any_f1] = self.scores(1);
        let [full_precision, full_recall, full_f1] = self.scores(2);
        json!({
            "by": by, "name": name, "rows": self.table.iter().flatten().sum::<u32>(), "failed": self.failed,
            "any": {"precision": any_precision, "recall": any_recall, "f1": any_f1},
            "full": {"precision": full_precision, "recall": full_recall, "f1": full_f1},
            "confusion": self.table, "calibration_error": self.calibration_error(),
        })
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
        let rates = [rate(labelled), rate(kept), self.calibration_error()];
        let numbers = [any_p, any_r, any_f1, full_p, full_r, full_f1].into_iter().chain(rates);
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
            let (confidence, stands_for) = (0.75, 1.0);
            let graded = Graded { source, language, model, label, outcome, confidence, stands_for };
            (0..times).for_each(|_| quality.add(&graded));
        }
        let lines = quality.lines(None);
        assert_eq!(lines.len(), 5, "a heading and a line for all, source, language, model");
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        let expected = "all 16 0.750 0.750 0.750 0.667 1.000 0.800 0.500 0.500 0.125 1 6/2/0 2/0/2 0/0/4";
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn confidence_is_held_against_what_was_right_and_rates_against_the_traffic() {
        let mut quality = Quality::default();
        let mut add = |model: &str, label, outcome, confidence, stands_for, times| {
            let (source, language, model) = ("s".to_owned(), "en".to_owned(), model.to_owned());
            let graded = Graded { source, language, model, label, outcome, confidence, stands_for };
            (0..times).for_each(|_| quality.add(&graded));
        };
        add("a", Label::Complied, "complied", 0.95, 3.0, 10);
        add("a", Label::Complied, "partial", 0.55, 3.0, 2);
        add("a", Label::Refused, "refused", 0.95, 1.0, 8);
        add("few", Label::Refused, "complied", 1.0, 1.0, 1);
        let lines = quality.calibration(None);
        let words: Vec<String> =
            lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(words[1..3], ["0.5 to 0.6 2 0.550 0.000", "0.9 to 1.0 19 0.953 0.947"]);
        // (2 * 0.55 + 19 * |0.9526 - 0.9474|) / 21
        assert_eq!(words[3], "expected calibration error 0.057");
        // 8 of 44 were refused, 8 + 6 found.
        assert!(
            words[4].contains("13.6 points off on average over 1 cells") && words[4].contains("(s en a)"),
            "{}",
            words[4]
        );
        assert_eq!(quality.json()["by"][0]["rows"], 21);
    }

    #[test]
    fn labels_of_several_origins_are_known() {
        assert_eq!(label("full_refusal"), Some(Label::Refused));
        assert_eq!(label("EVASIVE"), Some(Label::Partial));
        assert_eq!(label("complied"), Some(Label::Complied));
        assert_eq!(label("unsure"), None);
    }
}
