//! The gateway's front door, found by the configuration unless it is named.

use super::Failure;
use crate::audit::ask::Door;
use crate::cli::AuditDoor;
use crate::config::{self, Config, Secret};

/// The door that arguments and configuration lead to.
pub(super) fn door(arguments: &AuditDoor, config: &Config) -> Result<Door, Failure> {
    let limit = config::read_duration(&arguments.timeout)
        .ok_or_else(|| Failure::usage(format!("--timeout: `{}` is no duration", arguments.timeout)))?;
    let key = match &arguments.key_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("{}: {}", path.display(), error.kind())))?;
            Some(Secret::new(text.trim().to_owned()))
        }
        None => arguments.key.clone().map(Secret::new),
    };
    if key.is_none() && !config.callers.anonymous {
        return Err(Failure::usage(
            "the gateway asks for a key: make one with `candor keys create --caller auditor`, and give it by --key-file or \
             CANDOR_AUDIT_KEY",
        ));
    }
    let door = Door::of(config, None, arguments.gateway.as_deref(), arguments.ca.as_deref()).map_err(Failure::usage)?;
    Ok(door.with(key, limit))
}
