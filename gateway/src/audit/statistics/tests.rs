//! Values that others have published or computed. Where nothing else is said they are by scipy 1.17 and statsmodels 0.14.

use super::agreement::kappa;
use super::contrast::{Pairs, difference, fisher, mcnemar, paired_difference};
use super::correction::{Calibration, corrected};
use super::discovery::{benjamini_hochberg, holm};
use super::effect::{cohen_h, odds_ratio, of_pairs};
use super::interval::{Interval, Share, clopper_pearson, clustered, wilson};
use super::richness::chao1;
use super::sequential::{Detector, confidence_sequence, ln_evidence};

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
}

fn bounds(found: Interval, low: f64, high: f64) {
    near(found.low, low);
    near(found.high, high);
}

fn share(hits: u64, of: u64) -> Share {
    Share { hits, of }
}

#[test]
fn intervals_of_a_rate() {
    let cases = [
        (0, 10, [0.0, 0.277_532_799_862_889_26], [0.0, 0.308_497_107_818_760_83]),
        (
            3,
            10,
            [0.107_791_267_406_301_04, 0.603_221_852_538_854_6],
            [0.066_739_511_177_734_47, 0.652_452_850_059_997_3],
        ),
        (
            19,
            50,
            [0.258_627_893_101_935_9, 0.518_495_530_690_070_1],
            [0.246_501_077_799_862_2, 0.528_250_836_947_144_7],
        ),
        (
            81,
            263,
            [0.255_288_519_878_274_2, 0.366_209_576_982_800_04],
            [0.252_736_745_585_271_26, 0.367_621_922_601_351_4],
        ),
        (50, 50, [0.928_652_400_866_641_2, 1.0], [0.928_878_263_535_802_4, 1.0]),
    ];
    for (hits, of, [low, high], [exact_low, exact_high]) in cases {
        bounds(wilson(share(hits, of).rate(), of as f64, 0.95), low, high);
        bounds(clopper_pearson(share(hits, of), 0.95), exact_low, exact_high);
    }
    bounds(wilson(0.0, 0.0, 0.95), 0.0, 1.0);
}

#[test]
fn answers_of_one_probe_count_for_less_where_they_are_alike() {
    let found = clustered(&[(3, 3), (0, 3), (1, 3), (3, 3), (0, 3), (2, 3)].map(|(hits, of)| share(hits, of)), 0.95);
    assert_eq!((found.share, found.clusters), (share(9, 18), 6));
    near(found.effective, 7.105_263_157_894_738);
    bounds(found.interval, 0.203_806_140_148_103_4, 0.796_193_859_851_896_6);
    let alike = clustered(&[share(0, 5); 10], 0.95);
    assert_eq!((alike.effective, alike.design_effect), (10.0, 5.0), "a probe that always says the same counts once");
    let single = clustered(&[1, 0, 0, 1, 0].map(|hits| share(hits, 1)), 0.95);
    assert!(single.effective <= 5.0 && single.effective > 3.9, "{single:?}");
    assert_eq!(clustered(&[], 0.95).interval, Interval { low: 0.0, high: 1.0 });
}

#[test]
fn paired_differences() {
    for (first, second, p) in
        [(10, 3, 0.092_285_156_25), (5, 5, 1.0), (0, 8, 0.007_812_5), (121, 59, 4.434_449_263_755_164_5e-6)]
    {
        near(mcnemar(&Pairs { both: 40, first, second, neither: 60 }), p);
    }
    near(mcnemar(&Pairs::default()), 1.0);
    // The first row is the example of Newcombe (1998), table II: 0.0569 to 0.3404. The others are computed apart from it.
    let cases = [
        ([36, 12, 2, 0], 0.056_929_584_003_238_69, 0.340_427_602_974_940_7),
        ([36, 14, 0, 0], 0.152_839_517_855_857_3, 0.416_651_236_959_565_63),
        ([1, 97, 1, 1], 0.873_672_176_200_744_7, 0.985_025_770_374_007_7),
        ([97, 0, 1, 2], -0.057_216_180_395_548_97, 0.031_233_609_362_594_388),
    ];
    for ([both, first, second, neither], low, high) in cases {
        bounds(paired_difference(&Pairs { both, first, second, neither }, 0.95), low, high);
    }
}

#[test]
fn independent_differences() {
    bounds(difference(share(56, 70), share(48, 80), 0.95), 0.052_431_472_402_364_98, 0.333_872_654_036_906_24);
    bounds(difference(share(0, 20), share(9, 10), 0.95), -0.982_123_786_904_927, -0.555_807_386_254_309_1);
    for ([a, n, b, m], p) in [
        ([8, 20, 1, 20], 0.019_656_019_656_019_652),
        ([56, 70, 48, 80], 0.012_521_129_749_209_154),
        ([0, 10, 10, 10], 1.082_508_822_446_903e-5),
        ([3, 50, 3, 50], 1.0),
    ] {
        near(fisher(share(a, n), share(b, m)), p);
    }
}

