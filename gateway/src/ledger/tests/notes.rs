//! Checkpoints and signed notes: a published one, own ones, and what is none.

use proptest::prelude::*;

use crate::ledger::checkpoint::{Checkpoint, Signer, Verifier, unverified};
use crate::ledger::hash::Hash;

/// The example of Go's `golang.org/x/mod/sumdb/note`.
const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer(name: &str) -> Signer {
    Signer::read(name, &Signer::generate().expect("random numbers")).expect("a key")
}

#[test]
fn a_published_note_verifies() {
    let key = Verifier::read(NEUMANN).expect("a key");
    assert_eq!(key.to_string(), NEUMANN);
    assert!(key.verify(NOTE).expect("signed by this key").ends_with("your problem is.\n"));
    assert_eq!(key.verify(&NOTE.replace("answer", "question")), None);
    assert_eq!(key.open(NOTE), None, "a note, and no checkpoint");
}

#[test]
fn a_checkpoint_is_read_by_its_key_alone() {
    let key = signer("ledger.example");
    let checkpoint = Checkpoint { origin: "candor/one".to_owned(), size: 7, root: Hash::leaf(b"x") };
    let note = key.sign(&checkpoint);
    assert_eq!(key.verifier().open(&note), Some(checkpoint.clone()));
    assert_eq!(unverified(&note), Some(checkpoint));
    assert_eq!(signer("ledger.example").verifier().open(&note), None, "another key of the same name");
    assert_eq!(Verifier::read(&key.verifier().to_string()), Some(key.verifier()));
}

#[test]
fn what_is_no_key_or_no_checkpoint_is_refused() {
    for text in ["", "a+b", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "x+00000000+AQ=="] {
        assert_eq!(Verifier::read(text), None, "{text}");
    }
    assert!(Signer::read("two words", &Signer::generate().expect("random numbers")).is_err());
    assert!(Signer::read("name", b"no key").is_err());
    let root = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=";
    for text in [
        String::new(),
        "origin\n5\n".to_owned(),
        format!("\n5\n{root}\n"),
        format!("o\n05\n{root}\n"),
        format!("o\n-5\n{root}\n"),
        format!("o\n99999999999999999999\n{root}\n"),
        format!("o\n5\n{root}"),
        "o\n5\nAAAA\n".to_owned(),
    ] {
        assert_eq!(Checkpoint::read(&text), None, "{text:?}");
    }
    assert!(Checkpoint::read(&format!("o\n5\n{root}\nan extension\n")).is_some());
}

proptest! {
    #[test]
    fn a_changed_note_does_not_verify(at in any::<prop::sample::Index>(), to in any::<char>()) {
        let key = Verifier::read(NEUMANN).expect("a key");
        let mut text: Vec<char> = NOTE.chars().collect();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        let changed: String = text.into_iter().collect();
        prop_assert_eq!(key.verify(&changed), None);
    }

    #[test]
    fn any_text_is_a_note_or_not(text in ".{0,300}") {
        let _ = unverified(&text);
    }
}
