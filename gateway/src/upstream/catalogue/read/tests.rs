//! The shipped catalogue, catalogues of one's own, and what is wrong with bad ones.

use time::macros::{date, datetime};

use super::super::{Echo, Rate};
use super::*;

fn shipped() -> Catalogue {
    load(None).unwrap_or_else(|mistakes| panic!("{}", told(&mistakes)))
}

fn own(text: &str) -> Result<Catalogue, String> {
    load(Some(("own.yaml", text))).map_err(|mistakes| told(&mistakes))
}

fn told(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
}

#[test]
fn the_shipped_catalogue_is_valid_and_whole() {
    let catalogue = shipped();
    let names = [
        "openai-compatible",
        "openai",
        "deepseek",
        "deepseek-r1",
        "dashscope",
        "moonshot",
        "anthropic",
        "openrouter",
        "huggingface",
        "vllm",
        "sglang",
        "llama-cpp",
        "ollama",
    ];
    for name in names {
        assert!(catalogue.entry(name).is_some(), "{name} is missing");
    }
    let url = |name: &str| catalogue.entry(name).and_then(|entry| entry.base_url.clone());
    assert_eq!(url("openai").as_deref(), Some("https://api.openai.com/v1"));
    assert_eq!((url("openai-compatible"), url("azure-openai")), (None, None));
    assert_eq!(catalogue.providers().next().map(|first| first.name.as_str()), Some("openai-compatible"));
    let echo =
        |name: &str, model: &str| catalogue.entry(name).and_then(|entry| entry.quirks(model)).map(|quirks| quirks.echo);
    assert_eq!(echo("deepseek", "deepseek-reasoner"), Some(Echo::WithTools));
    assert_eq!(echo("deepseek-r1", "deepseek-reasoner"), Some(Echo::Never));
    assert_eq!(echo("vllm", "anything"), None);
    assert_eq!(echo("azure-openai", "o3-mini"), Some(Echo::Ignored));
}

