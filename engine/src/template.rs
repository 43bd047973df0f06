//! Chat templates: the model's own Jinja, rendered over a conversation with the client's texts guarded. It makes no
//! tokens.

use std::collections::HashMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, ErrorKind, context};
use serde_json::{Value as Json, json};

use crate::tokenize::Guarded;
use crate::{Conversation, Error, Message};

/// A compiled template and the values that the tokenizer gives it.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
}

/// What a conversation asks of a template beside its messages.
#[derive(Debug, Clone, Copy, Default)]
struct Switches<'a> {
    thinking: Option<bool>,
    effort: Option<&'a str>,
}

/// Steps after which a template is taken to loop.
const FUEL: u64 = 50_000_000;

/// Characters that no text uses; one that the conversation does not contain becomes its guard.
const GUARDS: std::ops::RangeInclusive<char> = '\u{FDD0}'..='\u{FDEF}';

impl Template {
    /// Compiles a template.
    pub(crate) fn compile(source: String, bos: String, eos: String) -> Result<Self, Error> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| Error::Internal(format!("no such template syntax: {error}")))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_filter("tojson", to_json);
        let compiled = environment.add_template_owned("chat", source.clone());
        compiled.map_err(|error| Error::Model(format!("the chat template does not compile: {error:#}")))?;
        Ok(Self { environment, source, bos, eos })
    }

    /// The template's text.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation up to where the model goes on.
    pub(crate) fn render<'m>(
        &self,
        conversation: &Conversation,
        marks: impl Iterator<Item = &'m str>,
    ) -> Result<Guarded, Error> {
        let marks = Marks { guard: free_guard(conversation)?, texts: marks.collect() };
        let messages: Vec<Json> =
            conversation.messages.iter().map(|message| self.message(message, &marks)).collect::<Result<_, _>>()?;
        let tools = conversation.tools.as_deref().map(|tools| parse(tools, "tools")).transpose()?;
        let tools = tools.map(|tools| marks.guard_all(tools));
        let switches = Switches { thinking: conversation.thinking, effort: conversation.effort.as_deref() };
        let text = self.apply(&json!(messages), tools.as_ref(), switches, true).or_else(|refusal| {
            // Some templates ask whether a message that calls tools has a text, others take one for granted.
            let filled = filled(&messages).ok_or(refusal)?;
            self.apply(&json!(filled), tools.as_ref(), switches, true)
        })?;
        Ok(Guarded { text, guard: marks.guard })
    }

    fn apply(
        &self,
        messages: &Json,
        tools: Option<&Json>,
        switches: Switches<'_>,
        go_on: bool,
    ) -> Result<String, Error> {
        let template = self.environment.get_template("chat");
        let template = template.map_err(|error| Error::Internal(format!("the chat template is gone: {error}")))?;
        let base = context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt => go_on,
            bos_token => self.bos.clone(),
            eos_token => self.eos.clone(),
            ..tools.map_or_else(|| context! { tools => () }, |tools| context! { tools => Value::from(Serde(tools)) })
        };
        // Templates ask whether a switch is defined, so one that is not set must be absent.
        let switched = match switches.thinking {
            Some(thinking) => context! { enable_thinking => thinking, thinking => thinking, ..base },
            None => base,
        };
        let switched = match switches.effort {
            Some(effort) => context! { reasoning_effort => effort, ..switched },
            None => switched,
        };
        let refused = |error: minijinja::Error| {
            let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Error::Request(format!("the model's chat template refuses this conversation: {detail}"))
        };
        template.render(switched).map_err(refused)
    }

    fn message(&self, message: &Message, marks: &Marks<'_>) -> Result<Json, Error> {
        let mut value = json!({ "role": marks.guarded(&message.role, true) });
        // In an assistant's turn think marks keep their meaning: templates cut old reasoning by them.
        let own = message.role == "assistant";
        let calls = message.tool_calls.as_deref().map(|calls| parse(calls, "tool_calls")).transpose()?;
        value["content"] = match (message.content.is_empty(), &calls) {
            (true, Some(_)) => Json::Null,
            _ => marks.guarded(&message.content, !own).into(),
        };
        if let Some(reasoning) = &message.reasoning {
            value["reasoning_content"] = marks.guarded(reasoning, true).into();
        }
        if let Some(calls) = calls {
            value["tool_calls"] = marks.guard_all(calls);
        }
        for (key, text) in [("tool_call_id", &message.tool_call_id), ("name", &message.name)] {
            if let Some(text) = text {
                value[key] = marks.guarded(text, true).into();
            }
        }
        Ok(value)
    }

    /// The conversation as this template wants it. Clients send a call's arguments as a string of JSON. Templates that
    /// print them as JSON need the object, or they would quote the string once more; those that print them as they are
    /// need the string.
    pub(crate) fn suited(&self, conversation: &Conversation) -> Result<Conversation, Error> {
        let squeezed: String = self.source.chars().filter(|character| !character.is_whitespace()).collect();
        let mut conversation = conversation.clone();
        if squeezed.contains("arguments|tojson") && !squeezed.contains("argumentsisstring") {
            for calls in conversation.messages.iter_mut().filter_map(|message| message.tool_calls.as_mut()) {
                *calls = with_objects(parse(calls, "tool_calls")?).to_string();
            }
        }
        Ok(conversation)
    }
}

