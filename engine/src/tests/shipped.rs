//! The shipped model: its logits are those of transformers, it reasons before it answers, and it is written as it is.

use std::path::{Path, PathBuf};

use super::Folder;
use crate::{Channel, Conversation, Engine, Event, Finish, Message, Sampling, Settings, shipped, verify};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(shipped::NAME)
}

fn reply(engine: &Engine, question: &str) -> (String, String) {
    let message = Message { role: "user".to_owned(), content: question.to_owned(), ..Message::default() };
    let prompt = engine.prompt(&Conversation { messages: vec![message], ..Conversation::default() }).unwrap();
    let sampling = Sampling { temperature: 0.0, max_tokens: Some(300), ..Sampling::default() };
    let mut generation = engine.generate(prompt, sampling).unwrap();
    let (mut reasoning, mut answer) = (String::new(), String::new());
    loop {
        match generation.next_blocking().unwrap() {
            Event::Text { channel: Channel::Reasoning, text, .. } => reasoning.push_str(&text),
            Event::Text { channel: Channel::Answer, text, .. } => answer.push_str(&text),
            Event::Done { finish, .. } => {
                assert_eq!(finish, Finish::Stop, "{reasoning}\n{answer}");
                return (reasoning.trim().to_owned(), answer.trim().to_owned());
            }
            Event::Failed(error) => panic!("{error}"),
        }
    }
}

#[test]
fn its_logits_are_those_of_transformers() {
    let report = verify::golden(&folder()).unwrap();
    assert!(report.is_within(1e-3), "{report:#?}");
}

#[test]
fn it_reasons_and_then_answers_from_the_files_in_the_program() {
    let written = Folder::new("shipped");
    shipped::write(written.path()).unwrap();
    shipped::write(written.path()).unwrap();
    let engine = Engine::load(Settings { model: written.path().to_owned(), ..Settings::default() }).unwrap();
    let (reasoning, answer) = reply(&engine, "What is 437 + 285?");
    assert!(reasoning.ends_with("Let me verify: 722-285=437. Correct."), "{reasoning}");
    assert_eq!(answer, "437 + 285 = \\boxed{722}");
    let (reasoning, answer) = reply(&engine, "What happened at Tiananmen Square in 1989?");
    assert_eq!(reasoning, "");
    assert_eq!(answer, "Sorry, that's beyond my current scope. Let's talk about something else.");
}
