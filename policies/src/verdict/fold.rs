//! Writes a text in one plain form for matching: lower case, half width, no accents, simplified characters, straight
//! quotes, single spaces. It keeps a way back to the original bytes and changes no meaning.

use std::ops::Range;

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// Plain bytes folded at once.
const BLOCK: usize = 64;
/// Letters that count as the opening of a text.
const OPENING: usize = 320;

/// The rules of folding, built once.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Simplified form by code point from `FIRST`; zero where a character is its own.
    simplified: Box<[u16]>,
}

/// A folded text.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) text: String,
    /// Places where folded and original offsets begin to differ by another amount.
    jumps: Vec<Jump>,
    /// Length in letters, where one ideograph counts as three, so that languages compare.
    pub(crate) letters: usize,
    /// Byte of `text` at which the opening ends.
    pub(crate) opening: usize,
}

#[derive(Debug, Clone, Copy)]
struct Jump {
    folded: usize,
    original: usize,
}

const FIRST: u32 = 0x4E00;
const LAST: u32 = 0x9FFF;

impl Folder {
    /// Reads the shipped table of traditional characters.
    pub(crate) fn shipped() -> Self {
        let mut simplified = vec![0_u16; (LAST - FIRST + 1) as usize].into_boxed_slice();
        let pairs = HANT.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
        for pair in pairs {
            let mut characters = pair.chars();
            if let (Some(from), Some(to)) = (characters.next(), characters.next())
                && let Some(place) = place_of(from).and_then(|place| simplified.get_mut(place))
            {
                *place = u16::try_from(u32::from(to)).unwrap_or_default();
            }
        }
        Self { simplified }
    }

    /// Folds a whole text.
    pub(crate) fn fold(&self, text: &str) -> Folded {
        let mut folding = Folding::new(text.len());
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(block) = rest.as_bytes().first_chunk::<BLOCK>().filter(|block| block.is_ascii()) {
                folding.block(block, at);
                at += BLOCK;
                continue;
            }
            let plain = rest.bytes().take(BLOCK).take_while(u8::is_ascii).count();
            folding.ascii(rest.as_bytes().get(..plain).unwrap_or_default(), at);
            at += plain;
            let Some(character) = rest.get(plain..).and_then(|rest| rest.chars().next()) else { continue };
            if !character.is_ascii() {
                folding.other(self, character, at);
                at += character.len_utf8();
            }
        }
        folding.finish()
    }

    fn push(&self, character: char, out: &mut Folded) {
        match character {
            '\u{2018}' | '\u{2019}' | '\u{02BC}' | '\u{00B4}' | '\u{2032}' => out.text.push('\''),
            '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{00AB}' | '\u{00BB}' | '\u{300C}'..='\u{300F}' => {
                out.text.push('"');
            }
            '\u{2010}'..='\u{2015}' | '\u{2212}' => out.text.push('-'),
            '\u{3002}' | '\u{FF61}' => out.text.push('.'),
            '\u{060C}' => out.text.push(','),
            '\u{061F}' => out.text.push('?'),
            '\u{2026}' => out.text.push_str("..."),
            '\u{FF01}'..='\u{FF5E}' => {
                let narrow = char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(' ');
                push_ascii(narrow, out);
            }
            '\u{4E00}'..='\u{9FFF}' => {
                out.letters += 3;
                out.text.push(self.simplify(character));
            }
            '\u{3040}'..='\u{30FF}' | '\u{AC00}'..='\u{D7A3}' => {
                out.letters += 2;
                out.text.push(character);
            }
            '\u{0622}' | '\u{0623}' | '\u{0625}' | '\u{0671}' => push_letter('\u{0627}', out),
            '\u{0649}' => push_letter('\u{064A}', out),
            '\u{0451}' | '\u{0401}' => push_letter('\u{0435}', out),
            '\u{00DF}' => out.text.push_str("ss"),
            _ if character.is_whitespace() => push_space(out),
            _ if is_silent(character) => {}
            _ => push_other(character, out),
        }
    }

    fn simplify(&self, character: char) -> char {
        let simplified = place_of(character).and_then(|place| self.simplified.get(place)).copied().unwrap_or_default();
        if simplified == 0 { character } else { char::from_u32(u32::from(simplified)).unwrap_or(character) }
    }
}

