//! How a model thought, as far as its reasoning shows: for how long, in how many steps, and how many of those look back at
//! what was thought before. It judges nothing.

use std::time::Duration;

use crate::exchange::{Channel, Segment};

/// How a model thought. Nothing of it is there where no reasoning was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thinking {
    /// From the first text of reasoning to the first text of the answer, or to the end where no answer came. Only of
    /// streams: of a whole reply nobody can see how it was made.
    pub time: Option<Duration>,
    /// Steps of the reasoning: sentences and lines.
    pub steps: u32,
    /// Steps that check what came before.
    pub checks: u32,
}

impl Thinking {
    /// Counts the steps of all reasoning in a reply.
    #[must_use]
    pub fn of(segments: &[Segment], time: Option<Duration>) -> Option<Self> {
        let mut thinking = Self { time, ..Self::default() };
        let mut seen = false;
        for segment in segments.iter().filter(|segment| segment.channel == Channel::Reasoning) {
            seen = true;
            // Some relays send the same reasoning under several names.
            if segment.part > 0 {
                continue;
            }
            let own = segment.text.get(segment.authored_bytes..).unwrap_or_default();
            let (steps, checks) = count(own);
            thinking.steps = thinking.steps.saturating_add(steps);
            thinking.checks = thinking.checks.saturating_add(checks);
        }
        seen.then_some(thinking)
    }

    /// Share of its steps that check, 0 to 1; `None` without steps.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.steps > 0).then(|| f64::from(self.checks) / f64::from(self.steps))
    }

    /// Tokens of reasoning a second; `None` where either is not known or the time is too short to tell.
    #[must_use]
    pub fn speed(&self, tokens: Option<u64>) -> Option<f64> {
        let time = self.time.filter(|time| *time >= Duration::from_millis(1))?;
        Some(f64::from(u32::try_from(tokens?).unwrap_or(u32::MAX)) / time.as_secs_f64())
    }
}

/// Steps of a text of reasoning, and those of them that check.
///
/// A step is a run of text up to a full stop, question or exclamation mark (those of Chinese too) or a line's end, with
/// a letter in it. It checks where it opens with a mark of doubt or of verification (`Wait`, `Hmm`, `Let me double-check`,
/// `等等`, `让我检查`, `Espera`, `Deixe-me verificar` ...), whatever list mark or quote stands before. That is what people
/// who study these traces count as reflection; it is a count of words, not of thoughts: a model that checks without saying
/// so is not seen, one that says `wait` out of habit is, and other languages than English, Chinese and Portuguese have
/// steps but no checks. Compare models and days with it, not single exchanges.
#[must_use]
pub fn count(text: &str) -> (u32, u32) {
    let (mut steps, mut checks) = (0u32, 0u32);
    let mut step = |from: usize, until: usize| {
        let opening = text.get(from..until).unwrap_or_default();
        let opening = opening.trim_start_matches(|c: char| !c.is_alphabetic());
        if !opening.is_empty() {
            steps = steps.saturating_add(1);
            checks = checks.saturating_add(u32::from(opens_a_check(opening)));
        }
    };
    let mut from = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let ends = match character {
            '\n' | '。' | '？' | '！' => true,
            // A point inside of a number or a name ends nothing.
            '.' | '?' | '!' => characters.peek().is_none_or(|(_, next)| next.is_whitespace()),
            _ => false,
        };
        if ends {
            step(from, at);
            from = at + character.len_utf8();
        }
    }
    step(from, text.len());
    (steps, checks)
}

fn opens_a_check(step: &str) -> bool {
    // Case is folded only of what is looked at; no opening is longer.
    let head: String = step.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let head = head.replace('’', "'");
    let led =
        |lead: &&str| head.strip_prefix(*lead).filter(|rest| rest.starts_with([' ', ',', '，']) || !lead.is_ascii());
    let rest = LEADS.iter().find_map(led).unwrap_or(&head).trim_start_matches([',', ' ', '，']);
    OPENINGS.iter().any(|opening| begins(rest, opening) || begins(&head, opening))
}

/// Whether a text begins with a word, not with a longer one.
fn begins(text: &str, opening: &str) -> bool {
    let Some(rest) = text.strip_prefix(opening) else { return false };
    let wide = opening.chars().last().is_some_and(|last| u32::from(last) >= 0x2e80);
    wide || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'')
}

