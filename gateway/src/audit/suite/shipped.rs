//! The suites that are compiled in. They are data; nothing here reads them by itself.

use super::import::{Format, text};
use super::probe::Suite;

const SHIPPED: [(&str, &str); 2] = [
    ("topics", include_str!("../../../../policies/suites/topics.yaml")),
    ("maths", include_str!("../../../../policies/suites/maths.yaml")),
];

/// Names of the suites that are compiled in.
#[must_use]
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

/// One of them by its name.
#[must_use]
pub fn shipped(name: &str) -> Option<Suite> {
    let (name, source) = SHIPPED.iter().find(|(known, _)| *known == name)?;
    text(name, source, Some(Format::Yaml)).ok()
}