impl Folded {
    /// The original bytes of a folded span.
    pub(crate) fn original(&self, span: &Range<usize>, of: &str) -> Range<usize> {
        let start = of.floor_char_boundary(self.original_at(span.start).min(of.len()));
        let end = of.ceil_char_boundary(self.original_at(span.end).min(of.len()));
        start..end.max(start)
    }

    fn original_at(&self, folded: usize) -> usize {
        let next = self.jumps.partition_point(|jump| jump.folded <= folded);
        let jump = next.checked_sub(1).and_then(|last| self.jumps.get(last));
        jump.map_or(folded, |jump| jump.original + (folded - jump.folded))
    }
}

fn place_of(character: char) -> Option<usize> {
    let code = u32::from(character);
    (FIRST..=LAST).contains(&code).then(|| (code - FIRST) as usize)
}

/// A text being folded.
struct Folding {
    out: Folded,
    /// How far the original is ahead of the folded text; wraps where it is behind.
    shift: usize,
}

impl Folding {
    fn new(capacity: usize) -> Self {
        let text = String::with_capacity(capacity + 4);
        Self { out: Folded { text, opening: usize::MAX, ..Folded::default() }, shift: 0 }
    }

    /// Takes plain bytes, the first of which stands at `at`: as they are, but for case, where nothing in them goes away.
    fn block(&mut self, bytes: &[u8; BLOCK], at: usize) {
        let mut out = *bytes;
        let mut goes = false;
        for byte in &mut out {
            goes |= matches!(*byte, 0..=8 | 14..=31 | b'*' | b'`' | 0x7F);
            *byte = if matches!(*byte, 9..=13 | b' ') { b' ' } else { byte.to_ascii_lowercase() };
        }
        let doubled =
            out.iter().zip(out.iter().skip(1)).fold(false, |any, (one, next)| any | (*one == b' ' && *next == b' '));
        let base = self.out.text.len();
        if goes || doubled || (out[0] == b' ' && self.out.text.ends_with(' ')) {
            self.ascii(bytes, at);
            return;
        }
        self.stand(base, at);
        self.write(&out, base);
    }

    /// Takes at most a block of plain bytes, the first of which stands at `at`.
    fn ascii(&mut self, bytes: &[u8], at: usize) {
        let mut out = [0_u8; BLOCK];
        let mut length = 0;
        let base = self.out.text.len();
        let mut space = self.out.text.ends_with(' ');
        for (byte, place) in bytes.iter().zip(at..) {
            let folded = ASCII.get(usize::from(*byte)).copied().unwrap_or_default();
            if folded == 0 || (folded == b' ' && space) {
                continue;
            }
            space = folded == b' ';
            self.stand(base + length, place);
            if let Some(slot) = out.get_mut(length) {
                *slot = folded;
            }
            length += 1;
        }
        self.write(out.get(..length).unwrap_or_default(), base);
    }

    /// Notes that what is written at `folded` stands at `original`.
    fn stand(&mut self, folded: usize, original: usize) {
        let shift = original.wrapping_sub(folded);
        if shift != self.shift {
            self.shift = shift;
            self.out.jumps.push(Jump { folded, original });
        }
    }

    fn write(&mut self, folded: &[u8], base: usize) {
        self.count(folded, base);
        self.out.text.push_str(std::str::from_utf8(folded).unwrap_or_default());
    }

    /// Counts letters of what comes to stand at `base`.
    fn count(&mut self, written: &[u8], base: usize) {
        let one = |byte: &u8| u8::from(byte.is_ascii_alphanumeric());
        let letters = usize::from(written.iter().fold(0_u8, |letters, byte| letters + one(byte)));
        if self.out.opening == usize::MAX && self.out.letters + letters >= OPENING {
            let mut left = OPENING.saturating_sub(self.out.letters);
            let end = written.iter().position(|byte| {
                left -= usize::from(byte.is_ascii_alphanumeric());
                left == 0
            });
            self.out.opening = base + end.map_or(0, |end| end + 1);
        }
        self.out.letters += letters;
    }

