//! The schema for editors knows the keys that the reader knows, no more and no fewer.

use serde_json::Value;

use crate::{Pack, compile, pack_schema};

/// A pack in which each mapping has a key that nobody knows.
const STRANGE: &str = "
version: 1
name: strange
zzzzzzzz: 0
topics:
  - {id: t, terms: [a], zzzzzzzz: 1, together: [{of: [a, b], zzzzzzzz: 2}]}
detectors:
  - {id: terms, kind: terms, terms: [a], zzzzzzzz: 3}
  - {id: secrets, kind: secrets, zzzzzzzz: 4}
rules:
  - id: r
    on: [prompt]
    detect: [terms]
    action: flag
    zzzzzzzz: 5
    when: {zzzzzzzz: 6, verdict: {outcome: refused, zzzzzzzz: 7}, time: {days: mon, zzzzzzzz: 8}}
  - {id: s, topics: [t], action: reroute, route: {local_only: true, zzzzzzzz: 9}}
tests:
  - {text: a, rules: [r], topics: [t], zzzzzzzz: 7, upstream: {zzzzzzzz: 10}, verdict: {outcome: refused, zzzzzzzz: 11}}
";

/// Where the schema speaks of each of them, in the order of the pack.
const PLACES: [&str; 13] = [
    "/properties",
    "/properties/topics/items/properties/together/items/properties",
    "/properties/topics/items/properties",
    "/properties/detectors/items/oneOf/0/properties",
    "/properties/detectors/items/oneOf/1/properties",
    "/properties/rules/items/properties/when/oneOf/1/properties",
    "/properties/rules/items/properties/when/oneOf/1/properties/verdict/properties",
    "/properties/rules/items/properties/when/oneOf/1/properties/time/properties",
    "/properties/rules/items/properties/route/properties",
    "/properties/rules/items/properties",
    "/properties/tests/items/properties",
    "/properties/tests/items/properties/upstream/oneOf/1/properties",
    "/properties/tests/items/properties/verdict/properties",
];

#[test]
fn the_schema_has_the_readers_keys() {
    let schema: Value = serde_json::from_str(pack_schema()).unwrap();
    let mistakes = compile(&[Pack { name: "strange.yaml".to_owned(), text: STRANGE.to_owned() }]).unwrap_err();
    let mut known: Vec<Vec<String>> = mistakes
        .iter()
        .filter(|mistake| mistake.message.contains("zzzzzzzz"))
        .filter_map(|mistake| mistake.hint.as_deref()?.strip_prefix("known here: ").map(sorted))
        .collect();
    let mut told: Vec<Vec<String>> = PLACES
        .iter()
        .map(|place| {
            let properties = schema.pointer(place).and_then(Value::as_object);
            let properties = properties.unwrap_or_else(|| panic!("the schema has no {place}"));
            sorted(&properties.keys().cloned().collect::<Vec<_>>().join(", "))
        })
        .collect();
    known.sort();
    told.sort();
    assert_eq!(known, told);
}

fn sorted(keys: &str) -> Vec<String> {
    let mut keys: Vec<String> = keys.split(", ").map(str::to_owned).collect();
    keys.sort();
    keys.dedup();
    keys
}
