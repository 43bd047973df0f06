//! Checks of the schedule.

use super::*;
use crate::pages::Layout;
use crate::pages::Precision;

const LAYOUT: Layout = Layout { layers: 1, heads: 1, key: 2, value: 2, precision: Precision::Half };
const LIMITS: Limits = Limits { sequences: 4, rows: 40, rows_beside_replies: 10 };

struct Bench {
    schedule: Schedule<&'static str>,
    pages: Pages,
    paused: Vec<&'static str>,
}

impl Bench {
    fn new(pages: usize, sequences: &[(&'static str, usize)]) -> Self {
        let mut schedule = Schedule::new(LIMITS);
        for (name, length) in sequences {
            let first = name.bytes().next().unwrap();
            schedule.enqueue(Sequence::new(vec![u32::from(first); *length], [0; 32], *name));
        }
        Self { schedule, pages: Pages::new(LAYOUT, pages), paused: Vec::new() }
    }

    /// Plans and carries out one step; every sequence whose last token was computed gets another one.
    fn step(&mut self) -> Vec<(&'static str, Range<usize>)> {
        self.schedule.admit(&mut self.pages);
        let paused = self.paused.clone();
        let ready = |name: &&str| if paused.contains(name) { Readiness::Paused } else { Readiness::Ready };
        let shares = self.schedule.next(&mut self.pages, ready);
        for share in &shares {
            self.schedule.computed(share, &mut self.pages);
            let sequence = &mut self.schedule.running[share.index];
            if share.rows.end == sequence.tokens.len() {
                sequence.tokens.push(1);
            }
        }
        shares.into_iter().map(|share| (self.schedule.running[share.index].request, share.rows)).collect()
    }

    fn end(&mut self, over: &str) {
        self.schedule.retire(&mut self.pages, |name| *name == over);
    }
}

#[test]
fn prompts_are_cut_to_the_step_and_replies_come_first() {
    let mut bench = Bench::new(20, &[("a", 3), ("b", 50), ("c", 5)]);
    assert_eq!(bench.step(), [("a", 0..3), ("b", 0..37)]);
    assert_eq!(bench.step(), [("a", 3..4), ("b", 37..46)]);
    assert_eq!(bench.step(), [("a", 4..5), ("b", 46..50), ("c", 0..5)]);
    assert_eq!(bench.step(), [("a", 5..6), ("b", 50..51), ("c", 5..6)]);
}

#[test]
fn who_is_behind_does_not_run() {
    let mut bench = Bench::new(20, &[("a", 3), ("b", 2)]);
    bench.step();
    bench.paused = vec!["a"];
    assert_eq!(bench.step(), [("b", 2..3)]);
    bench.paused = vec![];
    assert_eq!(bench.step(), [("a", 3..4), ("b", 3..4)]);
}

#[test]
fn a_sequence_waits_until_its_pages_are_free() {
    let mut bench = Bench::new(3, &[("a", 31), ("b", 20)]);
    assert_eq!(bench.step(), [("a", 0..31)]);
    assert_eq!(bench.step(), [("a", 31..32)]);
    bench.end("a");
    assert_eq!(bench.step(), [("b", 0..20)]);
}

#[test]
fn the_last_admitted_gives_way_and_comes_back_with_its_reply() {
    let mut bench = Bench::new(3, &[("a", 30), ("b", 10)]);
    assert_eq!(bench.step(), [("a", 0..30), ("b", 0..10)]);
    assert_eq!(bench.step(), [("a", 30..31), ("b", 10..11)]);
    assert_eq!(bench.step(), [("a", 31..32), ("b", 11..12)]);
    assert_eq!(bench.step(), [("a", 32..33)]);
    assert_eq!(bench.step(), [("a", 33..34)]);
    bench.end("a");
    assert_eq!(bench.step(), [("b", 0..13)]);
}

#[test]
fn a_paused_sequence_gives_way_even_to_a_later_one() {
    let mut bench = Bench::new(2, &[("a", 10), ("b", 14)]);
    bench.step();
    bench.paused = vec!["a"];
    assert_eq!(bench.step(), [("b", 14..15)]);
    assert_eq!(bench.step(), [("b", 15..16)]);
    assert_eq!(bench.step(), [("b", 16..17)]);
    bench.paused = vec![];
    bench.end("b");
    assert_eq!(bench.step(), [("a", 0..11)]);
}

#[test]
fn what_is_known_is_not_computed_again_but_for_the_last_token() {
    let mut bench = Bench::new(9, &[("a", 32)]);
    bench.step();
    bench.end("a");
    bench.schedule.enqueue(Sequence::new(vec![97; 32], [0; 32], "again"));
    bench.schedule.enqueue(Sequence::new(vec![97; 40], [0; 32], "longer"));
    bench.schedule.enqueue(Sequence::new(vec![97; 32], [1; 32], "stranger"));
    assert_eq!(bench.step(), [("again", 31..32), ("longer", 32..40), ("stranger", 0..1)]);
    assert_eq!(bench.schedule.running[1].cached, Some(32));
}

#[test]
fn the_end_of_a_prompt_is_copied_and_goes_on_on_its_own() {
    let mut bench = Bench::new(9, &[("a", 39)]);
    bench.step();
    bench.step();
    // While the first one still writes into its page.
    bench.schedule.enqueue(Sequence::new(vec![97; 39], [0; 32], "again"));
    bench.schedule.enqueue(Sequence::new(vec![97; 38], [0; 32], "shorter"));
    assert_eq!(bench.step(), [("a", 40..41), ("again", 38..39), ("shorter", 32..38)]);
    assert_eq!(bench.schedule.running[1].cached, Some(38));
    assert_ne!(bench.schedule.running[0].table[2], bench.schedule.running[1].table[2]);
    assert_eq!(bench.schedule.running[0].table[..2], bench.schedule.running[1].table[..2]);
    ["a", "again", "shorter"].into_iter().for_each(|over| bench.end(over));
    assert_eq!(bench.pages.available(), 9);
}