struct Marks<'a> {
    guard: char,
    texts: Vec<&'a str>,
}

impl Marks<'_> {
    /// Puts the guard behind every mark in a client's text, and behind a beginning of one at its end.
    fn guarded(&self, text: &str, think_too: bool) -> String {
        let applies = |mark: &&&str| think_too || !crate::tokenize::THINK.contains(*mark);
        let marks: Vec<&str> = self.texts.iter().filter(applies).copied().collect();
        let mut by_end: HashMap<[u8; 2], Vec<&str>> = HashMap::new();
        marks.iter().for_each(|mark| by_end.entry(end_of(mark)).or_default().push(mark));
        let ends = |key: [u8; 2], text: &str| {
            by_end.get(&key).is_some_and(|marks| marks.iter().any(|mark| text.ends_with(mark)))
        };
        let mut out = String::with_capacity(text.len());
        for (at, character) in text.char_indices() {
            out.push(character);
            let until = &text[..at + character.len_utf8()];
            let end = end_of(until);
            if ends(end, until) || ends([0, end[1]], until) {
                out.push(self.guard);
            }
        }
        let begins = |mark: &&str| mark.char_indices().skip(1).any(|(end, _)| text.ends_with(&mark[..end]));
        if marks.iter().any(begins) {
            out.push(self.guard);
        }
        out
    }

    fn guard_all(&self, value: Json) -> Json {
        match value {
            Json::String(text) => self.guarded(&text, true).into(),
            Json::Array(items) => items.into_iter().map(|item| self.guard_all(item)).collect(),
            Json::Object(map) => {
                map.into_iter().map(|(key, value)| (self.guarded(&key, true), self.guard_all(value))).collect()
            }
            other => other,
        }
    }
}

/// The last two bytes, the first zero where there is one only.
fn end_of(text: &str) -> [u8; 2] {
    match text.as_bytes() {
        [.., first, last] => [*first, *last],
        [last] => [0, *last],
        [] => [0, 0],
    }
}

fn free_guard(conversation: &Conversation) -> Result<char, Error> {
    let texts = |message: &Message| {
        let Message { role, content, reasoning, tool_calls, tool_call_id, name } = message;
        let optional = [reasoning, tool_calls, tool_call_id, name].map(|text| text.clone().unwrap_or_default());
        [role.clone(), content.clone()].into_iter().chain(optional).collect::<String>()
    };
    let used: String = conversation.messages.iter().map(texts).chain(conversation.tools.clone()).collect();
    // Escapes in JSON text could hide one.
    let hidden = |guard: char| used.to_ascii_lowercase().contains(&format!("\\u{:04x}", u32::from(guard)));
    let free = GUARDS.into_iter().find(|guard| !used.contains(*guard) && !hidden(*guard));
    free.ok_or_else(|| Error::Request("the conversation uses every noncharacter from U+FDD0 to U+FDEF".to_owned()))
}

/// The messages with an empty text where there was none; nothing where there is no such message.
fn filled(messages: &[Json]) -> Option<Vec<Json>> {
    let mut filled = messages.to_vec();
    let empty = filled.iter_mut().filter_map(|message| message.get_mut("content").filter(|content| content.is_null()));
    let count = empty.map(|content| *content = "".into()).count();
    (count > 0).then_some(filled)
}

/// Calls whose arguments are JSON in a string, with the JSON itself.
fn with_objects(mut calls: Json) -> Json {
    for call in calls.as_array_mut().into_iter().flatten() {
        if let Some(arguments) = call.pointer_mut("/function/arguments")
            && let Some(Ok(parsed)) = arguments.as_str().map(serde_json::from_str)
        {
            *arguments = parsed;
        }
    }
    calls
}

fn parse(text: &str, what: &str) -> Result<Json, Error> {
    serde_json::from_str(text).map_err(|error| Error::Request(format!("{what} is no JSON: {error}")))
}

/// JSON as Python's `json.dumps` writes it without escaping: templates were written against that.
#[expect(clippy::needless_pass_by_value, reason = "the template library hands arguments over by value")]
fn to_json(value: Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Whether to escape and how to sort is of no account here: nothing is escaped, order is kept.
    let _ = (options.get::<Option<bool>>("ensure_ascii")?, options.get::<Option<bool>>("sort_keys")?);
    options.assert_all_used()?;
    let json = serde_json::to_value(&value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    let mut out = String::new();
    write_json(&json, indent, 0, &mut out);
    Ok(Value::from_safe_string(out))
}

fn write_json(value: &Json, indent: Option<usize>, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let separator = if indent.is_some() { "," } else { ", " };
    match value {
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { separator } else { "" });
                line(depth + 1, out);
                write_json(item, indent, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        Json::Object(map) if !map.is_empty() => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                out.push_str(if index > 0 { separator } else { "" });
                line(depth + 1, out);
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push_str(": ");
                write_json(item, indent, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
