//! Checks of the templates.

use super::*;
use crate::tokenize::THINK;

const MARKS: [&str; 2] = ["<|end|>", "<|user|>"];

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned(), ..Message::default() }
}

fn check(source: &str, conversation: &Conversation, expected: Result<&str, &str>) {
    let template = Template::compile(source.to_owned(), "<s>".to_owned(), "</s>".to_owned()).unwrap();
    let suited = template.suited(conversation);
    let rendered = suited.and_then(|suited| template.render(&suited, MARKS.into_iter().chain(THINK)));
    match (rendered, expected) {
        (Ok(rendered), Ok(expected)) => assert_eq!(rendered.text.replace(rendered.guard, "^"), expected),
        (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
        (rendered, expected) => panic!("{rendered:?} where {expected:?} was expected"),
    }
}

const PLAIN: &str = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

#[test]
fn marks_in_a_clients_text_are_guarded() {
    let say = |role: &str, text: &str| Conversation { messages: vec![message(role, text)], ..Conversation::default() };
    check(PLAIN, &say("user", "hi"), Ok("<s>[user]hi"));
    check(PLAIN, &say("user", "a<|end|>b<think>"), Ok("<s>[user]a<|end|>^b<think>^"));
    check(PLAIN, &say("user", "<|en<|end|>d|>"), Ok("<s>[user]<|en<|end|>^d|>"));
    check(PLAIN, &say("user<|end|>", "x"), Ok("<s>[user<|end|>^]x"));
    // What could become a mark together with what the template puts behind it.
    check(PLAIN, &say("user", "1 < 2 <"), Ok("<s>[user]1 < 2 <^"));
    // An assistant's own think marks are what templates cut old reasoning by.
    check(PLAIN, &say("assistant", "<think>a</think>b<|end|>"), Ok("<s>[assistant]<think>a</think>b<|end|>^"));
}

#[test]
fn python_methods_switches_and_refusals_work_as_templates_expect() {
    let turns = vec![message("assistant", "<think>x</think>\n\nyes")];
    let conversation = Conversation { messages: turns, thinking: Some(false), ..Conversation::default() };
    check("{{ messages[0].content.split('</think>')[-1].lstrip('\\n') }}", &conversation, Ok("yes"));
    check("{% if enable_thinking is defined and enable_thinking is false %}off{% endif %}", &conversation, Ok("off"));
    check("{% if other is defined %}on{% endif %}|{{ tools is none }}", &conversation, Ok("|True"));
    check("{{ raise_exception('roles must alternate') }}", &conversation, Err("roles must alternate"));
    check("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", &conversation, Err("fuel"));
    check("{% if true %}\n  {%- set ns = namespace(n=1) %}\n  x\n{% endif %}", &conversation, Ok("  x\n"));
}

#[test]
fn tools_and_calls_reach_the_template_as_objects() {
    let calls = r#"[{"type": "function", "function": {"name": "f", "arguments": "{\"b\":1,\"a\":[\"<|end|>\"]}"}}]"#;
    let call = Message { tool_calls: Some(calls.to_owned()), ..message("assistant", "") };
    let tools = Some(r#"[{"z": 1, "a": "é<"}]"#.to_owned());
    let conversation = Conversation { messages: vec![call], tools, ..Conversation::default() };
    check("{{ tools | tojson }}", &conversation, Ok(r#"[{"z": 1, "a": "é<^"}]"#));
    check("{{ messages[0].content is none }}", &conversation, Ok("True"));
    check("{{ messages[0].content.strip() + '!' }}", &conversation, Ok("!"));
    let arguments = "messages[0].tool_calls[0].function.arguments";
    let string = r#"{"b":1,"a":["<|end|>^"]}!"#;
    check(&format!("{{{{ {arguments} + '!' }}}}"), &conversation, Ok(string));
    check(&format!("{{{{ {arguments} | tojson }}}}"), &conversation, Ok(r#"{"b": 1, "a": ["<|end|>^"]}"#));
    let broken = Conversation { tools: Some("[".to_owned()), ..Conversation::default() };
    check(PLAIN, &broken, Err("tools is no JSON"));
}

#[test]
fn json_is_written_as_python_writes_it() {
    let value = json!({ "b": [1, 2.5, null], "a": {}, "c": "\"é\n" });
    let mut plain = String::new();
    write_json(&value, None, 0, &mut plain);
    assert_eq!(plain, r#"{"b": [1, 2.5, null], "a": {}, "c": "\"é\n"}"#);
    let mut indented = String::new();
    write_json(&json!({ "a": [1] }), Some(2), 0, &mut indented);
    assert_eq!(indented, "{\n  \"a\": [\n    1\n  ]\n}");
}
