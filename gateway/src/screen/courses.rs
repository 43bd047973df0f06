//! What is known of each choice of a reply so far: they share what the prompt held, and go on apart.

use std::collections::BTreeMap;

use candor_policies::Course;

use super::rules::Watch;

/// What is known of each choice.
#[derive(Debug, Default)]
pub struct Courses {
    known: BTreeMap<u32, Course>,
}

impl Courses {
    /// That of a choice, where it has text.
    #[must_use]
    pub fn find(&self, choice: u32) -> Option<&Course> {
        self.known.get(&choice)
    }

    /// That of a choice, which begins with what the prompt held.
    pub(super) fn of(&mut self, choice: u32, watch: &Watch) -> &mut Course {
        self.known.entry(choice).or_insert_with(|| watch.course.clone())
    }
}
