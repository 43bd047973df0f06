//! Whether a model fits into memory, and how long a context and how many pages then remain. It allocates nothing.

use crate::Error;
use crate::pages::PAGE;

/// What a model asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Bytes of the weights, as stored.
    pub(crate) weights: u64,
    /// Bytes of one page of the cache.
    pub(crate) page: u64,
    /// The context that the model was made for.
    pub(crate) longest: usize,
    /// The context that is asked for; the longest that fits where not given.
    pub(crate) context: Option<usize>,
    /// Sequences that may run at once.
    pub(crate) sequences: usize,
}

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    /// Most tokens of one sequence.
    pub(crate) context: usize,
    /// Pages of all sequences together.
    pub(crate) pages: usize,
}

/// Kept for activations, tokenizer and the program itself.
pub(crate) const RESERVE: u64 = 200 << 20;

/// A context that is cut to less than this is of no use.
const LEAST: usize = 512;

/// Divides the available memory; `None` where that is not known.
pub(crate) fn fit(demand: Demand, available: Option<u64>) -> Result<Fit, Error> {
    let longest = demand.longest.min(demand.context.unwrap_or(usize::MAX));
    if longest < 2 {
        return Err(Error::Request("a context of at least 2 tokens is needed".to_owned()));
    }
    let wanted = pages_of(longest).saturating_mul(demand.sequences);
    let Some(available) = available else {
        return Ok(Fit { context: longest, pages: wanted });
    };
    let left = available.saturating_sub(demand.weights.saturating_add(RESERVE)) / demand.page.max(1);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let least = if demand.context.is_some() { longest } else { longest.min(LEAST) };
    if left < pages_of(least) {
        return Err(refusal(demand, least, available));
    }
    let context = longest.min((left - 1).saturating_mul(PAGE));
    Ok(Fit { context, pages: wanted.min(left) })
}

/// Pages of a sequence of this length and the token after it.
fn pages_of(context: usize) -> usize {
    context / PAGE + 1
}

fn refusal(demand: Demand, context: usize, available: u64) -> Error {
    let cache = pages_of(context) as u64 * demand.page;
    let needed = demand.weights + cache + RESERVE;
    Error::Model(format!(
        "the model does not fit: {} for weights + {} for a cache of {context} tokens ({} bytes each) + {} besides = {}, \
         but {} are available; use a smaller context, or the model in a smaller quantisation",
        shown(demand.weights),
        shown(cache),
        demand.page / PAGE as u64,
        shown(RESERVE),
        shown(needed),
        shown(available),
    ))
}

fn shown(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Bytes that this process may still use, by the system and by its control group, whichever is less.
pub(crate) fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let system = read("/proc/meminfo").and_then(|text| meminfo(&text));
    let number = |path: &str| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let group = || {
        let used = number("/sys/fs/cgroup/memory.current")?;
        // Cached files count as used, and give way.
        let cached = read("/sys/fs/cgroup/memory.stat").and_then(|text| cached(&text)).unwrap_or(0);
        Some(number("/sys/fs/cgroup/memory.max")?.saturating_sub(used.saturating_sub(cached)))
    };
    [system, group()].into_iter().flatten().min()
}

fn cached(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("file "))?.trim().parse().ok()
}

fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn memory_is_divided_between_weights_and_pages() {
        let demand = Demand { weights: 100 * MB, page: MB, longest: 4096, context: None, sequences: 4 };
        let fits = |demand: Demand, available: u64| fit(demand, Some(available * MB)).unwrap();
        assert_eq!(fit(demand, None).unwrap(), Fit { context: 4096, pages: 4 * 257 });
        assert_eq!(fits(demand, 10_000), Fit { context: 4096, pages: 4 * 257 });
        assert_eq!(fits(demand, 300 + 600), Fit { context: 4096, pages: 600 });
        // Less than one whole sequence: the context shrinks, unless it was asked for.
        assert_eq!(fits(demand, 300 + 101), Fit { context: 1600, pages: 101 });
        let fixed = Demand { context: Some(4096), ..demand };
        let refused = fit(fixed, Some(401 * MB)).unwrap_err().to_string();
        for part in
            ["105 MB for weights", "269 MB for a cache of 4096 tokens (65536 bytes each)", "420 MB are available"]
        {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(fit(demand, Some(90 * MB)).is_err());
        assert!(matches!(fit(Demand { context: Some(1), ..demand }, None), Err(Error::Request(_))));
    }

    #[test]
    fn available_memory_is_read_from_the_systems_table() {
        assert_eq!(meminfo("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(meminfo("MemTotal: 9 kB\n"), None);
        assert_eq!(cached("anon 1\nfile 77\nfile_mapped 5\n"), Some(77));
    }
}
