//! Every metric and attribute name that leaves the process, in one table. It measures nothing.
//!
//! GenAI names are those of the OpenTelemetry semantic conventions v1.41, the last released ones; their main branch
//! renames some. There is no convention for verdicts and policies, so those are ours.

/// Attributes of spans and OTLP metrics.
pub mod attribute {
    /// What was done: [`super::CHAT`].
    pub const OPERATION_NAME: &str = "gen_ai.operation.name";
    /// Who provides the model: the name of the upstream.
    pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
    /// The model asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// Whether a stream was asked for.
    pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
    /// The model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// The upstream's id of the reply.
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    /// Why the choices ended.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Seconds from the request to the first chunk.
    pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    /// Tokens of the prompt.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the completion.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Tokens of reasoning among the completion's.
    pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    /// Prompt tokens that came from a cache.
    pub const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// `input` or `output`.
    pub const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// What kind of failure ended it; absent on success.
    pub const ERROR_TYPE: &str = "error.type";
    /// The status that the client got.
    pub const STATUS: &str = "http.response.status_code";
    /// Our id of the exchange, which finds its record.
    pub const EXCHANGE_ID: &str = "candor.exchange.id";
    /// How the exchange ended.
    pub const ENDING: &str = "candor.ending";
    /// The verdict's outcome.
    pub const OUTCOME: &str = "candor.verdict.outcome";
    /// The verdict's manners.
    pub const MANNERS: &str = "candor.verdict.manners";
    /// Number of findings.
    pub const FINDINGS: &str = "candor.findings";
    /// The upstream that answered.
    pub const UPSTREAM: &str = "candor.upstream";
}

/// The value of [`attribute::OPERATION_NAME`].
pub const CHAT: &str = "chat";

/// OTLP metrics.
pub mod metric {
    /// Seconds of an exchange.
    pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
    /// Seconds to the first chunk.
    pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
    /// Tokens by type.
    pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
}

/// Prometheus metrics; the library adds `_total` to counters and the unit's name where one is given.
pub mod series {
    /// Exchanges that ended.
    pub const EXCHANGES: &str = "candor_exchanges";
    /// Requests turned away before their exchange was admitted.
    pub const REJECTED: &str = "candor_rejected";
    /// Findings of content rules.
    pub const FINDINGS: &str = "candor_findings";
    /// Manners of verdicts.
    pub const MANNERS: &str = "candor_verdict_manners";
    /// Rounds of the canary.
    pub const CANARY_ROUNDS: &str = "candor_canary_rounds";
    /// Rounds of the canary that came to nothing.
    pub const CANARY_FAILED: &str = "candor_canary_failed";
    /// Answers to the canary that were counted.
    pub const CANARY_ANSWERS: &str = "candor_canary_answers";
    /// Answers to the canary that were withheld.
    pub const CANARY_WITHHELD: &str = "candor_canary_withheld";
    /// Alerts of the canary.
    pub const CANARY_ALERTS: &str = "candor_canary_alerts";
    /// Exchanges that a judge model was, or was to be, asked about.
    pub const JUDGED: &str = "candor_judged";
    /// Time of whole exchanges.
    pub const DURATION: &str = "candor_exchange_duration";
    /// Time to the first byte of the upstream's reply.
    pub const FIRST_BYTE: &str = "candor_first_byte";
    /// Time to the first text of reasoning.
    pub const FIRST_REASONING: &str = "candor_first_reasoning";
    /// Time to the first text of the answer.
    pub const FIRST_ANSWER: &str = "candor_first_answer";
    /// Time until the request had been read and its prompt screened.
    pub const SCREENED: &str = "candor_prompt_screened";
    /// Tokens of an exchange, by kind.
    pub const TOKENS: &str = "candor_tokens";
    /// Cost of exchanges, in billionths of the currency.
    pub const COST: &str = "candor_cost_nanos";
    /// Exchanges whose cost is not known.
    pub const UNPRICED: &str = "candor_cost_unknown";
    /// Time from the first text of reasoning to the first of the answer.
    pub const REASONING_TIME: &str = "candor_reasoning";
    /// Tokens of reasoning a second.
    pub const REASONING_SPEED: &str = "candor_reasoning_tokens_per_second";
    /// Share of the steps of reasoning that check what came before.
    pub const REASONING_CHECKS: &str = "candor_reasoning_checks_ratio";
    /// Exchanges that run now.
    pub const RUNNING: &str = "candor_exchanges_running";
    /// Connections open now.
    pub const CONNECTIONS_OPEN: &str = "candor_connections_open";
    /// Connections accepted.
    pub const CONNECTIONS: &str = "candor_connections";
    /// Handshakes that failed.
    pub const HANDSHAKES_FAILED: &str = "candor_handshakes_failed";
    /// Connections closed for slow request heads.
    pub const CONNECTIONS_SLOW: &str = "candor_connections_slow";
    /// Connections closed for replies that were not taken.
    pub const CONNECTIONS_STALLED: &str = "candor_connections_stalled";
    /// Connections closed for floods of resets.
    pub const CONNECTIONS_FLOODED: &str = "candor_connections_flooded";
    /// Exchanges given a record slot.
    pub const RECORDS_ADMITTED: &str = "candor_records_admitted";
    /// Exchanges whose record is durable.
    pub const RECORDS_RECORDED: &str = "candor_records_recorded";
    /// Exchanges whose record is lost.
    pub const RECORDS_LOST: &str = "candor_records_lost";
    /// Exchanges whose record is under way.
    pub const RECORDS_OPEN: &str = "candor_records_open";
    /// Frames that the store has.
    pub const FRAMES_SHIPPED: &str = "candor_frames_shipped";
    /// Frames that wait for the store.
    pub const FRAMES_SPOOLED: &str = "candor_frames_spooled";
    /// Bytes of the spool.
    pub const SPOOL_BYTES: &str = "candor_spool_bytes";
    /// Leaves in the ledger's tree.
    pub const LEDGER_SEALED: &str = "candor_ledger_sealed";
    /// Leaves that wait for the sealer.
    pub const LEDGER_PENDING: &str = "candor_ledger_pending";
    /// Reloads of the configuration that came into force.
    pub const RELOADS_APPLIED: &str = "candor_reloads_applied";
    /// Reloads that were refused.
    pub const RELOADS_REFUSED: &str = "candor_reloads_refused";
}
