//! What a client is told of a stop: one text, or one per language and dialect. It detects no language.

/// Texts by language and dialect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    entries: Vec<Entry>,
}

/// One text, and for whom it is; what is absent fits all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    dialect: Option<String>,
    language: Option<String>,
    text: String,
}

/// The language that is taken where the prompt's own has no text.
const FALLBACK: &str = "en";

impl Messages {
    /// Adds a text.
    pub(crate) fn add(&mut self, dialect: Option<&str>, language: Option<&str>, text: String) {
        let (dialect, language) = (dialect.map(str::to_owned), language.map(str::to_owned));
        self.entries.push(Entry { dialect, language, text });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text for a client that speaks a dialect and wrote in a language (ISO 639-1): in that language, else one
    /// without a language, else English, else the first that there is; each time one for the dialect before one for all.
    #[must_use]
    pub fn pick(&self, dialect: &str, language: Option<&str>) -> Option<&str> {
        let of = |wanted: Option<Option<&str>>| {
            let spoken = |entry: &&Entry| wanted.is_none_or(|wanted| entry.language.as_deref() == wanted);
            let entries = || self.entries.iter().filter(spoken);
            let own = entries().find(|entry| entry.dialect.as_deref() == Some(dialect));
            own.or_else(|| entries().find(|entry| entry.dialect.is_none()))
        };
        let found = language.and_then(|language| of(Some(Some(language))));
        let found = found.or_else(|| of(Some(None))).or_else(|| of(Some(Some(FALLBACK)))).or_else(|| of(None));
        found.map(|entry| entry.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompts_language_comes_first_and_english_before_the_rest() {
        let mut messages = Messages::default();
        for (dialect, language, text) in [
            (None, Some("zh"), "不行"),
            (None, Some("en"), "no"),
            (Some("anthropic"), Some("en"), "no, Claude"),
            (None, Some("pt"), "não"),
        ] {
            messages.add(dialect, language, text.to_owned());
        }
        let cases = [
            ("openai-chat", Some("pt"), "não"),
            ("openai-chat", Some("de"), "no"),
            ("openai-chat", None, "no"),
            ("anthropic", None, "no, Claude"),
            ("anthropic", Some("zh"), "不行"),
        ];
        for (dialect, language, expected) in cases {
            assert_eq!(messages.pick(dialect, language), Some(expected), "{dialect} {language:?}");
        }
        let mut one = Messages::default();
        one.add(None, Some("ko"), "안 됩니다".to_owned());
        assert_eq!(one.pick("x", Some("fr")), Some("안 됩니다"));
        one.add(None, None, "any".to_owned());
        assert_eq!(one.pick("x", Some("fr")), Some("any"));
        assert_eq!(Messages::default().pick("x", None), None);
    }
}
