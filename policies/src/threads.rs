//! The pattern matches that are live: each with its begin, fed one character at a time. It decides nothing about what
//! they mean.

use regex_automata::util::primitives::StateID;

use crate::matcher::{Front, Group, MATCH_MOST};
use crate::normalise::Class;
use crate::pass;
use crate::plan::Plan;
use crate::weigh::{Hit, Weigh};

/// Live matches of one group at most; text that would begin more of them goes unmatched there.
const LIVE_MOST: usize = 64;

/// Live matches from which on none is left out for what follows it: of one group at most so many could have been that
/// are dead by now, so that [`LIVE_MOST`] strikes at the same place whether any was left out or not. A match is left out
/// for its first four bytes, of which it dies, or for the two after its first word, inside which no other begins.
const LIVE_FEW: usize = LIVE_MOST - 8;

/// Finished matches remembered, to leave out those that stand inside others.
const RECENT_MOST: usize = 32;

/// A match that has begun.
#[derive(Debug, Clone)]
struct Thread {
    group: usize,
    state: StateID,
    /// Where it begins: in the text, and in the plain reading.
    origin: usize,
    plain: usize,
    /// The byte before it, and whether that makes it begin inside a word.
    before: Option<u8>,
    inside_word: bool,
    /// Whether its text may have to be looked at once more.
    checks: bool,
    /// Whether nothing more can come of it.
    over: bool,
}

/// The longest match yet of a pattern that began somewhere.
#[derive(Debug, Clone)]
struct Candidate {
    group: usize,
    pattern: usize,
    plain: usize,
    hit: Hit,
}

/// A character as it comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// What it is read as.
    pub(crate) bytes: &'a [u8],
    /// The text from it on, if it is ASCII, or nothing.
    pub(crate) ahead: &'a [u8],
    pub(crate) class: Class,
    /// Where it begins in the text.
    pub(crate) at: usize,
    /// Where the character before it ended, leaving out what is read as nothing.
    pub(crate) before: usize,
}

/// All live matches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads {
    live: Vec<Thread>,
    candidates: Vec<Candidate>,
    recent: Vec<Candidate>,
    /// The automata of which a match begins with a character; empty in between.
    beginning: Vec<usize>,
    /// Class and last byte of the character before.
    previous: Option<(Class, u8)>,
    /// Length of the plain reading.
    length: usize,
    /// The end of the plain reading, as far back as live matches begin, and where that is.
    kept: Vec<u8>,
    /// Whether it is needed.
    checking: bool,
    kept_from: usize,
}

impl Threads {
    /// Feeds a character.
    #[inline]
    pub(crate) fn push(&mut self, plan: &Plan, arrival: Arrival<'_>, weigh: &mut Weigh) {
        let Some(first) = arrival.bytes.first().copied() else { return };
        if !self.live.is_empty() {
            self.step(plan, arrival, weigh);
        }
        let inside_word = inside_word(self.previous, arrival.class);
        if plan.starts.with_all(arrival.bytes, inside_word) {
            self.begin_all(plan, first, arrival, inside_word);
        }
        if self.checking {
            self.keep(arrival.bytes);
        } else if !self.kept.is_empty() {
            self.kept.clear();
        }
        self.length += arrival.bytes.len();
        if let Some(last) = arrival.bytes.last() {
            self.previous = Some((arrival.class, *last));
        }
    }

    fn step(&mut self, plan: &Plan, arrival: Arrival<'_>, weigh: &mut Weigh) {
        let mut live = std::mem::take(&mut self.live);
        let mut ended = false;
        for thread in &mut live {
            let Some(group) = plan.matchers.groups.get(thread.group) else { continue };
            for (index, byte) in arrival.bytes.iter().enumerate() {
                thread.state = group.next(thread.state, *byte);
                if !group.is_special(thread.state) {
                    continue;
                }
                if index == 0 && group.is_match(thread.state) {
                    self.note(group, thread, arrival.before, Some((arrival.class, *byte)));
                    thread.over = group.is_over(thread.state);
                }
                if thread.over || group.is_dead(thread.state) {
                    thread.over = true;
                    break;
                }
            }
            if thread.over || self.length - thread.plain > MATCH_MOST {
                thread.over = true;
                ended = true;
                self.end(plan, thread, weigh);
            }
        }
        if ended {
            live.retain(|thread| !thread.over);
            self.checking = live.iter().any(|thread| thread.checks);
        }
        self.live = live;
    }

    /// Begins what may begin with a character.
    fn begin_all(&mut self, plan: &Plan, first: u8, arrival: Arrival<'_>, inside_word: bool) {
        if self.live.len() >= LIVE_FEW || !plan.passes {
            for group in plan.beginnings(first, inside_word) {
                self.begin(plan, *group, arrival, inside_word);
            }
            return;
        }
        let front = match arrival.ahead {
            [] => Front { bytes: arrival.bytes, after_word: &[], inside_word },
            ahead if inside_word => Front { inside_word, ..pass::front(ahead, 0, None) },
            ahead => pass::front(ahead, 0, Some(pass::word_end(ahead, 0))),
        };
        let mut groups = std::mem::take(&mut self.beginning);
        plan.starts.groups(front, &mut groups);
        for group in groups.drain(..) {
            self.begin(plan, group, arrival, inside_word);
        }
        self.beginning = groups;
    }