/// Characters that an opening and what leads to it may take.
const LONGEST: usize = 40;

/// Words before an opening that change nothing.
const LEADS: [&str; 15] =
    ["but", "so", "and", "oh", "no", "ok", "okay", "well", "mas", "então", "e", "不过", "但是", "但", "嗯"];

/// How steps open that check what came before.
const OPENINGS: [&str; 64] = [
    "wait",
    "hmm",
    "hm",
    "hold on",
    "actually",
    "let me check",
    "let me double check",
    "let me double-check",
    "let me verify",
    "let me re-check",
    "let me recheck",
    "let me reconsider",
    "let me re-examine",
    "let me reexamine",
    "let me re-read",
    "let me reread",
    "let me rethink",
    "let me think again",
    "let me make sure",
    "let me confirm",
    "let's check",
    "let's double check",
    "let's double-check",
    "let's verify",
    "let's reconsider",
    "let's confirm",
    "double-checking",
    "checking",
    "verifying",
    "to verify",
    "to double-check",
    "is that right",
    "is this right",
    "is that correct",
    "am i sure",
    "on second thought",
    "alternatively",
    "等等",
    "等一下",
    "稍等",
    "让我检查",
    "让我再检查",
    "让我验证",
    "让我确认",
    "让我再确认",
    "让我重新",
    "让我再想",
    "检查一下",
    "验证一下",
    "再确认",
    "再检查",
    "再想想",
    "重新考虑",
    "不对",
    "espera",
    "espere",
    "deixe-me verificar",
    "deixe-me conferir",
    "deixa eu verificar",
    "deixa eu conferir",
    "vamos verificar",
    "vou verificar",
    "pensando bem",
    "na verdade",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: (u32, u32)) {
        assert_eq!(count(text), expected, "{text}");
    }

    #[test]
    fn steps_are_sentences_and_lines() {
        check("", (0, 0));
        check("\n\n ... \n- \n", (0, 0));
        check("Two plus two is four", (1, 0));
        check("Pi is 3.14 at foo.bar. So the area is 12.56!\nDone", (3, 0));
        check("首先看题目。答案是四！对吗？", (3, 0));
    }

    #[test]
    fn steps_that_look_back_are_told_from_others() {
        check("The sum is 12. Wait, I forgot the carry. The sum is 13.", (3, 1));
        check("Wait... that is wrong. Hmm. Let me double-check: 7 * 8 is 56. But wait, is it?", (5, 4));
        check("Waiting times are long. The hmmm sound. Waiter, please. Actual values differ.", (4, 0));
        check("\"Hold on\" he said\n1. Let’s verify the first root.\n2) Substitute it.", (3, 2));
        check("Users who wait are lost. I will now check in.", (2, 0));
        check("So, actually it holds. Alternatively, use induction.", (2, 2));
    }

    #[test]
    fn chinese_and_portuguese_are_counted_too() {
        check("先算十二乘三。等等，我漏了一步。让我重新计算。不过，让我再检查一下。所以是三十六。", (5, 3));
        check(
            "A soma é doze. Espera, esqueci o resto. Deixe-me verificar. Mas espere, está certo? Esperança não conta.",
            (5, 3),
        );
    }

    #[test]
    fn what_the_gateway_wrote_and_what_relays_repeat_is_not_the_models() {
        let segment = |channel, part, text: &str, authored_bytes| Segment {
            choice: 0,
            channel,
            part,
            role: None,
            text: text.to_owned(),
            authored_bytes,
        };
        let segments = [
            segment(Channel::Reasoning, 0, "Wait. A thought. Hmm.", 5),
            segment(Channel::Reasoning, 1, "Wait. A thought. Hmm.", 0),
            segment(Channel::Answer, 0, "Wait.", 0),
        ];
        let thinking = Thinking::of(&segments, Some(Duration::from_secs(2))).expect("reasoning");
        assert_eq!((thinking.steps, thinking.checks, thinking.share()), (2, 1, Some(0.5)));
        assert_eq!(thinking.speed(Some(100)), Some(50.0));
        assert_eq!(thinking.speed(None), None);
        assert_eq!(Thinking { time: Some(Duration::ZERO), ..thinking }.speed(Some(1)), None);
        assert_eq!(Thinking::of(segments.get(2..).unwrap_or_default(), None), None);
    }
}
