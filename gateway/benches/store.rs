//! The way into Postgres and out of it: records of 4 KB shipped per second, beside bare inserts of the same bytes by COPY
//! and by UNNEST in the same run; what lists, searches, sealing and bundles take once so many are there.
//!
//! `cargo bench -p candor-gateway --bench store -- --url postgres://candor@127.0.0.1/empty --records 1000000`
//!
//! The database must be empty; it is migrated and filled.

#![expect(clippy::print_stdout, reason = "a bench tells what it measured")]

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use candor_gateway::config::{Database, Recording, Secret};
use candor_gateway::exchange::{
    Action, Caller, Channel, Dialect, Ending, Enforced, ExchangeId, Finding, Segment, Timings, Usage, Verdict,
};
use candor_gateway::ledger::checkpoint::Signer;
use candor_gateway::record::{Begin, End, Entry, Frame, Sink, wall_clock};
use candor_gateway::store::proofs::{Wish, bundle};
use candor_gateway::store::records::{Filter, list};
use candor_gateway::store::seal::{Turn, seal};
use candor_gateway::store::search::{find, index};
use candor_gateway::store::{Store, migrate};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

/// Exchanges of one batch; each has two frames.
const BATCH: usize = 250;

/// Batches of each way in one round.
const ROUND: usize = 8;

struct Arguments {
    url: String,
    records: usize,
}

fn arguments() -> Arguments {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| {
        let at = given.iter().position(|argument| argument == name)?;
        given.get(at + 1).cloned()
    };
    let records = value("--records").and_then(|count| count.parse().ok()).unwrap_or(20_000);
    Arguments { url: value("--url").unwrap_or_default(), records }
}

/// Text that compresses about as well as prose does.
fn prose(bytes: usize, seed: u64) -> String {
    const WORDS: [&str; 32] = [
        "the",
        "model",
        "answers",
        "that",
        "reasoning",
        "about",
        "a",
        "question",
        "of",
        "history",
        "and",
        "policy",
        "is",
        "not",
        "what",
        "was",
        "asked",
        "for",
        "in",
        "this",
        "case",
        "however",
        "we",
        "should",
        "consider",
        "each",
        "argument",
        "before",
        "writing",
        "final",
        "result",
        "down",
    ];
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        text.push_str(WORDS[rng.usize(..WORDS.len())]);
        match rng.u32(..12) {
            0 => drop(write!(text, " {}", rng.u32(..))),
            1 => text.push('.'),
            _ => {}
        }
        text.push(' ');
    }
    text
}

fn finding() -> Finding {
    Finding {
        rule: "flag-topics".into(),
        pack: "china".into(),
        topic: Some("tiananmen-1989".into()),
        detector: "topic".into(),
        channel: Channel::Prompt,
        choice: 0,
        part: 0,
        span: 0..8,
        action: Action::Flag,
        enforced: Enforced::Applied,
        severity: "low",
    }
}

/// One exchange of about 4 KB, that began so long ago.
fn pair(number: u64, ago: Duration) -> [Entry; 2] {
    let at = wall_clock() - ago;
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).expect("after 1970");
    let mut tail = [0; 10];
    fastrand::fill(&mut tail);
    let exchange = ExchangeId(Builder::from_unix_timestamp_millis(millis, &tail).into_uuid());
    let question = prose(1_100, number);
    let (reasoning, answer) = (prose(1_400, number + 1), prose(1_000, number + 2));
    let body = |text: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let reply = format!(r#"{{"choices":[{{"message":{{"reasoning_content":"{reasoning}","content":"{answer}"}}}}]}}"#);
    let segment = |channel, text: &str| Segment {
        choice: 0,
        channel,
        part: 0,
        role: None,
        text: text.to_owned(),
        authored_bytes: 0,
    };
    let refused = number.is_multiple_of(10);
    let begin = Begin {
        exchange,
        at,
        dialect: Dialect::OpenaiChat,
        caller: Caller { name: format!("caller-{}", number % 50), team: None, role: None, key_id: None },
        peer: "127.0.0.1".into(),
        client_request_id: None,
        subject: None,
        audit: None,
        model: format!("model-{}", number % 7),
        stream: false,
        preview: Some(question.chars().take(200).collect()),
        request: Bytes::from(body(&question)),
        headers: Vec::new(),
        snapshot: "0123456789abcdef".into(),
        recording: Recording::Required,
    };
    let end = End {
        exchange,
        at,
        ending: Ending::Complete,
        status: 200,
        fault: None,
        attempts: Vec::new(),
        upstream: Some("up".into()),
        upstream_dialect: None,
        upstream_model: None,
        upstream_reply_id: None,
        sent: None,
        adapted: Vec::new(),
        received: vec![Bytes::from(reply)],
        delivered: None,
        unkept_bytes: 0,
        segments: vec![segment(Channel::Reasoning, &reasoning), segment(Channel::Answer, &answer)],
        finishes: vec![(0, "stop".into())],
        unread_frames: 0,
        findings: if refused { vec![finding()] } else { Vec::new() },
        unkept_findings: 0,
        verdict: Verdict {
            choice: 0,
            outcome: if refused { "refused" } else { "complied" },
            manners: Vec::new(),
            evidence: Vec::new(),
            language: Some("en"),
            confidence: 0.9,
            decided_by: "classifier",
            signal: None,
            detector: "bench",
        },
        review: false,
        usage: Usage::default(),
        cost: None,
        thinking: None,
        timings: Timings::default(),
    };
    [Entry::Begin(Box::new(begin)), Entry::End(Box::new(end))]
}

