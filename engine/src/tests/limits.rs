//! What a request may ask beside sampling: biases, a least and a most length, a budget for reasoning; and weights that are
//! made smaller when they are loaded.

use serde_json::{Value, json};

use super::fixture::{self, Folder, TEMPLATE};
use crate::{Conversation, Engine, Error, Event, Finish, Message, Quantisation, Sampling, Settings, Usage};

const END: u32 = 257;

fn load(name: &str, own: &Value, settings: Settings) -> (Engine, Folder) {
    let folder = Folder::new(name);
    fixture::write(&folder, &fixture::config(own), Some(TEMPLATE), 3);
    (Engine::load(Settings { model: folder.path().to_owned(), ..settings }).unwrap(), folder)
}

fn ask(engine: &Engine, text: &str, sampling: Sampling) -> (String, Finish, Usage) {
    let message = Message { role: "user".to_owned(), content: text.to_owned(), ..Message::default() };
    let prompt = engine.prompt(&Conversation { messages: vec![message], ..Conversation::default() }).unwrap();
    let mut generation = engine.generate(prompt, sampling).unwrap();
    let mut said = String::new();
    while let Some(event) = generation.next_blocking() {
        match event {
            Event::Text { text, .. } => said.push_str(&text),
            Event::Done { finish, usage } => return (said, finish, usage),
            Event::Failed(error) => panic!("{error}"),
        }
    }
    panic!("no end");
}

fn greedy(max_tokens: usize) -> Sampling {
    Sampling { temperature: 0.0, max_tokens: Some(max_tokens), ..Sampling::default() }
}

#[test]
fn a_spent_reasoning_is_closed_by_the_engine() {
    let (engine, _folder) = load("budget", &json!({ "eos_token_id": null }), Settings::default());
    let free = ask(&engine, "x", greedy(12)).2;
    assert_eq!((free.reasoning_tokens, free.forced_tokens), (12, 0));
    let (_, finish, usage) = ask(&engine, "x", Sampling { max_reasoning_tokens: Some(3), ..greedy(12) });
    assert_eq!((finish, usage.completion_tokens), (Finish::Length, 12));
    // Three of the model's own, and the mark.
    assert_eq!((usage.reasoning_tokens, usage.forced_tokens), (4, 1));
    let none = ask(&engine, "x", Sampling { max_reasoning_tokens: Some(0), ..greedy(12) }).2;
    assert_eq!((none.reasoning_tokens, none.forced_tokens), (1, 1));
}

#[test]
fn biases_choose_and_a_least_length_holds_the_end_off() {
    let (engine, _folder) = load("bias", &json!({}), Settings::default());
    let letter = u32::from(b'q');
    let biased = Sampling { logit_bias: vec![(letter, 100.0)], ..greedy(5) };
    assert_eq!(ask(&engine, "x", biased).0, "qqqqq");
    let ending = Sampling { logit_bias: vec![(END, 100.0)], ..greedy(9) };
    let (_, finish, usage) = ask(&engine, "x", ending.clone());
    assert_eq!((finish, usage.completion_tokens), (Finish::Stop, 1));
    let (_, finish, usage) = ask(&engine, "x", Sampling { min_tokens: 4, ..ending });
    assert_eq!((finish, usage.completion_tokens), (Finish::Stop, 5));
    let unknown = Sampling { logit_bias: vec![(fixture::VOCABULARY as u32, 1.0)], ..greedy(5) };
    let prompt = engine.tokens(vec![1, 2]).unwrap();
    assert!(matches!(engine.generate(prompt, unknown), Err(Error::Request(_))));
    assert!(matches!(engine.tokens(vec![fixture::VOCABULARY as u32]), Err(Error::Request(_))));
    assert!(matches!(engine.tokens(Vec::new()), Err(Error::Request(_))));
}

/// Sizes that tiles take.
fn wide() -> Value {
    json!({ "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2,
            "eos_token_id": null, "max_position_embeddings": 512 })
}

#[test]
fn smaller_weights_say_nearly_the_same_and_are_told_apart() {
    let first = |engine: &Engine| {
        let sampling = Sampling { logprobs: Some(1), ..greedy(1) };
        let mut generation = engine.generate(engine.tokens((40..60).collect()).unwrap(), sampling).unwrap();
        while let Some(event) = generation.next_blocking() {
            if let Event::Text { logprobs, .. } = event {
                return logprobs[0].chosen.logprob;
            }
        }
        panic!("no token");
    };
    let (whole, _one) = load("whole", &wide(), Settings::default());
    let (eight, _two) = load("eight", &wide(), Settings { quantise: Some(Quantisation::Q8_0), ..Settings::default() });
    let (four, _three) = load("four", &wide(), Settings { quantise: Some(Quantisation::Q4K), ..Settings::default() });
    let exact = first(&whole);
    assert!((first(&eight) - exact).abs() < 0.4, "{} for {exact}", first(&eight));
    assert!((first(&four) - exact).abs() < 1.5, "{} for {exact}", first(&four));
    assert_ne!(whole.digest(), eight.digest());
    assert_ne!(four.digest(), eight.digest());
}

#[test]
fn packed_weights_give_the_same_text_alone_in_a_batch_and_from_the_cache() {
    for quantise in [Quantisation::Q8_0, Quantisation::Q4K] {
        let quantise = Some(quantise);
        let alone = Settings { sequences: 1, threads: Some(1), quantise, ..Settings::default() };
        let (alone, _one) = load(&format!("alone-{quantise:?}"), &wide(), alone);
        let crowd = Settings { sequences: 4, threads: Some(2), quantise, ..Settings::default() };
        let (crowd, _two) = load(&format!("crowd-{quantise:?}"), &wide(), crowd);
        // Long enough for matrix units, which multiply sixteen rows and more.
        let text = |index: usize| "a text that is longer than sixteen rows ".repeat(1 + index * 2);
        let sampling = |index: usize| Sampling { temperature: 1.0, seed: Some(index as u64), ..greedy(20) };
        let expected: Vec<String> = (0..4).map(|index| ask(&alone, &text(index), sampling(index)).0).collect();
        for _ in 0..2 {
            std::thread::scope(|scope| {
                let asked: Vec<_> = (0..4)
                    .map(|index| {
                        let crowd = &crowd;
                        (index, scope.spawn(move || ask(crowd, &text(index), sampling(index)).0))
                    })
                    .collect();
                for (index, asked) in asked {
                    assert_eq!(asked.join().unwrap(), expected[index]);
                }
            });
        }
    }
}
