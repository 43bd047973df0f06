//! Bills as vendors would write them, and the ways in which other gateways are known to get them wrong.

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::dialect;
use crate::exchange::Dialect;
use crate::upstream::catalogue::shipped_prices;

const JANUARY_2025: OffsetDateTime = datetime!(2025-01-27 12:00 UTC);

fn shipped() -> Prices {
    Prices::of(vec![shipped_prices().unwrap_or_else(|mistakes| panic!("{mistakes:?}"))])
}

/// Token counts as [prompt, completion, reasoning, cached, written].
fn usage([prompt, completion, reasoning, cached, written]: [u64; 5]) -> Usage {
    let some = |count: u64| (count > 0).then_some(count);
    Usage {
        prompt: Some(prompt),
        completion: Some(completion),
        reasoning: some(reasoning),
        cached: some(cached),
        written: some(written),
    }
}

/// Checks what tokens of a model cost, in dollars.
fn check(model: &str, at: OffsetDateTime, counts: [u64; 5], expected: &str) {
    let prices = shipped();
    let price = prices.find(None, model, at).unwrap_or_else(|| panic!("no price of {model} at {at}"));
    let cost = price.cost(&usage(counts), at).unwrap_or_else(|| panic!("no cost"));
    assert_eq!((write_nanos(cost.nanos).as_str(), cost.currency), (expected, Currency::USD), "{model} {counts:?} {at}");
}

#[test]
fn r1_against_o1_is_27_times() {
    check("deepseek-reasoner", JANUARY_2025, [1_000_000, 0, 0, 0, 0], "0.55");
    check("deepseek-reasoner", JANUARY_2025, [0, 1_000_000, 800_000, 0, 0], "2.19");
    check("o1", JANUARY_2025, [1_000_000, 1_000_000, 900_000, 0, 0], "75.00");
    let prices = shipped();
    let cost = |model: &str, counts| {
        let price = prices.find(None, model, JANUARY_2025).expect("a price");
        price.cost(&usage(counts), JANUARY_2025).expect("a cost").nanos
    };
    for (counts, tenths) in [
        ([1000, 0, 0, 0, 0], 272),
        ([0, 1000, 0, 0, 0], 273),
        ([1200, 4000, 3500, 0, 0], 273),
        ([1000, 0, 0, 1000, 0], 535),
    ] {
        assert_eq!(10 * cost("o1", counts) / cost("deepseek-reasoner", counts), tenths, "{counts:?}");
    }
}

#[test]
fn cached_tokens_are_billed_once_and_at_their_own_rate() {
    // 150 000 prompt tokens of which 140 000 came from the cache: they are part of the prompt, not beside it.
    check("deepseek-chat", JANUARY_2025, [150_000, 1_000, 0, 140_000, 0], "0.0136");
    check("o1", JANUARY_2025, [150_000, 1_000, 0, 140_000, 0], "1.26");
    // More cached tokens than prompt tokens are a mistake of the upstream's; none is billed twice for it.
    check("o1", JANUARY_2025, [100, 0, 0, 1_000_000, 0], "0.00075");
}

#[test]
fn written_tokens_are_billed_once() {
    let rates = Rates {
        input: 3 * NANO,
        cached: Some(300_000_000),
        written: Some(3_750_000_000),
        output: 15 * NANO,
        reasoning: None,
    };
    let price = Price { rates, ..Price::free() };
    let cost = |counts| price.cost(&usage(counts), JANUARY_2025).map(|cost| (write_nanos(cost.nanos), cost.estimated));
    // 10 fresh, 2 000 read from the cache, 1 000 written to it.
    assert_eq!(cost([3_010, 100, 0, 2_000, 1_000]), Some(("0.00588".to_owned(), false)));
    let unknown = Price { rates: Rates { written: None, cached: None, ..rates }, ..price.clone() };
    let cost = unknown.cost(&usage([3_010, 100, 0, 2_000, 1_000]), JANUARY_2025).expect("a cost");
    assert_eq!((write_nanos(cost.nanos).as_str(), cost.estimated), ("0.01053", true), "an unknown rate shows");
}

