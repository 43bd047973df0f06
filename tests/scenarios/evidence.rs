//! Evidence: records are sealed while traffic runs, exported as a bundle, and verified by two programs that share no
//! code. Both name what was tampered with.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::gateway::{Gateway, Setup, UPSTREAM_KEY, candor};
use crate::harness::script::{DONE, Reply, finish, say, think};
use crate::harness::upstream::Upstream;
use crate::harness::wait::{until, within};

async fn upstream() -> Upstream {
    Upstream::answering(|request| {
        if String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
            Reply::frames([think("Hm. "), say("Hello "), say("you"), finish(0, "stop"), DONE.to_owned()])
        } else {
            Reply::saying("Hello you")
        }
    })
    .await
}

async fn questions(gateway: &Gateway, count: usize) -> Vec<String> {
    let client = gateway.client();
    let mut ids = Vec::new();
    for number in 0..count {
        let question = json!({"role": "user", "content": format!("Question {number}")});
        let answer = client.chat(&json!({"model": "m", "stream": number % 2 == 0, "messages": [question]})).await;
        assert_eq!(answer.status, 200);
        ids.push(answer.id());
        answer.text().await;
    }
    ids
}

/// Waits until so many exchanges are stored and sealed.
pub(super) async fn sealed(gateway: &Gateway, exchanges: usize) {
    until("all records to be sealed", async || {
        let records = gateway.candor(&["records", "list", "--limit", "10000", "--json"]).await;
        let ended = records.lines().iter().filter(|one| one["ending"].is_string()).count();
        let status = gateway.candor(&["ledger", "status", "--json"]).await;
        (ended >= exchanges && status.code == 0 && status.json()["pending"] == 0).then_some(())
    })
    .await;
}

/// A bundle of everything, in a file of this name beside the gateway's data.
pub(super) async fn exported(gateway: &Gateway, name: &str) -> PathBuf {
    let file = gateway.data().join(name);
    let path = file.to_string_lossy().into_owned();
    let ran = gateway.candor(&["records", "export", "--all", "--bundle", &path]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    file
}

/// What `candor verify` says, and its exit status.
pub(super) async fn verified(bundle: &Path, more: &[&str]) -> (i32, Value) {
    let bundle = bundle.to_string_lossy();
    let ran = candor(&[&["verify", &bundle, "--json"], more].concat(), "").await;
    (ran.code, serde_json::from_str(&ran.out).unwrap_or_default())
}

/// The same of the second verifier, where there is a Python that can run it.
async fn verified_again(bundle: &Path, more: &[&str]) -> Option<(i32, Value)> {
    #[expect(clippy::disallowed_methods, reason = "as in the scenario of the official client")]
    let Some(python) = std::env::var_os("CANDOR_CLIENTS") else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: CANDOR_CLIENTS names no Python for the second verifier");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verifier/verify_bundle.py");
    let mut command = Command::new(python);
    command.arg(script).arg(bundle).args(more).kill_on_drop(true);
    let output = within("the second verifier", command.output()).await.expect("python runs");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(&out);
    Some((output.status.code().unwrap_or(-1), value.unwrap_or_else(|_| panic!("{out}{output:?}"))))
}

/// Both verifiers on the same bundle.
async fn check(bundle: &Path, more: &[&str], code: i32, records: Value) {
    let (status, report) = verified(bundle, more).await;
    assert_eq!((status, &report["records"]), (code, &records), "{report}");
    if let Some((status, again)) = verified_again(bundle, more).await {
        assert_eq!((status, &again["records"]), (code, &records), "{again}");
    }
}

/// A copy of a bundle with some lines changed or left out.
fn copy(bundle: &Path, name: &str, change: impl Fn(usize, &str) -> Option<String>) -> PathBuf {
    let text = fs::read_to_string(bundle).expect("a bundle");
    let lines = text.lines().enumerate().filter_map(|(number, line)| change(number, line));
    let file = bundle.with_file_name(name);
    fs::write(&file, lines.map(|line| line + "\n").collect::<String>()).expect("written");
    file
}

