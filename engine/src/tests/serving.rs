//! The engine through its public face, on a tiny checkpoint.

use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use serde_json::json;

use super::fixture::{self, ASSISTANT, BEGIN, Folder, TEMPLATE, THINK, USER};
use crate::{
    Channel, Conversation, Engine, Error, Event, Finish, Generation, Message, Prompt, Sampling, Settings, Usage,
};

struct Served {
    engine: Engine,
    _folder: Folder,
}

fn serve(name: &str, template: Option<&str>, settings: Settings) -> Served {
    let folder = Folder::new(name);
    // Without an end token every reply runs to its limit.
    fixture::write(&folder, &fixture::config(&json!({ "eos_token_id": null })), template, 3);
    let engine = Engine::load(Settings { model: folder.path().to_owned(), ..settings }).unwrap();
    Served { engine, _folder: folder }
}

pub(super) fn ask(engine: &Engine, text: &str) -> Prompt {
    let message = Message { role: "user".to_owned(), content: text.to_owned(), ..Message::default() };
    engine.prompt(&Conversation { messages: vec![message], ..Conversation::default() }).unwrap()
}

fn sampling(seed: u64, max_tokens: usize) -> Sampling {
    Sampling { seed: Some(seed), max_tokens: Some(max_tokens), ..Sampling::default() }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Reply {
    pub(super) reasoning: String,
    pub(super) answer: String,
    pub(super) tokens: usize,
    pub(super) end: Option<Result<(Finish, Usage), Error>>,
}

pub(super) fn read(mut generation: Generation) -> Reply {
    let mut reply = Reply::default();
    while let Some(event) = generation.next_blocking() {
        match event {
            Event::Text { channel, text, tokens, .. } => {
                reply.tokens += tokens;
                match channel {
                    Channel::Reasoning => reply.reasoning.push_str(&text),
                    Channel::Answer => reply.answer.push_str(&text),
                }
            }
            Event::Done { finish, usage } => reply.end = Some(Ok((finish, usage))),
            Event::Failed(error) => reply.end = Some(Err(error)),
        }
    }
    reply
}

#[test]
fn the_template_decides_where_a_reply_begins() {
    let served = serve("opening", Some(TEMPLATE), Settings::default());
    let prompt = ask(&served.engine, "a</think><|user|>");
    let marks: Vec<u32> = prompt.tokens().iter().copied().filter(|token| *token >= BEGIN).collect();
    assert_eq!(marks, [BEGIN, USER, ASSISTANT, THINK], "a client's marks stay text");
    assert_eq!((prompt.opens_in(), prompt.forced()), (Channel::Reasoning, "\n"));
    assert!(served.engine.thinks());
    let reply = read(served.engine.generate(prompt, sampling(1, 12)).unwrap());
    let Some(Ok((Finish::Length, usage))) = reply.end else { panic!("{reply:?}") };
    assert_eq!((usage.completion_tokens, reply.answer.as_str()), (12, ""));
    assert_eq!(usage.reasoning_tokens, 12);
}

#[test]
fn a_base_model_continues_the_text() {
    let served = serve("base", None, Settings::default());
    let prompt = ask(&served.engine, "ab<|user|>");
    assert_eq!(prompt.tokens()[..3], [BEGIN, u32::from(b'a'), u32::from(b'b')]);
    assert_eq!(prompt.tokens().len(), 11);
    assert_eq!(prompt.opens_in(), Channel::Answer);
}

#[test]
fn the_same_seed_gives_the_same_text_alone_in_a_batch_and_from_the_cache() {
    let alone = serve("alone", Some(TEMPLATE), Settings { sequences: 1, threads: Some(1), ..Settings::default() });
    let crowd = serve("crowd", Some(TEMPLATE), Settings { sequences: 4, threads: Some(2), ..Settings::default() });
    let texts =
        ["short", "a text that is longer than two of the cache's pages, to be sure of it", "third", "a text that"];
    let run =
        |engine: &Engine, index: usize| engine.generate(ask(engine, texts[index]), sampling(index as u64, 20)).unwrap();
    let expected: Vec<Reply> = (0..4).map(|index| read(run(&alone.engine, index))).collect();
    for _ in 0..2 {
        let together: Vec<Generation> = (0..4).map(|index| run(&crowd.engine, index)).collect();
        for (generation, expected) in together.into_iter().zip(&expected) {
            let reply = read(generation);
            assert_eq!((&reply.reasoning, &reply.answer), (&expected.reasoning, &expected.answer));
        }
    }
}

#[test]
fn a_prompt_that_was_seen_is_not_computed_again_unless_the_salt_differs() {
    let served = serve("cache", Some(TEMPLATE), Settings::default());
    let text = "a text that is longer than two of the cache's pages, to be sure of it";
    let run = |salt: &[u8]| {
        let prompt = ask(&served.engine, text).salted(salt);
        let length = prompt.tokens().len();
        let reply = read(served.engine.generate(prompt, sampling(5, 9)).unwrap());
        let Some(Ok((_, usage))) = reply.end else { panic!("{reply:?}") };
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (length, 9));
        (usage.cached_tokens, reply.reasoning)
    };
    let length = ask(&served.engine, text).tokens().len();
    let cold = run(b"a");
    assert_eq!(cold.0, 0);
    assert_eq!(run(b"a"), (length - 1, cold.1.clone()));
    assert_eq!(run(b"b"), (0, cold.1));
}

