//! A screened request as the engine takes it. What the engine cannot do is refused by name, never left out in silence.

use std::collections::BTreeMap;

use candor_engine::{Constraint, Conversation, Message, Sampling};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::{self, Forms};
use crate::exchange::{self, Channel, Request};
use crate::upstream::failure::Error;

/// What is asked of the engine.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The conversation.
    pub conversation: Conversation,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// What the answer must look like.
    pub constraint: Option<Constraint>,
}

/// Fields that the canonical request does not carry; all others may ride along unread.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    messages: Vec<WireMessage<'a>>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    logit_bias: Option<BTreeMap<String, f64>>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    #[serde(borrow)]
    prediction: Option<&'a RawValue>,
    #[serde(borrow)]
    web_search_options: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<Typed<'a>>,
    enable_thinking: Option<bool>,
    chat_template_kwargs: Option<TemplateArguments>,
    repetition_penalty: Option<f64>,
    max_reasoning_tokens: Option<u64>,
    thinking_budget: Option<u64>,
    min_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct TemplateArguments {
    enable_thinking: Option<bool>,
    thinking: Option<bool>,
}

/// Reads a request for the engine.
///
/// # Errors
/// [`Error::Request`] with the field that the engine cannot honour.
pub(crate) fn read(request: &Request) -> Result<Question, Error> {
    let wire: Wire<'_> =
        serde_json::from_slice(&request.raw).map_err(|_| refused("", "The request cannot be read by the engine."))?;
    refuse_unsupported(&wire)?;
    let forms: Forms<'_> = serde_json::from_slice(&request.raw)
        .map_err(|_| refused("response_format", "What the answer shall look like cannot be read."))?;
    let messages = request.messages.iter().zip(&wire.messages).enumerate();
    let messages = messages.map(|(index, (message, wire))| read_message(index, message, wire));
    Ok(Question {
        conversation: Conversation {
            messages: messages.collect::<Result<_, _>>()?,
            tools: tools(&wire)?,
            thinking: thinking(&wire, request),
            effort: request.sampling.reasoning_effort.clone(),
        },
        sampling: sampling(&wire, request)?,
        constraint: form::read(&forms)?,
    })
}

fn refuse_unsupported(wire: &Wire<'_>) -> Result<(), Error> {
    let filled = |value: Option<&RawValue>| value.is_some_and(|value| !matches!(value.get().trim(), "{}" | "[]"));
    let fields = [
        (filled(wire.functions), "functions"),
        (filled(wire.function_call), "function_call"),
        (filled(wire.audio), "audio"),
        (filled(wire.prediction), "prediction"),
        (filled(wire.web_search_options), "web_search_options"),
    ];
    match fields.into_iter().find(|(present, _)| *present) {
        Some((_, field)) => Err(refused(field, &format!("The local engine does not support '{field}'."))),
        None => Ok(()),
    }
}

fn read_message(index: usize, message: &exchange::Message, wire: &WireMessage<'_>) -> Result<Message, Error> {
    let role = match message.role.as_str() {
        "developer" => "system",
        known @ ("system" | "user" | "assistant" | "tool") => known,
        _ => {
            let text = "The local engine takes the roles system, developer, user, assistant and tool.";
            return Err(refused(&format!("messages[{index}].role"), text));
        }
    };
    only_text(index, wire)?;
    let texts = |channel| -> Vec<&str> {
        let passages = message.passages.iter().filter(|passage| passage.role == channel);
        passages.map(|passage| passage.text.as_str()).collect()
    };
    let mut content = texts(Channel::Answer);
    content.extend(texts(Channel::Refusal));
    let reasoning = texts(Channel::Reasoning);
    Ok(Message {
        role: role.to_owned(),
        content: content.join("\n"),
        reasoning: (!reasoning.is_empty()).then(|| reasoning.join("\n")),
        // From the screened bytes: what was redacted there must not come back here.
        tool_calls: wire.tool_calls.map(|calls| calls.get().to_owned()),
        tool_call_id: message.tool_call_id.clone(),
        name: message.name.clone(),
    })
}

fn only_text(index: usize, wire: &WireMessage<'_>) -> Result<(), Error> {
    let Some(content) = wire.content.filter(|content| content.get().starts_with('[')) else { return Ok(()) };
    let unread = |_| refused(&format!("messages[{index}].content"), "Its parts cannot be read.");
    let parts: Vec<Typed<'_>> = serde_json::from_str(content.get()).map_err(unread)?;
    for (part, kind) in parts.iter().enumerate().map(|(part, typed)| (part, typed.kind.unwrap_or("text"))) {
        if !matches!(kind, "text" | "refusal") {
            let parameter = format!("messages[{index}].content[{part}]");
            return Err(refused(&parameter, "The local engine reads text only: no images, audio or files."));
        }
    }
    Ok(())
}

