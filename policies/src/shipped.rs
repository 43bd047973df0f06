//! The packs that are compiled in. They are data; nothing here reads them.

use crate::Pack;

/// Name and text of each pack, and whether it is in force where nobody chose.
const SHIPPED: [(&str, &str, bool); 20] = [
    ("belarus", include_str!("../packs/belarus.yaml"), false),
    ("china", include_str!("../packs/china.yaml"), true),
    ("cuba-venezuela", include_str!("../packs/cuba-venezuela.yaml"), false),
    ("european-union", include_str!("../packs/european-union.yaml"), false),
    ("india", include_str!("../packs/india.yaml"), false),
    ("iran", include_str!("../packs/iran.yaml"), false),
    ("israel-palestine", include_str!("../packs/israel-palestine.yaml"), false),
    ("myanmar", include_str!("../packs/myanmar.yaml"), false),
    ("north-korea", include_str!("../packs/north-korea.yaml"), false),
    ("personal-data", include_str!("../packs/personal-data.yaml"), true),
    ("politics", include_str!("../packs/politics.yaml"), false),
    ("prompt-injection", include_str!("../packs/prompt-injection.yaml"), true),
    ("russia", include_str!("../packs/russia.yaml"), false),
    ("safety", include_str!("../packs/safety.yaml"), false),
    ("saudi-arabia", include_str!("../packs/saudi-arabia.yaml"), false),
    ("secrets", include_str!("../packs/secrets.yaml"), true),
    ("thailand", include_str!("../packs/thailand.yaml"), false),
    ("turkey", include_str!("../packs/turkey.yaml"), false),
    ("united-states", include_str!("../packs/united-states.yaml"), false),
    ("vietnam", include_str!("../packs/vietnam.yaml"), false),
];

/// Names of the packs that are compiled in.
#[must_use]
pub fn shipped_names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, ..)| *name).collect()
}

/// Names of those that are in force where nobody chose: the others are asked for by name.
#[must_use]
pub fn usual_names() -> Vec<&'static str> {
    SHIPPED.iter().filter(|(.., usual)| *usual).map(|(name, ..)| *name).collect()
}

/// The packs that are compiled in.
#[must_use]
pub fn shipped() -> Vec<Pack> {
    SHIPPED.iter().map(|(name, text, _)| Pack { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}
