//! Replies of Responses as events.

use std::collections::BTreeSet;

use serde_json::Value;

use super::hear_chat::{fail, failure, owned, text};
use super::proof::Proof;
use super::told::{Event, Failure, Finish};
use crate::dialect::openai_responses::reply::usage;

/// The state of a reply.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    begun: bool,
    /// Items of which something came piece by piece; where nothing did, their end tells all.
    told: BTreeSet<u32>,
    /// The item of which something came last.
    latest: Option<u32>,
    called: bool,
}

impl Hearing {
    /// Takes an event of a stream.
    pub(super) fn take(&mut self, event: &Value, out: &mut Vec<Event>) {
        let index = event["output_index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        let delta = || text(&event["delta"]).map(str::to_owned);
        match event["type"].as_str().unwrap_or_default() {
            "response.created" | "response.in_progress" => self.begin(&event["response"], out),
            "response.output_text.delta" => {
                out.extend(likelihoods(&event["logprobs"]));
                self.tell(index, delta().map(Event::Text), out);
            }
            "response.refusal.delta" => self.tell(index, delta().map(Event::Refusal), out),
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                self.tell(index, delta().map(Event::Thinking), out);
            }
            "response.reasoning_summary_part.added" if event["summary_index"].as_u64() > Some(0) => {
                out.push(Event::Thinking("\n\n".to_owned()));
            }
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                self.call(index, &event["item"], out);
            }
            "response.function_call_arguments.delta" => {
                self.tell(index, delta().map(|text| Event::Arguments { key: index, text }), out);
            }
            "response.output_item.done" => self.item(index, &event["item"], out),
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.begin(&event["response"], out);
                self.finish(&event["response"], out);
            }
            // The vendor says it at the top, and some say it as others do.
            "error" if event["error"].is_object() => fail(&event["error"], out),
            "error" => out.push(Event::Failed(Failure { kind: String::new(), ..failure(event) })),
            _ => {}
        }
    }

    /// Takes a whole reply.
    pub(super) fn whole(&mut self, reply: &Value, out: &mut Vec<Event>) {
        self.begin(reply, out);
        for (item, index) in reply["output"].as_array().into_iter().flatten().zip(0..) {
            if item["type"] == "function_call" {
                self.call(index, item, out);
            }
            self.item(index, item, out);
        }
        self.finish(reply, out);
    }

    fn begin(&mut self, reply: &Value, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.push(Event::Begin { id: owned(&reply["id"]), model: owned(&reply["model"]) });
        }
    }

    fn tell(&mut self, index: u32, event: Option<Event>, out: &mut Vec<Event>) {
        if event.is_some() {
            self.told.insert(index);
            self.latest = Some(index);
        }
        out.extend(event);
    }

    fn call(&mut self, index: u32, item: &Value, out: &mut Vec<Event>) {
        self.called = true;
        self.latest = Some(index);
        let id = owned(&item["call_id"]).or_else(|| owned(&item["id"])).unwrap_or_default();
        out.push(Event::Call { key: index, id, name: owned(&item["name"]).unwrap_or_default() });
    }

    /// An item that is whole.
    fn item(&mut self, index: u32, item: &Value, out: &mut Vec<Event>) {
        let kind = item["type"].as_str().unwrap_or_default();
        if self.told.insert(index) {
            self.latest = Some(index);
            match kind {
                "message" => {
                    for part in item["content"].as_array().into_iter().flatten() {
                        out.extend(likelihoods(&part["logprobs"]));
                        out.extend(text(&part["text"]).map(|text| Event::Text(text.to_owned())));
                        out.extend(text(&part["refusal"]).map(|text| Event::Refusal(text.to_owned())));
                    }
                }
                "function_call" => {
                    let arguments = text(&item["arguments"]).map(str::to_owned);
                    out.extend(arguments.map(|text| Event::Arguments { key: index, text }));
                }
                "reasoning" => {
                    let parts = ["content", "summary"].into_iter().filter_map(|name| item[name].as_array());
                    let texts =
                        parts.map(|parts| parts.iter().filter_map(|part| text(&part["text"])).collect::<Vec<_>>());
                    let told = texts.map(|texts| texts.join("\n\n")).find(|text| !text.is_empty());
                    out.extend(told.map(Event::Thinking));
                }
                _ => {}
            }
        }
        if kind == "reasoning" {
            let id = item["id"].as_str().unwrap_or_default();
            let proof = text(&item["encrypted_content"]).and_then(|content| Proof::of_encrypted(id, content));
            out.extend(proof.map(Event::Proof));
        }
        // An item may end when another one has long begun.
        out.extend((self.latest == Some(index)).then_some(Event::Ends));
    }

    fn finish(&mut self, reply: &Value, out: &mut Vec<Event>) {
        if reply["usage"].is_object() {
            out.extend(usage(&reply["usage"].to_string()).map(Event::Usage));
        }
        fail(&reply["error"], out);
        let reason = reply["incomplete_details"]["reason"].as_str();
        match (reply["status"].as_str(), reason) {
            (Some("failed" | "cancelled"), _) => {}
            (_, Some("content_filter")) => out.push(Event::Finish(Finish::Refused)),
            (_, Some(_)) => out.push(Event::Finish(Finish::Length)),
            _ if self.called => out.push(Event::Finish(Finish::Tools)),
            _ => out.push(Event::Finish(Finish::Stop)),
        }
    }
}

/// How likely tokens were, where it is told.
fn likelihoods(list: &Value) -> Option<Event> {
    list.as_array().filter(|list| !list.is_empty()).map(|list| Event::Likelihoods(list.clone()))
}
