//! What a command failed with, and the exit status that goes with it.

use std::fmt::{self, Display};
use std::process::ExitCode;

use super::print;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    text: String,
}

impl Failure {
    /// Wrong usage or configuration: exit status 2.
    pub fn usage(text: impl Display) -> Self {
        Self { status: 2, text: text.to_string() }
    }

    /// Something outside failed: exit status 3.
    pub fn outside(text: impl Display) -> Self {
        Self { status: 3, text: text.to_string() }
    }

    /// Mistakes of a configuration or a pack, one after the other.
    pub fn mistakes<T: Display>(mistakes: &[T]) -> Self {
        let mut text: String = mistakes.iter().map(|mistake| format!("{mistake}\n")).collect();
        let plural = if mistakes.len() == 1 { "" } else { "s" };
        text.push_str(&format!("{} mistake{plural} found", mistakes.len()));
        Self { status: 2, text }
    }

    /// Tells the person and gives the status.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        print::error(&self.text);
        ExitCode::from(self.status)
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::outside(error)
    }
}
