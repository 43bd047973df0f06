//! Rules choose who may answer, demand reviews and durable records, and hold only where and when they say.

use serde_json::{Value, json};

use crate::harness::client::Answer;
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::model;
use crate::harness::script::{DONE, Reply, finish, say};
use crate::harness::sse::Events;
use crate::harness::upstream::Upstream;

const PACK: &str = r#"
version: 1
name: scenario
topics: [{id: payroll, terms: [payroll]}]
detectors:
  - {id: heron, kind: terms, terms: [heron]}
  - {id: number, kind: patterns, patterns: ["ACME-[0-9]{4}"]}
rules:
"#;

fn pack(rules: &str) -> String {
    format!("{PACK}{rules}\n")
}

fn ask(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]})
}

/// A gateway before an upstream in China, which comes first, and one in Europe.
async fn abroad(cn: &Upstream, eu: &Upstream, rules: &str) -> Gateway {
    before_both(cn, eu, rules).start().await
}

fn before_both(cn: &Upstream, eu: &Upstream, rules: &str) -> Setup {
    let tagged = |name: &str, upstream: &Upstream, jurisdiction: &str| {
        let mut entry = remote(name, &upstream.base_url());
        entry["tags"] = json!({"jurisdiction": jurisdiction});
        entry
    };
    let candidates = json!([{"upstream": "cn", "priority": 0}, {"upstream": "eu", "priority": 1}]);
    let settings = json!({
        "upstreams": [tagged("cn", cn, "cn"), tagged("eu", eu, "eu")],
        "models": [{"name": "m", "candidates": candidates}],
    });
    Setup::new().with(settings).pack(&pack(rules))
}

/// Status, code and message of an error.
async fn refusal(answer: Answer) -> (u16, String, String) {
    let status = answer.status;
    let body = answer.json().await;
    let text = |key: &str| body["error"][key].as_str().unwrap_or_else(|| panic!("no {key} in {body}")).to_owned();
    (status, text("code"), text("message"))
}

fn rules_of(record: &Value) -> Vec<&str> {
    record["findings"].as_array().into_iter().flatten().filter_map(|one| one["rule"].as_str()).collect()
}

#[tokio::test]
async fn what_must_stay_here_is_answered_here() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let setup = Setup::new();
    model::write(&setup.path().join("model"));
    let local = json!({"name": "own", "local": {"path": "model", "context": 256, "threads": 1}});
    let candidates = json!([{"upstream": "up", "priority": 0}, {"upstream": "own", "priority": 1}]);
    let settings = json!({
        "upstreams": [remote("up", &upstream.base_url()), local],
        "models": [{"name": "m", "candidates": candidates}],
    });
    let rule = "  - {id: stays, topics: [payroll], action: reroute, route: {local_only: true}}";
    let gateway = setup.with(settings).pack(&pack(rule)).start().await;
    let mut body = ask("about the payroll");
    body["max_tokens"] = json!(4);
    let answer = gateway.client().chat(&body).await;
    assert_eq!(answer.status, 200);
    let record = gateway.record(&answer.id()).await;
    assert_eq!(record["upstream"], "own", "{record}");
    assert_eq!(record["findings"][0]["enforced"], "applied", "{record}");
    assert!(upstream.received().is_empty());
    let answer = gateway.client().chat(&ask("about the weather")).await;
    assert_eq!(gateway.record(&answer.id()).await["upstream"], "up");
}

