//! Changes a request's body to what an upstream's model takes, inside the bytes it came in: what is not concerned stays
//! byte for byte. What cannot be changed without asking for something else is refused. Pure.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::catalogue::{Act, Condition, Echo, Parameter, Quirks, Switch};
use super::failure::Error;
use crate::stream::splice;

/// The header that tells a client how its request was changed.
const HEADER: HeaderName = HeaderName::from_static("x-candor-adapted");

/// Fields of a message that carry reasoning.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_details"];

/// A body as an upstream takes it.
#[derive(Debug)]
pub(crate) struct Adapted {
    /// The body.
    pub body: Bytes,
    /// What was changed, in words for people; none where nothing was.
    pub changes: Vec<String>,
    /// Whether a stream is asked for in place of a whole reply.
    pub gathers: bool,
}

/// Says in a reply's headers what was changed; nobody else may say it.
pub(super) fn say(mut headers: HeaderMap, changes: &[String]) -> HeaderMap {
    headers.remove(HEADER);
    if !changes.is_empty()
        && let Ok(value) = HeaderValue::from_str(&changes.join(", "))
    {
        headers.insert(HEADER, value);
    }
    headers
}

/// Changes a body to what models with these quirks take. A body that is no JSON object stays as it is.
///
/// # Errors
/// [`Error::Request`] with the parameter that stands in the way, and why.
pub(crate) fn adapt(body: Bytes, quirks: &Quirks) -> Result<Adapted, Error> {
    let whole = std::str::from_utf8(&body).unwrap_or_default();
    let Some(object) = Object::read(whole, whole) else {
        return Ok(Adapted { body, changes: Vec::new(), gathers: false });
    };
    let mut draft = Draft { whole, fates: vec![Fate::Keep; object.members.len()], object, ..Draft::default() };
    draft.parameters(quirks)?;
    draft.messages(quirks)?;
    let gathers = quirks.thinks_streamed_only && !draft.object.is_true("stream") && draft.thinks(quirks);
    if gathers {
        draft.set("stream", "true");
        draft.set("stream_options", r#"{"include_usage":true}"#);
        draft.note("asked as a stream and gathered".to_owned());
    }
    let Draft { object, fates, added, mut edits, changes, .. } = draft;
    if changes.is_empty() {
        return Ok(Adapted { body, changes, gathers });
    }
    object.edit(&fates, &added, &mut edits);
    edits.sort_by_key(|(at, _)| at.start);
    Ok(Adapted { body: splice::replace(&body, &edits).into(), changes, gathers })
}

/// What becomes of a member.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    Keep,
    /// Something inside it changes.
    Inside,
    Remove,
    Rename(String),
    Replace(String),
}

/// A body and what is to be changed in it.
#[derive(Default)]
struct Draft<'a> {
    whole: &'a str,
    object: Object<'a>,
    fates: Vec<Fate>,
    added: Vec<(String, String)>,
    /// Changes deeper inside.
    edits: Vec<(Range<usize>, String)>,
    changes: Vec<String>,
}

impl<'a> Draft<'a> {
    fn note(&mut self, change: String) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    fn parameters(&mut self, quirks: &Quirks) -> Result<(), Error> {
        for parameter in &quirks.parameters {
            if !parameter.when.as_ref().is_none_or(|condition| self.holds(condition)) {
                continue;
            }
            let (outer, inner) = parameter.name.split_once('.').unwrap_or((&parameter.name, ""));
            let Some(at) = self.object.position(outer).filter(|at| self.fates.get(*at) == Some(&Fate::Keep)) else {
                if let (Act::Set(value), false) = (&parameter.act, self.object.has(outer)) {
                    self.added.push((outer.to_owned(), value.to_string()));
                    self.note(format!("{outer} set to {value}"));
                }
                continue;
            };
            let Some(value) = self.object.value(at) else { continue };
            let nested = (!inner.is_empty()).then(|| Object::read(value, self.whole).unwrap_or_default());
            let found = match &nested {
                None => Some(value),
                Some(nested) => nested.position(inner).and_then(|at| nested.value(at)),
            };
            if found.is_some_and(|found| found != "null" && !is_taken(found, parameter)) {
                self.act(at, nested, parameter)?;
            }
        }
        Ok(())
    }

    /// Whether the request, as it came, says something.
    fn holds(&self, Condition { name, is }: &Condition) -> bool {
        let (outer, inner) = name.split_once('.').unwrap_or((name, ""));
        let outer = self.object.position(outer).and_then(|at| self.object.value(at));
        let found = match inner {
            "" => outer,
            inner => outer.and_then(|value| {
                let nested = Object::read(value, self.whole)?;
                nested.position(inner).and_then(|at| nested.value(at))
            }),
        };
        found.is_some_and(|value| value != "null" && (is.is_empty() || is_any(value, is)))
    }

