//! What is said in one dialect and what that comes to in another, kept as files a person can read: requests as the client
//! sends them and as the upstream gets them; replies, whole and streamed, as the upstream says them and as the client
//! gets them. `UPDATE_GOLDEN=1` writes down what comes now, to be reviewed. See the README beside the files.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::dialects::{ALL, Said, Spoken};
use crate::harness::gateway::{Gateway, Setup, remote};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;

/// How a client asks for a reply of a file.
const ASKS_FOR: &str = "replies/";

fn folder(kind: &str, spoken: Spoken) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(kind).join(spoken.name)
}

/// What is said in a dialect: all files but those that tell what it comes to.
fn said(kind: &str, spoken: Spoken) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(kind, spoken)).expect("golden files").flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| !name(path).contains(".as-")).collect();
    paths.sort();
    assert!(paths.len() >= 7, "{paths:?}");
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file that tells what another one comes to in a dialect.
fn twin(path: &Path, spoken: Spoken) -> PathBuf {
    let (stem, ending) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
    path.with_file_name(format!("{}.as-{}.{}", stem.to_string_lossy(), spoken.name, ending.to_string_lossy()))
}

#[expect(clippy::disallowed_methods, reason = "who writes golden files anew says so in the environment")]
fn writes_anew() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Notes where a file does not say what came, or writes it down.
fn check(path: &Path, came: &str, wrong: &mut Vec<String>) {
    if writes_anew() {
        return std::fs::write(path, came).expect("a file");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != came {
        wrong.push(format!("{}\nkept:\n{kept}\ncame:\n{came}", path.display()));
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A status that a file's name ends with.
fn status(path: &Path) -> u16 {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    stem.rsplit_once('_').and_then(|(_, status)| status.parse().ok()).unwrap_or(200)
}

/// A gateway before three upstreams, one for each dialect, with a model each of the dialect's name. An upstream says what
/// is in the file that it is asked for, else something short.
async fn gateway() -> (Gateway, Vec<Upstream>) {
    let (mut entries, mut models, mut upstreams) = (Vec::new(), Vec::new(), Vec::new());
    for spoken in ALL {
        let upstream = Upstream::answering(move |request| {
            assert_eq!(request.path, spoken.path);
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let text = body.to_string();
            match text.split_once(ASKS_FOR).and_then(|(_, rest)| rest.split_once('"')) {
                Some((file, _)) => reply(&folder("replies", spoken).join(file)),
                None => spoken.reply(&Said::new("", "Hi.", ""), body["stream"] == true),
            }
        });
        let upstream = upstream.await;
        let mut entry = remote(spoken.name, &upstream.base_url());
        entry["dialects"] = json!([spoken.name]);
        entries.push(entry);
        let candidate = json!({"upstream": spoken.name, "model": "m"});
        models.push(json!({"name": spoken.name, "attempts": 1, "candidates": [candidate]}));
        upstreams.push(upstream);
    }
    (Setup::new().with(json!({"upstreams": entries, "models": models})).start().await, upstreams)
}

fn reply(path: &Path) -> Reply {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match path.extension().is_some_and(|end| end == "sse") {
        true => Reply::bytes_by(61, &bytes),
        false => Reply::json(status(path), bytes),
    }
}

#[tokio::test]
async fn requests_come_to_what_the_files_say() {
    let (gateway, upstreams) = gateway().await;
    let mut wrong = Vec::new();
    for client in ALL {
        for path in said("requests", client) {
            let asked: Value = serde_json::from_slice(&std::fs::read(&path).expect("a request")).expect("JSON");
            for (speaks, upstream) in ALL.into_iter().zip(&upstreams).filter(|(speaks, _)| *speaks != client) {
                let (mut body, before) = (asked.clone(), upstream.received().len());
                body["model"] = speaks.name.into();
                let answer = gateway.client().post_to(client.path, &body).await;
                let (status, dropped) = (answer.status, answer.header("x-candor-dropped").to_owned());
                let text = answer.text().await;
                let came = match upstream.received().get(before) {
                    Some(sent) => {
                        json!({"dropped": dropped, "sent": serde_json::from_slice::<Value>(&sent.body).expect("JSON")})
                    }
                    None => json!({"status": status, "answer": serde_json::from_str::<Value>(&text).expect("JSON")}),
                };
                check(&twin(&path, speaks), &pretty(&came), &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn replies_come_to_what_the_files_say() {
    let (gateway, _upstreams) = gateway().await;
    let mut wrong = Vec::new();
    for speaks in ALL {
        for path in said("replies", speaks) {
            for client in ALL.into_iter().filter(|client| *client != speaks) {
                let stream = path.extension().is_some_and(|end| end == "sse");
                let text = client.ask(stream).to_string().replace("Hello", &format!("{ASKS_FOR}{}", name(&path)));
                let mut body: Value = serde_json::from_str(&text).expect("JSON");
                body["model"] = speaks.name.into();
                let answer = gateway.client().post_to(client.path, &body).await;
                let (status, text) = (answer.status, answer.text().await);
                let came = match (stream, status) {
                    (true, _) => timeless(&text),
                    (false, 200) => pretty(&json_of(&timeless(&text))),
                    (false, _) => pretty(&json!({"status": status, "body": json_of(&text)})),
                };
                check(&twin(&path, client), &came, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A reply without the time at which the gateway translated it.
fn timeless(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((at, field)) =
        ["\"created\":", "\"created_at\":"].iter().filter_map(|f| Some((rest.find(f)?, f))).min()
    {
        let (before, after) = rest.split_at(at + field.len());
        out.push_str(before);
        out.push('0');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out.push_str(rest);
    out
}
