//! The trained weights as a file holds them, and what they say of one exchange. It trains nothing.

use sha2::{Digest as _, Sha256};

use super::features::{BUCKET_BITS, DENSE, Sink, bucket, scale};
use super::solve::{BIAS, DENSE_SCALE, Fitted, SPARSE_SCALE};

/// Why a file of weights cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It is no file of weights.
    Foreign,
    /// It was made for other features than this build computes.
    OtherFeatures,
    /// Its bytes are not those that were written.
    Damaged,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Foreign => "not a file of classifier weights",
            Self::OtherFeatures => "weights for another version of the features; train again",
            Self::Damaged => "the weights are damaged: their digest differs",
        })
    }
}

impl std::error::Error for Error {}

/// Two heads: whether less was done than asked, and whether it was refused.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) any: Head,
    pub(crate) full: Head,
    /// Weights of hashed places, both heads' side by side, as both are always asked.
    places: Vec<[i8; 2]>,
}

/// The weights of one head, without those of hashed places.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    bias: f32,
    /// Log odds become calibrated ones by `slope * odds + shift`.
    slope: f32,
    shift: f32,
    /// Probability from which the head says yes.
    pub(crate) threshold: f32,
    /// Largest weight of a hashed place.
    peak: f32,
    dense: Vec<f32>,
}

/// One head as it is trained and filed.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    pub(crate) head: Head,
    sparse: Vec<i8>,
}

/// What the pieces of one exchange weigh.
#[derive(Debug)]
pub(crate) struct Weighed<'a> {
    places: &'a [[i8; 2]],
    /// Sums of the group that is open, in squares of weights.
    open: [i32; 2],
    count: usize,
    sums: [f32; 2],
}

impl Sink for Weighed<'_> {
    fn add(&mut self, hash: u64) {
        let [any, full] = self.places.get(bucket(hash) as usize).copied().unwrap_or_default();
        let square = |weight: i8| i32::from(weight) * i32::from(weight.unsigned_abs());
        self.open[0] += square(any);
        self.open[1] += square(full);
        self.count += 1;
    }

    fn close(&mut self, length: f32) {
        let scale = scale(length, self.count) / (127.0 * 127.0);
        self.sums[0] += self.open[0] as f32 * scale;
        self.sums[1] += self.open[1] as f32 * scale;
        (self.open, self.count) = ([0; 2], 0);
    }
}

impl Filed {
    /// Makes fitted weights small.
    pub(crate) fn of(fitted: &Fitted, (slope, shift): (f32, f32), threshold: f32) -> Self {
        let peak = fitted.sparse.iter().fold(1e-6_f32, |peak, weight| peak.max(weight.abs()));
        let head = Head {
            bias: fitted.bias * BIAS,
            slope,
            shift,
            threshold,
            peak,
            dense: fitted.dense.iter().map(|weight| weight * DENSE_SCALE).collect(),
        };
        Self { head, sparse: fitted.sparse.iter().map(|weight| shrink(*weight / peak)).collect() }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Head { bias, slope, shift, threshold, peak, dense } = &self.head;
        for value in [bias, slope, shift, threshold, peak].into_iter().chain(dense) {
            out.extend(value.to_le_bytes());
        }
        out.extend(self.sparse.iter().flat_map(|weight| weight.to_le_bytes()));
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = bytes;
        let mut next = || {
            let (value, left) = rest.split_first_chunk::<4>()?;
            rest = left;
            Some(f32::from_le_bytes(*value)).filter(|value| value.is_finite())
        };
        let (bias, slope, shift, threshold, peak) = (next()?, next()?, next()?, next()?, next()?);
        let dense = (0..DENSE).map(|_| next()).collect::<Option<Vec<f32>>>()?;
        let (sparse, rest) = rest.split_at_checked(1 << BUCKET_BITS)?;
        let sparse = sparse.iter().map(|byte| i8::from_le_bytes([*byte])).collect();
        Some((Self { head: Head { bias, slope, shift, threshold, peak, dense }, sparse }, rest))
    }
}

impl Head {
    /// Calibrated probability that the head's statement holds.
    fn probability(&self, dense: &[f32], pieces: f32) -> f32 {
        let dense: f32 = self.dense.iter().zip(dense).map(|(weight, value)| weight * value).sum();
        let odds = self.bias + dense + pieces * self.peak * SPARSE_SCALE;
        1.0 / (1.0 + (-(self.slope * odds + self.shift)).exp())
    }
}

