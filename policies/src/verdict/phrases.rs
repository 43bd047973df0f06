//! Lists of phrases per language, compiled into one search and found in any text. What a phrase means for a verdict is
//! decided in `reading`.

use std::ops::Range;

use serde::Deserialize;

use super::fold::{Folded, Folder};
use super::starts::Starts;

/// What a phrase is a sign of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A fixed line that some service gives whatever the subject.
    Canned,
    /// The model declines.
    Refusal,
    /// The model says that it is not able to.
    Capability,
    /// An offer to talk of something else.
    Deflection,
    /// An offer of something instead.
    Pivot,
    /// Caution, balance, a weaker artefact.
    Hedge,
    /// A government's own words for its deeds.
    PartyLine,
    /// The question is attacked or corrected.
    Premise,
    /// Thinking that recites a line.
    Scripted,
    /// The answer begins to do what was asked.
    Comply,
    /// A veil over what happened.
    Omission,
    /// A plain word for a misdeed, such as one that criticism takes.
    Blunt,
}

impl Kind {
    pub(crate) const COUNT: usize = 12;
}

/// One phrase found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) kind: Kind,
    /// Language of the list it stands in.
    pub(crate) language: &'static str,
    /// Bytes of the folded text.
    pub(crate) span: Range<usize>,
}

/// All lists of phrases.
#[derive(Debug)]
pub(crate) struct Phrases {
    starts: Starts,
    /// What each phrase is a sign of, and the language of its list.
    kinds: Vec<(Kind, &'static str)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    language: String,
    #[serde(default)]
    canned: Vec<String>,
    #[serde(default)]
    refusal: Vec<String>,
    #[serde(default)]
    capability: Vec<String>,
    #[serde(default)]
    deflection: Vec<String>,
    #[serde(default)]
    pivot: Vec<String>,
    #[serde(default)]
    hedge: Vec<String>,
    #[serde(default)]
    party_line: Vec<String>,
    #[serde(default)]
    premise: Vec<String>,
    #[serde(default)]
    scripted: Vec<String>,
    #[serde(default)]
    comply: Vec<String>,
    #[serde(default)]
    omission: Vec<String>,
    #[serde(default)]
    blunt: Vec<String>,
}

impl Phrases {
    /// Compiles the shipped lists.
    pub(crate) fn shipped(folder: &Folder) -> Self {
        let mut kinds = Vec::new();
        let mut phrases = Vec::new();
        for (language, text) in SHIPPED {
            let file: File = match serde_saphyr::from_str(text) {
                Ok(file) => file,
                Err(error) => {
                    unreachable!("the shipped phrases ({language}) are data of this build and tested: {error}")
                }
            };
            debug_assert_eq!(file.language, language, "the list stands under its own name");
            for (kind, list) in file.lists() {
                kinds.extend(list.iter().map(|_| (kind, language)));
                phrases.extend(list.iter().map(|phrase| groups_of(phrase, folder)));
            }
        }
        Self { starts: Starts::new(phrases), kinds }
    }

    /// Every phrase in a folded text, in order of its beginning. Hits of one kind do not overlap: the longest stays.
    pub(crate) fn find(&self, folded: &Folded) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        self.starts.find(&folded.text, |found| {
            if let Some((kind, language)) = self.kinds.get(found.phrase).copied() {
                keep_longest(&mut hits, Hit { kind, language, span: found.span });
            }
            hits.len() < MOST_HITS
        });
        hits
    }
}

fn keep_longest(hits: &mut Vec<Hit>, new: Hit) {
    let overlaps = |hit: &Hit| hit.kind == new.kind && hit.span.start < new.span.end && new.span.start < hit.span.end;
    // Overlapping phrases come close together, so only the last few hits can matter.
    let recent = hits.len().saturating_sub(8);
    match hits.iter().skip(recent).position(overlaps) {
        None => hits.push(new),
        Some(place) => {
            if let Some(hit) = hits.get_mut(recent + place)
                && new.span.len() > hit.span.len()
            {
                *hit = new;
            }
        }
    }
}