#[test]
fn sizes_of_effects() {
    near(cohen_h(0.76, 0.06), 1.622_713_151_149_944_9);
    let (ratio, interval) = odds_ratio(share(8, 20), share(1, 20), 0.95);
    near(ratio, 8.84);
    bounds(interval, 1.355_080_233_723_288, 57.668_614_783_999_22);
    let effect = of_pairs(&Pairs { both: 5, first: 9, second: 1, neither: 35 }, 0.95);
    near(effect.difference, 0.16);
    near(effect.odds_ratio, 9.5 / 1.5);
}

#[test]
fn many_comparisons() {
    // The first four of the fifteen p values of Benjamini & Hochberg (1995), section 3.2, and eleven more.
    let p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269, 0.275, 0.34];
    let q = benjamini_hochberg(&p);
    for (found, expected) in q.iter().zip([0.015, 0.06, 0.126, 0.126, 0.126, 0.15, 0.158_571_428_571_428_56]) {
        near(*found, expected);
    }
    near(q[14], 0.34);
    for (found, expected) in holm(&p).iter().zip([0.015, 0.112, 0.507, 0.507, 0.507, 0.6, 0.666, 1.0]) {
        near(*found, expected);
    }
    assert_eq!(benjamini_hochberg(&[0.5, 0.01]), [0.5, 0.02], "in the order given");
    assert!(benjamini_hochberg(&[]).is_empty() && holm(&[]).is_empty());
}

#[test]
fn agreement_beyond_chance() {
    let found = kappa(&[[20, 5], [10, 15]], 0.95).expect("a table");
    near(found.kappa, 0.4);
    bounds(found.interval, 0.151_092_290_476_661, 0.648_907_709_523_338_9);
    let found = kappa(&[[44, 5, 1], [7, 20, 3], [9, 5, 6]], 0.95).expect("a table");
    near(found.kappa, 0.491_525_423_728_813_47);
    bounds(found.interval, 0.350_158_201_217_486_86, 0.632_892_646_240_140_1);
    assert_eq!(kappa(&[[0, 0], [0, 0]], 0.95), None);
    assert_eq!(kappa(&[[9, 0], [0, 0]], 0.95), None, "chance alone makes them agree");
}

#[test]
fn rates_behind_an_erring_classifier() {
    // Computed apart from this code, from the formulas of Lang & Reiczigel (2014).
    let calibration = Calibration { sensitivity: share(169, 211), specificity: share(1319, 1348) };
    let found = corrected(0.2, 100.0, &calibration, 0.95).expect("better than chance");
    near(found.rate, 0.228_995_051_715_660_8);
    bounds(found.interval, 0.141_898_690_046_117_66, 0.347_599_877_465_411_04);
    let calibration = Calibration { sensitivity: share(85, 100), specificity: share(291, 300) };
    let found = corrected(0.02, 200.0, &calibration, 0.95).expect("better than chance");
    near(found.rate, 0.0);
    bounds(found.interval, 0.0, 0.032_020_112_317_991_93);
    let chance = Calibration { sensitivity: share(1, 2), specificity: share(1, 2) };
    assert_eq!(corrected(0.2, 100.0, &chance, 0.95), None);
}

#[test]
fn a_sequence_of_looks() {
    near(ln_evidence(share(30, 100), 0.1), 12.835_164_874_276);
    near(ln_evidence(share(0, 10), 0.2), 0.495_283_216_545_645_55);
    bounds(confidence_sequence(share(30, 100), 0.95), 0.165_651_535_387_866_6, 0.462_839_865_141_713_16);
    bounds(confidence_sequence(share(0, 10), 0.95), 0.0, 0.376_987_350_990_677_4);
    let mut detector = Detector::new(Interval { low: 0.0, high: 0.2 }, 0.001);
    for _ in 0..50 {
        assert!(!detector.round(share(2, 20)).alert, "the rate stays in its band");
    }
    let delay = (1..).find(|_| detector.round(share(14, 20)).alert).expect("an alert");
    assert!(delay <= 2, "{delay} rounds");
    assert!(!detector.round(share(2, 20)).alert, "it begins anew");
}

#[test]
fn subjects_that_nobody_has_found() {
    let times: Vec<u64> = [1; 10].into_iter().chain([2; 4]).chain([5; 11]).collect();
    let found = chao1(&times, 0.95);
    assert_eq!(found.met, 25);
    near(found.estimate, 34.0);
    bounds(found.interval, 27.130_470_045_577_855, 63.019_778_859_660_086);
    near(chao1(&[3, 4], 0.95).estimate, 2.0);
}