#[tokio::test]
async fn a_bundle_is_verified_by_two_programs_and_both_name_what_was_tampered_with() {
    let upstream = upstream().await;
    let gateway = Setup::before(&upstream).start().await;
    let key = gateway.ready()["ledger"].as_str().expect("the ledger's key").to_owned();
    let ids = questions(&gateway, 6).await;
    sealed(&gateway, 6).await;
    let note = gateway.candor(&["ledger", "checkpoint"]).await.out;
    let kept = gateway.data().join("kept-checkpoint");
    fs::write(&kept, &note).expect("kept");
    let kept = kept.to_string_lossy().into_owned();
    let bundle = exported(&gateway, "all.jsonl").await;
    let whole = json!({"present-verified": 6});
    check(&bundle, &["--key", &key, "--checkpoint", &kept], 0, whole.clone()).await;
    check(&bundle, &["--checkpoint", &kept], 0, whole.clone()).await;
    check(&bundle, &[], 5, whole.clone()).await;

    let trusted = ["--key", key.as_str()];
    let other = copy(&bundle, "other.jsonl", |_, line| Some(line.replace("complied", "refused!")));
    assert_eq!(verified(&other, &trusted).await.0, 1);
    check(&other, &trusted, 1, json!({"altered": 6})).await;
    let rowless = copy(&bundle, "rowless.jsonl", |_, line| {
        (!line.contains(&ids[2]) || !line.contains("\"row\"")).then(|| line.to_owned())
    });
    check(&rowless, &trusted, 4, json!({"missing": 1, "present-verified": 5})).await;
    let cut = copy(&bundle, "cut.jsonl", |number, line| (number < 20).then(|| line.to_owned()));
    assert_eq!(verified(&cut, &trusted).await.0, 1);
    let (status, report) = verified(&bundle, &["--key", "candor+00000000+AQ=="]).await;
    assert_eq!((status, report), (2, Value::Null), "a key that is none is wrong usage");

    let erased = gateway.candor(&["records", "erase", &ids[0], "--by", "ana", "--why", "art. 17", "--json"]).await;
    assert_eq!(erased.code, 0, "{}", erased.err);
    let held = gateway.candor(&["records", "hold", &ids[1], "--matter", "m1", "--by", "ana", "--why", "court"]).await;
    assert_eq!(held.code, 0, "{}", held.err);
    let refused = gateway.candor(&["records", "erase", &ids[1], "--by", "ana", "--why", "art. 17"]).await;
    assert_eq!(refused.code, 1, "{}", refused.out);
    let decided = ["records", "decide", &ids[2], "--decision", "over_refusal", "--by", "ben", "--why", "harmless"];
    assert_eq!(gateway.candor(&decided).await.code, 0);
    assert_eq!(
        gateway.candor(&["records", "decide", &ids[2], "--decision", "maybe", "--by", "b", "--why", "w"]).await.code,
        2
    );
    gateway.candor(&["records", "show", &ids[3], "--by", "cy", "--purpose", "complaint 12"]).await;
    sealed(&gateway, 6).await;
    let later = exported(&gateway, "later.jsonl").await;
    let text = fs::read_to_string(&later).expect("a bundle");
    assert!(["art. 17", "over_refusal", "complaint 12"].iter().all(|word| text.contains(word)));
    assert!(text.contains("/settings.json"), "what was in force is in the bundle");
    assert!(!text.contains(UPSTREAM_KEY), "and secrets are not");
    let both = ["--key", key.as_str(), "--checkpoint", kept.as_str()];
    check(&later, &both, 0, json!({"erased-under-authority": 1, "present-verified": 5})).await;
    let again = gateway.candor(&["records", "export", "--all", "--bundle", &later.to_string_lossy()]).await;
    assert_eq!(again.code, 2, "evidence is not written over");
}

#[tokio::test]
async fn what_is_about_a_subject_is_held_and_erased_by_its_tag() {
    let upstream = upstream().await;
    let gateway = Setup::before(&upstream).start().await;
    let about = async |subject: &'static str| {
        let client = gateway.client().header("x-candor-subject", subject);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "About somebody"}]});
        client.chat(&body).await.id()
    };
    let (erased, kept) = (about("patient-7").await, about("patient-8").await);
    assert_eq!(gateway.record(&erased).await["subject"], "patient-7");
    assert_eq!(gateway.record(&kept).await["subject"], "patient-8");
    sealed(&gateway, 2).await;
    let ran = gateway.candor(&["records", "erase", "--subject", "patient-7", "--by", "ana", "--why", "art. 17"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    sealed(&gateway, 2).await;
    let bundle = exported(&gateway, "subjects.jsonl").await;
    let key = gateway.ready()["ledger"].as_str().expect("the ledger's key").to_owned();
    let expected = json!({"erased-under-authority": 1, "present-verified": 1});
    check(&bundle, &["--key", &key], 0, expected).await;
    let none = gateway.candor(&["records", "erase", "--subject", "nobody", "--by", "ana", "--why", "art. 17"]).await;
    assert_ne!(none.code, 0, "{}", none.out);
}

#[tokio::test]
async fn two_gateways_on_one_database_make_one_ledger() {
    let upstream = upstream().await;
    let cluster = crate::harness::database::Cluster::start();
    let url = cluster.url("postgres");
    let first = Setup::before(&upstream).database(&url).start().await;
    let second = Setup::before(&upstream).database(&url).start().await;
    let (a, b) = tokio::join!(questions(&first, 10), questions(&second, 10));
    sealed(&first, a.len() + b.len()).await;
    let bundle = exported(&first, "both.jsonl").await;
    let keys = [&first, &second].map(|gateway| gateway.ready()["ledger"].as_str().expect("a key").to_owned());
    let trusted = ["--key", keys[0].as_str(), "--key", keys[1].as_str()];
    check(&bundle, &trusted, 0, json!({"present-verified": 20})).await;
}

#[tokio::test]
async fn the_spool_of_a_gateway_that_is_gone_is_imported_elsewhere() {
    let upstream = upstream().await;
    let absent = crate::harness::database::Cluster::absent();
    let mut lost = Setup::before(&upstream).database(&absent.url("postgres")).start().await;
    let ids = questions(&lost, 4).await;
    let directory = lost.data().to_string_lossy().into_owned();
    let other = Setup::before(&upstream).start().await;
    let busy = other.candor(&["spool", "import", &directory]).await;
    assert_eq!(busy.code, 3, "{}", busy.err);
    lost.kill().await;
    let waiting = lost.candor(&["spool", "status", "--json"]).await;
    assert_eq!(waiting.lines().iter().filter(|one| one["in_use"] == false && one["segments"] != 0).count(), 1);
    let imported = other.candor(&["spool", "import", &directory, "--json"]).await;
    assert_eq!((imported.code, imported.json()), (0, json!({"streams": 1, "frames_left": 0})), "{}", imported.err);
    for id in &ids {
        assert_eq!(other.record(id).await["ending"], "complete");
    }
    let nothing = other.candor(&["spool", "import", "/nowhere"]).await;
    assert_eq!(nothing.code, 2);
    assert_eq!(lost.candor(&["spool", "status"]).await.out.trim(), "nothing waits");
}
