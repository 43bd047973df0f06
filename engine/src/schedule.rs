//! Who computes what in the next step: sequences that wait, sequences that run, and the pages they hold. It computes
//! nothing and knows no requests.

use std::collections::VecDeque;
use std::ops::Range;

use crate::pages::{PAGE, PageHash, PageId, Pages, next_hash};

/// One reply in the making, with what its owner hangs on it.
#[derive(Debug)]
pub(crate) struct Sequence<R> {
    /// The prompt, then the reply.
    pub(crate) tokens: Vec<u32>,
    /// How many of them the cache holds.
    pub(crate) computed: usize,
    /// The cache's pages, in order.
    pub(crate) table: Vec<PageId>,
    /// Prompt tokens that were found in the cache when it was first admitted.
    pub(crate) cached: Option<usize>,
    /// The owner's part.
    pub(crate) request: R,
    /// The hash before the first page, then that of each published page.
    hashes: Vec<PageHash>,
    /// Whether the end of what it was admitted with has a name.
    named: bool,
}

impl<R> Sequence<R> {
    /// A sequence that nothing is computed of; `seed` keeps its pages apart from those of other seeds.
    pub(crate) fn new(tokens: Vec<u32>, seed: PageHash, request: R) -> Self {
        Self { tokens, computed: 0, table: Vec::new(), cached: None, request, hashes: vec![seed], named: false }
    }

    fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }
}

/// Rows of one running sequence in the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// Which running sequence.
    pub(crate) index: usize,
    /// Its positions.
    pub(crate) rows: Range<usize>,
}

/// How much one step may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Sequences that run at once.
    pub(crate) sequences: usize,
    /// Rows per step while nobody is in the middle of a reply.
    pub(crate) rows: usize,
    /// Rows per step while somebody is: what a long prompt may delay them by.
    pub(crate) rows_beside_replies: usize,
}

/// Whether a sequence may run in this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// Its reader is behind.
    Paused,
}

/// All sequences.
#[derive(Debug)]
pub(crate) struct Schedule<R> {
    waiting: VecDeque<Sequence<R>>,
    /// In the order of their admission.
    pub(crate) running: Vec<Sequence<R>>,
    limits: Limits,
}

impl<R> Schedule<R> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { waiting: VecDeque::new(), running: Vec::new(), limits }
    }

    /// Adds a sequence behind those that wait.
    pub(crate) fn enqueue(&mut self, sequence: Sequence<R>) {
        self.waiting.push_back(sequence);
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Lets sequences run in the order they came, as far as there are pages for all of their tokens and one more.
    pub(crate) fn admit(&mut self, pages: &mut Pages) {
        while self.running.len() < self.limits.sequences
            && let Some(mut sequence) = self.waiting.pop_front()
        {
            if !sequence.settle(pages) {
                self.waiting.push_front(sequence);
                return;
            }
            self.running.push(sequence);
        }
    }

    /// Decides the next step. Replies come first, a row each; prompts share the rest in their order.
    pub(crate) fn next(&mut self, pages: &mut Pages, ready: impl Fn(&R) -> Readiness) -> Vec<Share> {
        self.make_room(pages, &ready);
        let ready = |sequence: &Sequence<R>| ready(&sequence.request) == Readiness::Ready;
        let running = || self.running.iter().enumerate().filter(|(_, sequence)| ready(sequence));
        let replies = running().filter(|(_, sequence)| sequence.pending() == 1);
        let mut shares: Vec<Share> =
            replies.map(|(index, sequence)| Share { index, rows: sequence.computed..sequence.tokens.len() }).collect();
        let limit = if shares.is_empty() { self.limits.rows } else { self.limits.rows_beside_replies };
        let mut left = limit.saturating_sub(shares.len()).max(1);
        for (index, sequence) in running().filter(|(_, sequence)| sequence.pending() > 1) {
            let rows = sequence.pending().min(left);
            if rows > 0 {
                shares.push(Share { index, rows: sequence.computed..sequence.computed + rows });
            }
            left -= rows;
        }
        shares
    }

    /// Notes that a share is computed, and names the pages it filled.
    pub(crate) fn computed(&mut self, share: &Share, pages: &mut Pages) {
        let sequence = &mut self.running[share.index];
        sequence.computed = share.rows.end;
        for page in sequence.hashes.len() - 1..sequence.computed / PAGE {
            let hash = next_hash(&sequence.hashes[page], &sequence.tokens[page * PAGE..(page + 1) * PAGE]);
            pages.publish(sequence.table[page], hash);
            sequence.hashes.push(hash);
        }
        sequence.name_tail(pages);
    }

    /// Takes out the running sequences that a test picks, and gives their pages back.
    pub(crate) fn retire(&mut self, pages: &mut Pages, over: impl Fn(&R) -> bool) -> Vec<R> {
        let mut retired: Vec<Sequence<R>> = self.running.extract_if(.., |sequence| over(&sequence.request)).collect();
        retired.iter_mut().for_each(|sequence| sequence.clear(pages));
        let mut waiting = VecDeque::with_capacity(self.waiting.len());
        for sequence in self.waiting.drain(..) {
            if over(&sequence.request) {
                retired.push(sequence);
            } else {
                waiting.push_back(sequence);
            }
        }
        self.waiting = waiting;
        retired.into_iter().map(|sequence| sequence.request).collect()
    }

    /// Sees to a page for every reply whose next position needs one. Where none is free, a paused sequence gives way,
    /// else the one that was admitted last; the first one that runs therefore always gets on.
    fn make_room(&mut self, pages: &mut Pages, ready: &impl Fn(&R) -> Readiness) {
        let mut index = 0;
        while let Some(sequence) = self.running.get_mut(index) {
            let goes_on = sequence.pending() == 1 && ready(&sequence.request) == Readiness::Ready;
            if !goes_on || sequence.table.len() * PAGE >= sequence.tokens.len() {
                index += 1;
            } else if let Some(page) = pages.take() {
                sequence.table.push(page);
            } else {
                let paused = |(_, other): &(usize, &Sequence<R>)| ready(&other.request) == Readiness::Paused;
                let victim = self.running.iter().enumerate().rfind(paused).map(|(victim, _)| victim);
                let victim = victim.unwrap_or(self.running.len() - 1);
                let mut sequence = self.running.remove(victim);
                sequence.clear(pages);
                self.waiting.push_front(sequence);
                index -= usize::from(victim < index);
            }
        }
    }
}