    /// Does with a parameter what must be done: with the member, or with one inside it.
    fn act(&mut self, at: usize, nested: Option<Object<'a>>, parameter: &Parameter) -> Result<(), Error> {
        let name = &parameter.name;
        let (fate, change) = match &parameter.act {
            Act::Refuse(why) => {
                let message = format!("'{name}' cannot be served as it is asked for: {why}.");
                return Err(Error::Request { parameter: Some(name.clone()), message });
            }
            Act::Drop => (Fate::Remove, format!("{name} dropped")),
            Act::Set(value) => (Fate::Replace(value.to_string()), format!("{name} set to {value}")),
            Act::Rename(to) if self.object.has(to) => (Fate::Remove, format!("{name} dropped")),
            Act::Rename(to) => (Fate::Rename(to.clone()), format!("{name} sent as {to}")),
        };
        self.note(change);
        let inner = name.split_once('.').map(|(_, inner)| inner).unwrap_or_default();
        let fate = match nested {
            None => fate,
            Some(nested) => {
                let mut fates = vec![Fate::Keep; nested.members.len()];
                if let Some(place) = nested.position(inner).and_then(|at| fates.get_mut(at)) {
                    *place = fate;
                }
                nested.edit(&fates, &[], &mut self.edits);
                Fate::Inside
            }
        };
        if let Some(place) = self.fates.get_mut(at) {
            *place = fate;
        }
        Ok(())
    }

    /// Puts a value in place of a parameter's, whatever it was.
    fn set(&mut self, name: &str, value: &str) {
        match self.object.position(name).and_then(|at| self.fates.get_mut(at)) {
            Some(fate) => *fate = Fate::Replace(value.to_owned()),
            None => self.added.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Whether the model will think.
    fn thinks(&self, quirks: &Quirks) -> bool {
        let Some(thinking) = &quirks.thinking else { return false };
        let said = |name: &str| self.object.position(name).and_then(|at| self.object.value(at));
        let said = match thinking.switch {
            None => None,
            Some(Switch::EnableThinking) => said("enable_thinking").and_then(|value| value.parse().ok()),
            Some(Switch::ThinkingType) => {
                let kind = said("thinking").and_then(|value| serde_json::from_str::<Value>(value).ok());
                kind.and_then(|value| Some(value.get("type")?.as_str()? != "disabled"))
            }
        };
        said.unwrap_or(thinking.usual)
    }

    fn messages(&mut self, quirks: &Quirks) -> Result<(), Error> {
        if quirks.roles.is_empty() && quirks.echo == Echo::Ignored {
            return Ok(());
        }
        let Some(value) = self.object.position("messages").and_then(|at| self.object.value(at)) else { return Ok(()) };
        let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(value) else { return Ok(()) };
        let messages: Vec<Object<'_>> =
            messages.iter().map(|message| Object::read(message.get(), self.whole).unwrap_or_default()).collect();
        let asked = messages.iter().rposition(|message| message.text("role").as_deref() == Some("user"));
        let thinks = self.thinks(quirks);
        for (message, index) in messages.iter().zip(0..) {
            let mut fates = vec![Fate::Keep; message.members.len()];
            let role = message.text("role").unwrap_or_default();
            self.role(message, &role, quirks, &mut fates);
            if role == "assistant" {
                let now = asked.is_none_or(|asked| index > asked);
                let missing = self.echo(message, quirks.echo, &mut fates);
                if missing && thinks && now {
                    let message = "The upstream's model thinks, and wants its reasoning back with its tool calls: send \
                                   it as `reasoning_content` of the message, or switch thinking off.";
                    let parameter = Some(format!("messages[{index}].reasoning_content"));
                    return Err(Error::Request { parameter, message: message.to_owned() });
                }
            }
            message.edit(&fates, &[], &mut self.edits);
        }
        Ok(())
    }

    fn role(&mut self, message: &Object<'_>, role: &str, quirks: &Quirks, fates: &mut [Fate]) {
        let Some((_, to)) = quirks.roles.iter().find(|(from, _)| from == role) else { return };
        if let Some(fate) = message.position("role").and_then(|at| fates.get_mut(at)) {
            *fate = Fate::Replace(Value::from(to.as_str()).to_string());
            self.note(format!("role {role} sent as {to}"));
        }
    }

    /// Leaves reasoning out or sends it under the name that is wanted; `true` where it is wanted and missing.
    fn echo(&mut self, message: &Object<'_>, echo: Echo, fates: &mut [Fate]) -> bool {
        let said =
            |name: &str| message.position(name).filter(|at| message.value(*at).is_some_and(|value| value != "null"));
        match echo {
            Echo::Ignored => false,
            Echo::Never => {
                for (member, fate) in message.members.iter().zip(fates) {
                    if REASONING.contains(&member.name.as_ref()) {
                        *fate = Fate::Remove;
                        self.note("reasoning of earlier messages dropped".to_owned());
                    }
                }
                false
            }
            Echo::WithTools => {
                let calls = said("tool_calls").and_then(|at| message.value(at));
                if calls.is_none_or(|calls| calls == "[]") || said("reasoning_content").is_some() {
                    return false;
                }
                let Some(at) = said("reasoning") else { return true };
                if let Some(empty) = message.position("reasoning_content").and_then(|at| fates.get_mut(at)) {
                    *empty = Fate::Remove;
                }
                if let Some(fate) = fates.get_mut(at) {
                    *fate = Fate::Rename("reasoning_content".to_owned());
                    self.note("reasoning sent as reasoning_content".to_owned());
                }
                false
            }
        }
    }
}

/// A JSON object beside the bytes it stands in.
#[derive(Debug, Default)]
struct Object<'a> {
    /// Where its opening brace stands.
    open: usize,
    members: Vec<Member<'a>>,
}

#[derive(Debug)]
struct Member<'a> {
    name: Cow<'a, str>,
    key: Range<usize>,
    at: Range<usize>,
    value: &'a str,
}

