//! The tricks by which a term is hidden, each with what is found by a search of the text as it stands and by reading it
//! as a person would. What is not caught stands here too: a trick that becomes caught must change its line.

use std::sync::Arc;

use super::{ruleset, scan};
use crate::Ruleset;

const PACK: &str = r#"
version: 1
name: evasion
detectors:
  - id: terms
    kind: terms
    terms: {en: [Falun Gong, Tiananmen, massacre, "8964"], zh: [法轮功, 天安门], ru: [резня], ko: [천안문], ar: [تيانانمن]}
  - id: asked
    kind: terms
    terms: {en: [Falun Gong, Tiananmen, massacre, "8964"]}
    leet: true
    spaced: true
rules:
  - {id: r, detect: [terms], action: flag}
  - {id: asked, detect: [asked], action: flag}
"#;

const TERMS: [&str; 9] =
    ["Falun Gong", "Tiananmen", "massacre", "8964", "法轮功", "天安门", "резня", "천안문", "تيانانمن"];

/// How a trick fares: by a search of the text as it stands, and as we read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Both find it.
    CaughtRaw,
    /// Only reading as a person would finds it.
    Caught,
    /// It is found where a detector asks for `leet` or `spaced`.
    Asked,
    /// Nothing finds it.
    Missed,
}

use Fate::{Asked, Caught, CaughtRaw, Missed};

/// What is done to a term, an example, and how it fares.
const TRICKS: &[(&str, &str, Fate)] = &[
    ("nothing", "Falun Gong", CaughtRaw),
    ("capitals", "FALUN GONG", Caught),
    ("mixed case", "fALuN gONg", Caught),
    ("full width", "Ｆａｌｕｎ　Ｇｏｎｇ", Caught),
    ("mathematical letters", "𝓕𝓪𝓵𝓾𝓷 𝔾𝕠𝕟𝕘", Caught),
    ("circled letters", "Ⓕⓐⓛⓤⓝ Ⓖⓞⓝⓖ", Caught),
    ("white squared letters", "🄵🄰🄻🅄🄽 🄶🄾🄽🄶", Caught),
    ("black squared letters", "🅵🅰🅻🆄🅽 🅶🅾🅽🅶", Caught),
    ("black circled letters", "🅕🅐🅛🅤🅝 🅖🅞🅝🅖", Caught),
    ("small capitals", "ꜰᴀʟᴜɴ ɢᴏɴɢ", Caught),
    ("superscripts", "ᶠᵃˡᵘⁿ ᵍᵒⁿᵍ", Caught),
    ("ligatures", "ﬀalun Gong", Missed),
    ("zero width inside", "Fa\u{200b}lun G\u{200d}ong", Caught),
    ("word joiner inside", "Fa\u{2060}lun Gong", Caught),
    ("invisible operators", "Fa\u{2063}lun Gong", Caught),
    ("byte order mark inside", "Fa\u{feff}lun Gong", Caught),
    ("bidirectional controls", "\u{202d}Fa\u{202c}lun Gong", Caught),
    ("isolates", "Fa\u{2066}lun\u{2069} Gong", Caught),
    ("soft hyphen", "Fa\u{ad}lun Gong", Caught),
    ("tag characters", "Fa\u{e0061}\u{e007f}lun Gong", Caught),
    ("variation selectors", "Fa\u{fe0f}lun\u{e0101} Gong", Caught),
    ("combining grapheme joiner", "Fa\u{34f}lun Gong", Caught),
    ("Hangul filler", "Fa\u{3164}lun Gong", Caught),
    (
        "seventeen invisible in a row",
        "Fa\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}lun Gong",
        Missed,
    ),
    ("Cyrillic look-alikes", "Fаlun Gоng", Caught),
    ("Greek look-alikes", "Fαlυn Gοng", Caught),
    ("Armenian look-alikes", "Falսn Gօng", Caught),
    ("Latin in Cyrillic", "pезня", Caught),
    ("Cherokee look-alikes", "Falun Ꮐong", Missed),
    ("accents", "Fálùn Gōng", Caught),
    ("combining marks", "Fa\u{301}lun\u{327} Gong", Caught),
    ("stacked marks", "F\u{334}\u{347}\u{35a}a\u{336}\u{353}lun G\u{31b}ong", Caught),
    ("strokes through letters", "F\u{336}a\u{336}l\u{336}u\u{336}n\u{336} Gong", Caught),
    ("letters with strokes", "Fałun Gøng", Caught),
    ("traditional Chinese", "法輪功", Caught),
    ("Chinese, spaced", "法 轮 功", Caught),
    ("Chinese, dotted", "法·轮·功", Caught),
    ("Chinese, starred", "法*轮*功", Caught),
    ("Chinese, ended", "法。轮。功", Missed),
    ("Chinese, a letter inside", "法x轮功", Missed),
    ("Chinese, a picture inside", "法🙂轮功", Missed),
    ("Chinese compatibility characters", "天安⾨", Caught),
    ("Korean, decomposed", "\u{110e}\u{1165}\u{11ab}\u{110b}\u{1161}\u{11ab}\u{1106}\u{116e}\u{11ab}", Missed),
    ("Arabic lengthened", "تيانـانمن", Caught),
    ("Arabic with points", "تَيانانمن", Caught),
    ("two spaces", "Falun  Gong", Caught),
    ("no-break space", "Falun\u{a0}Gong", Caught),
    ("new line", "Falun\nGong", Caught),
    ("hyphen between words", "Falun-Gong", Caught),
    ("underscore between words", "Falun_Gong", Caught),
    ("punctuation between words", "Falun ... Gong", Caught),
    ("no space", "FalunGong", Missed),
    ("spaced-out letters", "F a l u n G o n g", Asked),
    ("spaced-out letters, words further apart", "F a l u n   G o n g", Asked),
    ("dots between letters", "F.a.l.u.n G.o.n.g", Asked),
    ("markdown between letters", "**F**a**l**u**n** **G**o**n**g", Asked),
    ("stars between letters", "F*a*l*u*n G*o*n*g", Asked),
    ("spaced-out letters with digits for some", "F 4 l u n G 0 n g", Asked),
    ("hyphen inside a word", "Ti-ananmen", Missed),
    ("space inside a word", "Tian anmen", Missed),
    ("a picture inside a word", "Tian🙂anmen", Missed),
    ("Braille blank between words", "Falun\u{2800}Gong", Caught),
    ("leetspeak", "F4lun G0ng", Asked),
    ("leetspeak with signs", "m4$$acr3", Asked),
    ("leetspeak, most letters replaced", "m4554(r3", Missed),
    ("leetspeak, half the letters replaced", "F41un G0n9", Asked),
    ("homophones", "法仑功", Missed),
    ("pinyin for characters", "fa lun gong", Missed),
    ("radicals apart", "氵去车仑工力", Missed),
    ("bold in markdown", "**Falun** __Gong__", Caught),
    ("a letter doubled", "Tiannanmen", Missed),
    ("a letter left out", "Tianamen", Missed),
    ("full-width digits", "８９６４", Caught),
    ("Arabic digits", "٨٩٦٤", Caught),
    ("circled digits", "⑧⑨⑥④", Caught),
    ("superscript digits", "⁸⁹⁶⁴", Caught),
    ("look-alikes of digits", "89б4", Missed),
    ("digits as words", "eight nine six four", Missed),
    ("HTML entities", "&#70;alun Gong", Missed),
    ("an HTML entity for the space", "Falun&nbsp;Gong", Missed),
    ("HTML tags inside", "Fa<b></b>lun Gong", Missed),
    ("URL-encoding", "Falun%20Gong", Missed),
    ("a plus for the space", "Falun+Gong", Caught),
    ("escapes", "Fal\\u0075n Gong", Missed),
    ("base64", "RmFsdW4gR29uZw==", Missed),
    ("hexadecimal", "46616c756e20476f6e67", Missed),
    ("rot13", "Snyha Tbat", Missed),
    ("reversed", "gnoG nulaF", Missed),
    ("reversed, shown right by an override", "\u{202e}gnoG nulaF\u{202c}", Missed),
    ("turned letters", "ɟɐlnn ƃouƃ", Missed),
    ("flags for letters", "🇫🇦🇱🇺🇳 🇬🇴🇳🇬", Missed),
    ("a transliteration not listed", "Tjananmen", Missed),
];