#[tokio::test]
async fn where_nobody_may_answer_the_caller_is_told_and_the_record_says_why() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let rule = "  - {id: stays, topics: [payroll], action: reroute, route: {jurisdiction: [eu, ch]}}\n  \
                - {id: never, detect: heron, action: reroute, route: {local_only: true}, message: Ask the aviary.}";
    let gateway = Setup::before(&upstream).pack(&pack(rule)).start().await;
    for (text, rule, expected) in [
        ("about the payroll", "stays", "No upstream that your organisation's rules permit"),
        ("a heron", "never", "Ask the aviary."),
    ] {
        let answer = gateway.client().chat(&ask(text)).await;
        let id = answer.id();
        let (status, code, message) = refusal(answer).await;
        assert_eq!((status, code.as_str()), (403, "no_permitted_upstream"));
        assert!(message.contains(expected), "{message}");
        let record = gateway.record(&id).await;
        assert_eq!((&record["ending"], &record["status"]), (&json!("stopped"), &json!(403)), "{record}");
        assert_eq!(rules_of(&record), [rule]);
        assert!(record["manners"].to_string().contains("own_policy"), "{record}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_prompt_rule_that_asks_who_answers_is_asked_of_each_candidate() {
    let (cn, eu) = (Upstream::always(Reply::saying("cn")).await, Upstream::always(Reply::saying("eu")).await);
    let rules = "  - {id: not-there, topics: [payroll], action: stop, when: {jurisdiction: cn}}\n  \
                 - {id: hidden-there, detect: number, on: prompt, action: redact, when: {jurisdiction: cn}}\n  \
                 - {id: seen-there, detect: heron, on: answer, action: flag, when: {upstream: 'c*'}}";
    let gateway = abroad(&cn, &eu, rules).await;

    // What must not go there goes elsewhere.
    let answer = gateway.client().chat(&ask("payroll of ACME-1234")).await;
    assert_eq!(answer.status, 200);
    let record = gateway.record(&answer.id()).await;
    assert_eq!((&record["upstream"], rules_of(&record)), (&json!("eu"), vec!["not-there", "hidden-there"]), "{record}");
    assert!(cn.received().is_empty());
    assert!(String::from_utf8_lossy(&eu.only().body).contains("ACME-1234"));

    // What must be hidden there is hidden there.
    let answer = gateway.client().chat(&ask("it is ACME-1234")).await;
    let record = gateway.record(&answer.id()).await;
    assert_eq!((&record["upstream"], rules_of(&record)), (&json!("cn"), vec!["hidden-there"]), "{record}");
    let sent = String::from_utf8_lossy(&cn.only().body).into_owned();
    assert!(sent.contains("it is [redacted]"), "{sent}");
}

#[tokio::test]
async fn another_upstream_that_takes_over_is_watched_by_its_own_rules() {
    let (cn, eu) =
        (Upstream::always(Reply::json(503, "{}")).await, Upstream::always(Reply::saying("a heron, ACME-7777")).await);
    let rules = "  - {id: hidden-there, detect: number, action: redact, when: {jurisdiction: cn}}\n  \
                 - {id: seen-here, detect: heron, action: flag, when: {jurisdiction: eu}}";
    let gateway = abroad(&cn, &eu, rules).await;
    let answer = gateway.client().chat(&ask("it is ACME-1234")).await;
    let id = answer.id();
    let text = answer.text().await;
    assert!(text.contains("ACME-7777"), "{text}");
    assert!(String::from_utf8_lossy(&cn.received()[0].body).contains("[redacted]"));
    assert!(String::from_utf8_lossy(&eu.only().body).contains("ACME-1234"));
    let record = gateway.record(&id).await;
    // It was called, so what was found for it counts.
    let mut found = rules_of(&record);
    found.sort_unstable();
    assert_eq!((&record["upstream"], found), (&json!("eu"), vec!["hidden-there", "seen-here"]), "{record}");
}

#[tokio::test]
async fn reviews_are_demanded_and_listed() {
    let refusal = "I'm sorry, but I can't help with that request.";
    let upstream = Upstream::in_turn(vec![Reply::saying("a heron"), Reply::saying(refusal), Reply::saying("ok")]).await;
    let rules = "  - {id: look, detect: heron, action: flag, review: true}\n  \
                 - {id: tried, detect: heron, action: flag, review: true, mode: monitor, on: prompt}\n  \
                 - {id: refused, action: flag, review: true, when: {verdict: {outcome: refused}}}";
    let gateway = Setup::before(&upstream).pack(&pack(rules)).start().await;
    let mut ids = Vec::new();
    for text in ["one", "tell me how birds fly", "three"] {
        let answer = gateway.client().chat(&ask(text)).await;
        ids.push(answer.id());
        gateway.record(&answer.id()).await;
    }
    let ran = gateway.candor(&["records", "list", "--review", "pending", "--json"]).await;
    let listed: Vec<String> =
        ran.lines().iter().map(|one| one["exchange"].as_str().unwrap_or_default().into()).collect();
    assert_eq!(listed, [ids[1].clone(), ids[0].clone()], "{ran:?}");
    let record = gateway.record(&ids[1]).await;
    assert_eq!((&record["review"], rules_of(&record)), (&json!("pending"), vec!["refused"]), "{record}");
    assert_eq!(record["findings"][0]["detector"], "verdict");
    let ran = gateway.candor(&["records", "list", "--review", "done"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[tokio::test]
async fn a_rule_demands_a_durable_record() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let rules = "  - {id: keep, topics: [payroll], action: flag, record: required}";
    let settings = json!({"models": [{"name": "m", "recording": "best_effort", "candidates": [{"upstream": "up"}]}]});
    let gateway = Setup::before(&upstream).with(settings).pack(&pack(rules)).start().await;
    for (text, expected) in [("about the payroll", "required"), ("about the weather", "best_effort")] {
        let answer = gateway.client().chat(&ask(text)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(gateway.record(&answer.id()).await["recording"], expected, "{text}");
    }
}

#[tokio::test]
async fn a_stop_speaks_the_language_of_the_prompt() {
    let frames = [say("this is a her"), say("on here"), finish(0, "stop"), DONE.to_owned()];
    let upstream = Upstream::always(Reply::frames(frames)).await;
    let rules = "  - {id: no, topics: [payroll], on: prompt, action: stop, message: {en: Not here., zh: 这里不行。, pt: Aqui não.}}\n  \
                 - {id: nor, detect: heron, on: answer, action: stop, message: {en: Not that., zh: 那也不行。}}";
    let gateway = Setup::before(&upstream).pack(&pack(rules)).start().await;
    for (text, expected) in [
        ("Please tell me what the payroll of this company is", "Not here."),
        ("请告诉我这家公司的 payroll 情况是什么样的", "这里不行。"),
        ("Por favor, diga-me qual é o payroll desta empresa e como ele funciona", "Aqui não."),
        ("Bitte sagen Sie mir, was der payroll dieser Firma ist und wie er sich zusammensetzt", "Not here."),
    ] {
        let (status, code, message) = refusal(gateway.client().chat(&ask(text)).await).await;
        assert_eq!((status, code.as_str(), message.as_str()), (400, "content_policy_violation", expected));
    }
    let mut body = ask("请告诉我关于鸟类的事情，它们是怎么飞的");
    body["stream"] = json!(true);
    let text = gateway.client().chat(&body).await.text().await;
    let events = Events::read(text.as_bytes());
    assert_eq!(events.finish(0), Some("content_filter"), "{text}");
    assert!(text.contains("那也不行。") && !text.contains("heron"), "{text}");
}

#[tokio::test]
async fn topics_and_times_decide_whether_a_rule_holds() {
    let upstream = Upstream::always(Reply::saying("a heron")).await;
    let rules = "  - {id: with-topic, detect: heron, on: answer, action: flag, when: {topic: payroll}}\n  \
                 - {id: in-words, detect: heron, on: answer, action: flag, when: \"'scenario/payroll' in topics && team == 'research'\"}\n  \
                 - {id: any-day, detect: heron, on: answer, action: flag, when: {time: {days: mon-sun}}}\n  \
                 - {id: no-day, detect: heron, on: answer, action: flag, when: {time: {days: mon-sun, outside: true}}}";
    let gateway = Setup::before(&upstream).pack(&pack(rules)).start().await;
    for (text, expected) in
        [("about the payroll", &["with-topic", "in-words", "any-day"][..]), ("about the weather", &["any-day"][..])]
    {
        let answer = gateway.client().chat(&ask(text)).await;
        assert_eq!(rules_of(&gateway.record(&answer.id()).await), expected, "{text}");
    }
}

#[tokio::test]
async fn explain_and_replay_know_conditions_and_demands() {
    let upstream = Upstream::always(Reply::saying("a heron")).await;
    let proposed = pack(
        "  - {id: night, detect: heron, action: flag, when: {time: {hours: '22:00-06:00'}}}
  - {id: stays, topics: [payroll], action: reroute, route: {jurisdiction: eu}}
  - {id: there, detect: heron, on: prompt, action: stop, when: {jurisdiction: cn}}
  - {id: judged, detect: heron, action: flag, review: true, when: {verdict: {outcome: complied}}}",
    );
    let setup = before_both(&upstream, &upstream, "  - {id: seen, detect: heron, action: flag}");
    let setup = setup.file("proposed.yaml", proposed);
    let file = setup.path().join("proposed.yaml").display().to_string();
    let gateway = setup.start().await;
    let explain = async |more: &[&str]| {
        let ran = gateway.candor(&[&["policy", "explain", "--json", "--pack", &file][..], more].concat()).await;
        let said = ran.json();
        (rules_of(&said).join(" "), said)
    };
    let at = ["--text", "a heron", "--at"];
    assert_eq!(explain(&[&at[..], &["2026-03-02T23:00:00Z"]].concat()).await.0, "night");
    let (fired, said) = explain(&[&at[..], &["2026-03-02T12:00:00Z"]].concat()).await;
    assert_eq!((fired.as_str(), &said["waits_for_verdict"][0]["rule"]), ("", &json!("judged")), "{said}");
    let noon = [&at[..], &["2026-03-02T12:00:00Z"]].concat();
    assert_eq!(explain(&[&noon[..], &["--upstream", "cn"]].concat()).await.0, "there");
    assert_eq!(explain(&[&noon[..], &["--tag", "jurisdiction=cn"]].concat()).await.0, "there");
    let (fired, said) = explain(&[&noon[..], &["--outcome", "complied"]].concat()).await;
    assert_eq!((fired.as_str(), &said["demands"]["review"]), ("judged", &json!(true)), "{said}");
    let (fired, said) = explain(&["--text", "the payroll"]).await;
    assert_eq!((fired.as_str(), &said["demands"]["route"]), ("stays", &json!(true)), "{said}");

    for text in ["about the payroll", "a heron", "nothing"] {
        let answer = gateway.client().chat(&ask(text)).await;
        gateway.record(&answer.id()).await;
    }
    let ran = gateway.candor(&["policy", "replay", "--json", "--pack", &file]).await;
    let said = ran.json();
    assert_eq!(said["rerouted"], 1, "{said}");
    assert_eq!(said["actions"]["stop"], json!({"before": 0, "after": 1}), "{said}");
    assert_eq!(said["reviews"], json!({"before": 0, "after": 1}), "{said}");
}