impl<R> Sequence<R> {
    /// Finds the pages that are already computed and takes the others; `false` where there are too few.
    fn settle(&mut self, pages: &mut Pages) -> bool {
        // The last token is computed in any case: its logits are wanted.
        let full = (self.tokens.len() - 1) / PAGE;
        for tokens in self.tokens.chunks_exact(PAGE).take(full) {
            let hash = next_hash(&self.hashes[self.table.len()], tokens);
            let Some(page) = pages.reuse(&hash) else {
                break;
            };
            self.table.push(page);
            self.hashes.push(hash);
        }
        let missing = self.tokens.len() / PAGE + 1 - self.table.len();
        let tail = if self.table.len() == full { self.tail() } else { None };
        // Held before pages are taken: it could be the one that is forgotten for them.
        let tail = tail.and_then(|tail| pages.reuse_tail(&tail));
        if pages.available() < missing {
            tail.into_iter().for_each(|page| pages.release(page));
            self.clear(pages);
            return false;
        }
        self.computed = self.table.len() * PAGE;
        self.table.extend((0..missing).map_while(|_| pages.take()));
        if let Some(page) = tail {
            pages.copy(page, self.table[full]);
            pages.release(page);
            self.computed = self.tokens.len() - 1;
        }
        self.cached.get_or_insert(self.computed);
        true
    }

    /// The name of the tokens after the last full page, but for the very last.
    fn tail(&self) -> Option<PageHash> {
        let end = self.tokens.len() - 1;
        let start = end / PAGE * PAGE;
        (start < end).then(|| next_hash(&self.hashes[start / PAGE], &self.tokens[start..end]))
    }

    /// Names the end of a prompt once it is computed, so that the same prompt need not compute its last page again.
    fn name_tail(&mut self, pages: &mut Pages) {
        if self.named || self.computed < self.tokens.len() {
            return;
        }
        self.named = true;
        if let Some(tail) = self.tail() {
            pages.publish_tail(self.table[(self.tokens.len() - 1) / PAGE], tail);
        }
    }

    fn clear(&mut self, pages: &mut Pages) {
        // The last page first: of an unused prefix the end is forgotten before the beginning.
        self.table.drain(..).rev().for_each(|page| pages.release(page));
        self.hashes.truncate(1);
        self.computed = 0;
        self.named = false;
    }
}

#[cfg(test)]
mod tests;
