//! The tool calls of a stream, told apart where its server numbers all of them alike (BerriAI/litellm#33678): each begins with
//! its name, and with an id of its own or, where there are none, with the call before it whole.

use crate::dialect::extent::Extent;
use crate::exchange::{CallBegin, Channel, Observed};

/// Calls that are told apart at most; what follows has the number that its server gives it.
const MOST: usize = 1024;

/// The calls of one stream so far, in the order in which they began.
#[derive(Debug, Default)]
pub struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    choice: u32,
    /// Its number with the server.
    number: u32,
    id: String,
    /// Its number here, which no other call of the choice has.
    part: u32,
    arguments: Extent,
}

impl Calls {
    /// Gives the runs of text of the next frame the calls that they are of.
    pub fn settle(&mut self, observed: &mut Observed) {
        let mut begins = std::mem::take(&mut observed.calls).into_iter().peekable();
        for (at, delta) in observed.deltas.iter_mut().enumerate() {
            while let Some(begin) = begins.next_if(|begin| begin.after <= at) {
                self.begin(begin);
            }
            if delta.channel == Channel::Tool
                && let Some(call) = self.last(delta.choice, delta.part)
            {
                call.arguments.push(&delta.text);
                delta.part = call.part;
            }
        }
        begins.for_each(|begin| self.begin(begin));
    }

    fn last(&mut self, choice: u32, number: u32) -> Option<&mut Call> {
        self.0.iter_mut().rev().find(|call| (call.choice, call.number) == (choice, number))
    }

    fn begin(&mut self, CallBegin { choice, part: number, id, says, after: _ }: CallBegin) {
        let goes_on = self.last(choice, number).is_some_and(|call| match id.as_str() {
            "" => !(says && call.arguments.is_whole()),
            id => call.id == id,
        });
        if goes_on || self.0.len() >= MOST {
            return;
        }
        let taken = |part: u32| self.0.iter().any(|call| (call.choice, call.part) == (choice, part));
        let part = (number..).chain(0..number).find(|part| !taken(*part)).unwrap_or(number);
        self.0.push(Call { choice, number, id, part, arguments: Extent::default() });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::openai_chat::reply;

    /// The arguments of a stream's calls, by choice and part, in the order in which they first came.
    fn read(chunks: &[Value]) -> Vec<((u32, u32), String)> {
        let mut calls = Calls::default();
        let mut found: Vec<((u32, u32), String)> = Vec::new();
        for chunk in chunks {
            let mut observed = reply::read_whole(chunk.to_string().as_bytes()).expect("valid");
            calls.settle(&mut observed);
            for delta in observed.deltas.iter().filter(|delta| delta.channel == Channel::Tool) {
                let key = (delta.choice, delta.part);
                match found.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, text)) => text.push_str(&delta.text),
                    None => found.push((key, delta.text.clone())),
                }
            }
        }
        found
    }

    fn chunk(choice: u32, calls: Value) -> Value {
        json!({"choices": [{"index": choice, "delta": {"tool_calls": calls}}]})
    }

    fn piece(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
        json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    }

    fn check(chunks: &[Value], expected: &[(u32, u32, &str)]) {
        let found = read(chunks);
        let found: Vec<(u32, u32, &str)> = found.iter().map(|((a, b), text)| (*a, *b, text.as_str())).collect();
        assert_eq!(found, expected, "{chunks:?}");
    }

    #[test]
    fn calls_that_are_numbered_alike_are_told_apart_by_their_ids() {
        let of = |id, text| piece(0, Some(id), Some("f"), text);
        let more = |text| piece(0, None, None, text);
        let alike = [
            chunk(0, json!([of("a", "")])),
            chunk(0, json!([more("{\"x\":")])),
            chunk(0, json!([more("1}"), of("b", "{}"), of("c", "{\"y\"")])),
            chunk(1, json!([of("d", "{\"z\"")])),
            chunk(0, json!([more(":2}")])),
            chunk(1, json!([more(":3}")])),
        ];
        check(&alike, &[(0, 0, "{\"x\":1}"), (0, 1, "{}"), (0, 2, "{\"y\":2}"), (1, 0, "{\"z\":3}")]);
    }

    #[test]
    fn calls_with_numbers_keep_them_whatever_their_ids_do() {
        let apart = [
            chunk(0, json!([piece(0, Some("a"), Some("f"), "{"), piece(1, Some("b"), Some("g"), "[")])),
            chunk(0, json!([piece(1, None, None, "]"), piece(0, None, None, "}")])),
        ];
        check(&apart, &[(0, 0, "{}"), (0, 1, "[]")]);
        // The whole head again with each piece, and an id of its own for each piece.
        let repeated = |text| chunk(0, json!([piece(0, Some("a"), Some("f"), text)]));
        check(&[repeated("{"), repeated("}")], &[(0, 0, "{}")]);
        let renamed = |id, name, text| chunk(0, json!([piece(0, Some(id), name, text)]));
        check(&[renamed("a", Some("f"), "{"), renamed("b", None, "}")], &[(0, 0, "{}")]);
        check(&[renamed("a", Some("f"), "{"), renamed("b", Some(""), "}")], &[(0, 0, "{}")]);
        // Without ids a name begins another call where the one before it is whole.
        let nameless = |text| chunk(0, json!([piece(0, None, Some("f"), text)]));
        check(
            &[nameless("{\"a\":"), nameless("1}"), nameless(" "), nameless("{}")],
            &[(0, 0, "{\"a\":1} "), (0, 1, "{}")],
        );
        // Ids that are no texts are no reason to read nothing.
        let odd = json!([{"index": 0, "id": 7, "function": {"name": ["f"], "arguments": "{}"}}]);
        check(&[chunk(0, odd)], &[(0, 0, "{}")]);
    }

    proptest! {
        /// However calls are numbered, each keeps its own arguments.
        #[test]
        fn no_two_calls_share_a_part(numbers in prop::collection::vec(0..3_u32, 1..8)) {
            let chunks: Vec<Value> = numbers
                .iter()
                .enumerate()
                .flat_map(|(at, number)| {
                    let (id, text) = (format!("call_{at}"), format!("<{at}"));
                    [
                        chunk(0, json!([piece(*number, Some(&id), Some("f"), &text)])),
                        chunk(0, json!([piece(*number, None, None, ">")])),
                    ]
                })
                .collect();
            let texts: Vec<String> = read(&chunks).into_iter().map(|(_, text)| text).collect();
            let expected: Vec<String> = (0..numbers.len()).map(|at| format!("<{at}>")).collect();
            prop_assert_eq!(texts, expected);
        }
    }
}
