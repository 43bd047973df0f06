//! Finds the words of `words` in prompts and answers: the form that is asked for, who speaks to whom, what is denied. It weighs
//! none of them.

use super::words::{CREATIVE, FIRST_PERSON, FORMS, NEGATIONS, ONE_SIDED, SECOND_PERSON, WHY};
use crate::verdict::starts::Starts;
use crate::verdict::tokens::{Seen, hash_word};

/// The word lists, compiled.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Beginnings of words in prompts.
    starts: Starts,
    /// What each of them is a sign of.
    signs: Vec<Sign>,
    /// Words of address.
    words: Seen,
    /// For each place in `words`, what the word is.
    address: Vec<Address>,
}

#[derive(Debug, Clone, Copy)]
enum Sign {
    Form(usize),
    Creative,
    Why,
    OneSided,
}

/// What a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Place in `FORMS`, or one past it.
    pub(super) form: usize,
    /// Something made up or persuasive.
    pub(super) creative: bool,
    /// It begins by asking for reasons.
    pub(super) why: bool,
    /// One side of a matter, not balance.
    pub(super) one_sided: bool,
}

/// What a word says of who speaks to whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) first_person: bool,
    pub(super) second_person: bool,
    pub(super) negation: bool,
}

impl Marks {
    /// Compiles the lists.
    pub(crate) fn shipped() -> Self {
        let forms =
            FORMS.iter().enumerate().flat_map(|(form, list)| list.iter().map(move |word| (*word, Sign::Form(form))));
        let creative = CREATIVE.iter().map(|word| (*word, Sign::Creative));
        let why = WHY.iter().map(|word| (*word, Sign::Why));
        let sided = ONE_SIDED.iter().map(|word| (*word, Sign::OneSided));
        let (words, signs): (Vec<&str>, Vec<Sign>) = forms.chain(creative).chain(why).chain(sided).unzip();
        let starts = Starts::new(words.into_iter().map(|word| vec![vec![word.to_owned()]]));
        let people = [FIRST_PERSON.as_slice(), &SECOND_PERSON, &NEGATIONS];
        let mut seen = Seen::with_room(people.iter().map(|list| list.len()).sum());
        for word in people.iter().copied().flatten() {
            seen.insert(hash_word(word));
        }
        let mut address = vec![Address::default(); seen.room()];
        for (list, word) in people.iter().enumerate().flat_map(|(at, list)| list.iter().map(move |word| (at, *word))) {
            if let Some(address) = seen.find(hash_word(word)).and_then(|at| address.get_mut(at)) {
                address.first_person |= list == 0;
                address.second_person |= list == 1;
                address.negation |= list == 2;
            }
        }
        Self { starts, signs, words: seen, address }
    }

    /// What a folded prompt asks for.
    pub(crate) fn wanted(&self, prompt: &str) -> Wanted {
        let mut wanted = Wanted { form: FORMS.len(), creative: false, why: false, one_sided: false };
        let begins = prompt.len() - prompt.trim_start().len();
        self.starts.find(prompt, |found| {
            match self.signs.get(found.phrase) {
                Some(Sign::Form(form)) => wanted.form = wanted.form.min(*form),
                Some(Sign::Creative) => wanted.creative = true,
                Some(Sign::OneSided) => wanted.one_sided = true,
                Some(Sign::Why) => wanted.why |= found.span.start == begins,
                None => {}
            }
            true
        });
        wanted
    }

    /// What a word is, by its number.
    pub(super) fn address(&self, hash: u64) -> Address {
        self.words.find(hash).and_then(|at| self.address.get(at)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_says_what_form_it_asks_for() {
        let marks = Marks::shipped();
        let check = |prompt: &str, form, creative, why| {
            let one_sided = creative;
            assert_eq!(marks.wanted(prompt), Wanted { form, creative, why, one_sided }, "{prompt:?}");
        };
        check("write a scathing essay about trains", 0, true, false);
        check("撰写一篇讽刺文章", 0, true, false);
        check(" why do trains stop?", 5, false, true);
        check("tell me why", 5, false, false);
        check("hello", 6, false, false);
    }

    #[test]
    fn words_of_address_are_known() {
        let marks = Marks::shipped();
        assert!(marks.address(hash_word("i'm")).first_person && marks.address(hash_word("you")).second_person);
        assert!(marks.address(hash_word("не")).negation);
        assert_eq!(marks.address(hash_word("train")), Address::default());
    }
}
