//! What a reply says that another dialect has no place for. It is named, so that nobody takes what is left for all of it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::exchange::Dialect;

/// Names that are kept of one reply at most.
const MOST: usize = 16;

/// Bytes of a kind that an upstream made up, at most.
const LONGEST: usize = 48;

/// Names of what was lost so far.
#[derive(Debug, Default)]
pub(super) struct Lost(BTreeSet<String>);

impl Lost {
    /// Looks at a whole reply or an event of a stream.
    pub(super) fn note(&mut self, from: Dialect, value: &Value) {
        match from {
            Dialect::Anthropic | Dialect::AnthropicCount => self.note_anthropic(value),
            Dialect::OpenaiResponses => self.note_responses(value),
            Dialect::OpenaiChat | Dialect::OpenaiEmbeddings => self.note_chat(value),
        }
    }

    /// The names, in order.
    pub(super) fn into_names(self) -> Vec<String> {
        self.0.into_iter().collect()
    }

    /// What a stream says of them before its end: clients pass over comments, and people who look find it.
    pub(super) fn comment(&self) -> Option<String> {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!(": x-candor-dropped: {}\n\n", names.join(", ")))
    }

    fn note_anthropic(&mut self, value: &Value) {
        for said in [value, &value["message"], &value["delta"]] {
            self.note_where(said, &["stop_details", "container"], "");
        }
        self.note_where(&value["delta"], &["citation"], "s");
        let blocks = [value, &value["message"]].into_iter().filter_map(|said| said["content"].as_array()).flatten();
        for block in blocks.chain(Some(&value["content_block"])) {
            self.note_where(block, &["citations"], "");
            self.note_kind("content", block, &["text", "thinking", "redacted_thinking", "tool_use"]);
        }
    }

    fn note_responses(&mut self, value: &Value) {
        if value["type"] == "response.output_text.annotation.added" {
            self.put("annotations".to_owned());
        }
        let items = [value, &value["response"]].into_iter().filter_map(|said| said["output"].as_array()).flatten();
        for item in items.chain(Some(&value["item"])) {
            self.note_kind("output", item, &["message", "reasoning", "function_call"]);
            for part in item["content"].as_array().into_iter().flatten() {
                self.note_where(part, &["annotations"], "");
                self.note_kind("output.content", part, &["output_text", "refusal", "reasoning_text"]);
            }
        }
    }

    fn note_chat(&mut self, value: &Value) {
        self.note_where(value, &["citations", "search_results"], "");
        for choice in value["choices"].as_array().into_iter().flatten() {
            for said in [&choice["message"], &choice["delta"]] {
                self.note_where(said, &["annotations", "audio", "images"], "");
            }
        }
    }

    /// Names members that hold something.
    fn note_where(&mut self, object: &Value, names: &[&str], plural: &str) {
        for name in names {
            let holds = match &object[*name] {
                Value::Null => false,
                Value::Array(list) => !list.is_empty(),
                _ => true,
            };
            if holds {
                self.put(format!("{name}{plural}"));
            }
        }
    }

    /// Names a kind that nothing is made of.
    fn note_kind(&mut self, place: &str, object: &Value, known: &[&str]) {
        let Some(kind) = object["type"].as_str().filter(|kind| !known.contains(kind)) else { return };
        // It stands in a header and in a comment.
        let kind = kind.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(LONGEST);
        self.put(format!("{place}.{}", kind.collect::<String>()));
    }

    fn put(&mut self, name: String) {
        if self.0.len() < MOST {
            self.0.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_place_elsewhere_is_named() {
        let lost = |from, value: Value| {
            let mut lost = Lost::default();
            lost.note(from, &value);
            lost.into_names()
        };
        let none: [&str; 0] = [];
        for (from, value, expected) in [
            (
                Dialect::Anthropic,
                json!({"content": [{"type": "text", "text": "a", "citations": null}], "stop_details": null}),
                &none[..],
            ),
            (
                Dialect::Anthropic,
                json!({"content": [{"type": "text", "citations": [{}]}, {"type": "server_tool_use"}]}),
                &["citations", "content.server_tool_use"],
            ),
            (
                Dialect::Anthropic,
                json!({"type": "message_delta", "delta": {"stop_details": {"type": "refusal"}}}),
                &["stop_details"],
            ),
            (
                Dialect::Anthropic,
                json!({"delta": {"type": "citations_delta", "citation": {"url": "x"}}}),
                &["citations"],
            ),
            (Dialect::Anthropic, json!({"content_block": {"type": "a\r\nb: c"}}), &["content.abc"]),
            (
                Dialect::OpenaiResponses,
                json!({"output": [{"type": "message", "content": [{"type": "output_text", "annotations": []}]}]}),
                &none[..],
            ),
            (Dialect::OpenaiResponses, json!({"item": {"type": "web_search_call"}}), &["output.web_search_call"]),
            (Dialect::OpenaiResponses, json!({"type": "response.output_text.annotation.added"}), &["annotations"]),
            (
                Dialect::OpenaiChat,
                json!({"choices": [{"message": {"annotations": [{}], "audio": null}}], "citations": ["x"]}),
                &["annotations", "citations"],
            ),
            (Dialect::OpenaiChat, json!([7]), &none[..]),
        ] {
            assert_eq!(lost(from, value.clone()), expected, "{value}");
        }
        let mut many = Lost::default();
        (0..99).for_each(|n| many.note(Dialect::OpenaiResponses, &json!({"item": {"type": format!("{n:099}")}})));
        assert_eq!(many.into_names().len(), 1, "they are cut alike");
        let mut many = Lost::default();
        (0..99).for_each(|n| many.note(Dialect::OpenaiResponses, &json!({"item": {"type": format!("k{n}")}})));
        assert_eq!(many.into_names().len(), MOST);
    }
}