impl<'a> Object<'a> {
    /// Reads an object that stands in a text; `None` where it is something else.
    fn read(object: &'a str, whole: &str) -> Option<Self> {
        let base = whole.as_ptr().addr();
        let place = |text: &str| {
            let start = text.as_ptr().addr().saturating_sub(base);
            start..start + text.len()
        };
        let Members(pairs) = serde_json::from_str(object).ok()?;
        let members = pairs.into_iter().map(|(key, value)| {
            let name = serde_json::from_str(key.get()).map(|Borrowed(name)| name).ok()?;
            Some(Member { name, key: place(key.get()), at: place(value.get()), value: value.get() })
        });
        let open = place(object.get(object.find('{')?..)?).start;
        Some(Self { open, members: members.collect::<Option<_>>()? })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    fn value(&self, at: usize) -> Option<&'a str> {
        self.members.get(at).map(|member| member.value)
    }

    fn is_true(&self, name: &str) -> bool {
        self.position(name).and_then(|at| self.value(at)) == Some("true")
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.value(self.position(name)?)?;
        serde_json::from_str(value).map(|Borrowed(text)| text).ok()
    }

    /// The edits that carry out what is to become of each member, and add further ones at the beginning.
    fn edit(&self, fates: &[Fate], added: &[(String, String)], edits: &mut Vec<(Range<usize>, String)>) {
        let kept = |fate: &Fate| *fate != Fate::Remove;
        let mut before: Option<&Member<'_>> = None;
        let mut any = false;
        for ((member, fate), index) in self.members.iter().zip(fates).zip(1..) {
            match fate {
                Fate::Keep | Fate::Inside => {}
                Fate::Rename(to) => edits.push((member.key.clone(), Value::from(to.as_str()).to_string())),
                Fate::Replace(value) => edits.push((member.at.clone(), value.clone())),
                // A comma goes with each: the one before where something stays before it, else the one after.
                Fate::Remove => {
                    let next = self.members.get(index).map_or(member.at.end, |next| next.key.start);
                    let span = match before.filter(|_| any) {
                        Some(before) => before.at.end..member.at.end,
                        None => member.key.start..next,
                    };
                    edits.push((span, String::new()));
                }
            }
            any |= kept(fate);
            before = Some(member);
        }
        if !added.is_empty() {
            let added: Vec<String> =
                added.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
            let comma = if any { "," } else { "" };
            edits.push((self.open + 1..self.open + 1, format!("{}{comma}", added.join(","))));
        }
    }
}

/// Whether a parameter's value passes as it is.
fn is_taken(value: &str, parameter: &Parameter) -> bool {
    let enough = |least: f64| value.parse().is_ok_and(|value: f64| value >= least);
    parameter.at_least.is_some_and(enough) || is_any(value, &parameter.takes)
}

/// Whether a value is one of some.
fn is_any(value: &str, values: &[Value]) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(value) else { return false };
    values.iter().any(|one| match (one.as_f64(), value.as_f64()) {
        (Some(one), Some(value)) => one == value,
        _ => *one == value,
    })
}

/// The pairs of an object as they are written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Members(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A string, borrowed where it holds no escape.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