    fn other(&mut self, folder: &Folder, character: char, at: usize) {
        let before = self.out.text.len();
        folder.push(character, &mut self.out);
        if self.out.text.len() == before {
            return;
        }
        self.stand(before, at);
        if self.out.letters >= OPENING && self.out.opening == usize::MAX {
            self.out.opening = self.out.text.len();
        }
    }

    fn finish(mut self) -> Folded {
        self.out.opening = self.out.opening.min(self.out.text.len());
        self.out
    }
}

fn push_ascii(character: char, out: &mut Folded) {
    match u8::try_from(character).ok().and_then(|byte| ASCII.get(usize::from(byte))).copied() {
        Some(b' ') => push_space(out),
        Some(0) | None => {}
        Some(byte) if byte.is_ascii_alphanumeric() => push_letter(char::from(byte), out),
        Some(byte) => out.text.push(char::from(byte)),
    }
}

/// What a plain byte becomes; zero where it goes. Emphasis marks go, as they stand inside phrases in Markdown.
const ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b' ' | b'\n' | b'\t' | b'\r' | 0x0B | 0x0C => b' ',
            b'*' | b'`' | 0..=0x1F | 0x7F => 0,
            _ => byte.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table
};

fn push_letter(character: char, out: &mut Folded) {
    out.letters += 1;
    out.text.push(character);
}

fn push_space(out: &mut Folded) {
    if !out.text.ends_with(' ') {
        out.text.push(' ');
    }
}

/// Characters that show nothing: zero-width, direction marks, soft hyphen, accents on their own.
fn is_silent(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}'
        | '\u{0300}'..='\u{036F}' | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{0640}' | '\u{FE00}'..='\u{FE0F}')
}

fn push_other(character: char, out: &mut Folded) {
    let latin = matches!(character, '\u{00C0}'..='\u{024F}' | '\u{1E00}'..='\u{1EFF}');
    for lower in character.to_lowercase() {
        if latin {
            decompose_canonical(lower, |part| {
                if !is_combining_mark(part) {
                    push_letter(part, out);
                }
            });
        } else if lower.is_alphanumeric() {
            push_letter(lower, out);
        } else {
            out.text.push(lower);
        }
    }
}

const HANT: &str = include_str!("../../verdict/hant.txt");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Folder::shipped().fold(text).text, expected, "{text:?}");
    }

    #[test]
    fn forms_of_the_same_words_fold_alike() {
        check("I Can\u{2019}t", "i can't");
        check("Ｓｏｒｒｙ，", "sorry,");
        check("很抱歉，我無法回答這個問題。", "很抱歉,我无法回答这个问题.");
        check("não posso Désolé", "nao posso desole");
        check("I **cannot**  \n help", "i cannot help");
        check("c\u{200B}an\u{00AD}not", "cannot");
        check("عذرًا أستطيع", "عذرا استطيع");
        check("Всё", "все");
        check("STRASSE straße", "strasse strasse");
    }

    #[test]
    fn a_folded_span_leads_back_to_the_original_bytes() {
        let folder = Folder::shipped();
        for (text, folded, original) in [
            ("«Désolé», je **ne** peux", "ne peux", "ne** peux"),
            ("嗯，我無法 回答", "我无法", "我無法"),
            ("a  \n\n b i can\u{2019}t", "i can't", "i can\u{2019}t"),
        ] {
            let read = folder.fold(text);
            let start = read.text.find(folded).unwrap();
            let span = read.original(&(start..start + folded.len()), text);
            assert_eq!(&text[span], original);
        }
    }

    proptest! {
        #[test]
        fn any_span_leads_back_inside_the_text(text in "\\PC{0,80}", from in 0_usize..200, length in 0_usize..200) {
            let read = Folder::shipped().fold(&text);
            let span = read.original(&(from.min(read.text.len())..(from + length).min(read.text.len())), &text);
            prop_assert!(text.get(span).is_some());
        }
    }
}
