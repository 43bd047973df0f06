//! Writes what the engine says in the client's dialect, event by event or whole. It polls nothing.

use std::mem;

use bytes::{Bytes, BytesMut};
use candor_engine::{self as model, Finish};

use super::engine::created;
use crate::dialect::write::{self, Head, Logprob, Logprobs, Said};
use crate::exchange::{Channel, ExchangeId, Usage};
use crate::upstream::failure::Error;

/// How the client wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As one document.
    Whole,
    /// As events; the last one before the end carries usage.
    Events,
}

/// The state of one reply.
#[derive(Debug)]
pub struct Writer {
    id: String,
    model: String,
    created: i64,
    form: Form,
    forced: String,
    choices: Vec<Choice>,
    usage: Usage,
    out: BytesMut,
    over: bool,
}

#[derive(Debug, Clone, Default)]
struct Choice {
    begun: bool,
    ended: bool,
    /// Texts, kept only for a whole reply.
    said: Said,
}

impl Writer {
    /// A reply with nothing said yet. `forced` is reasoning that every choice begins with.
    pub fn new(id: ExchangeId, model: &str, form: Form, forced: &str, choices: usize) -> Self {
        Self {
            id: format!("chatcmpl-{id}"),
            model: model.to_owned(),
            created: created(),
            form,
            forced: forced.to_owned(),
            choices: vec![Choice::default(); choices],
            usage: Usage::default(),
            out: BytesMut::new(),
            over: false,
        }
    }

    /// Whether a choice has ended.
    pub fn ended(&self, choice: usize) -> bool {
        self.choices.get(choice).is_none_or(|choice| choice.ended)
    }

    /// Whether everything is written.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What was written since the last time, if anything.
    pub fn take(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| mem::take(&mut self.out).freeze())
    }

    /// Writes an event of one choice.
    ///
    /// # Errors
    /// The engine failed.
    pub fn event(&mut self, choice: usize, event: model::Event) -> Result<(), Error> {
        match event {
            model::Event::Text { channel, text, logprobs, .. } => {
                let channel = match channel {
                    model::Channel::Reasoning => Channel::Reasoning,
                    model::Channel::Answer => Channel::Answer,
                };
                self.begin(choice);
                let logprobs = logprobs.into_iter().map(logprob).collect();
                self.text(choice, channel, &text, logprobs);
                Ok(())
            }
            model::Event::Done { finish, usage } => {
                let finish = match finish {
                    Finish::Stop => "stop",
                    Finish::Length => "length",
                    Finish::Cancelled => return Err(Error::Engine("the generation was cancelled".to_owned())),
                };
                self.begin(choice);
                self.finish(choice, finish, usage);
                Ok(())
            }
            model::Event::Failed(error) => Err(super::engine::explain(error)),
        }
    }

    /// The head of a choice, with what the template forced. It waits for the engine's first word, so that another
    /// candidate can still take over before.
    fn begin(&mut self, index: usize) {
        let Some(choice) = self.choices.get_mut(index) else { return };
        if mem::replace(&mut choice.begun, true) {
            return;
        }
        if self.form != Form::Whole {
            let chunk = write::role_chunk(&self.head(), number(index));
            self.out.extend_from_slice(&chunk);
        }
        let forced = mem::take(&mut self.forced);
        if !forced.is_empty() {
            self.text(index, Channel::Reasoning, &forced, Vec::new());
        }
        self.forced = forced;
    }

    fn text(&mut self, index: usize, channel: Channel, text: &str, logprobs: Vec<Logprob>) {
        if text.is_empty() {
            return;
        }
        let by_channel = match channel {
            _ if logprobs.is_empty() => None,
            Channel::Reasoning => Some(Logprobs { reasoning: logprobs, ..Logprobs::default() }),
            _ => Some(Logprobs { answer: logprobs, ..Logprobs::default() }),
        };
        if self.form != Form::Whole {
            let chunk = write::text_chunk(&self.head(), number(index), channel, text, by_channel.as_ref());
            return self.out.extend_from_slice(&chunk);
        }
        let Some(Choice { said, .. }) = self.choices.get_mut(index) else { return };
        let whole = if channel == Channel::Reasoning { &mut said.reasoning } else { &mut said.answer };
        whole.push_str(text);
        if let Some(new) = by_channel {
            let all = said.logprobs.get_or_insert_default();
            all.reasoning.extend(new.reasoning);
            all.answer.extend(new.answer);
        }
    }

    fn finish(&mut self, index: usize, finish: &'static str, usage: model::Usage) {
        if let Some(choice) = self.choices.get_mut(index) {
            choice.ended = true;
            choice.said.finish = finish;
        }
        self.count(usage);
        if self.form != Form::Whole {
            let chunk = write::finish_chunk(&self.head(), number(index), finish);
            self.out.extend_from_slice(&chunk);
        }
        if self.choices.iter().all(|choice| choice.ended) {
            self.close();
        }
    }

    /// Prompts are counted once, however many choices there are.
    fn count(&mut self, usage: model::Usage) {
        let count = |tokens: usize| u64::try_from(tokens).unwrap_or(u64::MAX);
        let sum = |sum: Option<u64>, tokens: usize| Some(sum.unwrap_or(0).saturating_add(count(tokens)));
        self.usage = Usage {
            prompt: Some(count(usage.prompt_tokens)),
            completion: sum(self.usage.completion, usage.completion_tokens),
            reasoning: sum(self.usage.reasoning, usage.reasoning_tokens),
            cached: Some(self.usage.cached.unwrap_or(u64::MAX).min(count(usage.cached_tokens))),
            written: None,
        };
    }

    fn close(&mut self) {
        self.over = true;
        match self.form {
            Form::Whole => {
                let said: Vec<Said> = self.choices.iter_mut().map(|choice| mem::take(&mut choice.said)).collect();
                let whole = write::reply(&self.head(), &said, &self.usage);
                self.out.extend_from_slice(&whole);
            }
            Form::Events => {
                let chunk = write::usage_chunk(&self.head(), &self.usage);
                self.out.extend_from_slice(&chunk);
                self.out.extend_from_slice(&write::done());
            }
        }
    }

    fn head(&self) -> Head<'_> {
        Head { id: &self.id, model: &self.model, created: self.created }
    }
}

