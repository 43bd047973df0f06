//! What one record says of money and of thinking, in words. It prints nothing.

use std::time::Duration;

use crate::cost::write_nanos;
use crate::store::records::Record;
use crate::thinking::Thinking;

/// What an exchange cost, to the last digit.
pub(super) fn amount(record: &Record) -> Option<String> {
    let currency = record.currency.as_deref()?;
    Some(format!("{} {}", write_nanos(record.cost_nanos?), super::print::safe(currency)))
}

/// What an exchange cost, for lists: to a millionth, marked where it is an estimate.
pub(super) fn short(record: &Record) -> String {
    let (Some(nanos), Some(currency)) = (record.cost_nanos, record.currency.as_deref()) else { return "-".to_owned() };
    let mark = if record.cost_estimated == Some(true) { "~" } else { "" };
    format!("{mark}{} {}", micros(nanos), super::print::safe(currency))
}

/// Nano-units rounded to a millionth.
pub(super) fn micros(nanos: i64) -> String {
    write_nanos(nanos.saturating_add(if nanos < 0 { -500 } else { 500 }) / 1000 * 1000)
}

/// How the model thought.
pub(super) fn thinking(record: &Record) -> Option<Thinking> {
    let small = |count: Option<i64>| u32::try_from(count?).ok();
    let time = record.reasoning_us.and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros);
    Some(Thinking { time, steps: small(record.reasoning_steps)?, checks: small(record.reasoning_checks)? })
}
