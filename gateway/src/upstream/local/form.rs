//! What an answer shall look like, as clients ask for it: OpenAI's `response_format`, and vLLM's words for expressions,
//! choices and grammars. It compiles nothing.

use candor_engine::Constraint;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ask::refused;
use crate::upstream::failure::Error;

/// The fields of a request that say it.
#[derive(Debug, Deserialize)]
pub(super) struct Forms<'a> {
    #[serde(borrow)]
    response_format: Option<Format<'a>>,
    #[serde(borrow)]
    structured_outputs: Option<Structured<'a>>,
    #[serde(borrow)]
    guided_json: Option<&'a RawValue>,
    guided_regex: Option<String>,
    guided_choice: Option<Vec<String>>,
    guided_grammar: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    json_schema: Option<Schema<'a>>,
}

#[derive(Debug, Deserialize)]
struct Schema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Structured<'a> {
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    regex: Option<String>,
    choice: Option<Vec<String>>,
    grammar: Option<String>,
}

/// What they come to.
///
/// # Errors
/// [`Error::Request`] where the kind is unknown, or several fields say something.
pub(super) fn read(forms: &Forms<'_>) -> Result<Option<Constraint>, Error> {
    let mut found = Vec::new();
    found.extend(forms.response_format.as_ref().map(format).transpose()?.flatten());
    if let Some(Structured { json, regex, choice, grammar }) = &forms.structured_outputs {
        found.extend(any(*json, regex.as_ref(), choice.as_ref(), grammar.as_ref()));
    }
    let guided = (&forms.guided_regex, &forms.guided_choice, &forms.guided_grammar);
    found.extend(any(forms.guided_json, guided.0.as_ref(), guided.1.as_ref(), guided.2.as_ref()));
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(refused("response_format", "Only one field may say what the answer shall look like.")),
    }
}

fn format(format: &Format<'_>) -> Result<Option<Constraint>, Error> {
    let schema = format.json_schema.as_ref().and_then(|schema| schema.schema);
    match (format.kind.as_deref(), schema) {
        (Some("text") | None, _) => Ok(None),
        (Some("json_object"), _) => Ok(Some(Constraint::JsonObject)),
        (Some("json_schema"), Some(schema)) => Ok(Some(Constraint::JsonSchema(schema.get().to_owned()))),
        (Some("json_schema"), None) => {
            Err(refused("response_format.json_schema.schema", "'json_schema' needs a 'schema'."))
        }
        (Some(_), _) => {
            let known = "The local engine knows the response formats 'text', 'json_object' and 'json_schema'.";
            Err(refused("response_format", known))
        }
    }
}

fn any(
    json: Option<&RawValue>,
    regex: Option<&String>,
    choice: Option<&Vec<String>>,
    grammar: Option<&String>,
) -> impl Iterator<Item = Constraint> {
    // A schema may also come as text that holds JSON.
    let text = |json: &RawValue| serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned());
    let found = [
        json.map(|json| Constraint::JsonSchema(text(json))),
        regex.map(|regex| Constraint::Regex(regex.clone())),
        choice.map(|choice| Constraint::Choice(choice.clone())),
        grammar.map(|grammar| Constraint::Grammar(grammar.clone())),
    ];
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<Option<Constraint>, Error> {
        read(&serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}")))
    }

    #[test]
    fn every_way_to_say_it_is_read() {
        let check = |body: &str, expected: Option<Constraint>| assert_eq!(asked(body), Ok(expected), "{body}");
        let schema = || Some(Constraint::JsonSchema(r#"{"type":"null"}"#.to_owned()));
        check("{}", None);
        check(r#"{"response_format":null}"#, None);
        check(r#"{"response_format":{"type":"text"}}"#, None);
        check(r#"{"response_format":{"type":"json_object"}}"#, Some(Constraint::JsonObject));
        check(
            r#"{"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"null"}}}}"#,
            schema(),
        );
        check(r#"{"guided_json":{"type":"null"}}"#, schema());
        check(r#"{"guided_json":"{\"type\":\"null\"}"}"#, schema());
        check(r#"{"structured_outputs":{"json":{"type":"null"}}}"#, schema());
        check(r#"{"structured_outputs":{"regex":"a+"}}"#, Some(Constraint::Regex("a+".to_owned())));
        check(r#"{"guided_choice":["a","b"]}"#, Some(Constraint::Choice(vec!["a".to_owned(), "b".to_owned()])));
        check(r#"{"guided_grammar":"start: x"}"#, Some(Constraint::Grammar("start: x".to_owned())));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for body in [
            r#"{"response_format":{"type":"xml"}}"#,
            r#"{"response_format":{"type":"json_schema"}}"#,
            r#"{"response_format":{"type":"json_object"},"guided_regex":"a"}"#,
            r#"{"structured_outputs":{"regex":"a","choice":["b"]}}"#,
        ] {
            assert!(matches!(asked(body), Err(Error::Request { .. })), "{body}");
        }
    }
}
