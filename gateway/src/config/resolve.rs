//! File and environment to a checked [`Config`], all mistakes at once. It opens no socket and starts nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;

use base64::Engine as _;

use super::beside::{LogFormat, Observe, Reload};
use super::env::Environment;
use super::hidden::Hidden;
use super::read::{Mistake, Shared, Table, nearest};
use super::settings::{Config, Database, Ledger, Limits, PayloadKey, Policies, Retention, RetentionClass, Spool};
use super::{Secret, auditing, callers, front, prices, serving, terms, tree};

/// A configuration and how each key came out.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the gateway runs under.
    pub config: Config,
    /// Every key with its value, defaults included and secrets masked, for people and digests.
    pub resolved: Json,
    /// Files that it was read from, or that say what it means: a change of one of them may change it.
    pub files: Vec<PathBuf>,
    /// What neither settings nor digests show.
    pub hidden: Hidden,
}

/// Reads and checks a configuration file; `None` is an empty one.
///
/// # Errors
/// Every mistake of the file and the environment, in the order they were met.
pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Loaded, Vec<Mistake>> {
    let (name, text) = match file {
        None => ("defaults".to_owned(), String::new()),
        Some(path) => {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => (name, text),
                Err(error) => return Err(vec![unreadable(name, &error)]),
            }
        }
    };
    let mut loaded = read(&name, &text, file.and_then(Path::parent), environment)?;
    loaded.files.extend(file.map(Path::to_owned));
    Ok(loaded)
}

/// Reads and checks a configuration text; relative paths in it are taken from `base`.
///
/// # Errors
/// As [`load`].
pub fn read(name: &str, text: &str, base: Option<&Path>, environment: &Environment) -> Result<Loaded, Vec<Mistake>> {
    let base = base.unwrap_or_else(|| Path::new(""));
    let mut shared = Shared {
        file: name,
        base,
        environment,
        mistakes: Vec::new(),
        known_variables: BTreeSet::new(),
        files: Vec::new(),
        secrets: Vec::new(),
        providers: Vec::new(),
    };
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err(error) => {
            let place = error.location().map(|at| tree::Place { line: at.line(), column: at.column() });
            shared.mistake(place.unwrap_or_default(), format!("not valid YAML: {}", error.without_snippet()), None);
            return Err(shared.mistakes);
        }
    };
    let (config, resolved) = resolve(root, base, &mut shared);
    unknown_variables(&mut shared);
    if !shared.mistakes.is_empty() {
        return Err(shared.mistakes);
    }
    let mut files = shared.files;
    files.extend(config.files().map(Path::to_owned));
    let hidden = Hidden::of(&shared.secrets, config.files());
    Ok(Loaded { config, resolved, files, hidden })
}

fn resolve(root: tree::Node, base: &Path, shared: &mut Shared<'_>) -> (Config, Json) {
    let mut root = Table::root(root, shared);
    let data = root.path("data", shared).map_or_else(|| PathBuf::from("candor-data"), |path| base.join(path));
    root.note("data", data.display().to_string());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = root.count("workers", cores as u64, 1, shared).min(1024) as usize;
    let drain = root.duration("drain", Duration::from_secs(30), shared);
    let listen = front::listen(&mut root, base, shared);
    let admin = admin(&mut root, shared);
    let limits = limits(&mut root, shared);
    let database = database(&mut root, base, shared);
    let spool = spool(&mut root, shared);
    let ledger = ledger(&mut root, base, shared);
    let payload_keys = payload_keys(&mut root, shared);
    let spool = Spool { keys: payload_keys.clone(), ..spool };
    let retention = retention(&mut root, shared);
    let callers = callers::callers(&mut root, base, shared);
    let teams = terms::teams(&mut root, shared);
    let (catalogue, catalogue_file) = serving::catalogue(&mut root, base, shared);
    let upstreams = serving::upstreams(&mut root, base, &catalogue, shared);
    let models = serving::models(&mut root, &upstreams, shared);
    let prices = prices::prices(&mut root, prices::Kind::Own, shared);
    let exchange_rates = prices::exchange_rates(&mut root, &prices, &models, shared);
    let policies = policies(&mut root, base, shared);
    let judge = serving::judge(&mut root, &models, shared);
    let observe = observe(&mut root, shared);
    let canary = auditing::canary(&mut root, base, &models, shared);
    let reload = reload(&mut root, shared);
    let config = Config {
        data,
        workers,
        listen,
        admin,
        limits,
        drain,
        database,
        spool,
        ledger,
        payload_keys,
        retention,
        callers,
        teams,
        catalogue,
        catalogue_file,
        upstreams,
        models,
        prices,
        exchange_rates,
        policies,
        judge,
        observe,
        canary,
        reload,
    };
    (config, root.finish(shared))
}