/// The same bytes as rows of (id, raw bytes), by COPY.
async fn copy(connection: &mut PgConnection, rows: &[(Uuid, Vec<u8>)]) {
    let mut text = String::new();
    for (id, bytes) in rows {
        let _ = write!(text, "{id}\t\\\\x");
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    let mut copy = connection.copy_in_raw("COPY bare FROM STDIN").await.expect("COPY");
    copy.send(text.as_bytes()).await.expect("COPY");
    copy.finish().await.expect("COPY");
}

async fn unnest(connection: &mut PgConnection, rows: &[(Uuid, Vec<u8>)]) {
    let (ids, bytes): (Vec<Uuid>, Vec<&[u8]>) = rows.iter().map(|(id, bytes)| (*id, bytes.as_slice())).unzip();
    sqlx::query("INSERT INTO bare SELECT * FROM unnest($1::uuid[], $2::bytea[])")
        .bind(ids)
        .bind(bytes)
        .execute(connection)
        .await
        .expect("an insert");
}

fn raw(entries: &[Entry]) -> Vec<(Uuid, Vec<u8>)> {
    let bytes = |entry: &Entry| match entry {
        Entry::Begin(begin) => begin.request.to_vec(),
        Entry::End(end) => end.received.concat(),
        _ => Vec::new(),
    };
    entries.chunks(2).map(|pair| (Uuid::now_v7(), pair.iter().flat_map(bytes).collect())).collect()
}

fn rate(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = arguments();
    if arguments.url.is_empty() {
        println!("give an empty database: --url postgres://... [--records N]");
        return;
    }
    let database = Database::Url(Secret::new(arguments.url.as_str()));
    let store = Store::connect(&database, std::path::Path::new("/")).expect("an address");
    migrate::run(&store).await.expect("an empty database");
    let mut bare = PgConnection::connect(&arguments.url).await.expect("a connection");
    bare.execute("CREATE TABLE bare (id uuid PRIMARY KEY, bytes bytea NOT NULL)").await.expect("a table");
    let stream = Uuid::now_v7();
    let mut sequence = 1;
    let mut filled = 0;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    let mut stored = Duration::ZERO;
    while filled < arguments.records {
        let mut took = [Duration::ZERO; 3];
        for _ in 0..ROUND {
            // Ten days of traffic, in the order of time.
            let ago = |n: usize| Duration::from_secs(864_000).mul_f64(1.0 - n as f64 / arguments.records as f64);
            let entries: Vec<Entry> =
                (filled..filled + BATCH).flat_map(|n| pair(n as u64, ago(n.min(arguments.records)))).collect();
            let rows = raw(&entries);
            let at = wall_clock();
            let frames: Vec<Frame> = entries
                .into_iter()
                .zip(sequence..)
                .map(|(entry, sequence)| Frame { stream, sequence, at, entry })
                .collect();
            sequence += frames.len() as u64;
            let began = Instant::now();
            store.write(stream, &frames).await.expect("stored");
            took[0] += began.elapsed();
            filled += BATCH;
            // The bare ways only while figures are gathered: they need no million.
            if rates[1].len() < 10 {
                let began = Instant::now();
                copy(&mut bare, &rows).await;
                took[1] += began.elapsed();
                let rows: Vec<_> = rows.into_iter().map(|(_, bytes)| (Uuid::now_v7(), bytes)).collect();
                let began = Instant::now();
                unnest(&mut bare, &rows).await;
                took[2] += began.elapsed();
            }
        }
        stored += took[0];
        for (rates, took) in rates.iter_mut().zip(took) {
            if took > Duration::ZERO {
                rates.push(rate(ROUND * BATCH, took));
            }
        }
    }
    let [shipped, copied, unnested] = rates.map(|mut rates| {
        rates.truncate(10);
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!(
        "records/s, median of rounds of {}: shipped {shipped:.0}, COPY {copied:.0}, UNNEST {unnested:.0}",
        ROUND * BATCH
    );
    println!(
        "shipped / COPY {:.2}, shipped / UNNEST {:.2}; over all {filled}: {:.0}/s",
        shipped / copied,
        shipped / unnested,
        rate(filled, stored)
    );
    proofs(&store, filled).await;
    sizes(&mut bare, filled).await;
    questions(&store, &mut bare).await;
}

async fn sizes(connection: &mut PgConnection, filled: usize) {
    let size = |what: &'static str| {
        format!(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c WHERE c.relname LIKE '{what}' AND c.relkind = 'r'"
        )
    };
    for what in ["record_%", "payload_%", "finding_%", "leaf", "node", "pending"] {
        let bytes: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(size(what))).fetch_one(&mut *connection).await.expect("a size");
        println!("{what}: {:.0} MB per million records", bytes as f64 / filled as f64);
    }
}

async fn proofs(store: &Store, filled: usize) {
    let signer = Signer::read("bench", &Signer::generate().expect("random")).expect("a key");
    let began = Instant::now();
    let mut leaves = 0;
    let mut known = None;
    while let Turn::Sealed(signed) = seal(store, &signer, known.as_ref()).await.expect("sealed") {
        leaves += signed.added;
        known = Some(signed.checkpoint);
    }
    println!("sealed {leaves} leaves, {:.0}/s", rate(leaves as usize, began.elapsed()));
    let began = Instant::now();
    let mut out = std::io::sink();
    bundle(store, Wish::All, &[], &mut out, |_, _| {}).await.expect("a bundle");
    println!("bundle of all, {:.0} records/s", rate(filled, began.elapsed()));
}

async fn questions(store: &Store, connection: &mut PgConnection) {
    let began = Instant::now();
    let mut indexed = 0;
    while let Some(exchanges) = index(store).await.expect("indexed") {
        indexed += exchanges;
    }
    println!("indexed {indexed} exchanges by words, {:.0}/s", rate(indexed, began.elapsed()));
    // The server does so by itself within a minute or so.
    connection.execute("ANALYZE").await.expect("statistics");
    let all = Filter::since(wall_clock() - Duration::from_secs(30 * 86_400), 50);
    let asked = |change: &dyn Fn(&mut Filter)| {
        let mut filter = all.clone();
        change(&mut filter);
        filter
    };
    let some = |text: &str| Some(text.to_owned());
    let filters = [
        ("newest 50", asked(&|_| {})),
        ("caller", asked(&|filter| filter.caller = some("caller-7"))),
        ("nobody", asked(&|filter| filter.caller = some("nobody"))),
        ("refused", asked(&|filter| filter.outcome = some("refused"))),
        (
            "refused of a caller and model",
            asked(&|filter| {
                (filter.caller, filter.model, filter.outcome) = (some("caller-10"), some("model-3"), some("refused"));
            }),
        ),
        ("topic", asked(&|filter| filter.topic = some("tiananmen-1989"))),
        ("no such topic", asked(&|filter| filter.topic = some("none"))),
    ];
    for (name, filter) in filters {
        let began = Instant::now();
        let found = list(store, &filter).await.expect("a list").len();
        println!("list, {name}: {found} in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    }
    for text in ["reasoning argument", "reasoning nowhere", "nowhere", "3141592653"] {
        let began = Instant::now();
        let (found, coverage) = find(store, &all, text).await.expect("found");
        println!("search, {text:?}: {} in {:.1} ms, {coverage:?}", found.len(), began.elapsed().as_secs_f64() * 1e3);
    }
}
