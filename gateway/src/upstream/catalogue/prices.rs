//! What vendors charge, as dated data that is compiled in. It computes nothing; `cost` does.

use crate::config::{Mistake, read_prices};
use crate::cost::Price;

const SHIPPED: &str = include_str!("prices.yaml");

/// The shipped prices, checked.
///
/// # Errors
/// Everything that is wrong with them: a defect of the build.
pub fn shipped_prices() -> Result<Vec<Price>, Vec<Mistake>> {
    read_prices("prices.yaml", SHIPPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_price_has_a_source_and_a_first_day() {
        let prices = shipped_prices().unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assert!(prices.len() >= 8);
        for price in prices {
            assert!(!price.source.is_empty() && !price.checked.is_empty() && price.from.is_some(), "{}", price.id);
        }
    }

    #[test]
    fn a_bad_file_is_told_whole() {
        let text = "
prices:
  - {model: a, currency: dollars, from: 2025-13-01, per_million: {input: -1, output: 2}, source: x, checked: y}
  - {model: b, from: 2025-02-01, until: 2025-01-01, per_million: {input: 1}, source: x, checked: y}
  - {model: c*d, per_million: {input: 1, output: 1}, special: [{per_million: {input: 1, output: 1}}], source: x, checked: y}
  - {model: e, per_million: {input: 1, output: 1}, special: [{hours: ['9-8'], per_million: {input: 1, output: 1}}], source: x}
  - {model: f, from: 2025-01-01, per_million: {input: 1, output: 1}, source: x, checked: y}
  - {model: f, from: 2025-02-01, per_million: {input: 1, output: 1}, source: x, checked: y}
  - {model: g, providers: [nobody], per_million: {input: 1, output: 1, inputs: 3}, source: x, checked: y}
";
        let mistakes = read_prices("p.yaml", text).expect_err("mistakes");
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        for part in [
            "three letters",
            "a day such as",
            "an amount such as",
            "end after it began",
            "lacks `per_million.output`",
            "only stand at its end",
            "must say when they hold",
            "`9-8` are no hours",
            "lacks `checked`",
            "holds for the same model",
            "no provider is named `nobody`",
            "unknown key",
        ] {
            assert!(told.iter().any(|mistake| mistake.contains(part)), "{part}: {told:#?}");
        }
        assert!(told.iter().all(|mistake| mistake.starts_with("p.yaml:")), "{told:#?}");
    }
}
