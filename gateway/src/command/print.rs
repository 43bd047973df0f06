//! Text to the terminal: the one place that writes to standard output and error. A closed pipe ends quietly.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use crate::assemble::Source;
use crate::cli::Configured;
use crate::config::{self, Environment, Loaded};

/// Writes a line to standard output.
pub(super) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Writes text to standard output as it stands, at once.
pub(super) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(super) fn error(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(format!("candor: {text}\n").as_bytes());
}

/// Replaces what is on the terminal's last line; quiet in a pipe.
pub(super) fn progress(text: &str) {
    let mut out = std::io::stderr().lock();
    if out.is_terminal() {
        let _ = out.write_all(format!("\r\x1b[K{text}").as_bytes()).and_then(|()| out.flush());
    }
}

/// How text looks on a terminal; plain in a pipe or where `NO_COLOR` is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    on: bool,
}

impl Style {
    /// The style of standard output.
    pub(super) fn of_stdout() -> Self {
        let plain = Environment::of_process().value("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: std::io::stdout().is_terminal() && !plain }
    }

    /// Dimmed.
    pub(super) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Bold.
    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// As a mark.
    pub(super) fn mark(self, text: &str) -> String {
        if self.on { self.wrap("30;43", text) } else { format!("⟦{text}⟧") }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text of a peer made safe for a terminal: control and bidi characters are shown, not sent.
pub(super) fn safe(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' => '\u{fffd}',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Loads the configuration that a command was pointed to which serves, or checks what would be served.
pub(super) fn whole_configuration(arguments: &Configured) -> Result<Loaded, Failure> {
    load(arguments, &Environment::of_process())
}

/// Loads the same for a command that works beside a gateway: keys of upstreams and callers are none of its business.
pub(super) fn configuration(arguments: &Configured) -> Result<Loaded, Failure> {
    load(arguments, &Environment::of_process().aside())
}

fn load(arguments: &Configured, environment: &Environment) -> Result<Loaded, Failure> {
    config::load(file(arguments).as_deref(), environment).map_err(|mistakes| Failure::mistakes(&mistakes))
}

/// Loads the same configuration again.
pub(super) fn source(arguments: &Configured) -> Source {
    let file = file(arguments);
    Arc::new(move || {
        let loaded = config::load(file.as_deref(), &Environment::of_process());
        loaded.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    })
}

fn file(arguments: &Configured) -> Option<PathBuf> {
    let usual = [PathBuf::from("candor.yaml"), PathBuf::from("/etc/candor/candor.yaml")];
    arguments.config.clone().or_else(|| usual.into_iter().find(|path| path.is_file()))
}
