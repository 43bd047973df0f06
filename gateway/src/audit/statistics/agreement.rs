//! How far two judges agree beyond chance. It prefers neither.

use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::special::z_of;

/// Agreement of two judges.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Answers that both judged.
    pub count: u64,
    /// Share on which they agree.
    pub observed: f64,
    /// Cohen's kappa.
    pub kappa: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Cohen's kappa (1960, Educational and Psychological Measurement 20:37) of a table of counts, the first judge's classes by
/// rows, with the large-sample standard error of Fleiss, Cohen & Everitt (1969, Psychological Bulletin 72:323, equation 13).
/// Nothing where there is no answer, or chance alone would make them agree on all.
#[must_use]
pub fn kappa<const N: usize>(table: &[[u64; N]; N], level: f64) -> Option<Agreement> {
    let count: u64 = table.iter().flatten().sum();
    if count == 0 {
        return None;
    }
    let n = count as f64;
    let share = |row: usize, column: usize| {
        table.get(row).and_then(|row| row.get(column)).map_or(0.0, |count| *count as f64 / n)
    };
    let rows: Vec<f64> = (0..N).map(|row| (0..N).map(|column| share(row, column)).sum()).collect();
    let columns: Vec<f64> = (0..N).map(|column| (0..N).map(|row| share(row, column)).sum()).collect();
    let (of_row, of_column) =
        (|at: usize| rows.get(at).copied().unwrap_or(0.0), |at: usize| columns.get(at).copied().unwrap_or(0.0));
    let observed: f64 = (0..N).map(|at| share(at, at)).sum();
    let expected: f64 = (0..N).map(|at| of_row(at) * of_column(at)).sum();
    if expected >= 1.0 {
        return None;
    }
    let kappa = (observed - expected) / (1.0 - expected);
    let diagonal: f64 =
        (0..N).map(|at| share(at, at) * (1.0 - (of_row(at) + of_column(at)) * (1.0 - kappa)).powi(2)).sum();
    let mut rest = 0.0;
    for row in 0..N {
        for column in (0..N).filter(|column| *column != row) {
            rest += share(row, column) * (of_column(row) + of_row(column)).powi(2);
        }
    }
    let last = (kappa - expected * (1.0 - kappa)).powi(2);
    let variance = (diagonal + (1.0 - kappa).powi(2) * rest - last) / (n * (1.0 - expected).powi(2));
    let half = z_of(level) * variance.max(0.0).sqrt();
    Some(Agreement { count, observed, kappa, interval: Interval { low: kappa - half, high: (kappa + half).min(1.0) } })
}
