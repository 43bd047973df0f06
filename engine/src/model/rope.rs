//! Rotary positions: the angles of a step's rows, with the scalings that checkpoints ask for. It turns nothing itself.

use std::f64::consts::PI;

use super::Row;
use super::config::{RopeConfig, Scaling, Yarn};

/// The angles per position.
#[derive(Debug, Clone)]
pub(crate) struct Rope {
    frequencies: Vec<f32>,
    magnitude: f32,
}

/// Cosines and sines of a step's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
}

impl Turns {
    /// The cosines and sines of one row.
    pub(crate) fn of(&self, row: usize) -> (&[f32], &[f32]) {
        let range = row * self.half..(row + 1) * self.half;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

impl Rope {
    /// Prepares the angles for heads of `width` turned values.
    pub(crate) fn new(config: &RopeConfig, width: usize) -> Self {
        let plain = |index: usize| config.theta.powf(-2.0 * index as f64 / width as f64);
        let frequency = |index: usize| match &config.scaling {
            Scaling::None => plain(index),
            Scaling::Linear { factor } => plain(index) / factor,
            Scaling::Llama3 { factor, low, high, original } => llama3(plain(index), *factor, (*low, *high), *original),
            Scaling::Yarn(yarn) => yarn.frequency(plain(index), index, width, config.theta),
            Scaling::Divided(divisors) => plain(index) / f64::from(divisors[index]),
        };
        let magnitude = match &config.scaling {
            Scaling::Yarn(yarn) => yarn.magnitude(),
            _ => 1.0,
        };
        Self { frequencies: (0..width / 2).map(|index| frequency(index) as f32).collect(), magnitude: magnitude as f32 }
    }

    /// The cosines and sines for the rows of one step.
    pub(crate) fn turns(&self, rows: &[Row]) -> Turns {
        let half = self.frequencies.len();
        let mut turns = Turns { half, ..Turns::default() };
        turns.cosines.reserve(rows.len() * half);
        turns.sines.reserve(rows.len() * half);
        for row in rows {
            for frequency in &self.frequencies {
                // The angle is rounded to 32 bits as in the training code; its sine is not.
                let angle = f64::from(row.position as f32 * frequency);
                turns.cosines.push(angle.cos() as f32 * self.magnitude);
                turns.sines.push(angle.sin() as f32 * self.magnitude);
            }
        }
        turns
    }
}

fn llama3(frequency: f64, factor: f64, (low, high): (f64, f64), original: f64) -> f64 {
    let turns = original * frequency / (2.0 * PI);
    if turns < low {
        frequency / factor
    } else if turns > high {
        frequency
    } else {
        let smooth = (turns - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

impl Yarn {
    fn frequency(&self, plain: f64, index: usize, width: usize, theta: f64) -> f64 {
        let dimension = |turns: f64| width as f64 * (self.original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (dimension(self.fast), dimension(self.slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(width as f64 - 1.0));
        if low == high {
            high += 0.001;
        }
        let stretched = ((index as f64 - low) / (high - low)).clamp(0.0, 1.0);
        plain / self.factor * stretched + plain * (1.0 - stretched)
    }

    /// What cosines and sines are multiplied with.
    fn magnitude(&self) -> f64 {
        if let Some(magnitude) = self.attention_factor {
            return magnitude;
        }
        match (self.mscale, self.mscale_all_dim) {
            (Some(mscale), Some(all)) => growth(self.factor, mscale) / growth(self.factor, all),
            _ => growth(self.factor, 1.0),
        }
    }

    /// What DeepSeek's attention multiplies its scale with.
    pub(crate) fn attention_scale(&self) -> f64 {
        self.mscale_all_dim.map_or(1.0, |all| growth(self.factor, all).powi(2))
    }
}

fn growth(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deepseek_scales_attention_as_published() {
        let yarn = |all| Yarn {
            factor: 40.0,
            original: 4096.0,
            fast: 32.0,
            slow: 1.0,
            truncate: true,
            mscale: Some(all),
            mscale_all_dim: Some(all),
            attention_factor: None,
        };
        assert!((yarn(1.0).attention_scale() / 192f64.sqrt() - 0.135_234).abs() < 1e-6);
        assert!((yarn(0.707).attention_scale() / 192f64.sqrt() - 0.114_721).abs() < 1e-6);
        assert_eq!(yarn(1.0).magnitude(), 1.0);
    }
}
