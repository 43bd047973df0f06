//! What an exchange cost and how its model thought, as the JSON part of an end has it.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::cost::{Cost, Currency};
use crate::thinking::Thinking;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CostMeta<'a> {
    nanos: i64,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    price: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

impl<'a> CostMeta<'a> {
    pub(super) fn of(cost: &'a Cost) -> Self {
        Self {
            nanos: cost.nanos,
            currency: cost.currency.name().into(),
            price: (*cost.price).into(),
            estimated: cost.estimated,
        }
    }

    pub(super) fn restore(self) -> Result<Cost, Error> {
        let currency = Currency::read(&self.currency).ok_or(Error::Name)?;
        Ok(Cost { nanos: self.nanos, currency, price: self.price.into(), estimated: self.estimated })
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ThinkingMeta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    steps: u64,
    checks: u64,
}

impl ThinkingMeta {
    pub(super) fn of(thinking: &Thinking) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { time: thinking.time.map(nanoseconds), steps: thinking.steps.into(), checks: thinking.checks.into() }
    }

    pub(super) fn restore(self) -> Result<Thinking, Error> {
        let small = |count: u64| u32::try_from(count).map_err(|_| Error::Meta);
        let time = self.time.map(Duration::from_nanos);
        Ok(Thinking { time, steps: small(self.steps)?, checks: small(self.checks)? })
    }
}
