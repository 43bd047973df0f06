//! The part of a configuration that says who answers: upstreams, and the models they serve.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::beside::{AskWhen, Judging};
use super::hub::{Place, find_model, model_path};
use super::prices::own_price;
use super::read::{Shared, Table, nearest};
use super::resolve::close;
use super::settings::{
    Adaptation, Candidate, LocalModel, Model, Quantise, Recording, Remote, Shadow, StreamUsage, Timeouts, Upstream,
    UpstreamKind,
};
use crate::exchange::Dialect;
use crate::upstream::catalogue::{self, Catalogue, Quirks};

/// Reads `catalogue`: the shipped providers with those of a file laid over them. With mistakes in it only the shipped
/// ones are known, so that the rest of the configuration can still be checked.
pub(super) fn catalogue(root: &mut Table, base: &Path, shared: &mut Shared<'_>) -> (Arc<Catalogue>, Option<PathBuf>) {
    let file = root.path("catalogue", shared).map(|path| base.join(path));
    let shown = file.as_ref().map(|file| file.display().to_string());
    let text = match file.as_ref().map(std::fs::read_to_string).transpose() {
        Ok(text) => text,
        Err(error) => {
            let message = format!("the catalogue cannot be read: {}", error.kind());
            shared.mistake(root.place_of("catalogue"), message, None);
            None
        }
    };
    let own = shown.as_deref().zip(text.as_deref());
    let loaded = catalogue::load(own).or_else(|mistakes| {
        shared.mistakes.extend(mistakes);
        catalogue::load(None)
    });
    // The shipped one is read by a test.
    let catalogue = loaded.unwrap_or_else(|_| Catalogue::empty());
    if let Some(file) = shown {
        root.note("catalogue", serde_json::json!({"file": file, "digest": catalogue.digest()}));
    }
    shared.providers = catalogue.names();
    (Arc::new(catalogue), file)
}

/// Reads `upstreams`.
pub(super) fn upstreams(
    root: &mut Table,
    base: &Path,
    catalogue: &Catalogue,
    shared: &mut Shared<'_>,
) -> Vec<Upstream> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    let mut shown = Vec::new();
    for mut entry in root.tables("upstreams", shared) {
        if let Some(upstream) = upstream(&mut entry, base, catalogue, shared) {
            if upstreams.iter().any(|other| other.name == upstream.name) {
                let message = format!("upstream `{}` is defined twice", upstream.name);
                shared.mistake(entry.place_of("name"), message, None);
            }
            upstreams.push(upstream);
        }
        shown.push(entry.finish(shared));
    }
    root.note("upstreams", shown);
    upstreams
}

fn upstream(entry: &mut Table, base: &Path, catalogue: &Catalogue, shared: &mut Shared<'_>) -> Option<Upstream> {
    let name = entry.required("name", shared);
    let tags = entry.texts_by_name("tags", shared);
    let local = entry.has("local");
    if local && entry.has("base_url") {
        shared.mistake(entry.place(), "an upstream is either `local` or has a `base_url`", None);
    }
    let kind = if local { local_model(entry, base, shared) } else { remote(entry, base, catalogue, shared) };
    Some(Upstream { name: name?, kind: kind?, tags })
}

