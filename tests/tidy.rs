//! The house rules that a machine can check, as ordinary tests: sizes, module order, owners of dependencies, layout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Visible entries of the top level; `target` is cargo's.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "gateway",
    "engine",
    "policies",
    "migrations",
    "tests",
    "charts",
    "target",
];

/// The gateway's modules, layer by layer: each may import from its own layer and those above it in this list.
const LAYERS: [&[&str]; 12] = [
    &["exchange", "fault", "cli", "thinking"],
    &["config", "cost", "stream", "route", "tls", "observe"],
    &["dialect", "screen", "cipher"],
    &["record", "ledger", "upstream"],
    &["store"],
    &["identify", "keyring", "limits", "snapshot", "tokens", "audit"],
    &["admit", "console"],
    &["pipeline"],
    &["listen", "admin"],
    &["assemble"],
    &["command"],
    &["main", "lib"],
];

/// Imports against the order, each with its reason.
const UPWARD: [(&str, &str, &str); 3] = [
    ("config", "screen", "only for the names of shipped packs, to say which are known"),
    ("config", "upstream", "only for the catalogue of providers, which is configuration"),
    ("pipeline", "admin", "the front door answers health checks of loopback peers"),
];

/// Dependencies that only one module of the gateway may name, and which.
const OWNERS: [(&str, &[&str]); 13] = [
    ("clap", &["cli.rs", "cli/", "lib.rs"]),
    ("sqlx", &["store/"]),
    ("opentelemetry", &["observe/"]),
    ("opentelemetry_sdk", &["observe/"]),
    ("opentelemetry_otlp", &["observe/"]),
    ("prometheus_client", &["observe/"]),
    ("rustls", &["tls.rs", "tls/"]),
    ("rcgen", &["tls.rs", "tls/"]),
    ("hyper::server", &["listen/"]),
    ("hyper_util::server", &["listen/"]),
    // The collector's connection is made in `tls`, where roots are known, and used in `observe`; the demo is a client.
    (
        "hyper_util::client",
        &[
            "upstream/remote",
            "upstream/hub",
            "upstream/errand",
            "tokens/fetch.rs",
            "tls/system.rs",
            "observe/export",
            "command/demo",
        ],
    ),
    ("hyper_rustls", &["upstream/remote", "tls/"]),
    ("candor_engine", &["upstream/local", "command/engine", "command/demo"]),
];

/// Crates that the gateway must not name at all, and whose they are.
const FOREIGN: [(&str, &str); 7] = [
    ("candle_core", "engine"),
    ("llguidance", "engine"),
    ("tokenizers", "engine"),
    ("regex", "policies"),
    ("aho_corasick", "policies"),
    ("cel", "policies"),
    ("jiff", "policies"),
];

const LINES_OF_A_FILE: usize = 500;
const LINES_OF_A_FUNCTION: usize = 80;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// Files of the repository with one of some endings, as (path from the root, text).
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | ".venv" | "__pycache__" | "candor-data") {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let relative = path.strip_prefix(&root).expect("below the root");
                found.push((relative.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Fails with all complaints at once.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The files of the gateway, named from its `src`, with comments and tests at the end left out.
fn gateway() -> Vec<(String, String)> {
    let files = files(&[".rs"]).into_iter();
    files
        .filter_map(|(path, text)| Some((path.strip_prefix("gateway/src/")?.to_owned(), text)))
        .filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
        .map(|(path, text)| {
            let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
            let code: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with("//")).collect();
            (path, code.join("\n"))
        })
        .collect()
}

#[test]
fn the_top_level_is_fixed() {
    let entries = std::fs::read_dir(root()).expect("the repository").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strange = names.filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()));
    none(strange.map(|name| format!("{name} does not belong at the top level")).collect());
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let allowed: BTreeMap<&str, &str> = LONG_FILES.into_iter().collect();
    let mut complaints = Vec::new();
    for (path, text) in files(&[".rs"]) {
        if !text.starts_with("//!") {
            complaints.push(format!("{path} does not begin with `//!`"));
        }
        let lines = text.lines().count();
        if lines > LINES_OF_A_FILE && !allowed.contains_key(path.as_str()) {
            complaints.push(format!("{path} has {lines} lines, more than {LINES_OF_A_FILE}"));
        }
    }
    none(complaints);
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            // Formatted code: the brace that closes a function stands alone under its first letter.
            let length = lines[start..].iter().take_while(|line| **line != end).count() + 1;
            let whole = line.ends_with('}') || line.ends_with(';');
            if !whole && length > LINES_OF_A_FUNCTION {
                complaints.push(format!("{path}:{}: {length} lines in one function", start + 1));
            }
        }
    }
    none(complaints);
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || matches!(*word, "async" | "const" | "unsafe" | "extern" | "crate)" | "super)")
    });
    words.next() == Some("fn")
}

