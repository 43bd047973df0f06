//! What a caller may take: asked when it comes, when it is known what it asks for, and when it is known what it took.

use std::sync::Arc;

use http::HeaderMap;

use super::account::{Account, Outcome};
use crate::cost::{Cost, Currency, NANO};
use crate::exchange::{Request, Usage};
use crate::fault::Fault;
use crate::identify::Known;
use crate::limits::{Book, Denial, Hold, Moment};
use crate::snapshot::Snapshot;

/// Bytes of text in a token, roughly: what OpenAI's own limiter reckons with.
const BYTES_OF_A_TOKEN: u64 = 4;

/// Tokens of a completion that are set aside where the client names no bound.
const USUAL_COMPLETION: u64 = 1000;

/// Sets aside the tokens that a request may take, if its caller may ask for the model at all.
pub(super) fn ask(hold: &mut Hold, known: &Known, request: &Request, snapshot: &Snapshot) -> Result<(), Fault> {
    if !known.may_use(&request.model, &snapshot.config.teams) {
        let model: String = request.model.chars().take(200).collect();
        let message = format!("The model `{model}` is not among those that this key may use.");
        return Err(Fault::refused(403, "model_not_allowed", message).with_parameter("model"));
    }
    if request.dialect.counts_only() {
        return Ok(());
    }
    let prompt = tokens(request.raw.len());
    let completion = request.sampling.max_tokens.unwrap_or(USUAL_COMPLETION);
    let most = prompt.saturating_add(completion.saturating_mul(u64::from(request.choices)));
    hold.reserve(prompt, most, Moment::present()).map_err(|denial: Denial| denial.into())
}

/// Tells a caller what is left of its rates.
pub(super) fn tell(limits: &Arc<Book>, known: &Known, snapshot: &Snapshot, headers: &mut HeaderMap) {
    limits.standing(known.claims(&snapshot.config.teams), Moment::present()).write(headers);
}

impl Account {
    /// Counts what the exchange took against its caller's limits: what the upstream counted, or an estimate where it counted
    /// nothing, since leaving the count out must not make anything free.
    pub(super) fn settle(&mut self, outcome: &Outcome, cost: Option<&Cost>) {
        if !self.admission.hold.counts() {
            return;
        }
        let answered = self.upstream.is_some() && outcome.status < 400;
        let estimate = self.estimate(outcome);
        let (usage, snapshot) = (&self.seen.usage, &self.admission.snapshot);
        let counted = usage.prompt.zip(usage.completion).map(|(prompt, completion)| prompt.saturating_add(completion));
        let guessed = || estimate.prompt.unwrap_or(0).saturating_add(estimate.completion.unwrap_or(0));
        let tokens = counted.unwrap_or_else(|| if answered { guessed() } else { 0 });
        let guess = if cost.is_none() && answered { self.cost_of(&estimate) } else { None };
        let nanos = cost.or(guess.as_ref()).map_or(0, |cost| dollars(snapshot, cost));
        self.admission.hold.settle(tokens, nanos, Moment::present());
    }

    fn estimate(&self, outcome: &Outcome) -> Usage {
        let said: usize = outcome.segments.iter().map(|segment| segment.text.len()).sum();
        Usage { prompt: Some(tokens(self.asked)), completion: Some(tokens(said)), ..Usage::default() }
    }
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BYTES_OF_A_TOKEN)
}

/// A cost in billionths of a dollar, whatever it was billed in.
fn dollars(snapshot: &Snapshot, cost: &Cost) -> u64 {
    let nanos = cost.nanos.unsigned_abs();
    if cost.currency == Currency::USD {
        return nanos;
    }
    let rate = snapshot.config.exchange_rates.iter().find(|(currency, _)| *currency == cost.currency);
    let worth = u128::from(nanos) * u128::from(rate.map_or(NANO, |(_, rate)| *rate)) / u128::from(NANO);
    u64::try_from(worth).unwrap_or(u64::MAX)
}