    fn begin(&mut self, plan: &Plan, index: usize, arrival: Arrival<'_>, inside_word: bool) {
        let before = self.previous.map(|(_, byte)| byte);
        let Some(group) = plan.matchers.groups.get(index) else { return };
        let mut state = group.start(before);
        for byte in arrival.bytes {
            state = group.next(state, *byte);
        }
        if group.is_dead(state) || group.bars(before) || self.is_full(index) {
            return;
        }
        let (origin, plain, checks) = (arrival.at, self.length, group.checks());
        self.checking |= checks;
        self.live.push(Thread { group: index, state, origin, plain, before, inside_word, checks, over: false });
    }

    /// Whether no more matches of a group may be live.
    fn is_full(&self, group: usize) -> bool {
        self.live.len() >= LIVE_MOST && self.live.iter().filter(|thread| thread.group == group).count() >= LIVE_MOST
    }

    /// Whether anything is live.
    #[inline]
    pub(crate) fn are_live(&self) -> bool {
        !self.live.is_empty()
    }

    /// Whether the last character was a letter of a script with words.
    #[inline]
    pub(crate) fn inside_word(&self) -> bool {
        self.previous.is_some_and(|(class, _)| class == Class::Word)
    }

    /// Takes over where characters of a byte each were passed over while nothing was live.
    #[inline]
    pub(crate) fn passed(&mut self, count: usize, last: (Class, u8)) {
        self.length += count;
        self.previous = Some(last);
        self.kept.clear();
    }

    /// Notes matches that ended before a character, if it and the one before the match may stand there.
    fn note(&mut self, group: &Group, thread: &Thread, end: usize, next: Option<(Class, u8)>) {
        let inside_word = next.is_some_and(|(class, _)| inside_word(self.previous, class));
        for index in group.matches(thread.state) {
            let Some(pattern) = group.pattern(index) else { continue };
            let barred = next.is_some_and(|(_, byte)| pattern.border.after.as_bytes().contains(&byte));
            let begins_badly = thread.before.is_some_and(|byte| pattern.bars(byte));
            if barred || begins_badly || ((inside_word || thread.inside_word) && !pattern.inside_words) {
                continue;
            }
            let mut span = thread.origin..end;
            if let Some(check) = pattern.check {
                let Some(text) = self.kept.get(thread.plain.saturating_sub(self.kept_from)..) else { continue };
                let Ok(text) = std::str::from_utf8(text) else { continue };
                let Some(part) = check(text) else { continue };
                // Only where each byte was read as itself do places in the reading say where it stood.
                if text.len() == span.len() {
                    span = span.start + part.start..span.start + part.end;
                }
            }
            let hit = Hit { subject: group.subject, format: Some((thread.group, index)), span };
            let same =
                |one: &&mut Candidate| one.group == thread.group && one.pattern == index && one.plain == thread.plain;
            match self.candidates.iter_mut().find(same) {
                Some(candidate) => candidate.hit = hit,
                None => {
                    self.candidates.push(Candidate { group: thread.group, pattern: index, plain: thread.plain, hit });
                }
            }
        }
    }

    /// Gives what a match came to.
    fn end(&mut self, plan: &Plan, thread: &Thread, weigh: &mut Weigh) {
        let mut index = 0;
        while let Some(candidate) = self.candidates.get(index) {
            if candidate.group != thread.group || candidate.plain != thread.plain {
                index += 1;
                continue;
            }
            let candidate = self.candidates.remove(index);
            let inside = |one: &Candidate| {
                one.group == candidate.group
                    && one.pattern == candidate.pattern
                    && one.hit.span.start <= candidate.hit.span.start
                    && candidate.hit.span.end <= one.hit.span.end
            };
            if self.recent.iter().any(inside) {
                continue;
            }
            if self.recent.len() == RECENT_MOST {
                self.recent.remove(0);
            }
            self.recent.push(candidate.clone());
            weigh.hit(plan, candidate.hit);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.kept.is_empty() {
            self.kept_from = self.length;
        }
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 4 * MATCH_MOST {
            let first = self.live.iter().map(|thread| thread.plain).min().unwrap_or(self.length);
            let unused = first.saturating_sub(self.kept_from).min(self.kept.len());
            self.kept.drain(..unused);
            self.kept_from += unused;
        }
    }

    /// Feeds the end of the text, or of what may be read as one.
    pub(crate) fn finish(&mut self, plan: &Plan, end: usize, weigh: &mut Weigh) {
        for mut thread in std::mem::take(&mut self.live) {
            let Some(group) = plan.matchers.groups.get(thread.group) else { continue };
            thread.state = group.end(thread.state);
            if group.is_match(thread.state) {
                self.note(group, &thread, end, None);
            }
            self.end(plan, &thread, weigh);
        }
        self.previous = None;
        self.checking = false;
    }

    /// Where the first match begins for which text must wait.
    pub(crate) fn held(&self, plan: &Plan, at: usize) -> usize {
        let subject = |thread: &&Thread| {
            plan.matchers.groups.get(thread.group).is_some_and(|group| plan.holds_subject(group.subject))
        };
        self.live.iter().filter(subject).map(|thread| thread.origin).fold(at, usize::min)
    }
}

/// Whether a character goes on with the word of the one before it.
fn inside_word(previous: Option<(Class, u8)>, class: Class) -> bool {
    class == Class::Word && previous.is_some_and(|(before, _)| before == Class::Word)
}