#[test]
fn each_vendors_name_for_cached_tokens_is_read() {
    let prices = shipped();
    let check = |model: &str, raw: &str, expected: Option<&str>| {
        let body = format!(r#"{{"id":"x","model":"{model}","choices":[],"usage":{raw}}}"#);
        let seen =
            dialect::read_reply(Dialect::OpenaiChat, body.as_bytes()).expect("a reply").usage.unwrap_or_default();
        let cost = prices.find(None, model, JANUARY_2025).and_then(|price| price.cost(&seen, JANUARY_2025));
        assert_eq!(cost.map(|cost| write_nanos(cost.nanos)).as_deref(), expected, "{raw}");
    };
    let openai = r#"{"prompt_tokens":1000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":900}}"#;
    let deepseek =
        r#"{"prompt_tokens":1000,"completion_tokens":10,"prompt_cache_hit_tokens":900,"prompt_cache_miss_tokens":100}"#;
    let both = r#"{"prompt_tokens":1000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":900},"prompt_cache_hit_tokens":900,"prompt_cache_miss_tokens":100}"#;
    let null = r#"{"prompt_tokens":1000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":null},"prompt_cache_hit_tokens":900}"#;
    for raw in [openai, deepseek, both, null] {
        check("deepseek-reasoner", raw, Some("0.0002029"));
    }
    check("o1", openai, Some("0.00885"));
    check("o1", "null", None);
    check("o1", r#"{"total_tokens":7}"#, None);
}

#[test]
fn without_counts_nothing_is_said_and_what_is_free_stays_free() {
    let (prices, none) = (shipped(), Usage::default());
    let price = prices.find(None, "o1", JANUARY_2025).expect("a price");
    assert_eq!(price.cost(&none, JANUARY_2025), None);
    assert_eq!(price.cost(&Usage { prompt: Some(5), ..none }, JANUARY_2025), None);
    assert_eq!(Price::free().cost(&none, JANUARY_2025).map(|cost| (cost.nanos, cost.estimated)), Some((0, false)));
}

#[test]
fn long_prompts_are_billed_whole_at_their_tier() {
    let at = datetime!(2026-06-01 00:00 UTC);
    check("qwen3-max", at, [32_768, 1000, 0, 0, 0], "0.0453216");
    check("qwen3-max", at, [32_769, 1000, 0, 0, 0], "0.0906456");
    check("qwen3-max", at, [200_000, 1000, 0, 0, 0], "0.615");
    let cost = shipped().find(None, "qwen3-max", at).and_then(|price| price.cost(&usage([1000, 0, 0, 500, 0]), at));
    assert!(cost.is_some_and(|cost| cost.estimated), "the rate of its cache is not known");
}

#[test]
fn hours_and_days_have_rates_of_their_own() {
    let million = [1_000_000, 1_000_000, 0, 0, 0];
    // 2 November 2026 is a Monday.
    check("deepseek-v4-pro", datetime!(2026-11-02 00:59:59 UTC), million, "2.64");
    check("deepseek-v4-pro", datetime!(2026-11-02 01:00 UTC), million, "5.28");
    check("deepseek-v4-pro", datetime!(2026-11-02 04:00 UTC), million, "2.64");
    check("deepseek-v4-pro", datetime!(2026-11-02 09:59 UTC), million, "5.28");
    check("deepseek-v4-pro", datetime!(2026-11-02 18:00 +08:00), million, "2.64");
    check("deepseek-v4-pro", datetime!(2026-11-01 02:00 UTC), million, "2.64");
    check("deepseek-v4-flash", datetime!(2026-11-03 07:00 UTC), [2_000_000, 0, 0, 1_000_000, 0], "0.306");
}

#[test]
fn a_price_holds_for_its_days_its_provider_and_its_model() {
    let prices = shipped();
    let check = |provider, model: &str, at, expected: Option<&str>| {
        let found = prices.find(provider, model, at).map(|price| price.id.to_string());
        assert_eq!(
            found.as_deref().map(|id| id.split('@').next().unwrap_or_default()),
            expected,
            "{provider:?} {model} {at}"
        );
    };
    check(Some("deepseek"), "deepseek-reasoner", JANUARY_2025, Some("deepseek-reasoner"));
    check(Some("openrouter"), "deepseek-reasoner", JANUARY_2025, None);
    check(Some("deepseek"), "deepseek-reasoner", datetime!(2026-01-01 00:00 UTC), None);
    check(Some("openai"), "o1-mini", JANUARY_2025, None);
    check(Some("openai"), "o1-2024-12-17", JANUARY_2025, Some("o1-2024-12-17"));
    assert_eq!(
        prices.nearest("deepseek-reasoner", datetime!(2026-01-01 00:00 UTC)).map(|price| price.currency),
        Some(Currency::USD)
    );
}

#[test]
fn the_configuration_comes_before_what_is_shipped() {
    let price = |id: &str, model: &str, from| Price { id: id.into(), model: model.to_owned(), from, ..Price::free() };
    let day = |text| Some(Date::parse(text, &time::format_description::well_known::Iso8601::DATE).expect("a day"));
    let own = vec![
        price("all", "m*", None),
        price("early", "m-1", day("2025-01-01")),
        price("late", "m-1", day("2025-01-20")),
    ];
    let prices = Prices::of(vec![own, vec![price("shipped", "m-1", None), price("other", "x", None)]]);
    let check = |model: &str, expected: Option<&str>| {
        assert_eq!(prices.find(None, model, JANUARY_2025).map(|price| &*price.id), expected, "{model}");
    };
    check("m-1", Some("late"));
    check("m-2", Some("all"));
    check("x", Some("other"));
    check("y", None);
}

#[test]
fn amounts_are_read_and_written_exactly() {
    for (text, nanos, written) in [
        ("0.55", Some(550_000_000), "0.55"),
        ("15", Some(15_000_000_000), "15.00"),
        ("0.000000001", Some(1), "0.000000001"),
        ("0.0000000001", None, ""),
        ("-1", None, ""),
        ("1.", None, ""),
        (".5", None, ""),
        ("1e3", None, ""),
        ("9999999999999", None, ""),
        ("", None, ""),
    ] {
        assert_eq!(read_nanos(text), nanos, "{text}");
        if let Some(nanos) = nanos {
            assert_eq!(write_nanos(i64::try_from(nanos).expect("small")), written);
        }
    }
    assert_eq!(write_nanos(-1_500_000_000), "-1.50");
}

proptest! {
    #[test]
    fn no_counts_break_the_sum_and_a_cache_never_costs_more(counts in any::<[u64; 5]>(), rates in any::<[u32; 3]>()) {
        let [input, cached, output] = rates.map(|rate| u64::from(rate) * 1000);
        let rates = Rates { input, cached: Some(cached.min(input)), written: Some(input), output, reasoning: None };
        let price = Price { rates, ..Price::free() };
        let cost = |counts| price.cost(&usage(counts), JANUARY_2025).map(|cost| cost.nanos);
        let [prompt, completion, reasoning, hits, written] = counts;
        prop_assert!(cost(counts) >= Some(0));
        prop_assert!(cost(counts) <= cost([prompt, completion, reasoning, 0, written]));
        prop_assert_eq!(cost([prompt, completion, 0, hits, written]), cost(counts), "reasoning is among the completion's");
        prop_assert_eq!(cost([prompt, completion, 0, hits, 0]), cost([prompt, completion, 0, hits, written]));
    }
}
