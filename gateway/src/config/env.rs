//! The process environment; nothing else in the gateway reads it.

use std::collections::BTreeMap;

/// Variables by name, as they were when the process started or as a test says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Whether nothing is served: what only traffic needs is then not read.
    aside: bool,
}

impl Environment {
    /// Reads the process's variables; those that are not UTF-8 are left out.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process() -> Self {
        let pairs = std::env::vars_os();
        let texts = pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: texts.collect(), aside: false }
    }

    /// The same for a command that works beside a gateway, and whose user need not have what traffic needs.
    #[must_use]
    pub fn aside(self) -> Self {
        Self { aside: true, ..self }
    }

    /// Whether nothing is served.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        self.aside
    }

    /// The value of one variable.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The names of all variables that begin with `CANDOR_`.
    pub fn own_names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str).filter(|name| name.starts_with("CANDOR_"))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { variables, aside: false }
    }
}