/// A phrase as groups of choices: `i {can't|won't} help` is `[i ] [can't, won't] [ help]`.
fn groups_of(phrase: &str, folder: &Folder) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    let mut rest = phrase;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        let close = from.find('}').unwrap_or(from.len());
        groups.push(vec![before.to_owned()]);
        groups.push(from.get(1..close).unwrap_or_default().split('|').map(str::to_owned).collect());
        rest = from.get(close + 1..).unwrap_or_default();
    }
    groups.push(vec![rest.to_owned()]);
    groups.retain(|group: &Vec<String>| group.iter().any(|choice| !choice.is_empty()));
    for choice in groups.iter_mut().flatten() {
        *choice = folder.fold(choice).text;
    }
    groups
}

impl File {
    fn lists(&self) -> [(Kind, &[String]); Kind::COUNT] {
        [
            (Kind::Canned, &self.canned),
            (Kind::Refusal, &self.refusal),
            (Kind::Capability, &self.capability),
            (Kind::Deflection, &self.deflection),
            (Kind::Pivot, &self.pivot),
            (Kind::Hedge, &self.hedge),
            (Kind::PartyLine, &self.party_line),
            (Kind::Premise, &self.premise),
            (Kind::Scripted, &self.scripted),
            (Kind::Comply, &self.comply),
            (Kind::Omission, &self.omission),
            (Kind::Blunt, &self.blunt),
        ]
    }
}

/// Hits after which a text is known well enough.
const MOST_HITS: usize = 400;

const SHIPPED: [(&str, &str); 10] = [
    ("en", include_str!("../../verdict/phrases/en.yaml")),
    ("zh", include_str!("../../verdict/phrases/zh.yaml")),
    ("pt", include_str!("../../verdict/phrases/pt.yaml")),
    ("es", include_str!("../../verdict/phrases/es.yaml")),
    ("fr", include_str!("../../verdict/phrases/fr.yaml")),
    ("de", include_str!("../../verdict/phrases/de.yaml")),
    ("ru", include_str!("../../verdict/phrases/ru.yaml")),
    ("ar", include_str!("../../verdict/phrases/ar.yaml")),
    ("ja", include_str!("../../verdict/phrases/ja.yaml")),
    ("ko", include_str!("../../verdict/phrases/ko.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(Kind, &str)]) {
        let folder = Folder::shipped();
        let folded = folder.fold(text);
        let hits = Phrases::shipped(&folder).find(&folded);
        for (kind, words) in expected {
            let found = hits.iter().any(|hit| hit.kind == *kind && folded.text[hit.span.clone()].contains(words));
            assert!(found, "{kind:?} {words:?} in {text:?}: {hits:?}");
        }
        if expected.is_empty() {
            assert_eq!(hits, [], "{text:?}");
        }
    }

    #[test]
    fn phrases_are_found_in_every_shipped_language() {
        check("I\u{2019}m sorry, but I can\u{2019}t help with that.", &[(Kind::Refusal, "can't help with that")]);
        check("很抱歉，我無法提供您請求的內容", &[(Kind::Refusal, "我无法提供")]);
        check("Não posso cumprir esse pedido.", &[(Kind::Refusal, "nao posso cumprir")]);
        check("No puedo cumplir con esa solicitud", &[(Kind::Refusal, "no puedo cumplir")]);
        check("Je suis désolé, mais je ne peux pas vous aider.", &[(Kind::Refusal, "je suis desole, mais je ne")]);
        check("Das kann ich leider nicht", &[(Kind::Refusal, "das kann ich leider nicht")]);
        check("Извините, но я не могу помочь с этим", &[(Kind::Refusal, "извините, но я не могу")]);
        check("آسف، لا يمكنني المساعدة", &[(Kind::Refusal, "المساعدة")]);
        check("お答えすることができません", &[(Kind::Refusal, "お答えすることができません")]);
        check("답변드릴 수 없습니다", &[(Kind::Refusal, "답변드릴 수 없습니다")]);
    }

    #[test]
    fn a_phrase_does_not_begin_inside_a_word() {
        check("hindi can't help", &[]);
    }

    #[test]
    fn groups_take_a_phrase_apart() {
        let groups = groups_of("I {can't|won\u{2019}t} {help|assist}", &Folder::shipped());
        assert_eq!(groups, [vec!["i "], vec!["can't", "won't"], vec![" "], vec!["help", "assist"]]);
    }
}
