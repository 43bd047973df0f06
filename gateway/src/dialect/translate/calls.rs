//! The calls of a Chat Completions stream: told apart, and mended where servers are known to spoil them. Clients of that
//! dialect get the bytes as they came; in another dialect it must be known where one call ends and the next begins.

use serde_json::Value;

use super::hear_chat::text;
use super::told::Event;
use crate::dialect::extent::Extent;

/// Calls that have begun, in that order; an event's key is a call's place among them.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    /// What the server numbers it by, which some number all calls by.
    index: u64,
    /// Its id; empty where the server gave none.
    id: String,
    arguments: Extent,
    /// Whether `{}` came first and nothing after it: either all of the arguments, or what some servers put before them.
    empty: bool,
}

impl Calls {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a piece of a call, which stands at a position of its list.
    pub(super) fn take(&mut self, piece: &Value, position: u64, out: &mut Vec<Event>) {
        let index = piece["index"].as_u64().unwrap_or(position);
        let function = &piece["function"];
        let (id, name) = (text(&piece["id"]), text(&function["name"]));
        let more = text(&function["arguments"]);
        let last = self.0.iter().rposition(|call| call.index == index);
        let goes_on = |at: &usize| self.0.get(*at).is_some_and(|call| !call.is_over(id, name, more));
        let at = match last.filter(goes_on) {
            Some(at) => at,
            None => self.begin(index, id, name, out),
        };
        let Some(more) = more else { return };
        let (key, Some(call)) = (key(at), self.0.get_mut(at)) else { return };
        out.extend(call.take(more).map(|text| Event::Arguments { key, text }));
    }

    /// Says that nothing follows.
    pub(super) fn end(&mut self, out: &mut Vec<Event>) {
        for (at, call) in self.0.iter_mut().enumerate() {
            if std::mem::take(&mut call.empty) {
                out.push(Event::Arguments { key: key(at), text: call.arguments.push("{}").to_owned() });
            }
        }
    }

    fn begin(&mut self, index: u64, id: Option<&str>, name: Option<&str>, out: &mut Vec<Event>) -> usize {
        self.end(out);
        let at = self.0.len();
        let own = id.map_or_else(|| format!("call_{at}"), str::to_owned);
        out.push(Event::Call { key: key(at), id: own, name: name.unwrap_or_default().to_owned() });
        let id = id.unwrap_or_default().to_owned();
        self.0.push(Call { index, id, arguments: Extent::default(), empty: false });
        at
    }
}

impl Call {
    /// Whether a piece with the same index is of another call. Servers that number all calls alike begin each with its
    /// name, and with an id of its own or, where they give none, with the call before it whole. An id alone says nothing:
    /// some servers make up a new one for every piece.
    fn is_over(&self, id: Option<&str>, name: Option<&str>, more: Option<&str>) -> bool {
        match (name, id) {
            (None, _) => false,
            (Some(_), Some(id)) => id != self.id,
            (Some(_), None) => {
                (self.empty || self.arguments.is_whole()) && more.is_some_and(|more| !more.trim().is_empty())
            }
        }
    }

    /// Takes more of the arguments, and gives what is to be told of them.
    fn take(&mut self, more: &str) -> Option<String> {
        if !self.arguments.has_begun() && more.trim() == "{}" {
            self.empty = true;
            return None;
        }
        if self.empty && more.trim().is_empty() {
            return None;
        }
        let spoiled = std::mem::take(&mut self.empty) && !more.trim_start().starts_with('{');
        let told = if spoiled { format!("{{}}{more}") } else { more.to_owned() };
        self.arguments.push(&told);
        Some(told)
    }
}

fn key(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
