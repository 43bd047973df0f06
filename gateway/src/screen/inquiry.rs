//! What a rule asks a judge model about an exchange, and what its answer means. It asks nobody.

use std::sync::Arc;

use candor_policies as policies;

use super::found::Found;
use super::judge::{Question, no_judgement};
use super::rules::noted;
use crate::exchange::{Channel, Enforced, Evidence, Finding, QUESTION, Verdict};

/// A rule's question about an exchange.
#[derive(Debug)]
pub struct Inquiry {
    raw: policies::Finding,
    ask: Arc<str>,
    /// The choice of the reply that it is about.
    pub choice: u32,
}

/// What came of a question.
#[derive(Debug)]
pub struct Answered {
    /// What the record of the question says.
    pub verdict: Verdict,
    /// The outcome of a verdict; `yes` or `no`.
    pub word: &'static str,
    /// What was found thereby.
    pub found: Option<Finding>,
}

impl Inquiry {
    /// The question that a finding gives rise to; `None` where its rule asks nobody.
    pub(super) fn of(raw: policies::Finding, choice: u32) -> Option<Self> {
        let ask = raw.ask.clone()?;
        Some(Self { raw, ask, choice })
    }

    /// Whether the same rule asks.
    pub(super) fn is_of(&self, raw: &policies::Finding) -> bool {
        self.raw.rule == raw.rule && self.raw.pack == raw.pack
    }

    /// The rule that asks.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.raw.rule
    }

    /// The pack of that rule.
    #[must_use]
    pub fn pack(&self) -> &str {
        &self.raw.pack
    }

    /// What is asked.
    #[must_use]
    pub fn ask(&self) -> &str {
        &self.ask
    }

    /// The question as it is put to a judge model.
    #[must_use]
    pub fn question(&self, prompt: &str, reasoning: Option<&str>, answer: &str) -> Question {
        Question::of_rule(&self.ask, prompt, reasoning, answer)
    }

    /// Reads the judge's answer; yes is a finding, which is about the whole of that answer.
    ///
    /// # Errors
    /// What is wrong with an answer that is not in the form asked for.
    pub fn hear(
        &self,
        answer: &str,
        detector: &'static str,
        found: &mut Found,
    ) -> Result<Answered, policies::Unreadable> {
        let said = policies::Answer::read(answer)?;
        let finding = (said == policies::Answer::Yes).then(|| {
            let finding = noted(&self.raw, (Channel::Answer, 0, 0), Enforced::Observed);
            Finding { detector: QUESTION.to_owned(), span: 0..answer.len(), ..finding }
        });
        if let Some(finding) = &finding {
            found.push_first(finding.clone(), &self.raw);
        }
        let verdict = Verdict {
            // The judge model did what it was asked to: that is all that a verdict on its exchange can say.
            outcome: policies::Outcome::Complied.name(),
            confidence: 1.0,
            ..self.verdict(said.name(), answer.len(), detector)
        };
        Ok(Answered { verdict, word: said.name(), found: finding })
    }

    /// What the record of the question says where no answer came.
    #[must_use]
    pub fn unanswered(&self, detector: &'static str) -> Verdict {
        self.verdict("none", 0, detector)
    }

    fn verdict(&self, word: &str, length: usize, detector: &'static str) -> Verdict {
        let what = format!("{}/{}: {word}", self.raw.pack, self.raw.rule);
        let evidence = vec![Evidence { channel: Channel::Answer, span: 0..length, what }];
        Verdict { evidence, decided_by: QUESTION, ..no_judgement(detector) }
    }
}
