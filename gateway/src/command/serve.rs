//! `candor serve`: runs the gateway and tells where. The parts are put together elsewhere.

use std::process::ExitCode;

use serde_json::json;

use super::{Failure, print};
use crate::assemble::{self, Signals, Told};
use crate::cli::{Configured, Serve};
use crate::config::Loaded;
use crate::observe::logs;

/// Runs the command.
pub(super) fn run(arguments: &Serve) -> Result<ExitCode, Failure> {
    let loaded = print::whole_configuration(&arguments.configured)?;
    // Kept to the end, so that the last lines are written too.
    let _logs = logs::start(&loaded.config.observe).map_err(|error| match error {
        logs::Error::Filter(_) => Failure::usage(error),
        _ => Failure::outside(error),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(loaded, &arguments.configured))?;
    // What still blocks a thread, such as a name being resolved, is not waited for.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(loaded: Loaded, configured: &Configured) -> Result<(), Failure> {
    let signals = Signals::take()?;
    let running = assemble::start(loaded, Some(print::source(configured))).await?;
    print::line(if configured.json { to_json(running.told()) } else { to_text(running.told()) });
    Box::pin(running.until_signal(signals)).await;
    Ok(())
}

fn to_json(told: &Told) -> String {
    let authority = told.tls.as_ref().and_then(|tls| tls.authority.as_ref());
    json!({
        "event": "ready",
        "address": told.address.to_string(),
        "scheme": scheme(told),
        "admin": told.admin.map(|address| address.to_string()),
        "ca": authority.map(|path| path.display().to_string()),
        "fingerprint": told.tls.as_ref().map(|tls| &tls.fingerprint),
        "upstreams": told.upstreams,
        "models": told.models,
        "ledger": told.ledger,
    })
    .to_string()
}

fn to_text(told: &Told) -> String {
    let mut lines = vec![format!("listening on {}://{}", scheme(told), told.address)];
    if let Some(tls) = &told.tls {
        match &tls.authority {
            Some(authority) => {
                lines.push(format!("development CA {}", authority.display()));
                lines.push(format!("its SHA-256 {}", tls.fingerprint));
            }
            None => lines.push(format!("certificate SHA-256 {}", tls.fingerprint)),
        }
    }
    if let Some(admin) = told.admin {
        lines.push(format!("health and metrics on http://{admin}"));
    }
    lines.push(format!("ledger key {}", told.ledger));
    let models = if told.models == 0 { "any model name".to_owned() } else { count(told.models, "model name") };
    lines.push(format!("{}, {models}", count(told.upstreams, "upstream")));
    lines.push("ready".to_owned());
    lines.join("\n")
}

fn scheme(told: &Told) -> &'static str {
    if told.tls.is_some() { "https" } else { "http" }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl From<assemble::Error> for Failure {
    fn from(error: assemble::Error) -> Self {
        match error {
            assemble::Error::Mistakes(mistakes) => Self::mistakes(&mistakes),
            error if error.is_configuration() => Self::usage(error),
            error => Self::outside(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Shown;

    #[test]
    fn what_is_told_is_what_programs_and_people_need() {
        let check = |told: &Told, json: &str, text: &str| {
            assert_eq!(to_json(told), json);
            assert_eq!(to_text(told), text);
        };
        let address = "127.0.0.1:8443".parse().unwrap();
        let shown = Shown { authority: Some("candor-data/tls/ca.pem".into()), fingerprint: "AB:CD".to_owned() };
        let mut told =
            Told { address, admin: None, tls: Some(shown), upstreams: 1, models: 2, ledger: "candor+0+A".to_owned() };
        check(
            &told,
            r#"{"event":"ready","address":"127.0.0.1:8443","scheme":"https","admin":null,"ca":"candor-data/tls/ca.pem","fingerprint":"AB:CD","upstreams":1,"models":2,"ledger":"candor+0+A"}"#,
            "listening on https://127.0.0.1:8443\ndevelopment CA candor-data/tls/ca.pem\nits SHA-256 AB:CD\nledger key candor+0+A\n1 upstream, 2 model names\nready",
        );
        (told.tls, told.admin) = (None, Some("127.0.0.1:9464".parse().unwrap()));
        check(
            &told,
            r#"{"event":"ready","address":"127.0.0.1:8443","scheme":"http","admin":"127.0.0.1:9464","ca":null,"fingerprint":null,"upstreams":1,"models":2,"ledger":"candor+0+A"}"#,
            "listening on http://127.0.0.1:8443\nhealth and metrics on http://127.0.0.1:9464\nledger key candor+0+A\n1 upstream, 2 model names\nready",
        );
    }
}