#[test]
fn modules_of_the_gateway_import_downward() {
    let rank: BTreeMap<&str, usize> =
        LAYERS.iter().zip(0..).flat_map(|(layer, rank)| layer.iter().map(move |module| (*module, rank))).collect();
    let mut edges = BTreeSet::new();
    for (path, code) in gateway() {
        let module = path.split(['/', '.']).next().unwrap_or_default().to_owned();
        for part in code.split("crate::").skip(1) {
            let to: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if to != module && to.starts_with(char::is_lowercase) {
                edges.insert((module.clone(), to));
            }
        }
    }
    let mut complaints = Vec::new();
    for (from, to) in &edges {
        match (rank.get(from.as_str()), rank.get(to.as_str())) {
            (Some(a), Some(b)) if b <= a => {}
            (Some(_), Some(_)) if UPWARD.iter().any(|(a, b, _)| a == from && b == to) => {}
            (Some(_), Some(_)) => complaints.push(format!("{from} imports {to}, which stands above it")),
            _ => complaints.push(format!("{from} imports {to}; one of them has no place in the order")),
        }
    }
    for (from, to, reason) in UPWARD {
        if !edges.contains(&(from.to_owned(), to.to_owned())) {
            complaints.push(format!("{from} no longer imports {to} ({reason}): take it off the list"));
        }
    }
    none(complaints);
}

#[test]
fn every_dependency_has_one_owner() {
    let mut complaints = Vec::new();
    for (path, code) in gateway() {
        for (name, owners) in OWNERS {
            if names(&code, name) && !owners.iter().any(|owner| path.starts_with(owner)) {
                complaints.push(format!("gateway/src/{path} names {name}, which is for {}", owners.join(", ")));
            }
        }
        for (name, owner) in FOREIGN {
            if names(&code, name) {
                complaints.push(format!("gateway/src/{path} names {name}, which is {owner}'s"));
            }
        }
    }
    none(complaints);
}

/// Whether code names a crate (or a path into one).
fn names(code: &str, path: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(&format!("{path}::")).any(|(at, _)| !code[..at].ends_with(inside))
}

#[test]
fn the_engine_and_the_policies_know_nobody() {
    let mut complaints = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        let own = text.lines().filter(|line| line.starts_with("candor-") && !line.contains("path ="));
        if path.starts_with("engine/") || path.starts_with("policies/") {
            complaints.extend(own.map(|line| format!("{path} depends on {line}")));
        }
    }
    for (path, text) in files(&[".rs"]) {
        let pure = path.starts_with("policies/src/");
        for word in ["std::fs", "std::net", "tokio", "std::time", "std::env"] {
            if pure && names(&text, word) {
                complaints.push(format!("{path} names {word}, and policies do no I/O"));
            }
        }
    }
    none(complaints);
}

#[test]
fn nothing_unfinished_and_no_machine_stands_in_the_repository() {
    // Put together here, so that this list does not find itself.
    let words = [
        ["todo", "!("],
        ["unimplemented", "!("],
        ["FIX", "ME"],
        ["SKEL", "ETON"],
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["#[ign", "ore"],
        ["should_", "panic"],
    ]
    .map(|[a, b]| format!("{a}{b}"));
    let mut complaints = Vec::new();
    for (path, text) in files(&[".rs", ".toml", ".md", ".yaml", ".yml", ".sql", ".py", "run"]) {
        for (line, number) in text.lines().zip(1..) {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                complaints.push(format!("{path}:{number}: {word}"));
            }
        }
    }
    none(complaints);
}

#[test]
fn migrations_are_numbered_without_gaps_and_say_why() {
    let mut complaints = Vec::new();
    // Roles are given by whoever owns the database, when he likes: no step forward.
    let is_step = |path: &str| path.starts_with("migrations/") && path != "migrations/roles.sql";
    for ((path, text), number) in files(&[".sql"]).into_iter().filter(|(path, _)| is_step(path)).zip(1..) {
        let name = path.trim_start_matches("migrations/");
        if !name.starts_with(&format!("{number:04}_")) {
            complaints.push(format!("{path} should have the number {number:04}"));
        }
        if !text.starts_with("-- ") {
            complaints.push(format!("{path} does not begin by saying why"));
        }
    }
    none(complaints);
}
