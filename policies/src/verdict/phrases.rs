//! Lists of phrases per language, compiled into one automaton and found in any text. What a phrase means for a verdict is
//! decided in `reading`.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

use super::fold::{Folded, Folder};

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
    /// Finds the fixed beginnings of phrases.
    heads: AhoCorasick,
    /// For each head, the phrases that begin so, as places in `tails`.
    owners: Vec<Vec<usize>>,
    tails: Vec<Tail>,
}

/// What may follow a head: one choice of each group, in order.
#[derive(Debug)]
struct Tail {
    kind: Kind,
    language: &'static str,
    groups: Vec<Vec<String>>,
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
        let mut compiling = Compiling::default();
        for (language, text) in SHIPPED {
            let file: File = match serde_saphyr::from_str(text) {
                Ok(file) => file,
                Err(error) => {
                    unreachable!("the shipped phrases ({language}) are data of this build and tested: {error}")
                }
            };
            debug_assert_eq!(file.language, language, "the list stands under its own name");
            for (kind, list) in file.lists() {
                for phrase in list {
                    compiling.add(kind, language, phrase, folder);
                }
            }
        }
        compiling.finish()
    }

    /// Every phrase in a folded text, in order of its end. Hits of one kind do not overlap: the longest stays.
    pub(crate) fn find(&self, folded: &Folded) -> Vec<Hit> {
        let text = folded.text.as_str();
        let mut hits: Vec<Hit> = Vec::new();
        for found in self.heads.find_overlapping_iter(text) {
            if !begins_word(text, found.start()) {
                continue;
            }
            for place in self.owners.get(found.pattern().as_usize()).into_iter().flatten() {
                let Some(tail) = self.tails.get(*place) else { continue };
                if let Some(end) = end_of(&tail.groups, text, found.end()) {
                    let span = found.start()..end;
                    keep_longest(&mut hits, Hit { kind: tail.kind, language: tail.language, span });
                }
            }
            if hits.len() >= MOST_HITS {
                break;
            }
        }
        hits
    }
}

/// Where a phrase ends that has reached `at`, taking the longest way through its groups.
fn end_of(groups: &[Vec<String>], text: &str, at: usize) -> Option<usize> {
    let Some((group, rest)) = groups.split_first() else { return Some(at) };
    let here = text.get(at..)?;
    let fits = group.iter().filter(|choice| here.starts_with(choice.as_str()));
    fits.filter_map(|choice| end_of(rest, text, at + choice.len())).max()
}

/// Whether a word may begin here: letters of spaced scripts do not begin inside a word.
fn begins_word(text: &str, at: usize) -> bool {
    let spaced = |c: char| c.is_ascii_alphanumeric() || matches!(c, '\u{00C0}'..='\u{052F}');
    let first = text.get(at..).and_then(|text| text.chars().next());
    let before = text.get(..at).and_then(|text| text.chars().next_back());
    !(first.is_some_and(spaced) && before.is_some_and(spaced))
}

fn keep_longest(hits: &mut Vec<Hit>, new: Hit) {
    let overlaps = |hit: &Hit| hit.kind == new.kind && hit.span.start < new.span.end && new.span.start < hit.span.end;
    // Overlapping heads come close together, so only the last few hits can matter.
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

#[derive(Debug, Default)]
struct Compiling {
    heads: Vec<String>,
    places: std::collections::HashMap<String, usize>,
    owners: Vec<Vec<usize>>,
    tails: Vec<Tail>,
}

impl Compiling {
    fn add(&mut self, kind: Kind, language: &'static str, phrase: &str, folder: &Folder) {
        let mut groups = groups_of(phrase);
        for choice in groups.iter_mut().flatten() {
            *choice = folder.fold(choice).text;
        }
        let (heads, taken) = heads_of(&groups);
        let place = self.tails.len();
        self.tails.push(Tail { kind, language, groups: groups.split_off(taken) });
        for head in heads {
            let next = self.heads.len();
            let at = *self.places.entry(head.clone()).or_insert(next);
            if at == next {
                self.heads.push(head);
                self.owners.push(Vec::new());
            }
            if let Some(owners) = self.owners.get_mut(at)
                && owners.last() != Some(&place)
            {
                owners.push(place);
            }
        }
    }

    fn finish(self) -> Phrases {
        match AhoCorasick::new(&self.heads) {
            Ok(heads) => Phrases { heads, owners: self.owners, tails: self.tails },
            Err(error) => unreachable!("a few thousand short heads always fit: {error}"),
        }
    }
}

/// A phrase as groups of choices: `i {can't|won't} help` is `[i ] [can't, won't] [ help]`.
fn groups_of(phrase: &str) -> Vec<Vec<String>> {
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
    groups.retain(|group| group.iter().any(|choice| !choice.is_empty()));
    groups
}

/// All ways through the first groups, as many groups as it takes for each way to be long enough to look for; and their number.
fn heads_of(groups: &[Vec<String>]) -> (Vec<String>, usize) {
    let mut heads = vec![String::new()];
    let mut taken = 0;
    for group in groups {
        let long = heads.iter().all(|head| head.len() >= SHORTEST_HEAD);
        if long || (taken > 0 && heads.len() * group.len() > MOST_HEADS && heads.iter().all(|head| head.len() >= 2)) {
            break;
        }
        heads = heads.iter().flat_map(|head| group.iter().map(move |choice| format!("{head}{choice}"))).collect();
        taken += 1;
    }
    (heads, taken)
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

/// Bytes that make a beginning worth looking for.
const SHORTEST_HEAD: usize = 6;
/// Ways beyond which a beginning is left shorter.
const MOST_HEADS: usize = 1_500;
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
    fn groups_and_heads_take_a_phrase_apart() {
        let groups = groups_of("i {can't|won't} {help|assist}");
        assert_eq!(groups.len(), 4, "{groups:?}");
        let (heads, taken) = heads_of(&groups);
        assert_eq!((heads.as_slice(), taken), (&["i can't".to_owned(), "i won't".to_owned()][..], 2));
    }
}