fn reload(root: &mut Table, shared: &mut Shared<'_>) -> Reload {
    let mut table = root.table("reload", shared);
    let watch = table.flag("watch", true, shared);
    let every = table.duration("every", Duration::from_secs(2), shared);
    close(root, "reload", table, shared);
    Reload { watch, every }
}

fn admin(root: &mut Table, shared: &mut Shared<'_>) -> Option<SocketAddr> {
    let mut table = root.table("admin", shared);
    let address = table.parsed("address", "an address such as `127.0.0.1:9464`", |text| text.parse().ok(), shared);
    close(root, "admin", table, shared);
    address
}

fn limits(root: &mut Table, shared: &mut Shared<'_>) -> Limits {
    let mut table = root.table("limits", shared);
    let t = &mut table;
    let seconds = Duration::from_secs;
    let limits = Limits {
        connections: t.count("connections", 4096, 1, shared) as usize,
        handshake: t.duration("handshake", seconds(10), shared),
        header_bytes: t.size("header_bytes", 64 << 10, shared) as usize,
        header_time: t.duration("header_time", seconds(10), shared),
        body_bytes: t.size("body_bytes", 16 << 20, shared) as usize,
        body_time: t.duration("body_time", seconds(30), shared),
        idle: t.duration("idle", seconds(75), shared),
        h2_streams: t.count("h2_streams", 128, 1, shared).min(u64::from(u32::MAX)) as u32,
        h2_resets: t.count("h2_resets", 20, 1, shared) as usize,
        exchanges: t.count("exchanges", 1024, 1, shared) as usize,
        reply_bytes: t.size("reply_bytes", 8 << 20, shared) as usize,
        event_bytes: t.size("event_bytes", 16 << 20, shared) as usize,
    };
    // hyper refuses to work with less than 8 KiB of read buffer.
    if limits.header_bytes < 8192 {
        let place = table.place_of("header_bytes");
        shared.mistake(place, "limits.header_bytes must be at least 8KiB", None);
    }
    close(root, "limits", table, shared);
    limits
}

