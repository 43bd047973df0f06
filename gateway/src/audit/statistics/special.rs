//! The functions that distributions are made of: logarithms of gamma and binomials, the incomplete beta function, the
//! normal quantile. They state no bounds on statistics.

/// ln Γ(x) for x > 0, by Lanczos' approximation with g = 7 and nine terms (Lanczos, 1964); good to 1e-13 relative.
pub(super) fn ln_gamma(x: f64) -> f64 {
    if x < 0.5 {
        // Reflection; only reached by arguments between 0 and 0.5.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let (first, rest) = (LANCZOS_FIRST, LANCZOS);
    let series = rest.iter().zip(1_u32..).fold(first, |sum, (term, place)| sum + term / (x + f64::from(place)));
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + series.ln()
}

/// ln B(a, b).
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln of the number of ways to choose `k` of `n`.
pub(super) fn ln_choose(n: u64, k: u64) -> f64 {
    ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k.min(n)) as f64 + 1.0)
}

/// Probability that a binomial variable is at most `k`.
pub(super) fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n { 1.0 } else { incomplete_beta((n - k) as f64, k as f64 + 1.0, 1.0 - p) }
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction in Lentz's form (Press et al., Numerical
/// Recipes, 3rd edition, section 6.4).
pub(super) fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of the incomplete beta function.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let kept = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..=TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / kept(1.0 + even * d);
        c = kept(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / kept(1.0 + odd * d);
        c = kept(1.0 + odd / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// The x at which I_x(a, b) is `p`, by bisection: slow beside Newton's method and never wrong.
pub(super) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    bisect(0.0, 1.0, |x| incomplete_beta(a, b, x) < p)
}

/// The point between two bounds where a condition that holds below it ceases to.
pub(super) fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The normal distribution's value at `p`, 0 < p < 1: the rational approximation PPND16 (Wichura, 1988, algorithm AS 241),
/// good to 1e-15.
pub(super) fn normal_quantile(p: f64) -> f64 {
    let ratio = |above: &[f64; 8], below: &[f64; 8], r: f64| {
        let polynomial = |terms: &[f64; 8]| terms.iter().rev().fold(0.0, |sum, term| sum * r + term);
        polynomial(above) / polynomial(below)
    };
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(&CENTRE.0, &CENTRE.1, 0.180_625 - q * q);
    }
    let r = (-p.min(1.0 - p).max(f64::MIN_POSITIVE).ln()).sqrt();
    let value = if r <= 5.0 { ratio(&MIDDLE.0, &MIDDLE.1, r - 1.6) } else { ratio(&TAIL.0, &TAIL.1, r - 5.0) };
    value.copysign(q)
}

/// Two-sided normal quantile of a level such as 0.95.
pub(super) fn z_of(level: f64) -> f64 {
    normal_quantile(1.0 - (1.0 - level) / 2.0)
}

const TERMS: i32 = 10_000;
const TINY: f64 = 1e-300;

const LANCZOS_FIRST: f64 = 0.999_999_999_999_809_9;
const LANCZOS: [f64; 8] = [
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

type Ratio = ([f64; 8], [f64; 8]);

const CENTRE: Ratio = (
    [
        3.387_132_872_796_366_6,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
);
const MIDDLE: Ratio = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);
const TAIL: Ratio = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} is not {expected}");
    }

    // Values by scipy 1.x: special.gammaln, special.betainc, stats.norm.ppf, stats.binom.cdf.
    #[test]
    fn special_functions_have_their_known_values() {
        near(ln_gamma(0.5), 0.572_364_942_924_700_1, 1e-12);
        near(ln_gamma(10.0), 12.801_827_480_081_469, 1e-11);
        near(ln_gamma(1000.5), 5_908.674_175_848_678, 1e-6);
        near(normal_quantile(0.975), 1.959_963_984_540_054, 1e-14);
        near(normal_quantile(0.5), 0.0, 1e-16);
        near(normal_quantile(1e-10), -6.361_340_902_404_056, 1e-12);
        near(incomplete_beta(2.0, 3.0, 0.5), 0.6875, 1e-14);
        near(beta_quantile(0.6875, 2.0, 3.0), 0.5, 1e-12);
        near(binomial_at_most(3, 10, 0.5), 0.171_875, 1e-13);
        near(binomial_at_most(10, 10, 0.2), 1.0, 0.0);
        near(ln_choose(52, 5).exp(), 2_598_960.0, 1e-3);
    }
}