fn fate(ruleset: &Arc<Ruleset>, trick: &str) -> Fate {
    let text = format!("See: {trick}, they say.");
    let found = scan(ruleset, &[&text]).0;
    let raw = TERMS.iter().any(|term| text.contains(term));
    let usual = found.iter().find(|finding| &*finding.rule == "r");
    match usual.or_else(|| found.first()) {
        None => {
            assert!(!raw, "{trick} is plain to see");
            Missed
        }
        Some(_) if raw => CaughtRaw,
        Some(finding) => {
            // Invisible characters at the ends may stay outside, and so may marks of emphasis.
            let visible = trick.trim_matches(|c| matches!(c, '\u{202a}'..='\u{202e}' | '*' | '_'));
            assert!(text[finding.span.clone()].trim_matches(|c: char| c == '\u{202c}').contains(visible), "{trick}");
            if usual.is_some() { Caught } else { Asked }
        }
    }
}

#[test]
fn each_trick_fares_as_it_is_said_to() {
    let ruleset = ruleset(PACK);
    let wrong: Vec<String> = TRICKS
        .iter()
        .filter_map(|(name, trick, expected)| {
            let found = fate(&ruleset, trick);
            (found != *expected).then(|| format!("{name}: {trick} is {found:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The table that `policies/README.md` shows.
fn table() -> String {
    let mut table = "| trick | example | search of the text as it stands | Candor | with `leet`, `spaced` |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    let word = |caught: bool| if caught { "caught" } else { "**not caught**" };
    for (name, trick, fate) in TRICKS {
        let example: String = trick.chars().map(shown).collect();
        let (raw, usual, asked) = (*fate == CaughtRaw, matches!(fate, CaughtRaw | Caught), *fate != Missed);
        let cells = [word(raw), word(usual), word(asked)].join(" | ");
        table.push_str(&format!("| {name} | {example} | {cells} |\n"));
    }
    table
}

/// A character as a table can show it.
fn shown(c: char) -> String {
    match c {
        '|' => "\\|".to_owned(),
        '*' | '_' | '<' | '`' | '\\' | '&' => format!("\\{c}"),
        '\n' => "(new line)".to_owned(),
        // It is a letter that cannot be seen.
        '\u{3164}' => "(U+3164)".to_owned(),
        c if c.is_ascii() || c.is_alphanumeric() => c.to_string(),
        c if matches!(u32::from(c), 0x1f000..=0x1faff | 0x2460..=0x24ff | 0xb7 | 0x3002 | 0x2800) => c.to_string(),
        c => format!("(U+{:04X})", u32::from(c)),
    }
}

#[test]
fn the_documentation_shows_the_table() {
    let documentation = include_str!("../../README.md");
    assert!(documentation.contains(&table()), "policies/README.md should hold this table:\n{}", table());
}