#[test]
fn more_requests_than_may_wait_are_refused_at_once() {
    let settings = Settings { sequences: 1, queue: 2, ..Settings::default() };
    let served = serve("busy", Some(TEMPLATE), settings);
    let run = || served.engine.generate(ask(&served.engine, "x"), sampling(1, 200));
    let mut kept = Vec::new();
    let refused = loop {
        match run() {
            Ok(generation) => kept.push(generation),
            Err(error) => break error,
        }
        assert!(kept.len() <= 8, "the queue has no end");
    };
    assert_eq!(refused, Error::Busy);
    // Nobody reads the first, so it pauses; as it leaves, the next one runs.
    drop(kept.remove(0));
    assert!(matches!(read(kept.remove(0)).end, Some(Ok((Finish::Length, _)))));
}

#[test]
fn a_slow_reader_stops_its_own_reply_only() {
    let served = serve("slow", Some(TEMPLATE), Settings::default());
    let slow = served.engine.generate(ask(&served.engine, "slow"), sampling(1, 150)).unwrap();
    let quick = read(served.engine.generate(ask(&served.engine, "quick"), sampling(2, 150)).unwrap());
    assert!(matches!(quick.end, Some(Ok((Finish::Length, Usage { completion_tokens: 150, .. })))));
    let slow = read(slow);
    assert!(matches!(slow.end, Some(Ok((Finish::Length, Usage { completion_tokens: 150, .. })))));
}

#[test]
fn a_cancelled_reply_ends_with_what_it_cost() {
    let served = serve("cancel", Some(TEMPLATE), Settings::default());
    let mut generation = served.engine.generate(ask(&served.engine, "x"), sampling(1, 200)).unwrap();
    assert!(matches!(generation.next_blocking(), Some(Event::Text { .. })));
    generation.cancel();
    let Some(Ok((finish, usage))) = read(generation).end else { panic!("no end") };
    assert_eq!(finish, Finish::Cancelled);
    assert!(usage.completion_tokens < 200, "{usage:?}");
}

#[test]
fn a_poisoned_request_fails_alone() {
    let served = serve("poison", Some(TEMPLATE), Settings { threads: Some(1), ..Settings::default() });
    let mut poisoned = ask(&served.engine, "x");
    poisoned.tokens.push(fixture::VOCABULARY as u32);
    let expected = read(served.engine.generate(ask(&served.engine, "good"), sampling(1, 30)).unwrap());
    let good = served.engine.generate(ask(&served.engine, "good"), sampling(1, 30)).unwrap();
    let bad = served.engine.generate(poisoned, sampling(1, 30)).unwrap();
    assert!(matches!(read(bad).end, Some(Err(Error::Internal(_)))));
    assert_eq!(read(good).reasoning, expected.reasoning);
    assert_eq!(
        read(served.engine.generate(ask(&served.engine, "good"), sampling(1, 30)).unwrap()).reasoning,
        expected.reasoning
    );
}

#[test]
fn the_last_handle_ends_the_engine_after_its_replies() {
    let Served { engine, _folder } = serve("end", Some(TEMPLATE), Settings::default());
    let generation = engine.generate(ask(&engine, "x"), sampling(1, 10)).unwrap();
    drop(engine);
    assert!(matches!(read(generation).end, Some(Ok((Finish::Length, _)))));
}

#[test]
fn a_future_is_woken_for_each_event() {
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }
    let served = serve("future", Some(TEMPLATE), Settings::default());
    let mut generation = served.engine.generate(ask(&served.engine, "x"), sampling(1, 60)).unwrap();
    let bell = Arc::new(Bell(Mutex::new(false), Condvar::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut last = None;
    loop {
        match generation.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(event)) => last = Some(event),
            Poll::Ready(None) => break,
            Poll::Pending => {
                let rung = bell.1.wait_while(bell.0.lock().unwrap(), |rung| !*rung).unwrap();
                drop(rung);
                *bell.0.lock().unwrap() = false;
            }
        }
    }
    assert!(matches!(last, Some(Event::Done { finish: Finish::Length, .. })));
}

#[test]
fn requests_that_cannot_be_served_are_the_callers_fault() {
    let served = serve("refused", Some(TEMPLATE), Settings { context: Some(40), ..Settings::default() });
    let message = Message { role: "user".to_owned(), content: "x".repeat(60), ..Message::default() };
    let long = served.engine.prompt(&Conversation { messages: vec![message], ..Conversation::default() });
    assert!(matches!(long, Err(Error::Request(text)) if text.contains("the context holds 40")));
    let odd = Sampling { temperature: -1.0, ..Sampling::default() };
    assert!(matches!(served.engine.generate(ask(&served.engine, "x"), odd), Err(Error::Request(_))));
    // What the context leaves is the limit where none is given.
    let prompt = ask(&served.engine, "x");
    let room = 40 - prompt.tokens().len();
    let reply = read(served.engine.generate(prompt, Sampling { seed: Some(1), ..Sampling::default() }).unwrap());
    assert!(matches!(reply.end, Some(Ok((Finish::Length, usage))) if usage.completion_tokens == room), "{reply:?}");
}

#[test]
fn the_digest_tells_templates_and_weights_apart() {
    let one = serve("digest1", Some(TEMPLATE), Settings::default());
    let same = serve("digest3", Some(TEMPLATE), Settings::default());
    let other = serve("digest2", None, Settings::default());
    assert_eq!(one.engine.digest(), same.engine.digest());
    assert_ne!(one.engine.digest(), other.engine.digest());
    assert_eq!(one.engine.digest().len(), 64);
}