fn logprob(token: model::TokenLogprob) -> Logprob {
    let one = |model::Likelihood { text, bytes, logprob }| Logprob { token: text, bytes, logprob, top: Vec::new() };
    Logprob { top: token.top.into_iter().map(one).collect(), ..one(token.chosen) }
}

fn number(choice: usize) -> u32 {
    u32::try_from(choice).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn text(channel: model::Channel, text: &str) -> model::Event {
        model::Event::Text { channel, text: text.to_owned(), tokens: 1, logprobs: Vec::new() }
    }

    fn done(finish: Finish, completion: usize, cached: usize) -> model::Event {
        let usage = model::Usage {
            prompt_tokens: 5,
            completion_tokens: completion,
            reasoning_tokens: 1,
            cached_tokens: cached,
            ..model::Usage::default()
        };
        model::Event::Done { finish, usage }
    }

    fn written(form: Form, forced: &str, choices: usize, events: Vec<(usize, model::Event)>) -> (String, bool) {
        let mut writer = Writer::new(ExchangeId::begin(), "tiny", form, forced, choices);
        let mut out = Vec::new();
        for (choice, event) in events {
            writer.event(choice, event).unwrap_or_else(|error| panic!("{error}"));
            out.extend(writer.take().unwrap_or_default());
        }
        (String::from_utf8(out).unwrap_or_default(), writer.is_over())
    }

    fn frames(text: &str) -> Vec<Value> {
        let frames = text.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
        frames.filter_map(|data| serde_json::from_str(data).ok()).collect()
    }

    #[test]
    fn events_say_role_reasoning_answer_finish_usage_in_order() {
        let events = vec![
            (0, text(model::Channel::Reasoning, "hm")),
            (0, text(model::Channel::Answer, "yes")),
            (0, done(Finish::Stop, 3, 2)),
        ];
        let (out, over) = written(Form::Events, "\n", 1, events);
        assert!(over && out.ends_with("data: [DONE]\n\n"), "{out}");
        let frames = frames(&out);
        let deltas: Vec<String> =
            frames.iter().filter_map(|frame| frame.pointer("/choices/0/delta")).map(Value::to_string).collect();
        let expected = [
            r#"{"role":"assistant","content":""}"#,
            r#"{"reasoning_content":"\n"}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"content":"yes"}"#,
            "{}",
        ];
        assert_eq!(deltas, expected);
        assert_eq!(frames[4].pointer("/choices/0/finish_reason"), Some(&Value::from("stop")));
        let usage = frames.last().and_then(|frame| frame.get("usage")).unwrap_or_else(|| panic!("no usage: {out}"));
        assert_eq!(usage["total_tokens"], 8);
        assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 1);
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 2);
    }

    #[test]
    fn likelihoods_stand_beside_the_text_of_their_channel() {
        let likelihood = |text: &str, logprob| model::Likelihood { text: text.to_owned(), bytes: text.into(), logprob };
        let said = |channel, text: &str| model::Event::Text {
            channel,
            text: text.to_owned(),
            tokens: 1,
            logprobs: vec![model::TokenLogprob {
                chosen: likelihood(text, -0.5),
                top: vec![likelihood("x", -0.25), likelihood("y", f32::NEG_INFINITY)],
            }],
        };
        let events = vec![
            (0, said(model::Channel::Reasoning, "hm")),
            (0, said(model::Channel::Answer, "\u{e9}")),
            (0, done(Finish::Stop, 3, 0)),
        ];
        let expected = serde_json::json!({"token": "\u{e9}", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [
            {"token": "x", "logprob": -0.25, "bytes": [120]}, {"token": "y", "logprob": -9999.0, "bytes": [121]},
        ]});
        let (out, _) = written(Form::Events, "", 1, events.clone());
        let frames = frames(&out);
        assert_eq!(frames[0]["choices"][0].get("logprobs"), None);
        assert_eq!(frames[1]["choices"][0]["logprobs"]["reasoning_content"][0]["token"], "hm");
        assert_eq!(frames[2]["choices"][0]["logprobs"]["content"][0], expected);
        let (out, _) = written(Form::Whole, "", 1, events);
        let reply: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        let logprobs = &reply["choices"][0]["logprobs"];
        assert_eq!((&logprobs["content"][0], &logprobs["reasoning_content"][0]["token"]), (&expected, &"hm".into()));
    }

    #[test]
    fn a_whole_reply_comes_once_all_choices_have_ended() {
        let events = vec![
            (1, text(model::Channel::Answer, "b")),
            (0, text(model::Channel::Answer, "a")),
            (1, done(Finish::Length, 2, 0)),
            (0, done(Finish::Stop, 3, 5)),
        ];
        let (out, over) = written(Form::Whole, "", 2, events);
        let reply: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        assert!(over);
        assert_eq!(reply["choices"][0]["message"]["content"], "a");
        assert_eq!(reply["choices"][1]["message"]["content"], "b");
        assert_eq!(reply["choices"][1]["finish_reason"], "length");
        assert_eq!(reply["usage"]["prompt_tokens"], 5);
        assert_eq!(reply["usage"]["completion_tokens"], 5);
        assert_eq!(reply["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
        assert_eq!(reply["choices"][0]["message"].get("reasoning_content"), None);
    }

    #[test]
    fn nothing_is_written_before_the_engines_first_word() {
        let (out, over) = written(Form::Events, "\n", 2, vec![(1, done(Finish::Stop, 0, 0))]);
        assert!(!over && !out.contains("[DONE]"));
        assert!(frames(&out).iter().all(|frame| frame["choices"][0]["index"] == 1), "{out}");
    }

    #[test]
    fn a_failure_is_an_error() {
        let mut writer = Writer::new(ExchangeId::begin(), "tiny", Form::Whole, "", 1);
        let cancelled = writer.event(0, done(Finish::Cancelled, 0, 0));
        assert!(matches!(cancelled, Err(Error::Engine(_))));
        assert_eq!(writer.event(0, model::Event::Failed(model::Error::Busy)), Err(Error::Busy));
        assert_eq!(writer.take(), None);
    }
}
