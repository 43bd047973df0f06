//! Error rates of the classifier by language, as they were measured. They are data; nothing here measures.

use std::collections::BTreeMap;

use super::statistics::correction::Calibration;

/// Error rates by language.
pub type Calibrations = BTreeMap<String, Calibration>;

/// Counts on the criticism sets, left out of training as a whole source, as `policies/models/README.md` has them.
const SHIPPED: &str = include_str!("../../../policies/models/calibration.json");

/// Error rates of the shipped classifier.
#[must_use]
pub fn shipped() -> Calibrations {
    read(SHIPPED).unwrap_or_default()
}

/// Reads error rates: `{"en": {"sensitivity": {"hits": 1, "of": 2}, "specificity": {...}}}`.
///
/// # Errors
/// What is wrong.
pub fn read(text: &str) -> Result<Calibrations, String> {
    let all: Calibrations = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for (language, one) in &all {
        for share in [one.sensitivity, one.specificity] {
            if share.of == 0 || share.hits > share.of {
                return Err(format!("`{language}`: `hits` must be at most `of`, and that above 0"));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_error_rates_can_be_read_and_broken_ones_are_told() {
        assert!(shipped().contains_key("en") && shipped().contains_key("zh"));
        for text in [
            "",
            "{",
            "{\"en\": {}}",
            "{\"en\": {\"sensitivity\": {\"hits\": 3, \"of\": 2}, \"specificity\": {\"hits\": 1, \"of\": 2}}}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
