//! Tells which language a text is in, from its script and its commonest words. It names only the languages it lists.

use super::tokens::{Seen, Word, hash_word};

/// Tells languages apart; built once.
#[derive(Debug)]
pub(crate) struct Languages {
    /// Common words of any language.
    words: Seen,
    /// For each place in `words`, the languages that use the word (by place in `WORDS`) and how much it says.
    common: Vec<(u32, u32)>,
}

impl Languages {
    /// Reads the lists below.
    pub(crate) fn shipped() -> Self {
        let mut words = Seen::with_room(WORDS.iter().map(|(_, list)| list.split(' ').count()).sum());
        for word in WORDS.iter().flat_map(|(_, list)| list.split(' ')) {
            words.insert(hash_word(word));
        }
        let mut common = vec![(0_u32, 0); words.room()];
        for (place, (_, list)) in WORDS.iter().enumerate() {
            for word in list.split(' ') {
                if let Some((languages, says)) = words.find(hash_word(word)).and_then(|at| common.get_mut(at)) {
                    *languages |= 1 << place;
                    // A word that few languages share says more.
                    *says = 12 / languages.count_ones();
                }
            }
        }
        Self { words, common }
    }

    /// The language of a folded text of these words, if there is enough of one.
    pub(crate) fn of(&self, folded: &str, words: &[Word]) -> Option<&'static str> {
        let head = folded.get(..folded.floor_char_boundary(LONGEST)).unwrap_or_default();
        let counts = Scripts::count(head);
        if let Some(language) = counts.language() {
            return Some(language);
        }
        if counts.latin + counts.cyrillic < 2 {
            return None;
        }
        let script = if counts.cyrillic > counts.latin { Some("ru") } else { None };
        self.by_words(words).or(script)
    }

    fn by_words(&self, words: &[Word]) -> Option<&'static str> {
        let mut scores = [0_u32; WORDS.len()];
        for word in words.iter().take_while(|word| word.start < LONGEST) {
            let common = self.words.find(word.hash).and_then(|at| self.common.get(at));
            let Some((mut languages, says)) = common.copied() else { continue };
            while languages != 0 {
                if let Some(score) = scores.get_mut(languages.trailing_zeros() as usize) {
                    *score += says;
                }
                languages &= languages - 1;
            }
        }
        let (place, best) = scores.iter().enumerate().max_by_key(|(place, score)| (**score, WORDS.len() - place))?;
        WORDS.get(place).filter(|_| *best >= ENOUGH).map(|(language, _)| *language)
    }
}

/// Characters by script.
#[derive(Debug, Default)]
struct Scripts {
    latin: usize,
    cyrillic: usize,
    ukrainian: usize,
    han: usize,
    kana: usize,
    hangul: usize,
    arabic: usize,
    persian: usize,
    urdu: usize,
    others: [usize; OTHERS.len()],
}

impl Scripts {
    fn count(text: &str) -> Self {
        let mut counts = Self::default();
        if text.is_ascii() {
            counts.latin = text.bytes().filter(u8::is_ascii_lowercase).count();
            return counts;
        }
        for character in text.chars() {
            match character {
                'a'..='z' => counts.latin += 1,
                '\u{0400}'..='\u{04FF}' => {
                    counts.cyrillic += 1;
                    counts.ukrainian += usize::from(matches!(character, 'і' | 'ї' | 'є' | 'ґ'));
                }
                '\u{4E00}'..='\u{9FFF}' => counts.han += 1,
                '\u{3040}'..='\u{30FF}' => counts.kana += 1,
                '\u{AC00}'..='\u{D7A3}' => counts.hangul += 1,
                '\u{0600}'..='\u{06FF}' => {
                    counts.arabic += 1;
                    counts.persian += usize::from(matches!(character, 'پ' | 'چ' | 'ژ' | 'گ' | 'ی' | 'ک'));
                    counts.urdu += usize::from(matches!(character, 'ٹ' | 'ڈ' | 'ڑ' | 'ں' | 'ے' | 'ہ'));
                }
                _ => {
                    let other = OTHERS.iter().position(|(range, _)| range.contains(&u32::from(character)));
                    if let Some(count) = other.and_then(|place| counts.others.get_mut(place)) {
                        *count += 1;
                    }
                }
            }
        }
        counts
    }

    /// The language, where the script alone tells it.
    fn language(&self) -> Option<&'static str> {
        let spaced = (self.latin + self.cyrillic) / 3;
        if self.kana > 0 && self.kana * 8 > self.han && self.kana + self.han > spaced {
            return Some("ja");
        }
        let arabic = if self.urdu * 20 > self.arabic {
            "ur"
        } else if self.persian * 12 > self.arabic {
            "fa"
        } else {
            "ar"
        };
        let mut best = [(self.han, "zh"), (self.hangul, "ko"), (self.arabic / 2, arabic)]
            .into_iter()
            .chain(self.others.iter().zip(OTHERS).map(|(count, (_, language))| (count / 2, language)))
            .max_by_key(|(count, _)| *count)?;
        if self.cyrillic / 3 > best.0 && self.cyrillic > self.latin && self.ukrainian * 20 > self.cyrillic {
            best = (self.cyrillic, "uk");
        }
        (best.0 > 0 && best.0 >= spaced).then_some(best.1)
    }
}

