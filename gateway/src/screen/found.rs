//! What was found in one exchange, bounded in number. It decides nothing.

use crate::exchange::Finding;

/// Findings kept of one exchange; a reply made of nothing else must not take all memory. What is beyond is acted upon
/// all the same, and counted.
const MOST: usize = 1000;

/// The findings of one exchange.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that are kept, in the order they were found.
    pub kept: Vec<Finding>,
    /// How many more there were.
    pub unkept: u64,
}

impl Found {
    /// Adds a finding.
    pub(super) fn push(&mut self, finding: Finding) {
        if self.kept.len() < MOST {
            self.kept.push(finding);
        } else {
            self.unkept += 1;
        }
    }

    /// Adds all findings of another part of the exchange.
    pub fn append(&mut self, other: Self) {
        self.unkept += other.unkept;
        for finding in other.kept {
            self.push(finding);
        }
    }
}