fn tools(wire: &Wire<'_>) -> Result<Option<String>, Error> {
    let tools = wire.tools.map(|tools| tools.get().to_owned());
    match wire.tool_choice.map(RawValue::get) {
        None | Some("\"auto\"") => Ok(tools),
        Some("\"none\"") => Ok(None),
        Some(_) => Err(refused("tool_choice", "The local engine cannot force a tool call: 'auto' and 'none' only.")),
    }
}

/// Whether the model shall think, in whichever vendor's words the client said so.
fn thinking(wire: &Wire<'_>, request: &Request) -> Option<bool> {
    let arguments = wire.chat_template_kwargs.as_ref();
    let by_type = wire.thinking.as_ref().and_then(|thinking| match thinking.kind {
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        _ => None,
    });
    let by_effort = || request.sampling.reasoning_effort.as_deref().map(|effort| effort != "none");
    let by_arguments = arguments.and_then(|arguments| arguments.enable_thinking.or(arguments.thinking));
    wire.enable_thinking.or(by_arguments).or(by_type).or_else(by_effort)
}

fn sampling(wire: &Wire<'_>, request: &Request) -> Result<Sampling, Error> {
    let asked = &request.sampling;
    let usual = Sampling::default();
    let count = |field: &str, value: Option<u64>| match value {
        Some(0) => Err(refused(field, &format!("'{field}' must be at least 1."))),
        value => Ok(value.map(|value| usize::try_from(value).unwrap_or(usize::MAX))),
    };
    Ok(Sampling {
        max_tokens: count("max_tokens", asked.max_tokens)?,
        temperature: within("temperature", asked.temperature, 0.0, 2.0)?.unwrap_or(usual.temperature),
        top_p: within("top_p", asked.top_p, 0.0, 1.0)?.unwrap_or(usual.top_p),
        // Some clients say "all of them" with 0.
        top_k: count("top_k", asked.top_k.filter(|count| *count > 0))?,
        min_p: within("min_p", asked.min_p, 0.0, 1.0)?,
        presence_penalty: within("presence_penalty", asked.presence_penalty, -2.0, 2.0)?
            .unwrap_or(usual.presence_penalty),
        frequency_penalty: within("frequency_penalty", asked.frequency_penalty, -2.0, 2.0)?
            .unwrap_or(usual.frequency_penalty),
        repetition_penalty: within("repetition_penalty", wire.repetition_penalty, 0.01, 10.0)?
            .unwrap_or(usual.repetition_penalty),
        seed: asked.seed.map(i64::cast_unsigned),
        stop: asked.stop.clone(),
        logit_bias: logit_bias(wire)?,
        min_tokens: wire.min_tokens.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX)),
        // Two names for one thing: ours and Qwen's.
        max_reasoning_tokens: wire
            .max_reasoning_tokens
            .or(wire.thinking_budget)
            .map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
        logprobs: match asked.logprobs {
            Some(21..) => return Err(refused("top_logprobs", "'top_logprobs' must be from 0 to 20.")),
            count => count.map(|count| count as usize),
        },
        grammar: None,
    })
}

/// Token numbers are keys of the object, as text.
fn logit_bias(wire: &Wire<'_>) -> Result<Vec<(u32, f32)>, Error> {
    let biases = wire.logit_bias.iter().flatten().map(|(token, bias)| {
        let parameter = format!("logit_bias.{token}");
        let token = token.parse().map_err(|_| refused(&parameter, "The keys of 'logit_bias' are token numbers."))?;
        let bias = within(&parameter, Some(*bias), -100.0, 100.0)?;
        Ok((token, bias.unwrap_or_default()))
    });
    biases.collect()
}

fn within(field: &str, value: Option<f64>, least: f64, most: f64) -> Result<Option<f32>, Error> {
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            Err(refused(field, &format!("'{field}' must be from {least} to {most}.")))
        }
        // In a small range: nothing is lost but precision that no sampler has.
        value => Ok(value.map(|value| value as f32)),
    }
}