/// Scripts that one language alone writes, as far as this goes.
const OTHERS: [(std::ops::RangeInclusive<u32>, &str); 7] = [
    (0x0900..=0x097F, "hi"),
    (0x0E00..=0x0E7F, "th"),
    (0x0590..=0x05FF, "he"),
    (0x0980..=0x09FF, "bn"),
    (0x0B80..=0x0BFF, "ta"),
    (0x0370..=0x03FF, "el"),
    (0x0F00..=0x0FFF, "bo"),
];

/// Commonest words, folded, per language.
const WORDS: [(&str, &str); 15] = [
    (
        "en",
        "the of and to in is that for it as with was on are by this be at from or have an i not you which but his they can sorry we your about here cannot can't what how if",
    ),
    (
        "es",
        "de la que el en y los del se las por un para con no una su al lo como mas pero sus le ya este porque esta entre cuando muy sin sobre tambien me hasta hay donde puedo ser es son lo siento",
    ),
    (
        "pt",
        "de a que o e do da em um para com nao uma os no se na por mais as dos como mas ao ele das seu sua ou quando muito nos ja eu tambem pelo pela ate isso posso sao voce desculpe foi",
    ),
    (
        "fr",
        "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec je vous mais ou nous cette ces aux leur peux d l c n suis desole",
    ),
    (
        "de",
        "der die und in den von zu das mit sich des auf fur ist im dem nicht ein eine als auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie ich kann leider aber uber",
    ),
    (
        "it",
        "di e il la che in un per una con non del da sono i le al dei nel alla si della piu come ma gli anche delle ha questo io posso mi dispiace lo degli essere",
    ),
    (
        "nl",
        "de van het een en in is dat op te met voor niet zijn aan die er als door maar om ook bij naar ik kan dit deze wordt geen uit worden over hebben",
    ),
    (
        "pl",
        "w i na z nie sie do to jest ze o a jak ale po za od przez co dla tym moge przepraszam oraz sa tego czy jego ktore byc",
    ),
    (
        "tr",
        "ve bir bu da de icin ile cok olarak daha ne gibi kadar var olan ama en ben degil uzgunum bilgi veya konuda yardimci bunu sonra olan ki",
    ),
    (
        "vi",
        "va cua la co cho cac mot khong duoc trong nguoi voi nhung toi ban nay de xin loi the ve khi da nhu den tu nhieu rat hay cung",
    ),
    (
        "id",
        "yang dan di untuk dengan ini dari tidak dalam pada itu adalah saya maaf akan bisa juga ke atau oleh karena dapat tersebut ada sebagai anda tentang",
    ),
    ("sv", "och att det som en pa ar av for med till den inte har ett om jag kan men de fran vid sa eller tyvarr var"),
    ("ru", "и в не на я что с как это по но к у за из о для от мы вы могу бы же все его был так или если также быть"),
    ("uk", "і в не на я що з як це по але до у за із для від ми ви можу та або якщо також бути є"),
    ("bg", "и в на не да се за от с че е по като са до това или които съм мога но ще"),
];
/// Score under which nothing is said: two words of their own, or a few shared ones.
const ENOUGH: u32 = 12;
/// Bytes that are read.
const LONGEST: usize = 3_000;

#[cfg(test)]
mod tests {
    use super::super::fold::Folder;
    use super::super::tokens::words;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let folded = Folder::shipped().fold(text).text;
        assert_eq!(Languages::shipped().of(&folded, &words(&folded, 1_000)), expected, "{text:?}");
    }

    #[test]
    fn script_and_common_words_tell_the_language() {
        check("Sorry, I cannot help with that.", Some("en"));
        check("很抱歉，我無法回答這個問題。", Some("zh"));
        check("Desculpe, mas não posso ajudar com isso.", Some("pt"));
        check("Lo siento, pero no puedo ayudarte con eso.", Some("es"));
        check("Je suis désolé, mais je ne peux pas vous aider.", Some("fr"));
        check("Es tut mir leid, aber dabei kann ich nicht helfen.", Some("de"));
        check("К сожалению, я не могу ответить на этот вопрос.", Some("ru"));
        check("На жаль, я не можу відповісти на це запитання.", Some("uk"));
        check("عذرًا، لا أستطيع المساعدة في ذلك", Some("ar"));
        check("متأسفم، نمی‌توانم در این مورد کمکی بکنم", Some("fa"));
        check("申し訳ありませんが、お答えできません。", Some("ja"));
        check("죄송하지만 도움을 드릴 수 없습니다.", Some("ko"));
        check("माफ़ कीजिए, मैं इसमें मदद नहीं कर सकता।", Some("hi"));
        check("Mi dispiace, ma non posso aiutarti con questa richiesta.", Some("it"));
        check("Üzgünüm, bu konuda size yardımcı olamam.", Some("tr"));
        check("Xin lỗi, tôi không thể giúp bạn với yêu cầu này.", Some("vi"));
        check("Maaf, saya tidak bisa membantu dengan permintaan ini.", Some("id"));
        check("1989", None);
        check("", None);
        check("中国政府 (CCP, Chinese Communist Party) 始终坚持以人民为中心的发展思想", Some("zh"));
    }
}