fn remote(entry: &mut Table, base: &Path, catalogue: &Catalogue, shared: &mut Shared<'_>) -> Option<UpstreamKind> {
    let known: Vec<&str> = catalogue.providers().map(|provider| provider.name.as_str()).collect();
    let provider = entry.text("provider", shared).unwrap_or_else(|| "openai-compatible".to_owned());
    if !known.contains(&provider.as_str()) {
        let hint = nearest(&provider, &known)
            .map_or_else(|| format!("known: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        shared.mistake(entry.place_of("provider"), format!("no provider is named `{provider}`"), Some(hint));
    }
    entry.note("provider", provider.clone());
    let is_url = |text: &str| {
        let uri: http::Uri = text.parse().ok()?;
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        (scheme && uri.host().is_some() && uri.query().is_none()).then(|| text.trim_end_matches('/').to_owned())
    };
    let base_url = entry.parsed("base_url", "a URL such as `https://api.deepseek.com/v1`", is_url, shared);
    let known = catalogue.entry(&provider);
    let default_url = known.and_then(|known| known.base_url.as_deref());
    if base_url.is_none() && default_url.is_none() && !entry.has("base_url") {
        let hint = "for a model in this process write `local: {path: FOLDER}` instead".to_owned();
        shared.mistake(entry.place(), format!("provider `{provider}` needs a `base_url`"), Some(hint));
    }
    let base_url = base_url.or_else(|| default_url.map(str::to_owned));
    entry.note("base_url", base_url.clone());
    let words = [("on", Adaptation::On), ("off", Adaptation::Off)];
    let adapt = entry.choice("adapt", &words, "on", shared).unwrap_or(Adaptation::On);
    let applies: Vec<String> = match (adapt, known) {
        (Adaptation::On, Some(known)) => known.models.iter().flat_map(Quirks::lines).collect(),
        _ => Vec::new(),
    };
    entry.note("applies", applies);
    let usages = [("ask", StreamUsage::Ask), ("as_sent", StreamUsage::AsSent)];
    Some(UpstreamKind::Remote(Box::new(Remote {
        provider,
        base_url: base_url.unwrap_or_default(),
        dialects: dialects(entry, shared),
        key: entry.secret_of_traffic(["key", "key_env", "key_file"], shared),
        roots: entry.path("roots", shared).map(|path| base.join(path)),
        catalogue: catalogue.digest().to_owned(),
        adapt,
        stream_usage: entry.choice("stream_usage", &usages, "ask", shared).unwrap_or(StreamUsage::Ask),
        timeouts: timeouts(entry, shared),
        idle_connections: entry.count("idle_connections", 64, 0, shared) as usize,
        concurrency: entry.optional_count("concurrency", shared),
    })))
}

/// What an upstream speaks, where that is not what the catalogue says of its provider.
fn dialects(entry: &mut Table, shared: &mut Shared<'_>) -> Vec<Dialect> {
    let names = entry.texts("dialects", &[], shared);
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        match Dialect::named(&name) {
            Some(dialect) => found.push(dialect),
            None => {
                let known = Dialect::ALL.map(Dialect::name).join(", ");
                let message = format!("`{name}` is not a dialect that the gateway speaks");
                shared.mistake(entry.place_of("dialects"), message, Some(format!("known: {known}")));
            }
        }
    }
    found
}

fn local_model(entry: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Option<UpstreamKind> {
    let mut table = entry.table("local", shared);
    let fetch = table.flag("fetch", false, shared);
    let place = table.required("path", shared).map(PathBuf::from).and_then(|path| {
        let found = match fetch {
            true => find_model(&path, shared.environment),
            false => model_path(&path, shared.environment).map(Place::Here),
        };
        found.map_err(|message| shared.mistake(table.place_of("path"), message, None)).ok()
    });
    let place = match place {
        Some(Place::Here(path)) => {
            let path = base.join(path);
            if !path.exists() {
                let message = format!("there is no model at `{}`", path.display());
                shared.mistake(table.place_of("path"), message, None);
            }
            Some(Place::Here(path))
        }
        other => other,
    };
    let context = table.optional_count("context", shared);
    let sequences = table.count("sequences", 8, 1, shared) as usize;
    let queue = table.count("queue", 64, 1, shared) as usize;
    let threads = table.optional_count("threads", shared);
    let smaller = [("none", None), ("q8_0", Some(Quantise::Q8_0)), ("q4_k", Some(Quantise::Q4K))];
    let quantise = table.choice("quantize", &smaller, "none", shared).flatten();
    close(entry, "local", table, shared);
    let timeouts = timeouts(entry, shared);
    Some(UpstreamKind::Local(LocalModel { place: place?, quantise, context, sequences, queue, threads, timeouts }))
}

fn timeouts(entry: &mut Table, shared: &mut Shared<'_>) -> Timeouts {
    let mut table = entry.table("timeouts", shared);
    let seconds = Duration::from_secs;
    let timeouts = Timeouts {
        connect: table.duration("connect", seconds(5), shared),
        first_byte: table.duration("first_byte", seconds(120), shared),
        first_event: table.duration("first_event", seconds(300), shared),
        gap: table.duration("gap", seconds(60), shared),
        total: table.duration("total", seconds(1800), shared),
    };
    close(entry, "timeouts", table, shared);
    timeouts
}

/// Reads `models`; without any, `*` goes to every upstream in the order of the file.
pub(super) fn models(root: &mut Table, upstreams: &[Upstream], shared: &mut Shared<'_>) -> Vec<Model> {
    if !root.has("models") {
        let _ = root.tables("models", shared);
        return all_to_all(upstreams);
    }
    let mut models = Vec::new();
    let mut shown = Vec::new();
    let mut names = BTreeSet::new();
    for mut entry in root.tables("models", shared) {
        let model = model(&mut entry, upstreams, shared);
        if let Some(model) = model {
            if !names.insert(model.name.clone()) {
                shared.mistake(entry.place_of("name"), format!("model `{}` is defined twice", model.name), None);
            }
            models.push(model);
        }
        shown.push(entry.finish(shared));
    }
    root.note("models", shown);
    models
}

fn all_to_all(upstreams: &[Upstream]) -> Vec<Model> {
    let candidates = upstreams.iter().zip(0..);
    let candidates: Vec<Candidate> = candidates
        .map(|(upstream, priority)| Candidate {
            upstream: upstream.name.clone(),
            model: None,
            priority,
            weight: 1,
            price: None,
        })
        .collect();
    if candidates.is_empty() {
        return Vec::new();
    }
    vec![Model {
        name: "*".to_owned(),
        candidates,
        recording: Recording::Required,
        attempts: 3,
        affinity: false,
        hedge: None,
        shadow: None,
    }]
}

fn model(entry: &mut Table, upstreams: &[Upstream], shared: &mut Shared<'_>) -> Option<Model> {
    let name = entry.required("name", shared);
    if let Some(name) = &name
        && name.trim_end_matches('*').contains('*')
    {
        shared.mistake(entry.place_of("name"), "a model's `*` may only stand at its end", None);
    }
    let words = [("required", Recording::Required), ("best_effort", Recording::BestEffort)];
    let recording = entry.choice("recording", &words, "required", shared).unwrap_or(Recording::Required);
    let attempts = entry.count("attempts", 3, 1, shared).min(100) as u32;
    let affinity = entry.choice("affinity", &[("none", false), ("conversation", true)], "none", shared);
    let hedge = entry.optional_duration("hedge", shared);
    let shadow = shadow(entry, upstreams, shared);
    let mut candidates = Vec::new();
    let mut shown = Vec::new();
    for mut item in entry.tables("candidates", shared) {
        candidates.extend(candidate(&mut item, upstreams, shared));
        shown.push(item.finish(shared));
    }
    entry.note("candidates", shown);
    if candidates.is_empty() {
        shared.mistake(
            entry.place(),
            "a model needs at least one candidate",
            Some("`candidates: [{upstream: NAME}]`".to_owned()),
        );
    }
    Some(Model { name: name?, candidates, recording, attempts, affinity: affinity.unwrap_or(false), hedge, shadow })
}

/// Reads a model's `shadow`.
fn shadow(entry: &mut Table, upstreams: &[Upstream], shared: &mut Shared<'_>) -> Option<Shadow> {
    if !entry.has("shadow") {
        return None;
    }
    let mut table = entry.table("shadow", shared);
    let sample = share(&mut table, shared);
    let candidate = candidate(&mut table, upstreams, shared);
    close(entry, "shadow", table, shared);
    Some(Shadow { sample, candidate: candidate? })
}

/// Reads `sample`, a share; all where nothing is said.
fn share(table: &mut Table, shared: &mut Shared<'_>) -> f64 {
    let share = |text: &str| text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    let sample = table.parsed("sample", "a share above 0 and up to 1", share, shared).unwrap_or(1.0);
    table.note("sample", sample);
    sample
}

/// Reads `judge`; without a model nobody is asked.
pub(super) fn judge(root: &mut Table, models: &[Model], shared: &mut Shared<'_>) -> Option<Judging> {
    let mut table = root.table("judge", shared);
    let model = table.text("model", shared);
    let words = [("unsure", AskWhen::Unsure), ("always", AskWhen::Always)];
    let when = table.choice("when", &words, "unsure", shared).unwrap_or(AskWhen::Unsure);
    let sample = share(&mut table, shared);
    let timeout = table.duration("timeout", Duration::from_secs(30), shared);
    let max_per_minute = table.count("max_per_minute", 60, 1, shared).min(u64::from(u32::MAX)) as u32;
    let served = |name: &str| {
        let serves = |model: &Model| match model.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => model.name == name,
        };
        models.iter().any(serves)
    };
    if let Some(model) = model.as_deref().filter(|model| !served(model)) {
        shared.mistake(table.place_of("model"), format!("no model is named `{model}`"), None);
    }
    if model.is_none() && root.has("judge") {
        shared.mistake(table.place(), "`judge` lacks `model`", Some("the name of a model that is served".to_owned()));
    }
    close(root, "judge", table, shared);
    Some(Judging { model: model?, when, sample, timeout, max_per_minute })
}

fn candidate(item: &mut Table, upstreams: &[Upstream], shared: &mut Shared<'_>) -> Option<Candidate> {
    let upstream = item.required("upstream", shared);
    if let Some(upstream) = &upstream
        && !upstreams.iter().any(|known| known.name == *upstream)
    {
        let known: Vec<&str> = upstreams.iter().map(|known| known.name.as_str()).collect();
        let hint = nearest(upstream, &known)
            .map_or_else(|| format!("defined: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        shared.mistake(item.place_of("upstream"), format!("no upstream is named `{upstream}`"), Some(hint));
    }
    let model = item.text("model", shared);
    let bounded = |value: u64| value.min(u64::from(u32::MAX)) as u32;
    let priority = bounded(item.count("priority", 0, 0, shared));
    let weight = bounded(item.count("weight", 1, 0, shared));
    let price = own_price(item, model.as_deref().unwrap_or("*"), shared);
    Some(Candidate { upstream: upstream?, model, priority, weight, price })
}