impl Model {
    /// Reads a file of weights.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Error::Foreign)?;
        let (digest, rest) = rest.split_first_chunk::<DIGEST>().ok_or(Error::Foreign)?;
        let body = rest.strip_prefix(&layout()).ok_or(Error::OtherFeatures)?;
        if Sha256::digest(rest).get(..DIGEST) != Some(digest.as_slice()) {
            return Err(Error::Damaged);
        }
        let (any, rest) = Filed::read(body).ok_or(Error::Damaged)?;
        let (full, rest) = Filed::read(rest).ok_or(Error::Damaged)?;
        let places = any.sparse.iter().zip(&full.sparse).map(|(any, full)| [*any, *full]).collect();
        if rest.is_empty() { Ok(Self { any: any.head, full: full.head, places }) } else { Err(Error::Damaged) }
    }

    /// Something to weigh the pieces of one exchange with.
    pub(crate) fn weigh(&self) -> Weighed<'_> {
        Weighed { places: &self.places, open: [0; 2], count: 0, sums: [0.0; 2] }
    }

    /// How likely less was done than asked, and how likely it was refused.
    pub(crate) fn probabilities(&self, dense: &[f32], pieces: &Weighed<'_>) -> (f32, f32) {
        let [any, full] = pieces.sums;
        (self.any.probability(dense, any), self.full.probability(dense, full))
    }
}

/// Writes a file of weights.
pub(crate) fn write(any: &Filed, full: &Filed) -> Vec<u8> {
    let mut body = layout().to_vec();
    any.write(&mut body);
    full.write(&mut body);
    let mut out = MAGIC.to_vec();
    out.extend(Sha256::digest(&body).into_iter().take(DIGEST));
    out.extend(body);
    out
}

/// A weight between -1 and 1 in eight bits, finer near zero.
fn shrink(weight: f32) -> i8 {
    (weight.signum() * weight.abs().sqrt() * 127.0).round().clamp(-127.0, 127.0) as i8
}

/// What the weights were made for.
const fn layout() -> [u8; 6] {
    let dense = (DENSE as u16).to_le_bytes();
    [FEATURES, BUCKET_BITS as u8, dense[0], dense[1], 0, 0]
}

/// Raised whenever the meaning of a feature changes.
const FEATURES: u8 = 2;
const MAGIC: &[u8] = b"candor-verdict\n";
const DIGEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::features::Kept;
    use super::*;

    /// The smallest hash of a place.
    fn hash(place: u64) -> u64 {
        place << (64 - BUCKET_BITS)
    }

    fn head() -> Filed {
        let mut sparse = vec![0.0; 1 << BUCKET_BITS];
        sparse[7] = -2.0;
        sparse[8] = 0.01;
        Filed::of(&Fitted { bias: 0.5, dense: vec![0.25; DENSE], sparse }, (1.0, 0.0), 0.5)
    }

    #[test]
    fn weights_survive_their_file() {
        let model = Model::read(&write(&head(), &head())).unwrap();
        let mut pieces = model.weigh();
        [7, 8, 8, 9].iter().for_each(|place| pieces.add(hash(*place)));
        pieces.close(0.8);
        let (any, full) = model.probabilities(&vec![0.1; DENSE], &pieces);
        let odds = 0.5 + 0.25 * 0.1 * DENSE as f32 + SPARSE_SCALE * 0.4 * (-2.0 + 0.01 + 0.01);
        let expected = 1.0 / (1.0 + (-odds).exp());
        assert!((any - expected).abs() < 0.01 && any == full, "{any} {expected}");
    }

    #[test]
    fn what_is_weighed_is_what_was_trained_on() {
        let mut kept = Kept::default();
        let model = Model::read(&write(&head(), &head())).unwrap();
        let mut pieces = model.weigh();
        for hash in [7, 8, 7, 100].map(hash) {
            kept.add(hash);
            pieces.add(hash);
        }
        kept.close(0.5);
        pieces.close(0.5);
        assert_eq!(kept.sparse, [(7, 0.5), (8, 0.25), (100, 0.25)]);
        let expected = (-2.0 * 0.5 + 0.01 * 0.25) / 2.0;
        assert!((pieces.sums[0] - expected).abs() < 0.001, "{:?}", pieces.sums);
    }

    #[test]
    fn a_file_that_is_not_what_was_written_is_refused() {
        let good = write(&head(), &head());
        let check = |bytes: &[u8], expected: Error| assert_eq!(Model::read(bytes).err(), Some(expected));
        check(b"", Error::Foreign);
        check(b"candor-verdict\nshort", Error::Foreign);
        check(&good[..good.len() - 1], Error::Damaged);
        let mut other = good.clone();
        other[MAGIC.len() + DIGEST] ^= 1;
        check(&other, Error::OtherFeatures);
        let mut damaged = good;
        *damaged.last_mut().unwrap() ^= 1;
        check(&damaged, Error::Damaged);
    }
}
