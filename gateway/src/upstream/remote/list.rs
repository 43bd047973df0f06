//! The list of models that a remote backend gives, read over a connection of its own. It keeps nothing.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::send::VERSION;
use super::target::Target;
use crate::exchange::Dialect;
use crate::upstream::errand::Errands;

/// Bytes of a list at most: OpenRouter's has several hundred thousand.
const LONGEST: usize = 4 << 20;

/// Names of a list at most, and bytes of a name.
const MOST: usize = 5_000;
const LONGEST_NAME: usize = 200;

/// Names of the models that a backend says it has; `None` where it says nothing that can be read.
pub(crate) async fn list(target: &Target, limit: Duration) -> Option<Vec<Arc<str>>> {
    let mut headers = target.headers.clone();
    if target.main() == Some(Dialect::Anthropic) {
        headers.insert(VERSION, HeaderValue::from_static("2023-06-01"));
    }
    let answered = Errands::new(&target.trust).get(&target.models, headers, (limit, LONGEST)).await.ok()?;
    (answered.status == StatusCode::OK && answered.whole).then(|| read(&answered.body))?
}

/// Reads a list as OpenAI and Anthropic write it, or one without an envelope.
fn read(body: &[u8]) -> Option<Vec<Arc<str>>> {
    let told: Value = serde_json::from_slice(body).ok()?;
    let list = told.get("data").unwrap_or(&told).as_array()?;
    let good = |name: &&str| (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    let names = list.iter().filter_map(|one| one.get("id")?.as_str()).filter(good);
    Some(names.take(MOST).map(Arc::from).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_read_from_any_list_and_odd_ones_left_out() {
        let check = |body: Value, expected: Option<&[&str]>| {
            let found = read(body.to_string().as_bytes());
            let found = found.as_ref().map(|names| names.iter().map(|name| &**name).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), expected, "{body}");
        };
        check(
            json!({"object": "list", "data": [{"id": "a", "object": "model"}, {"id": "b/c:d"}]}),
            Some(&["a", "b/c:d"]),
        );
        check(json!([{"id": "a"}]), Some(&["a"]));
        check(json!({"data": []}), Some(&[]));
        let odd = json!({"data": [{"id": 7}, {}, null, "x", {"id": ""}, {"id": "a\nb"}, {"id": "y".repeat(201)}, {"id": "z"}]});
        check(odd, Some(&["z"]));
        for other in [json!({"choices": []}), json!({"data": {}}), json!(null), json!("x")] {
            check(other, None);
        }
        let many: Vec<Value> = (0..2 * MOST).map(|n| json!({"id": n.to_string()})).collect();
        assert_eq!(read(json!(many).to_string().as_bytes()).map(|names| names.len()), Some(MOST));
    }

    proptest! {
        #[test]
        fn no_list_does_harm(body in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&body);
        }
    }
}