pub(super) fn refused(parameter: &str, message: &str) -> Error {
    let parameter = (!parameter.is_empty()).then(|| parameter.to_owned());
    Error::Request { parameter, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect;
    use crate::exchange::Dialect;

    fn ask(body: &str) -> Result<Question, Error> {
        let request = dialect::read_request(Dialect::OpenaiChat, body.to_owned().into());
        read(&request.unwrap_or_else(|error| panic!("{error}")))
    }

    fn asked(fields: &str) -> Result<Question, Error> {
        ask(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#))
    }

    #[test]
    fn a_conversation_keeps_its_roles_and_texts() {
        let body = r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[
            {"role":"developer","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"eve"},
            {"role":"assistant","reasoning_content":"hm","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"1","content":"42"}]}"#;
        let question = ask(body).unwrap_or_else(|error| panic!("{error}"));
        let messages = question.conversation.messages;
        let shown: Vec<(&str, &str)> =
            messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect();
        assert_eq!(shown, [("system", "be brief"), ("user", "a\nb"), ("assistant", ""), ("tool", "42")]);
        assert_eq!(messages[1].name.as_deref(), Some("eve"));
        assert_eq!(messages[2].reasoning.as_deref(), Some("hm"));
        assert!(messages[2].tool_calls.as_deref().is_some_and(|calls| calls.starts_with(r#"[{"id":"1""#)));
        assert_eq!(messages[3].tool_call_id.as_deref(), Some("1"));
        assert!(question.conversation.tools.is_some_and(|tools| tools.contains("function")));
    }

    #[test]
    fn what_the_engine_cannot_do_is_refused_by_name() {
        let check = |fields: &str, expected: &str| match asked(fields) {
            Err(Error::Request { parameter, message }) => {
                assert_eq!(parameter.as_deref(), Some(expected), "{fields}: {message}");
            }
            other => panic!("{fields}: {other:?}"),
        };
        check(r#","logprobs":true,"top_logprobs":21"#, "top_logprobs");
        check(r#","logit_bias":{"a":5}"#, "logit_bias.a");
        check(r#","logit_bias":{"1":500}"#, "logit_bias.1");
        check(r#","response_format":{"type":"xml"}"#, "response_format");
        check(r#","tool_choice":"required""#, "tool_choice");
        check(r#","functions":[{"name":"f"}]"#, "functions");
        check(r#","temperature":2.5"#, "temperature");
        check(r#","top_p":-0.1"#, "top_p");
        check(r#","max_tokens":0"#, "max_tokens");
        check(r#","frequency_penalty":1e300"#, "frequency_penalty");
        let image = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#;
        let parameter = |result| match result {
            Err(Error::Request { parameter, .. }) => parameter,
            other => panic!("{other:?}"),
        };
        assert_eq!(parameter(ask(image)).as_deref(), Some("messages[0].content[1]"));
        let role = r#"{"model":"m","messages":[{"role":"function","content":"x"}]}"#;
        assert_eq!(parameter(ask(role)).as_deref(), Some("messages[0].role"));
    }

    #[test]
    fn harmless_fields_ride_along() {
        for fields in [
            r#","user":"u","metadata":{"a":1},"store":false"#,
            r#","logit_bias":{},"functions":[],"response_format":{"type":"text"}"#,
            r#","logprobs":false,"tool_choice":"auto""#,
            r#","response_format":null,"audio":null"#,
        ] {
            assert!(asked(fields).is_ok(), "{fields}: {:?}", asked(fields));
        }
    }

    #[test]
    fn sampling_and_thinking_are_read_in_every_vendors_words() {
        let thinking = |fields: &str| asked(fields).ok().and_then(|question| question.conversation.thinking);
        assert_eq!(thinking(""), None);
        assert_eq!(thinking(r#","enable_thinking":false"#), Some(false));
        assert_eq!(thinking(r#","thinking":{"type":"enabled"}"#), Some(true));
        assert_eq!(thinking(r#","chat_template_kwargs":{"enable_thinking":false,"x":1}"#), Some(false));
        assert_eq!(thinking(r#","reasoning_effort":"none""#), Some(false));
        assert_eq!(thinking(r#","reasoning_effort":"high""#), Some(true));
        let sampling = asked(r#","max_completion_tokens":7,"temperature":0,"top_k":0,"seed":-1,"stop":["a","b"]"#);
        let sampling = sampling.unwrap_or_else(|error| panic!("{error}")).sampling;
        assert_eq!((sampling.max_tokens, sampling.top_k, sampling.seed), (Some(7), None, Some(u64::MAX)));
        assert_eq!((sampling.temperature, sampling.top_p), (0.0, 1.0));
        assert_eq!(sampling.stop, ["a", "b"]);
        let sampling = asked(r#","logit_bias":{"7":-100},"thinking_budget":9,"min_tokens":2"#);
        let sampling = sampling.unwrap_or_else(|error| panic!("{error}")).sampling;
        assert_eq!((sampling.logit_bias, sampling.max_reasoning_tokens), (vec![(7, -100.0)], Some(9)));
        assert_eq!(sampling.min_tokens, 2);
        let logprobs = |fields: &str| asked(fields).ok().and_then(|question| question.sampling.logprobs);
        assert_eq!(logprobs(r#","logprobs":true"#), Some(0));
        assert_eq!(logprobs(r#","logprobs":true,"top_logprobs":20"#), Some(20));
        assert_eq!(logprobs(r#","logprobs":false,"top_logprobs":5"#), None);
    }
}
