//! Configurations of any form: every mistake has a place and a way out, and no secret is ever repeated.

use candor_gateway::config::{Environment, read};
use proptest::prelude::*;

const SECRET: &str = "sk-fuzz-0123456789";

/// Reads a text; whatever comes out must not repeat the secret.
fn told(text: &str) -> Result<(), usize> {
    match read("candor.yaml", text, None, &Environment::default()) {
        Ok(loaded) => {
            let shown = format!("{:?} {}", loaded.config, loaded.resolved);
            assert!(!shown.contains(SECRET), "{shown}");
            Ok(())
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in &mistakes {
                assert!(mistake.place.line <= 1 + text.lines().count() as u64, "{mistake}");
                assert!(!mistake.to_string().contains(SECRET), "{mistake}");
            }
            Err(mistakes.len())
        }
    }
}

/// One line of a configuration, right or wrong.
fn lines() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("workers"),
        Just("drain"),
        Just("listen"),
        Just("limits"),
        Just("database"),
        Just("callers"),
        Just("upstreams"),
        Just("models"),
        Just("policies"),
        Just("observe"),
        Just("nonsense"),
    ];
    let value = prop_oneof![
        Just("3".to_owned()),
        Just("5s".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just("{address: '127.0.0.1:0', plain: true}".to_owned()),
        Just("{body_bytes: 1MiB, idle: never}".to_owned()),
        Just(format!("{{keys: [{{caller: a, key: {SECRET}}}]}}")),
        Just(format!("[{{name: a, base_url: 'http://h/v1', key: {SECRET}, timeouts: {{gap: 1x}}}}]")),
        Just("[{name: m, candidates: [{upstream: a}]}]".to_owned()),
        "[ -~]{0,12}",
    ];
    (key, value).prop_map(|(key, value)| format!("{key}: {value}\n"))
}

proptest! {
    #[test]
    fn mistakes_of_a_configuration_have_places_and_secrets_stay_secret(
        lines in proptest::collection::vec(lines(), 0..8),
    ) {
        let _ = told(&lines.concat());
    }

    #[test]
    fn a_damaged_configuration_is_told_or_read(text in "\\PC{0,200}|[a-z:{}\\[\\]\n'\" &*!|>-]{0,200}") {
        let _ = told(&text);
    }
}
