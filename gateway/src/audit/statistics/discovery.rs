//! Which of many differences may be called one. It computes no p itself.

/// Benjamini & Hochberg's adjusted p (1995, J. Royal Statistical Society B 57:289; adjusted form as in Yekutieli & Benjamini,
/// 1999): those at most q, taken together, hold a share of false ones of at most q on average. In the order given.
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let n = p.len() as f64;
    let mut least = 1.0_f64;
    let mut adjusted = vec![1.0; p.len()];
    for (rank, place) in ascending(p).into_iter().enumerate().rev() {
        let value = p.get(place).copied().unwrap_or(1.0) * n / (rank as f64 + 1.0);
        least = least.min(value);
        if let Some(slot) = adjusted.get_mut(place) {
            *slot = least;
        }
    }
    adjusted
}

/// Holm's adjusted p (1979, Scandinavian J. Statistics 6:65): those at most a hold no false one at all but with probability a.
/// In the order given.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let n = p.len();
    let mut most = 0.0_f64;
    let mut adjusted = vec![1.0; n];
    for (rank, place) in ascending(p).into_iter().enumerate() {
        let value = p.get(place).copied().unwrap_or(1.0) * (n - rank) as f64;
        most = most.max(value).min(1.0);
        if let Some(slot) = adjusted.get_mut(place) {
            *slot = most;
        }
    }
    adjusted
}

/// Places of values, the least first.
fn ascending(p: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..p.len()).collect();
    let at = |place: &usize| p.get(*place).copied().unwrap_or(1.0);
    places.sort_by(|left, right| at(left).total_cmp(&at(right)));
    places
}
