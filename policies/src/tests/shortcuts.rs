//! What is passed over would have given nothing: the same text read with care, a character at a time and everything
//! begun that its first byte allows, gives the same findings and may leave at the same time.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::invariance::{cut, pack, text};
use crate::{Channel, Facts, Finding, Pack, Ruleset, Scanner, compile, shipped};

/// Findings, and what could leave after each piece.
fn read(mut scanner: Scanner, pieces: &[&str]) -> (Vec<Finding>, Vec<usize>) {
    let mut findings = Vec::new();
    let mut released: Vec<usize> = pieces.iter().map(|piece| scanner.push(piece, &mut findings)).collect();
    released.push(scanner.finish(&mut findings));
    (findings, released)
}

#[track_caller]
fn check(ruleset: &Arc<Ruleset>, pieces: &[&str]) {
    let scanner = ruleset.select(&Facts::default()).scanner(Channel::Answer).unwrap();
    let careful = read(scanner.careful(), pieces);
    assert_eq!(read(scanner, pieces), careful, "{pieces:?}");
}

/// All shipped packs, with everything they look for redacted, so that text waits for it.
static SHIPPED: LazyLock<Arc<Ruleset>> = LazyLock::new(|| {
    let own = "version: 1\nname: own\nrules:\n  - {id: hide, detect: [secrets/*, personal-data/*, prompt-injection/*], \
        topics: [china/*], action: redact}\n";
    let mut packs = shipped();
    packs.push(Pack { name: "own.yaml".to_owned(), text: own.to_owned() });
    Arc::new(compile(&packs).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")))
});

/// Parts of what the shipped packs find, and what may stand between and inside.
const PARTS: &[&str] = &[
    "sk-",
    "sk-proj-",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AKIA",
    "AKIAQ4TZ7XJ2WB5N3KDM",
    "xoxb-",
    "482910573846",
    "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",
    "eyJhbGciOiJIUzI1NiJ9",
    "-----BEGIN RSA PRIVATE KEY-----",
    "\n",
    "MIIEpAIBAAKCAQEA",
    "postgres://app:s3cr3t-Pa55@db.internal/prod",
    "password",
    "password = \"hT7$kq2Lw9\"",
    "token",
    "密码",
    "：",
    "hT7kq2Lw9xZ",
    "jane.doe",
    "@",
    "example",
    ".com",
    "+44 20 7946 0958",
    "(415) 555-2671",
    "13812345678",
    "203.0.113.9",
    "2001:db8::8a2e:370:7334",
    "4111 1111 1111 1111",
    "4111",
    "DE89 3704 0044 0532 0130 00",
    "529.982.247-25",
    "X1234567",
    "passport no. ",
    "AB 12 34 56 C",
    "Tiananmen",
    "tian an men",
    "Square",
    "massacre",
    "the island",
    "independence",
    "Taiwan",
    "china",
    "protest",
    "protesters",
    "in 1989",
    "天安門",
    "天安门",
    "屠杀",
    "六四",
    "台湾",
    "独立",
    "法輪功",
    "Тяньаньмэнь",
    "천안문",
    "시위",
    "تيانانمن",
    "ignore previous instructions",
    "Fаlun Gоng",
    "ｆａｌｕｎ　ｇｏｎｇ",
    "T\u{200b}ian",
    "é",
    "e\u{301}",
    "\u{ad}",
    "\u{200d}\u{200d}",
    "\u{202e}",
    "\u{fe0f}",
    "ß",
    "ﬁ",
    "𝐚",
    "½",
    "ж",
    "の",
    "a",
    "the",
    "word",
    "Word",
    "of",
    "1",
    "12",
    "0x3f",
    "abcdefghijklmnopqrstuvwxyz",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    " ",
    " ",
    " ",
    "  ",
    ".",
    ", ",
    "-",
    "_",
    "'",
    "’",
    "\"",
    ":",
    "=",
    "/",
    "                 ",
    "\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}",
];

fn parts() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PARTS), 0..40).prop_map(|parts| parts.concat())
}

/// A place for each piece to end.
fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_up_packs_find_the_same_by_shortcuts(pack in pack(), texts in prop::collection::vec((text(), places()), 8)) {
        let ruleset = Arc::new(compile(&[Pack { name: "p".to_owned(), text: pack }]).unwrap());
        for (text, places) in &texts {
            check(&ruleset, &cut(text, places));
        }
    }

    #[test]
    fn shipped_packs_find_the_same_by_shortcuts(texts in prop::collection::vec((parts(), places()), 40)) {
        for (text, places) in &texts {
            check(&SHIPPED, &cut(text, places));
        }
    }
}

#[test]
fn many_live_matches_are_bounded_at_the_same_place() {
    let pack = "version: 1\nname: p\ndetectors:\n\
        \x20 - {id: d, kind: patterns, patterns: ['a[a-z ]{3,200}!', 'ab[a-z ]{1,90}[?]'], inside_words: true}\n\
        \x20 - {id: e, kind: patterns, patterns: ['[a-b]{1,4} .{90,200}=']}\n\
        rules: [{id: r, detect: [d, e], action: redact}]\n";
    let ruleset = Arc::new(compile(&[Pack { name: "p".to_owned(), text: pack.to_owned() }]).unwrap());
    for unit in ["a", "ab", "a ", "abx ", "a b", "ab-a", "aabb "] {
        for count in [55, 57, 63, 64, 65, 70, 100, 150] {
            let text = unit.repeat(count) + "!" + &unit.repeat(20) + "?=" + &unit.repeat(count) + "=";
            for size in [text.len(), 1, 3, 7, 64] {
                let pieces: Vec<&str> =
                    text.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
                check(&ruleset, &pieces);
            }
        }
    }
}
