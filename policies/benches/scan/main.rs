//! What scanning costs: nanoseconds a byte by text, a frame, a scanner; against a search that only finds; and whether
//! any text makes it worse than linear. It checks no finding.
//!
//! `cargo bench -p candor-policies --bench scan [-- texts|frames|one-pass|hurt|disguised]`; each figure is the fastest of several runs, in processor time.

mod texts;

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use candor_policies::{Channel, Facts, Pack, Ruleset, Scanner, Selection, compile, shipped};
use regex_automata::meta::Regex;
use rustix::time::{ClockId, clock_gettime};

use self::texts::{CHINESE, CODE, Draw, ENGLISH};

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let packs = rules(&shipped());
    let usual = packs.select(&Facts::default());
    say(&format!("ruleset of the shipped packs: {} KiB", packs.memory() >> 10));
    let parts: [(&str, &dyn Fn()); 5] = [
        ("texts", &|| by_text(&usual)),
        ("frames", &|| by_frame(&usual)),
        ("one-pass", &against_one_pass),
        ("hurt", &|| hurt(&usual)),
        ("disguised", &disguised),
    ];
    for (_, part) in parts.iter().filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|one| one == name)) {
        part();
    }
}

fn hurt(usual: &Selection) {
    say("\nshipped packs, texts made to hurt, ns/byte at 64 KiB and at four times the length");
    adversarial(usual);
    let many = rules(&[many_rules("redact")]);
    say("\n5,000 terms and 300 patterns that redact, the same texts");
    adversarial(&many.select(&Facts::default()));
}

/// What it costs to look for terms in their disguises, beside the same terms without.
fn disguised() {
    let terms: Vec<String> = many_terms().into_iter().take(200).collect();
    let pack = |more: &str| {
        let text = format!(
            "version: 1\nname: d\ndetectors: [{{id: t, kind: terms, terms: {terms:?}{more}}}]\n\
             rules: [{{id: r, detect: t, action: redact}}]\n"
        );
        rules(&[Pack { name: "d".to_owned(), text }])
    };
    let packs =
        [("plain", pack("")), ("leet", pack(", leet: true")), ("leet and spaced", pack(", leet: true, spaced: true"))];
    say("\n200 terms that redact, and in disguise, ns/byte");
    for (name, sentences) in [("english", ENGLISH), ("json and code", CODE), ("chinese", CHINESE)] {
        let text = texts::of(sentences, " ", 64 << 10);
        let mut line = format!("  {name:<14}");
        for (which, rules) in &packs {
            let took = fastest(|| scan(&rules.select(&Facts::default()), &[&text]));
            let _ = write!(line, "  {which} {:>6.2} ({} KiB)", per(took, text.len()), rules.memory() >> 10);
        }
        say(&line);
    }
    say("leet and spaced, texts made to hurt");
    adversarial(&packs[2].1.select(&Facts::default()));
}

fn by_text(selection: &Selection) {
    say("\nshipped packs, one piece, ns/byte");
    for (name, sentences, between) in [("english", ENGLISH, " "), ("chinese", CHINESE, ""), ("json and code", CODE, "")]
    {
        let mut line = format!("  {name:<14}");
        for length in [1 << 10, 64 << 10] {
            let text = texts::of(sentences, between, length);
            let took = fastest(|| scan(selection, &[&text]));
            let _ = write!(line, "  {:>3} KiB {:>7.2}", length >> 10, per(took, text.len()));
        }
        say(&line);
    }
}

fn by_frame(selection: &Selection) {
    say("\nshipped packs, a scanner and frames of 12 bytes, ns");
    let made = fastest(|| {
        for _ in 0..100 {
            black_box(selection.scanner(Channel::Answer));
        }
    });
    say(&format!("  a scanner made and dropped   {:>7.0}", per(made, 100)));
    for (name, sentences) in [("english", ENGLISH), ("chinese", CHINESE), ("json and code", CODE)] {
        let text = texts::of(sentences, " ", 12 << 10);
        let frames = frames(&text);
        let took = fastest(|| scan(selection, &frames));
        say(&format!("  a frame, {name:<17}   {:>7.0}", per(took, frames.len())));
    }
}

fn frames(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (frame, after) = rest.split_at(rest.ceil_char_boundary(12));
        frames.push(frame);
        rest = after;
    }
    frames
}

/// Our scan, with all that normalisation and release marks cost, beside a search of the raw bytes that does neither.
fn against_one_pass() {
    let (terms, patterns) = (many_terms(), many_patterns());
    let ours = rules(&[many_rules("flag")]);
    let holding = rules(&[many_rules("redact")]);
    let literals = AhoCorasick::builder().ascii_case_insensitive(true).build(&terms).expect("terms");
    let bounded: Vec<String> = patterns.iter().map(|pattern| format!(r"(?i)(?-u:\b)(?:{pattern})(?-u:\b)")).collect();
    let regexes = Regex::new_many(&bounded).expect("patterns");
    say(&format!(
        "\n{} terms and {} patterns, ns/byte; ruleset {} KiB, automaton of the terms alone {} KiB",
        terms.len(),
        patterns.len(),
        ours.memory() >> 10,
        literals.memory_usage() >> 10
    ));
    for (name, sentences) in [("english", ENGLISH), ("json and code", CODE), ("chinese", CHINESE)] {
        let text = texts::of(sentences, " ", 64 << 10);
        let flag = per(fastest(|| scan(&ours.select(&Facts::default()), &[&text])), text.len());
        let redact = per(fastest(|| scan(&holding.select(&Facts::default()), &[&text])), text.len());
        let found = fastest(|| {
            black_box(literals.find_iter(&text).count() + regexes.find_iter(&text).count());
        });
        let theirs = per(found, text.len());
        say(&format!(
            "  {name:<14} ours {flag:>6.2} (redacting {redact:>6.2})   one pass {theirs:>6.2}   throughput {:>5.2} of it",
            theirs / flag
        ));
    }
}

