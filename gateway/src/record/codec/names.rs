//! Names that records hold as `&'static str`: those met while reading frames are kept, a bounded number of them.
//! It does not judge what a name means.

use std::collections::HashSet;

use super::Error;

/// Distinct names that are kept; a build knows a few dozen, and a damaged file must not make memory grow.
const MOST: usize = 1024;

/// The longest name.
const LONGEST: usize = 64;

/// The names met so far.
#[derive(Debug, Default)]
pub(in crate::record) struct Names {
    known: HashSet<&'static str>,
}

impl Names {
    /// The one copy of a name.
    pub(super) fn intern(&mut self, name: &str) -> Result<&'static str, Error> {
        if let Some(known) = self.known.get(name) {
            return Ok(known);
        }
        if name.len() > LONGEST || self.known.len() >= MOST {
            return Err(Error::Name);
        }
        // Leaked on purpose: bounded by the two limits above, and the records' own types ask for it.
        let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
        self.known.insert(kept);
        Ok(kept)
    }
}
