//! `candor check`: validates configuration and packs, prints the resolved configuration. It starts nothing.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Failure, print};
use crate::audit::canary::Bird;
use crate::cli::Check;
use crate::snapshot::Snapshot;

/// Runs the command.
pub(super) fn run(arguments: &Check) -> Result<ExitCode, Failure> {
    let loaded = print::whole_configuration(&arguments.configured)?;
    let resolved = loaded.resolved.clone();
    let snapshot = Snapshot::build(loaded, None).map_err(|mistakes| Failure::mistakes(&mistakes))?;
    if let Some(canary) = &snapshot.config.canary {
        Bird::open(canary, &snapshot.config.data).map_err(Failure::usage)?;
    }
    if arguments.configured.json {
        print::line(json!({"config": resolved, "digest": &*snapshot.digest}).to_string());
    } else {
        let mut text = String::new();
        write_yaml(&resolved, 0, &mut text);
        text.push_str(&format!("# digest {}", snapshot.digest));
        print::line(text);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a value as YAML in block style; strings as JSON strings, which YAML reads the same.
fn write_yaml(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.push_str(&format!("{indent}{key}:"));
                write_inner(inner, depth + 1, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut block = String::new();
                write_yaml(item, depth + 1, &mut block);
                let trimmed = block.trim_start();
                out.push_str(&format!("{indent}- {trimmed}"));
            }
        }
        scalar => out.push_str(&format!("{indent}{scalar}\n")),
    }
}

fn write_inner(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if map.is_empty() => out.push_str(" {}\n"),
        Value::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            out.push_str(&format!(" {value}\n"));
        }
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            write_yaml(value, depth, out);
        }
        scalar => out.push_str(&format!(" {scalar}\n")),
    }
}