#[test]
fn a_bad_catalogue_is_told_whole_and_with_lines() {
    let text = "providers:
  - {name: a, dialect: smoke, checked: soon, source: x}
  - name: b
    dialect: openai-chat
    base_url: nowhere/
    auth: smell
    blocks: [{status: [400]}, {status: [90], code: [x]}]
    keep_alive: [humming]
    models:
      - parameters: [{drop: a, rename: b}, {rename: c.d, to: e}, {refuse: f}, {drop: g, takse: [1]}, {drop: n}]
        echo_reasoning: loudly
        thinks_streamed_only: true
    prices:
      - {match: [m], from: 2026-02-30, input: -1, source: x}
      - {match: [m], from: 2026-02-02, until: 2026-02-01, input: 1, output: 0.1234567, currency: euro, source: x}
      - {match: [m], from: 2026-02-02, input: 1, output: 1, source: x, bands: [{hours: [\"4-1\"], input: 1, output: 1}]}
    checked: 2026-13
  - {name: b, extends: deepseak, dialect: openai-chat, checked: 2026-11, source: x}
prices: []
";
    let told = own(text).map(|_| ()).unwrap_err();
    for part in [
        "own.yaml:2:24: `smoke` is not a dialect",
        "own.yaml:2:40: providers.checked must be a month",
        "own.yaml:5:15: providers.base_url must be a URL",
        "one of `bearer`, `api-key`, `x-api-key`, not `smell`",
        "a block signal needs a code",
        "`90` is no HTTP status",
        "`humming` is no habit",
        "no model is matched",
        "exactly one thing that is done",
        "`c.d` is inside an object",
        "lacks `because`",
        "a parameter's name must be text",
        "unknown key `providers.models[0].parameters[3].takse`\n  hint: did you mean `takes`?",
        "not `loudly`",
        "`thinks_streamed_only` needs `thinking`",
        "a day such as 2026-11-26, not `2026-02-30`",
        "not `-1`",
        "a price lacks `output`",
        "`until` must come after `from`",
        "not `0.1234567`",
        "not `euro`",
        "`4-1` is no span of hours",
        "own.yaml:17:14: providers.checked",
        "`providers` lacks `source`",
        "own.yaml:18:5: provider `b` stands twice",
        "no shipped provider is named `deepseak`\n  hint: did you mean `deepseek`?",
        "unknown key `prices`",
    ] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    for broken in ["providers: [", "providers: 7", "[]", "7", "providers: [7]", "\u{0}"] {
        assert!(own(broken).is_err(), "{broken:?}");
    }
    assert!(own("").is_ok());
}

#[test]
fn own_entries_come_beside_instead_of_or_on_top_of_shipped_ones() {
    let catalogue = own("providers:
  - {name: ours, dialect: openai-chat, base_url: http://gpu:8000/v1, checked: 2026-11-26, source: our own}
  - {name: deepseek, extends: deepseek, base_url: https://mirror/v1}
  - {name: ollama, dialect: openai-chat, checked: 2026-11, source: x}
")
    .unwrap_or_else(|told| panic!("{told}"));
    let entry = |name: &str| catalogue.entry(name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(entry("ours").base_url.as_deref(), Some("http://gpu:8000/v1"));
    assert_eq!(entry("deepseek").base_url.as_deref(), Some("https://mirror/v1"));
    assert_eq!((entry("deepseek").blocks.len(), entry("ollama").models.len()), (1, 0));
    assert_eq!(catalogue.providers().count(), shipped().providers().count() + 1);
    assert_ne!(catalogue.digest(), shipped().digest());
}

#[test]
fn a_relay_knows_the_signals_of_all() {
    let catalogue = shipped();
    let count = |name: &str| catalogue.entry(name).map_or(0, |entry| catalogue.signals(entry).len());
    assert!(count("openrouter") > count("deepseek") + count("dashscope"));
    assert_eq!(count("deepseek"), catalogue.entry("deepseek").map_or(0, |entry| entry.blocks.len()));
}

#[test]
fn prices_follow_the_day_the_hour_and_the_length_of_the_prompt() {
    let catalogue = shipped();
    let check = |provider: &str, model: &str, at: time::OffsetDateTime, prompt: u64, expected: Option<(u64, u64)>| {
        let prices = catalogue.entry(provider).map(|entry| entry.prices.as_slice()).unwrap_or_default();
        let price = prices.iter().find(|price| price.applies(model, at.date()));
        let rates = price.map(|price| *price.rates(at, prompt));
        assert_eq!(rates.map(|rates| (rates.input.0, rates.output.0)), expected, "{model} {at}");
    };
    let early = datetime!(2025-02-10 12:00 UTC);
    check("deepseek", "deepseek-reasoner", early, 9, Some((550_000, 2_190_000)));
    check("openai", "o1", early, 9, Some((15_000_000, 60_000_000)));
    check("openai", "o1-mini", early, 9, None);
    check("deepseek", "deepseek-reasoner", datetime!(2025-09-05 0:00 UTC), 9, None);
    let flash = "deepseek-v4.1-flash";
    check("deepseek", flash, datetime!(2026-11-26 3:59 UTC), 9, Some((300_000, 1_200_000)));
    check("deepseek", flash, datetime!(2026-11-26 4:00 UTC), 9, Some((150_000, 600_000)));
    check("deepseek", flash, datetime!(2026-11-28 3:00 UTC), 9, Some((150_000, 600_000)));
    check("deepseek", flash, datetime!(2026-11-26 11:30 +8), 9, Some((300_000, 1_200_000)));
    let may = datetime!(2026-05-02 3:00 UTC);
    check("dashscope", "qwen3-max", may, 128_000, Some((1_200_000, 6_000_000)));
    check("dashscope", "qwen3-max", may, 128_001, Some((3_000_000, 15_000_000)));
    let kimi = catalogue.entry("moonshot").and_then(|entry| entry.prices.last()).expect("a price");
    assert_eq!((kimi.from, kimi.rates.cached), (date!(2026 - 07 - 01), Some(Rate(300_000))));
}
