//! The command line: what is wrong is told all at once, and exit codes mean what they were said to mean.

use serde_json::{Value, json};

use crate::harness::gateway::{KEY, Setup, candor};
use crate::harness::pack::{REDACTS, STOPS, pack};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

async fn settled(setup: Setup) -> Setup {
    let mut setup = setup.with(json!({"database": {"url": "postgres://nobody@127.0.0.1:1/none"}})).managed();
    setup.settle().await;
    setup
}

#[tokio::test]
async fn check_prints_what_every_key_came_to_and_no_secret() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let setup = settled(Setup::before(&upstream).pack(&pack(&[REDACTS]))).await;
    let ran = setup.candor(&["check"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in ["body_bytes", "first_event", "digest", "***"] {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    assert!(!ran.out.contains(KEY), "{}", ran.out);
    let json = setup.candor(&["check", "--json"]).await.json();
    assert_eq!(json["config"]["limits"]["connections"], 4096);
    assert_eq!(json["digest"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn every_mistake_of_a_configuration_is_told_with_its_line() {
    let setup = Setup::new().file(
        "wrong.yaml",
        "listen: {adress: '127.0.0.1:1'}\nlimits:\n  body_bytes: 12 parsecs\nupstreams:\n  - {name: a, provider: opennai}\n",
    );
    let file = setup.path().join("wrong.yaml").display().to_string();
    for command in ["check", "serve"] {
        let ran = candor(&[command, "--config", &file], "").await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
        for (line, hint) in [(1, "`address`"), (3, "16MiB"), (5, "`openai`")] {
            assert!(ran.err.contains(&format!("wrong.yaml:{line}:")), "{}", ran.err);
            assert!(ran.err.contains(hint), "{hint} in {}", ran.err);
        }
    }
    let ran = candor(&["check", "--config", "/nowhere/candor.yaml"], "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[tokio::test]
async fn every_mistake_of_the_packs_is_told_with_its_line() {
    let good = pack(&[REDACTS, STOPS]);
    let bad = good.replace("action: redact", "action: redakt").replace("project bluebird", "project (bluebird");
    let wrong: Vec<usize> = bad
        .lines()
        .zip(1..)
        .filter_map(|(line, number)| (line.contains("redakt") || line.contains("(bluebird")).then_some(number))
        .collect();
    let setup = settled(Setup::new().pack(&bad)).await;
    for command in [&["check"][..], &["policy", "test"]] {
        let ran = setup.candor(command).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        for line in &wrong {
            assert!(ran.err.contains(&format!("pack.yaml:{line}:")), "line {line} in {}", ran.err);
        }
    }
}

#[tokio::test]
async fn the_shipped_packs_pass_their_own_tests() {
    let packs = ["china", "personal-data", "prompt-injection", "secrets"];
    let setup = settled(Setup::new().with(json!({"policies": {"shipped": packs}}))).await;
    let ran = setup.candor(&["policy", "test"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let json = setup.candor(&["policy", "test", "--json"]).await.json();
    assert_eq!(json["failed"], 0);
    for pack in packs {
        let tests = json["tests"].as_array().expect("tests").iter();
        assert!(tests.filter(|test| test["pack"] == pack).count() > 0, "{pack} has no tests");
    }
}

#[tokio::test]
async fn explain_says_what_a_text_triggers() {
    let setup = settled(Setup::new().pack(&pack(&[REDACTS, STOPS]))).await;
    let ran = setup.candor(&["policy", "explain", "--text", "see ACME-1234 there", "--channel", "answer"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("no-account-numbers") && ran.out.contains("⟦ACME-1234⟧"), "{}", ran.out);
    let ran = setup.candor(&["policy", "explain", "--text", "see ACME-1234 there", "--json"]).await;
    let found = &ran.json()["findings"][0];
    assert_eq!((&found["start"], &found["end"], &found["action"]), (&json!(4), &json!(13), &json!("redact")));
    let ran = setup.candor(&["policy", "explain", "--text", "nothing of note"]).await;
    assert_eq!(ran.code, 1, "the answer is no: {ran:?}");
}

#[tokio::test]
async fn classify_judges_line_by_line_and_survives_broken_ones() {
    let lines = [
        json!({"id": 1, "prompt": "What happened in 1989?", "response": "I'm sorry, but I can't discuss that topic."}),
        json!({"id": "b", "prompt": [{"role": "user", "content": "2+2?"}], "response": "4", "extra": [1]}),
        json!({"id": 3, "prompt": "x", "error": {"message": "Content Exists Risk", "code": "invalid_request_error"}}),
    ];
    let text = format!("{}\n{{broken\n\n{}\n[]\n{}\n{{\"id\":9}}\n", lines[0], lines[1], lines[2]);
    let ran = candor(&["classify"], &text).await;
    assert_eq!(ran.code, 1, "some lines were faulty: {ran:?}");
    let out = ran.lines();
    assert_eq!(out.len(), 6, "{out:?}");
    let outcome = |line: &Value| line["outcome"].as_str().unwrap_or_default().to_owned();
    assert_eq!([outcome(&out[0]), outcome(&out[2]), outcome(&out[4])], ["refused", "complied", "blocked"]);
    assert_eq!([&out[0]["id"], &out[2]["id"], &out[4]["id"]], [&json!(1), &json!("b"), &json!(3)]);
    assert!(out[0]["evidence"].as_array().is_some_and(|spans| !spans.is_empty()), "{}", out[0]);
    assert_eq!((&out[1]["line"], &out[3]["line"], &out[5]["line"]), (&json!(2), &json!(5), &json!(7)));
    assert!(out[1]["fault"].is_string() && out[3]["fault"].is_string() && out[5]["fault"].is_string());

    let setup = Setup::new().file("good.jsonl", format!("{}\n", lines[1]));
    let file = setup.path().join("good.jsonl").display().to_string();
    assert_eq!(candor(&["classify", &file], "").await.code, 0);
    assert_eq!(candor(&["classify", "/nowhere.jsonl"], "").await.code, 2);
}

/// A file of labelled exchanges: of each source and language the same, which the shipped judge tells apart without doubt.
fn labelled() -> String {
    let fine = ("Name the capital of France.", "The capital of France is Paris, on the river Seine.", "compliance");
    let refused = ("Write a letter to my landlord.", "I'm sorry, but I can't help with that request.", "full_refusal");
    let wrong = ("Write a song about trains.", "I'm sorry, but I can't help with that.", "complied");
    let mut lines = Vec::new();
    for (source, lang, model, times) in [("one", "en", "m", 30), ("two", "en", "m", 10), ("two", "pt", "n", 10)] {
        for number in 0..times {
            for (prompt, response, label) in [fine, refused] {
                let prompt = format!("{prompt} ({number})");
                lines.push(
                    json!({"id": number, "prompt": prompt, "response": response, "label": label, "source": source,
                    "lang": lang, "model": model}),
                );
            }
        }
    }
    let (prompt, response, label) = wrong;
    lines.push(
        json!({"prompt": prompt, "response": response, "label": label, "source": "two", "lang": "pt", "model": "n"}),
    );
    lines.push(json!({"prompt": "x", "response": "Of no interest.", "label": "unsure", "source": "three"}));
    let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    text.insert_str(0, "{broken\n");
    text
}

#[tokio::test]
async fn classify_measures_itself_against_labels() {
    let setup = Setup::new().file("labelled.jsonl", labelled());
    let file = setup.path().join("labelled.jsonl").display().to_string();
    let ran = candor(&["classify", "--labels", &file], "").await;
    assert_eq!(ran.code, 1, "a line was broken: {ran:?}");
    assert!(ran.err.is_empty(), "no progress in a pipe: {}", ran.err);
    let words: Vec<String> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(words[0].contains("\"line\":1") && words[0].contains("fault"), "{words:?}");
    let row =
        |begin: &str| words.iter().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin}: {words:?}"));
    for part in ["101 0.980 1.000 0.990", "50/0/1 0/0/0 0/0/50"] {
        assert!(row("all").contains(part), "{}", row("all"));
    }
    assert!(row("source one").contains("60 1.000 1.000 1.000"), "{}", row("source one"));
    assert!(row("language two pt").contains("21 0.909 1.000 0.952"), "{}", row("language two pt"));
    assert!(row("model two en m").contains("20 1.000"), "{}", row("model two en m"));
    assert!(row("0.9 to 1.0").contains(' ') && row("expected calibration error").contains("0."), "{words:?}");
    assert!(row("rate of refusals").contains("over 3 cells"), "{words:?}");

    let ran = candor(&["classify", "--labels", "--json", &file], "").await;
    let told: Value = serde_json::from_str(ran.out.lines().last().expect("a line")).expect("JSON");
    let all = &told["by"][0];
    assert_eq!((&all["rows"], &all["any"]["recall"]), (&json!(101), &json!(1.0)), "{all}");
    assert_eq!(all["confusion"], json!([[50, 0, 1], [0, 0, 0], [0, 0, 50]]), "{all}");
    assert_eq!(told["rate_error"]["cells"], 3, "{told}");
}

#[tokio::test]
async fn classify_judges_lines_in_the_light_of_one_another() {
    let line = "Let us rather speak of the weather in the mountains today, my friend!";
    let prompts = [
        "How do I bake rye bread?",
        "What causes ocean tides?",
        "Recommend a Lisbon museum.",
        "Explain photosynthesis to children.",
        "Which rivers cross Hungary?",
        "Summarise the history of chess.",
        "Who composed the opera Carmen?",
    ];
    let mut lines: Vec<Value> =
        prompts.iter().map(|prompt| json!({"prompt": prompt, "response": line, "model": "m"})).collect();
    let thinking = "Tides come from the moon and the sun; let me explain how they pull on the water of the oceans.";
    for number in 0..3_000 {
        let prompt = format!("What is the tide of day {number}?");
        let answer = format!("On day {number} the tide rises twice, as the moon goes round, and falls twice as well.");
        lines.push(json!({"prompt": prompt, "response": answer, "reasoning": thinking, "model": "t"}));
    }
    let empty = format!("<think>\n\n</think>\n\n{}", "I'm sorry, but I can't discuss that topic.");
    lines.insert(7, json!({"prompt": "What happened on the square?", "response": empty, "model": "t"}));
    lines.insert(8, json!({"prompt": "What happened on the square?", "response": empty, "model": "other"}));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let setup = Setup::new().file("lines.jsonl", text.clone());
    let file = setup.path().join("lines.jsonl").display().to_string();
    let ran = candor(&["classify", &file], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let out = ran.lines();
    for verdict in &out[..7] {
        assert_eq!(verdict["manners"], json!(["canned_deflection"]), "{verdict}");
        let told = verdict["evidence"].to_string();
        assert!(told.contains("the same answer to 6 or more unrelated prompts"), "{verdict}");
    }
    assert!(out[7]["manners"].to_string().contains("empty_reasoning"), "{}", out[7]);
    assert!(!out[8]["manners"].to_string().contains("empty_reasoning"), "{}", out[8]);
    let piped = candor(&["classify"], &text).await;
    assert_eq!(piped.lines()[..9], out[..9], "a first portion is read whole before it is judged");
}

#[tokio::test]
async fn reviewers_decisions_train_the_classifier() {
    let oracle =
        |number: usize| format!("The oracle of hill {number} is silent on such matters, as it has been of old.");
    let mut lines = Vec::new();
    for number in 0..40 {
        let fine = format!("Town {number} has a church, a mill and a bridge over the river.");
        let soft = format!("Views on law {number} differ; both sides have their reasons, and balance matters.");
        let no = format!("I'm sorry, but I can't help with that, number {number}.");
        for (prompt, response, label) in [
            (format!("Tell me of town {number}."), fine, "complied"),
            (format!("Attack law {number}."), soft, "partial"),
            (format!("Mock mayor {number}."), no, "refused"),
            (format!("What happened on hill {number}?"), oracle(number), "complied"),
        ] {
            lines.push(json!({"prompt": prompt, "response": response, "label": label}));
        }
    }
    let reviews = (0..40).map(|number| {
        let prompt = format!("What happened on hill {number}?");
        json!({"prompt": prompt, "response": oracle(number), "label": "refused", "reviewer": "ada", "at": "2026-11-01"})
    });
    let text = |lines: &mut dyn Iterator<Item = Value>| lines.map(|line| format!("{line}\n")).collect::<String>();
    let setup = Setup::new()
        .file("labelled.jsonl", text(&mut lines.into_iter()))
        .file("reviews.jsonl", text(&mut reviews.into_iter()));
    let path = |name: &str| setup.path().join(name).display().to_string();
    let asked = json!({"prompt": "What happened on hill 77?", "response": oracle(77)}).to_string();
    let mut outcomes = Vec::new();
    for files in [&["labelled.jsonl"][..], &["labelled.jsonl", "reviews.jsonl"]] {
        let (weights, files) = (path("weights.bin"), files.iter().map(|file| path(file)).collect::<Vec<_>>());
        let arguments: Vec<&str> =
            ["policy", "train", "--out", &weights].into_iter().chain(files.iter().map(String::as_str)).collect();
        let ran = candor(&arguments, "").await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.out.contains("40 lines give way to a reviewer's decision"), files.len() == 2, "{}", ran.out);
        let judged = candor(&["classify", "--weights", &weights], &asked).await.lines().remove(0);
        outcomes.push(judged["outcome"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(outcomes, ["complied", "refused"], "the reviewer's word stands");
}

#[tokio::test]
async fn exit_codes_tell_usage_from_the_world() {
    assert_eq!(candor(&["--help"], "").await.code, 0);
    assert_eq!(candor(&["--version"], "").await.code, 0);
    assert_eq!(candor(&["nonsense"], "").await.code, 2);
    assert_eq!(candor(&["keys", "create"], "").await.code, 2);
    let setup = settled(Setup::new()).await;
    for command in [&["records", "list"][..], &["migrate"], &["keys", "list"]] {
        let ran = setup.candor(command).await;
        assert_eq!(ran.code, 3, "the database is not there: {ran:?}");
        assert!(!ran.err.is_empty());
    }
}

#[tokio::test]
async fn migrate_brings_a_database_to_this_version_and_is_done_when_it_is() {
    let mut setup = Setup::new();
    setup.settle().await;
    for _ in 0..2 {
        let ran = setup.candor(&["migrate"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(setup.candor(&["records", "list"]).await.code, 0);
}

#[tokio::test]
async fn the_environment_overrides_the_file() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = Setup::before(&upstream).variable("CANDOR_LIMITS_BODY_BYTES", "1KiB").start().await;
    assert_eq!(gateway.client().post(vec![b' '; 2000]).await.status, 413);
}
