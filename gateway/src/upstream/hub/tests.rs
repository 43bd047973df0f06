//! Fetching from a server on the loopback that speaks the hub's protocol, and misbehaves on demand.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use serde_json::{Value, json};

use super::{Error, Progress, fetch};
use crate::config::{HubModel, Secret};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server does with the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weights {
    Whole,
    /// The first connection breaks after half of them.
    Cut,
    /// Other bytes come than were promised.
    Wrong,
    Refused,
}

struct Hub {
    endpoint: String,
    /// Lines of the requests, with their `Range` and `Authorization`.
    asked: Arc<Mutex<Vec<String>>>,
    cache: PathBuf,
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.cache);
    }
}

fn weights() -> Vec<u8> {
    (0..200_000u32).map(|index| index.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

fn hexadecimal(kind: &'static digest::Algorithm, parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(kind);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn listing() -> Value {
    let blob = hexadecimal(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[b"blob 2\0", b"{}"]);
    let large = hexadecimal(&digest::SHA256, &[&weights()]);
    json!({"sha": COMMIT, "siblings": [
        {"rfilename": "README.md", "size": 5, "blobId": blob},
        {"rfilename": "config.json", "size": 2, "blobId": blob},
        {"rfilename": "model.safetensors", "size": 200_000, "blobId": blob, "lfs": {"sha256": large, "size": 200_000}},
    ]})
}

impl Hub {
    fn start(name: &str, kind: Weights) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), kind, &seen);
            }
        });
        let cache = std::env::temp_dir().join(format!("candor-hub-fetch-{name}-{}", std::process::id()));
        Self { endpoint, asked, cache }
    }

    fn model(&self) -> HubModel {
        HubModel {
            organisation: "org".to_owned(),
            name: "name".to_owned(),
            revision: "main".to_owned(),
            cache: self.cache.clone(),
            endpoint: self.endpoint.clone(),
            token: Some(Secret::new("hf_secret")),
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// One request a connection.
fn answer(mut stream: TcpStream, kind: Weights, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let port = stream.local_addr().map_or(0, |address| address.port());
    let cut = kind == Weights::Cut && header("range:").is_empty();
    asked.lock().unwrap().push(format!("{path} {} {}", header("range:"), header("authorization:")));
    let mut send = |head: String, body: &[u8]| {
        let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes());
        let _ = stream.write_all(body);
    };
    let whole = |body: &[u8]| format!("200 OK\r\ncontent-length: {}", body.len());
    match path.as_str() {
        "/api/models/org/name/revision/main?blobs=true" => {
            let body = listing().to_string();
            send(whole(body.as_bytes()), body.as_bytes());
        }
        path if path.ends_with("/config.json") => send(whole(b"{}"), b"{}"),
        path if path.ends_with("/model.safetensors") && kind == Weights::Refused => {
            send("403 Forbidden\r\ncontent-length: 0".to_owned(), b"");
        }
        path if path.starts_with("/org/name/resolve/") => {
            // Another host, as releases' large files have.
            send(
                format!(
                    "302 Found\r\ncontent-length: 0\r\nlocation: http://localhost:{port}/elsewhere?signature=a%2Fb"
                ),
                b"",
            );
        }
        "/elsewhere?signature=a%2Fb" => {
            let from = header("range:").trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
            let mut body = weights();
            if kind == Weights::Wrong {
                body[7] ^= 1;
            }
            let rest = &body[from..];
            let head = match from {
                0 => whole(rest),
                _ => format!(
                    "206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-199999/200000",
                    rest.len()
                ),
            };
            send(head, if cut { &rest[..100_000] } else { rest });
        }
        _ => send("404 Not Found\r\ncontent-length: 0".to_owned(), b""),
    }
}

#[test]
fn a_model_is_fetched_into_the_cache_once() {
    let hub = Hub::start("once", Weights::Whole);
    let most = Mutex::new((0, 0));
    let tell = |progress: Progress<'_>| *most.lock().unwrap() = (progress.here, progress.all);
    let folder = fetch(&hub.model(), &tell).unwrap();
    assert_eq!(folder, hub.cache.join("models--org--name/snapshots").join(COMMIT));
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert_eq!(std::fs::read(folder.join("config.json")).unwrap(), b"{}");
    assert!(!folder.join("README.md").exists());
    assert!(std::fs::read_link(folder.join("config.json")).unwrap().starts_with("../../blobs"));
    assert_eq!(std::fs::read_to_string(hub.cache.join("models--org--name/refs/main")).unwrap(), COMMIT);
    assert!(most.lock().unwrap().1 > 0);
    let asked = hub.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let mut known = asked.iter().map(|line| (line.starts_with("/elsewhere"), line.ends_with("bearer hf_secret")));
    assert!(known.all(|(elsewhere, token)| elsewhere != token), "the token is the hub's alone: {asked:?}");
    // Again: only the list is asked for.
    fetch(&hub.model(), &|_| {}).unwrap();
    assert_eq!(hub.asked().len(), 1);
}

#[test]
fn a_broken_connection_is_gone_on_with() {
    let hub = Hub::start("cut", Weights::Cut);
    let folder = fetch(&hub.model(), &|_| {}).unwrap();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let asked = hub.asked();
    assert!(asked.iter().any(|line| line.contains("bytes=100000-")), "{asked:?}");
}

#[test]
fn what_is_not_what_was_promised_is_not_kept() {
    let hub = Hub::start("wrong", Weights::Wrong);
    assert_eq!(fetch(&hub.model(), &|_| {}), Err(Error::Digest("model.safetensors".to_owned())));
    let folder = hub.cache.join("models--org--name");
    assert!(!folder.join("refs").exists() && !folder.join("snapshots").exists());
    let blobs: Vec<_> = std::fs::read_dir(folder.join("blobs")).unwrap().collect();
    assert_eq!(blobs.len(), 1, "the config alone: {blobs:?}");
}

#[test]
fn refusals_are_told_apart() {
    let hub = Hub::start("refused", Weights::Refused);
    assert_eq!(fetch(&hub.model(), &|_| {}), Err(Error::Status(403)));
    let unknown = HubModel { name: "other".to_owned(), ..hub.model() };
    assert_eq!(fetch(&unknown, &|_| {}), Err(Error::Status(404)));
    let nowhere = HubModel { endpoint: "ftp://hub".to_owned(), ..hub.model() };
    assert_eq!(fetch(&nowhere, &|_| {}), Err(Error::Endpoint));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = HubModel { endpoint: format!("http://{closed}"), ..hub.model() };
    assert_eq!(fetch(&closed, &|_| {}), Err(Error::Connection("connection refused")));
    let text = Error::Status(403).to_string();
    assert!(text.contains("HF_TOKEN") && !text.contains("hf_secret"));
}
