-- 0004 add cost and limits: what exchanges cost, how models thought, and what callers may take.
--
-- Why:
--   * What an exchange cost is part of what its end says: nano-units of a currency, and the price that it was computed
--     from, so that it can be computed again. It is null where the upstream counted no tokens: unknown, not nothing.
--   * How a model thought (time, steps, checks) is counted from texts that are erased sooner than their record.
--   * caller_key says what a key may ask for and how much of it; null is no limit. Budgets are nano-dollars.
--   * spent is how gateways that share a database tell each other what callers took: each writes sums of its own, by day,
--     and reads those of the others. Nothing is added in place by two, so nobody waits for anybody. Rows of a gateway that
--     is gone stay: they are what budgets are known from after a restart. A row is of a scope: a key, a caller or a team.
--
-- What it locks: record_end and its partitions, and caller_key, exclusively for a moment; no row is rewritten.

ALTER TABLE record_end
    ADD COLUMN written_tokens   bigint,
    ADD COLUMN cost_nanos       bigint,
    ADD COLUMN currency         text,
    ADD COLUMN price            text,
    ADD COLUMN cost_estimated   boolean,
    ADD COLUMN reasoning_us     bigint,
    ADD COLUMN reasoning_steps  bigint,
    ADD COLUMN reasoning_checks bigint;
COMMENT ON COLUMN record_end.written_tokens IS 'Prompt tokens that were written to a cache, among prompt_tokens';
COMMENT ON COLUMN record_end.cost_nanos IS 'Billionths of a unit of the currency; null where it is not known';
COMMENT ON COLUMN record_end.price IS 'The price that the cost was computed from, as the catalogue or the configuration names it';
COMMENT ON COLUMN record_end.cost_estimated IS 'Whether a rate was not known and a higher one stands in for it';
COMMENT ON COLUMN record_end.reasoning_us IS 'From the first text of reasoning to the first of the answer; of streams only';
COMMENT ON COLUMN record_end.reasoning_steps IS 'Sentences and lines of the reasoning';
COMMENT ON COLUMN record_end.reasoning_checks IS 'Those of them that check what came before';

ALTER TABLE caller_key
    ADD COLUMN models              text[],
    ADD COLUMN requests_per_minute bigint,
    ADD COLUMN tokens_per_minute   bigint,
    ADD COLUMN concurrency         bigint,
    ADD COLUMN budget_day          bigint,
    ADD COLUMN budget_month        bigint;
COMMENT ON COLUMN caller_key.models IS 'Names of models, a trailing * matches any suffix; null for all';
COMMENT ON COLUMN caller_key.budget_day IS 'Billionths of a dollar a day (UTC)';

CREATE TABLE spent (
    day      date        NOT NULL,
    scope    text        NOT NULL,
    replica  uuid        NOT NULL,
    requests bigint      NOT NULL,
    tokens   bigint      NOT NULL,
    nanos    bigint      NOT NULL,
    running  bigint      NOT NULL,
    told     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, scope, replica)
);
COMMENT ON TABLE spent IS 'What one gateway let a key, a caller or a team take in a day: sums, written by that gateway alone';
COMMENT ON COLUMN spent.nanos IS 'Billionths of a dollar';
COMMENT ON COLUMN spent.running IS 'Requests under way when it was last told';

CREATE OR REPLACE VIEW record AS
SELECT b.exchange, b.occurred_at, b.accepted_at, b.dialect, b.caller, b.team, b.role, b.key_id, b.peer,
       b.client_request_id, b.model, b.streamed, b.snapshot, b.recording, b.request_bytes,
       b.preview AS prompt_preview, b.stream, b.sequence AS begin_sequence, e.sequence AS end_sequence, e.ended_at,
       e.ending, e.status, e.fault, e.upstream, e.upstream_model, e.upstream_reply_id, e.outcome, e.manners, e.language,
       e.confidence, e.decided_by, e.signal, e.detector, e.verdict_choice, e.finishes, e.findings, e.unkept_findings,
       e.action, e.prompt_tokens, e.completion_tokens, e.reasoning_tokens, e.cached_tokens, e.screened_us,
       e.first_byte_us, e.first_reasoning_us, e.first_answer_us, e.total_us, e.reply_bytes, e.unkept_bytes,
       e.unread_frames, e.preview AS answer_preview, e.review, e.written_tokens, e.cost_nanos, e.currency, e.price,
       e.cost_estimated, e.reasoning_us, e.reasoning_steps, e.reasoning_checks
FROM record_begin b
LEFT JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at;
