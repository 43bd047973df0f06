//! The packs that are compiled in. They are data; nothing here reads them.

use crate::Pack;

const SHIPPED: [(&str, &str); 4] = [
    ("china", include_str!("../packs/china.yaml")),
    ("personal-data", include_str!("../packs/personal-data.yaml")),
    ("prompt-injection", include_str!("../packs/prompt-injection.yaml")),
    ("secrets", include_str!("../packs/secrets.yaml")),
];

/// Names of the packs that are compiled in.
#[must_use]
pub fn shipped_names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

/// The packs that are compiled in.
#[must_use]
pub fn shipped() -> Vec<Pack> {
    SHIPPED.iter().map(|(name, text)| Pack { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}