fn database(root: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Database {
    let mut table = root.table("database", shared);
    let url = table.secret(["url", "url_env", "url_file"], shared);
    let mut managed = table.table("managed", shared);
    let binaries = managed.path("binaries", shared).map(|path| base.join(path));
    if url.is_some() && table.has("managed") {
        shared.mistake(table.place(), "database has both `url` and `managed`", Some("keep one".to_owned()));
    }
    if let Some(url) = &url
        && !(url.reveal().starts_with("postgres://") || url.reveal().starts_with("postgresql://"))
    {
        let hint = Some("`postgres://user:password@host/database`".to_owned());
        shared.mistake(table.place_of("url"), "database.url must be a Postgres URL", hint);
    }
    if url.is_none() {
        close(&mut table, "managed", managed, shared);
    }
    close(root, "database", table, shared);
    url.map_or(Database::Managed { binaries }, Database::Url)
}

fn spool(root: &mut Table, shared: &mut Shared<'_>) -> Spool {
    let mut table = root.table("spool", shared);
    let spool = Spool {
        group: table.duration("group", Duration::from_millis(5), shared),
        segment_bytes: table.size("segment_bytes", 64 << 20, shared),
        total_bytes: table.size("total_bytes", 4 << 30, shared),
        batch_rows: table.count("batch_rows", 500, 1, shared).min(100_000) as usize,
        keys: Vec::new(),
    };
    if spool.total_bytes < spool.segment_bytes.saturating_mul(2) {
        let place = table.place_of("total_bytes");
        shared.mistake(place, "spool.total_bytes must be at least twice spool.segment_bytes", None);
    }
    close(root, "spool", table, shared);
    spool
}

fn ledger(root: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Ledger {
    let mut table = root.table("ledger", shared);
    let every = table.duration("every", Duration::from_secs(2), shared);
    let name = table.text("name", shared).unwrap_or_else(|| "candor".to_owned());
    if name.is_empty() || name.contains('+') || name.contains(char::is_whitespace) {
        shared.mistake(table.place_of("name"), "ledger.name must be one word without a plus sign", None);
    }
    table.note("name", name.clone());
    let key_file = table.path("key_file", shared).map(|path| base.join(path));
    close(root, "ledger", table, shared);
    Ledger { every, name, key_file }
}

fn payload_keys(root: &mut Table, shared: &mut Shared<'_>) -> Vec<PayloadKey> {
    let (mut keys, mut shown) = (Vec::<PayloadKey>::new(), Vec::new());
    for mut entry in root.tables("payload_keys", shared) {
        let id = entry.required("id", shared);
        let secret = entry.secret(["key", "key_env", "key_file"], shared);
        let bytes = secret.as_ref().and_then(|secret| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(secret.reveal().trim()).ok()?;
            <[u8; 32]>::try_from(bytes).ok()
        });
        match (id, bytes) {
            (Some(id), _) if keys.iter().any(|key| key.id == id) => {
                shared.mistake(entry.place(), format!("two payload keys are named `{id}`"), None);
            }
            (Some(id), Some(bytes)) => keys.push(PayloadKey { id, bytes }),
            (Some(_), None) => shared.mistake(
                entry.place(),
                "a payload key must be 32 bytes in base64",
                Some("make one with `openssl rand -base64 32` and name it by `key_env` or `key_file`".to_owned()),
            ),
            (None, _) => {}
        }
        shown.push(entry.finish(shared));
    }
    root.note("payload_keys", shown);
    keys
}

fn retention(root: &mut Table, shared: &mut Shared<'_>) -> Retention {
    let mut table = root.table("retention", shared);
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let payload_days = table.optional_count("payload_days", shared).map(small);
    let metadata_months = table.optional_count("metadata_months", shared).map(small);
    let two_person_erasure = table.flag("two_person_erasure", false, shared);
    let (mut classes, mut shown) = (Vec::new(), Vec::new());
    for mut entry in table.tables("classes", shared) {
        let (rule, topic) = (entry.text("rule", shared), entry.text("topic", shared));
        let days = entry.optional_count("payload_days", shared).map(small);
        match (rule.or(topic), days) {
            (Some(name), Some(payload_days)) => classes.push(RetentionClass { name, payload_days }),
            _ => shared.mistake(
                entry.place(),
                "a retention class lacks what it is for, or its days",
                Some(
                    "write such as `{topic: payroll, payload_days: 365}` or `{rule: ..., payload_days: ...}`"
                        .to_owned(),
                ),
            ),
        }
        shown.push(entry.finish(shared));
    }
    table.note("classes", shown);
    if payload_days.is_none() && !classes.is_empty() {
        let hint = "without retention.payload_days nothing expires".to_owned();
        shared.mistake(table.place_of("classes"), "retention.classes have no effect", Some(hint));
    }
    close(root, "retention", table, shared);
    Retention { payload_days, metadata_months, classes, two_person_erasure }
}

fn policies(root: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Policies {
    let mut table = root.table("policies", shared);
    let known = crate::screen::shipped_packs();
    let shipped = table.texts("shipped", &crate::screen::usual_packs(), shared);
    for name in &shipped {
        if !known.contains(&name.as_str()) {
            let hint = nearest(name, &known)
                .map_or_else(|| format!("shipped: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            shared.mistake(table.place_of("shipped"), format!("no shipped pack is named `{name}`"), Some(hint));
        }
    }
    let files = table.texts("files", &[], shared).into_iter().map(|file| base.join(file)).collect();
    close(root, "policies", table, shared);
    Policies { shipped, files }
}

fn observe(root: &mut Table, shared: &mut Shared<'_>) -> Observe {
    let mut table = root.table("observe", shared);
    let mut log = table.table("log", shared);
    let log_filter = log.text("filter", shared).unwrap_or_else(|| "info".to_owned());
    log.note("filter", log_filter.clone());
    let words = [("human", LogFormat::Human), ("json", LogFormat::Json)];
    let log_format = log.choice("format", &words, "human", shared).unwrap_or(LogFormat::Human);
    close(&mut table, "log", log, shared);
    let mut otlp = table.table("otlp", shared);
    let is_url = |text: &str| (text.starts_with("http://") || text.starts_with("https://")).then(|| text.to_owned());
    let endpoint = otlp.parsed("endpoint", "a URL such as `http://127.0.0.1:4318`", is_url, shared);
    let headers = otlp.texts_by_name("headers", shared);
    close(&mut table, "otlp", otlp, shared);
    close(root, "observe", table, shared);
    let otlp_headers = headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    Observe { log_filter, log_format, otlp: endpoint, otlp_headers }
}

/// Finishes a table under a key of another.
pub(super) fn close(outer: &mut Table, key: &str, inner: Table, shared: &mut Shared<'_>) {
    let shown = inner.finish(shared);
    outer.note(key, shown);
}

/// A variable that begins like ours and means nothing is a typing error worth telling.
fn unknown_variables(shared: &mut Shared<'_>) {
    let elsewhere = ["CANDOR_CONFIG", "CANDOR_CLIENTS", "CANDOR_NODE_CLIENTS", "CANDOR_API_KEY", "CANDOR_AUDIT_KEY"];
    let known: Vec<&str> = shared.known_variables.iter().map(String::as_str).chain(elsewhere).collect();
    let unknown = shared.environment.own_names().filter(|name| !known.contains(name));
    let mistakes: Vec<Mistake> = unknown
        .map(|name| Mistake {
            file: "environment".to_owned(),
            place: tree::Place::default(),
            message: format!("unknown variable `{name}`"),
            hint: nearest(name, &known).map(|near| format!("did you mean `{near}`?")),
        })
        .collect();
    shared.mistakes.extend(mistakes);
}

fn unreadable(file: String, error: &std::io::Error) -> Mistake {
    Mistake { file, place: tree::Place::default(), message: format!("cannot be read: {}", error.kind()), hint: None }
}
