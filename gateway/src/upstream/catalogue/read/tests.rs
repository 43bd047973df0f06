//! The shipped catalogue, catalogues of one's own, and what is wrong with bad ones.

use super::super::Echo;
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
    let echo = |name: &str, model: &str| {
        let quirks = catalogue.entry(name).and_then(|entry| entry.quirks(Dialect::OpenaiChat, model));
        quirks.map(|quirks| quirks.echo)
    };
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
    checked: 2026-13
  - {name: b, extends: deepseak, dialect: openai-chat, checked: 2026-11, source: x}
  - {name: c, dialect: openai-chat, speaks: {fax: ''}, checked: 2026-11, source: x, models: [{match: [a], dialect: telex}]}
  - name: d
    dialect: anthropic
    models:
      - {dialect: openai-responses, match: ['*'], echo_reasoning: never}
      - {match: ['*'], parameters: [{drop: a, is: [b]}, {drop: a, at_least: much}]}
prices: []
";
    let told = own(text).map(|_| ()).unwrap_err();
    for part in [
        "own.yaml:2:24: `smoke` is not a dialect",
        "own.yaml:2:40: providers.checked must be a month",
        "own.yaml:5:15: providers.base_url must be a URL",
        "one of `bearer`, `api-key`, `x-api-key`, not `smell`",
        "a signal needs a code",
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
        "own.yaml:13:14: providers.checked",
        "`providers` lacks `source`",
        "own.yaml:14:5: provider `b` stands twice",
        "no shipped provider is named `deepseak`\n  hint: did you mean `deepseek`?",
        "unknown key `prices`",
        "own.yaml:15:45: `fax` is not a dialect",
        "`anthropic-count-tokens`, not `telex`",
        "`is` needs `when`",
        "providers.models[1].parameters[1].at_least must be a number",
        "own.yaml:19:19: `thinking`, `echo_reasoning` and `roles` are known of Chat Completions only",
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
    let count = |name: &str| catalogue.entry(name).map_or(0, |entry| catalogue.blocks(entry).len());
    assert!(count("openrouter") > count("deepseek") + count("dashscope"));
    assert_eq!(count("deepseek"), catalogue.entry("deepseek").map_or(0, |entry| entry.blocks.len()));
}