fn many_terms() -> Vec<String> {
    let mut draw = Draw::new(11);
    (0..5000)
        .map(|index| {
            let first = texts::word(&mut draw);
            if index % 3 == 0 { format!("{first} {}", texts::word(&mut draw)) } else { first }
        })
        .collect()
}

fn many_patterns() -> Vec<String> {
    let mut draw = Draw::new(13);
    let mut word = || texts::word(&mut draw);
    (0..300)
        .map(|index| match index % 6 {
            0 => format!("{}-[0-9]{{3,8}}", word()),
            1 => format!("{} {{1,3}}(?:of|for|to) {{1,3}}{}", word(), word()),
            2 => format!("{}_[a-z0-9]{{16,32}}", word()),
            3 => format!("(?:{}|{}|{}):? ?[0-9]{{4,6}}", word(), word(), word()),
            4 => format!("[0-9]{{3}}[ -]{}[0-9]{{2}}", word()),
            _ => format!("{}[a-z]{{0,6}}@{}[.]example", word(), word()),
        })
        .collect()
}

fn many_rules(action: &str) -> Pack {
    let text = format!(
        "version: 1\nname: many\ndetectors:\n  - {{id: t, kind: terms, terms: {:?}}}\n  - {{id: p, kind: patterns, patterns: \
         {:?}}}\nrules:\n  - {{id: r, detect: [t, p], action: {action}}}\n",
        many_terms(),
        many_patterns()
    );
    Pack { name: "many".to_owned(), text }
}

fn adversarial(selection: &Selection) {
    let draw = &mut Draw::new(17);
    let cases: [(&str, String); 23] = [
        ("one letter", "a".to_owned()),
        ("one letter, spaced", "a ".to_owned()),
        ("digits", "1234567890".to_owned()),
        ("digits, spaced", "4111 ".to_owned()),
        ("long words", texts::word(draw).repeat(50) + " "),
        ("almost a term", "falun gon tiananmen squar the islan ".to_owned()),
        ("almost a token", "sk-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI! ".to_owned()),
        ("tokens end to end", "sk-ghp_AKIA-xoxb-AIza-eyJ-".to_owned()),
        ("unclosed key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAx7Zk3Qp9 ".to_owned()),
        ("addresses without end", "a.b-c_d%e+f@g.h".to_owned()),
        ("zero-width flood", "fa\u{200b}\u{200b}\u{200d}lun\u{feff} ".to_owned()),
        ("accents", "a\u{301}\u{302}\u{303}".to_owned()),
        ("punctuation", "-+(.-_\"'=:".to_owned()),
        ("chinese terms", "天安门法轮功台湾密码护照".to_owned()),
        ("marks on one letter", "a".to_owned() + &"\u{301}".repeat(500)),
        ("invisible runs", "fa".to_owned() + &"\u{200b}".repeat(15)),
        ("nested prefixes", "falun falun gon falun gon falun go ".to_owned()),
        ("letters, spaced out", "f a l u n g o n f a l u n ".to_owned()),
        ("digits and signs", "m4$$4cr m4$$4( 7i4n4nm3 ".to_owned()),
        ("numbers, dashed", "123-45-678-90 12.345.678/9 ".to_owned()),
        ("assignments", "password=secret=token: key=".to_owned()),
        ("addresses in a row", "a@a.aa@a.aa@a.a".to_owned()),
        ("long secrets", "password=".to_owned() + &"aB3$".repeat(1000) + " "),
    ];
    for (name, unit) in cases {
        let text = unit.repeat((64 << 10) / unit.len());
        let four = text.repeat(4);
        let once = per(fastest(|| scan(selection, &[&text])), text.len());
        let times_four = per(fastest(|| scan(selection, &[&four])), four.len());
        say(&format!("  {name:<22} {once:>8.2} {times_four:>8.2}"));
    }
}

fn rules(packs: &[Pack]) -> Arc<Ruleset> {
    Arc::new(compile(packs).unwrap_or_else(|mistakes| panic!("{mistakes:?}")))
}

fn scan(selection: &Selection, pieces: &[&str]) {
    let mut findings = Vec::new();
    let mut scanner: Scanner = selection.scanner(Channel::Answer).expect("rules on answers");
    for piece in pieces {
        black_box(scanner.push(piece, &mut findings));
    }
    black_box(scanner.finish(&mut findings));
    black_box(findings);
}

/// The shortest of as many runs as fit a quarter of a second, three at least: what the processor spent, since on a shared
/// machine a long run is interrupted and would look worse than linear.
fn fastest(mut run: impl FnMut()) -> Duration {
    let begin = spent();
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 3 || spent() - begin < Duration::from_millis(250) {
        let started = spent();
        run();
        best = best.min(spent() - started);
        runs += 1;
    }
    best
}

/// Time that the processor has spent on this thread.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e9 / count as f64
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("a place to write to");
}
