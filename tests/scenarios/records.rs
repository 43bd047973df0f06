//! Records as people and programs read them.

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::pack::{FLAGS, REDACTS, pack};
use crate::harness::script::{DONE, Reply, finish, say, think, usage};
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

fn ask(text: &str, stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": text},
    ]})
}

fn stream() -> Vec<String> {
    vec![
        think("The heron, "),
        think("a bird."),
        say("A heron is "),
        say("ACME-1234."),
        finish(0, "stop"),
        usage(12, 8),
        DONE.to_owned(),
    ]
}

async fn gateway(upstream: &Upstream) -> Gateway {
    Setup::before(upstream).pack(&pack(&[REDACTS, FLAGS])).start().await
}

#[tokio::test]
async fn a_record_holds_the_whole_exchange() {
    let upstream = Upstream::always(Reply::frames(stream())).await;
    let gateway = gateway(&upstream).await;
    let answer = gateway.client().header("user-agent", "scenario/1").chat(&ask("What is a heron?", true)).await;
    let id = answer.id();
    answer.bytes().await;
    let record = gateway.record(&id).await;
    for (key, value) in [
        ("exchange", json!(id)),
        ("ending", json!("complete")),
        ("status", json!(200)),
        ("model", json!("m")),
        ("upstream", json!("up")),
        ("upstream_model", json!("scripted-1")),
        ("streamed", json!(true)),
        ("dialect", json!("openai-chat")),
        ("recording", json!("required")),
    ] {
        assert_eq!(record[key], value, "{key} in {record}");
    }
    assert_eq!((&record["prompt_tokens"], &record["completion_tokens"]), (&json!(12), &json!(8)), "{record}");
    assert_eq!(record["outcome"], "complied");
    let both = [&record["prompt"], &record["reply"]].into_iter().filter_map(Value::as_array).flatten();
    let texts: Vec<(&str, &str)> = both
        .map(|one| (one["channel"].as_str().unwrap_or_default(), one["text"].as_str().unwrap_or_default()))
        .collect();
    for text in [
        ("prompt", "Be brief."),
        ("prompt", "What is a heron?"),
        ("reasoning", "The heron, a bird."),
        ("answer", "A heron is ACME-1234."),
    ] {
        assert!(texts.contains(&text), "{text:?} in {texts:?}");
    }
    assert!(record["snapshot"].as_str().is_some_and(|digest| digest.len() == 64), "{record}");
    assert!(record["total_us"].is_number() && record["first_answer_us"].is_number(), "{record}");
    let found = record["findings"].as_array().expect("findings");
    assert_eq!(found.len(), 4, "heron in prompt, reasoning and answer, and a number: {record}");
}

#[tokio::test]
async fn a_record_is_shown_to_people_with_its_findings_marked_in_place() {
    let upstream = Upstream::always(Reply::frames(stream())).await;
    let gateway = gateway(&upstream).await;
    let answer = gateway.client().chat(&ask("What is a heron?", true)).await;
    let id = answer.id();
    answer.bytes().await;
    gateway.record(&id).await;
    let shown = gateway.candor(&["records", "show", &id]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    for part in ["What is a ⟦heron⟧?", "The ⟦heron⟧, a bird.", "⟦ACME-1234⟧", "complied", "alice", "no-account-numbers"]
    {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    let listed = gateway.candor(&["records", "list"]).await;
    assert!(listed.out.contains(&id) && listed.out.contains("complied"), "{listed:?}");
}

#[tokio::test]
async fn raw_bytes_are_kept_of_request_and_reply() {
    let upstream = Upstream::always(Reply::frames(stream())).await;
    let gateway = gateway(&upstream).await;
    let body = "{\"model\":\"m\",\"stream\":true, \"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}";
    let answer = gateway.client().post(body).await;
    let id = answer.id();
    let delivered = answer.text().await;
    gateway.record(&id).await;
    let raw = gateway.candor(&["records", "show", &id, "--raw"]).await;
    assert!(raw.out.contains(body), "{}", raw.out);
    assert!(raw.out.contains(stream().concat().trim_end()), "{}", raw.out);
    assert!(raw.out.contains(delivered.trim_end()), "what the client got differs and is kept: {}", raw.out);
}

#[tokio::test]
async fn lists_are_filtered() {
    let upstream = Upstream::answering(|request| match String::from_utf8_lossy(&request.body).contains("refuse") {
        true => Reply::saying("I'm sorry, but I can't help with that request."),
        false => Reply::saying("A heron."),
    })
    .await;
    let gateway = gateway(&upstream).await;
    let mut ids = Vec::new();
    for text in ["refuse this", "a heron"] {
        let answer = gateway.client().chat(&ask(text, false)).await;
        gateway.record(&answer.id()).await;
        ids.push(answer.id());
    }
    let (refused, complied) = (&ids[0], &ids[1]);
    let cases: [(&[&str], &[&String]); 9] = [
        (&["--outcome", "refused"], &[refused]),
        (&["--outcome", "complied"], &[complied]),
        (&["--rule", "watch-heron"], &[complied]),
        (&["--action", "flag"], &[complied]),
        (&["--action", "stop"], &[]),
        (&["--caller", "alice", "--model", "m", "--upstream", "up"], &[complied, refused]),
        (&["--caller", "bob"], &[]),
        (&["--ending", "complete", "--limit", "1"], &[complied]),
        (&["--since", "1h"], &[complied, refused]),
    ];
    for (filter, expected) in cases {
        let arguments = [&["records", "list", "--json"], filter].concat();
        let listed = gateway.candor(&arguments).await;
        assert_eq!(listed.code, 0, "{listed:?}");
        let found: Vec<String> =
            listed.lines().iter().filter_map(|one| one["exchange"].as_str().map(str::to_owned)).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn texts_are_found_at_once_and_then_by_their_index() {
    let upstream = Upstream::always(Reply::saying("Storks nest on chimneys. 六四")).await;
    let gateway = Setup::before(&upstream).with(json!({"ledger": {"every": "200ms"}})).start().await;
    let answer = gateway.client().chat(&ask("Where do they nest?", false)).await;
    let id = answer.id();
    gateway.record(&id).await;
    let found = async |text: &str| {
        let ran = gateway.candor(&["records", "list", "--json", "--text", text]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let lines = ran.lines();
        let ids: Vec<String> = lines.iter().filter_map(|one| one["exchange"].as_str().map(str::to_owned)).collect();
        (ids, ran.err.contains(" 1 day, and read 0 exchanges"))
    };
    assert_eq!(found("STORKS where").await.0, [id.as_str()]);
    until("the index", async || found("storks").await.1.then_some(())).await;
    for text in ["storks nest", "where Chimneys", "六四"] {
        assert_eq!(found(text).await.0, [id.as_str()], "{text}");
    }
    assert!(found("storks herons").await.0.is_empty());
}

#[tokio::test]
async fn an_unknown_record_is_a_plain_no() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let gateway = gateway(&upstream).await;
    let shown = gateway.candor(&["records", "show", "019a0000-0000-7000-8000-000000000000"]).await;
    assert_eq!((shown.code, shown.out.as_str()), (1, ""), "{shown:?}");
    assert!(!shown.err.is_empty());
    assert_eq!(gateway.candor(&["records", "show", "not-an-id"]).await.code, 2);
    assert_eq!(gateway.candor(&["records", "list", "--since", "soon"]).await.code, 2);
}
