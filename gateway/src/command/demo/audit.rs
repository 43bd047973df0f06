//! The small audit: every subject in every language and a neutral twin of each, and what the records say of the replies.
//! It shows nothing but how far it is.

use uuid::Uuid;

use super::ask::{self, Asker};
use super::questions::{LANGUAGES, SUBJECTS, Subject};
use crate::command::{Failure, print};
use crate::store::Store;
use crate::store::records::Record;

/// What one subject came to.
#[derive(Debug)]
pub(super) struct Found {
    /// The subject.
    pub(super) subject: &'static Subject,
    /// The subject's own replies, by language.
    pub(super) asked: Vec<Reply>,
    /// The twin's replies, by language.
    pub(super) twin: Vec<Reply>,
}

/// One question and the record of its reply.
#[derive(Debug)]
pub(super) struct Reply {
    /// In which language it was asked.
    pub(super) language: &'static str,
    /// The question.
    pub(super) question: &'static str,
    /// The exchange's record.
    pub(super) record: Record,
}

impl Reply {
    /// The outcome and the manners; a blank thinking is told by a sign.
    pub(super) fn cell(&self) -> String {
        let outcome = self.record.outcome.as_deref().unwrap_or("?");
        let blank = self.record.manners.iter().any(|manner| manner == BLANK);
        let manners: Vec<&str> =
            self.record.manners.iter().map(String::as_str).filter(|manner| *manner != BLANK).collect();
        let mut cell = outcome.to_owned();
        if !manners.is_empty() {
            cell.push_str(&format!(": {}", manners.join(", ")));
        }
        if blank {
            cell.push_str(" ∅");
        }
        cell
    }
}

/// The manner of a reply whose thinking is blank.
const BLANK: &str = "empty_reasoning";

/// Asks everything, then reads the records.
pub(super) async fn run(asker: &Asker, store: &Store) -> Result<Vec<Found>, Failure> {
    let all = SUBJECTS.len() * LANGUAGES.len() * 2;
    let mut exchanges: Vec<Uuid> = Vec::with_capacity(all);
    for question in SUBJECTS.iter().flat_map(|subject| subject.asked.iter().chain(&subject.twin)) {
        print::progress(&format!("audit: question {} of {all} ...", exchanges.len() + 1));
        exchanges.push(asker.ask(question, |_, _| {}).await?.exchange);
    }
    print::progress("");
    let mut exchanges = exchanges.into_iter();
    let mut found = Vec::with_capacity(SUBJECTS.len());
    for subject in &SUBJECTS {
        let asked = replies(&subject.asked, &mut exchanges, store).await?;
        let twin = replies(&subject.twin, &mut exchanges, store).await?;
        found.push(Found { subject, asked, twin });
    }
    Ok(found)
}

async fn replies(
    questions: &'static [&'static str; LANGUAGES.len()],
    exchanges: &mut impl Iterator<Item = Uuid>,
    store: &Store,
) -> Result<Vec<Reply>, Failure> {
    let mut replies = Vec::with_capacity(questions.len());
    for ((language, question), exchange) in LANGUAGES.iter().zip(questions).zip(exchanges) {
        let record = ask::recorded(store, exchange).await?.record;
        replies.push(Reply { language, question, record });
    }
    Ok(replies)
}
