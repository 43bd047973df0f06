//! The trained weights as a file holds them, and what they say of one exchange. It trains nothing.

use sha2::{Digest as _, Sha256};

use super::features::{BUCKET_BITS, DENSE, Features};
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
}

/// The weights of one head.
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
    sparse: Vec<i8>,
}

impl Head {
    /// Makes fitted weights small.
    pub(crate) fn of(fitted: &Fitted, (slope, shift): (f32, f32), threshold: f32) -> Self {
        let peak = fitted.sparse.iter().fold(1e-6_f32, |peak, weight| peak.max(weight.abs()));
        Self {
            bias: fitted.bias * BIAS,
            slope,
            shift,
            threshold,
            peak,
            dense: fitted.dense.iter().map(|weight| weight * DENSE_SCALE).collect(),
            sparse: fitted.sparse.iter().map(|weight| shrink(*weight / peak)).collect(),
        }
    }

    /// Calibrated probability that the head's statement holds.
    pub(crate) fn probability(&self, features: &Features) -> f32 {
        let dense: f32 = self.dense.iter().zip(&features.dense).map(|(weight, value)| weight * value).sum();
        let weight = |place: u32| self.sparse.get(place as usize).map_or(0.0, |weight| grow(*weight));
        let sparse: f32 = features.sparse.iter().map(|(place, value)| weight(*place) * value).sum();
        let odds = self.bias + dense + sparse * self.peak * SPARSE_SCALE;
        1.0 / (1.0 + (-(self.slope * odds + self.shift)).exp())
    }

    fn write(&self, out: &mut Vec<u8>) {
        for value in [self.bias, self.slope, self.shift, self.threshold, self.peak].iter().chain(&self.dense) {
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
        Some((Self { bias, slope, shift, threshold, peak, dense, sparse }, rest))
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
        let (any, rest) = Head::read(body).ok_or(Error::Damaged)?;
        let (full, rest) = Head::read(rest).ok_or(Error::Damaged)?;
        if rest.is_empty() { Ok(Self { any, full }) } else { Err(Error::Damaged) }
    }

    /// Writes a file of weights.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut body = layout().to_vec();
        self.any.write(&mut body);
        self.full.write(&mut body);
        let mut out = MAGIC.to_vec();
        out.extend(Sha256::digest(&body).into_iter().take(DIGEST));
        out.extend(body);
        out
    }
}

/// A weight between -1 and 1 in eight bits, finer near zero.
fn shrink(weight: f32) -> i8 {
    (weight.signum() * weight.abs().sqrt() * 127.0).round().clamp(-127.0, 127.0) as i8
}

fn grow(weight: i8) -> f32 {
    let root = f32::from(weight) / 127.0;
    root * root.abs()
}

/// What the weights were made for.
const fn layout() -> [u8; 6] {
    let dense = (DENSE as u16).to_le_bytes();
    [FEATURES, BUCKET_BITS as u8, dense[0], dense[1], 0, 0]
}

/// Raised whenever the meaning of a feature changes.
const FEATURES: u8 = 1;
const MAGIC: &[u8] = b"candor-verdict\n";
const DIGEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut sparse = vec![0.0; 1 << BUCKET_BITS];
        sparse[7] = -2.0;
        sparse[8] = 0.01;
        Head::of(&Fitted { bias: 0.5, dense: vec![0.25; DENSE], sparse }, (1.0, 0.0), 0.5)
    }

    #[test]
    fn weights_survive_their_file() {
        let model = Model { any: head(), full: head() };
        let read = Model::read(&model.write()).unwrap();
        let features = Features { dense: vec![0.1; DENSE], sparse: vec![(7, 0.4), (8, 1.0)] };
        assert_eq!(read.any.probability(&features), model.any.probability(&features));
        let odds = 0.5 + 0.25 * 0.1 * DENSE as f32 + SPARSE_SCALE * (-2.0 * 0.4 + 0.01);
        let expected = 1.0 / (1.0 + (-odds).exp());
        assert!((model.any.probability(&features) - expected).abs() < 0.01);
    }

    #[test]
    fn a_file_that_is_not_what_was_written_is_refused() {
        let good = Model { any: head(), full: head() }.write();
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
