//! Streams in the forms that vendors send them, kept as files: each passes untouched and is read as its twin says.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::gateway::Setup;
use crate::harness::pack::{REDACTS, STOPS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

/// Every recorded stream, by name.
fn streams() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let entries = std::fs::read_dir(folder).expect("the golden files").flatten().map(|entry| entry.path());
    let mut streams: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "sse")).collect();
    streams.sort();
    assert!(streams.len() >= 5);
    streams
}

#[tokio::test]
async fn vendors_streams_pass_untouched_and_are_read_right() {
    let streams = streams();
    let replies = streams.iter().map(|path| Reply::bytes_by(97, &std::fs::read(path).expect("a stream"))).collect();
    let upstream = Upstream::in_turn(replies).await;
    let gateway = Setup::before(&upstream).pack(&pack(&[REDACTS, STOPS])).start().await;
    for path in streams {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let messages = json!([{"role": "user", "content": "Hello"}]);
        let body =
            json!({"model": name, "stream": true, "stream_options": {"include_usage": true}, "messages": messages});
        let answer = gateway.client().chat(&body).await;
        let id = answer.id();
        assert_eq!(answer.text().await, std::fs::read_to_string(&path).expect("a stream"), "{name}");
        let expected = std::fs::read_to_string(path.with_extension("json")).expect("its twin");
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        let record = gateway.record(&id).await;
        assert_eq!(record["upstream_model"], expected["upstream_model"], "{name}");
        assert_eq!(texts(&record), expected["texts"], "{name}: {record}");
        for (key, count) in expected["usage"].as_object().expect("usage") {
            assert_eq!(&record[format!("{key}_tokens")], count, "{key} of {name}: {record}");
        }
        assert!(record["finishes"].to_string().contains(expected["finish"].as_str().expect("a finish")), "{record}");
    }
}

/// The reply's texts by channel, without the blanks that models put around thoughts.
fn texts(record: &Value) -> Value {
    let reply = record["reply"].as_array().expect("a reply").iter();
    let texts = reply.map(|one| {
        let text = one["text"].as_str().unwrap_or_default().trim();
        (one["channel"].as_str().unwrap_or_default().to_owned(), Value::from(text))
    });
    let texts: serde_json::Map<String, Value> = texts.filter(|(_, text)| text != "").collect();
    Value::Object(texts)
}
