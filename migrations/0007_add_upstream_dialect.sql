-- 0007 add upstream dialect: an end says which wire format its upstream spoke.
--
-- Why: a begin says what the client spoke. Where an exchange was translated, what was sent and received is read in the
-- other's format, and whoever looks at it must know which. Null in rows from before, and where nobody answered.
--
-- What it locks: record_end and its partitions, exclusively for a moment; no row is rewritten.

ALTER TABLE record_end ADD COLUMN upstream_dialect text;
COMMENT ON COLUMN record_end.upstream_dialect IS 'The wire format that the upstream was spoken to in';

CREATE OR REPLACE VIEW record AS
SELECT b.exchange, b.occurred_at, b.accepted_at, b.dialect, b.caller, b.team, b.role, b.key_id, b.peer,
       b.client_request_id, b.model, b.streamed, b.snapshot, b.recording, b.request_bytes,
       b.preview AS prompt_preview, b.stream, b.sequence AS begin_sequence, e.sequence AS end_sequence, e.ended_at,
       e.ending, e.status, e.fault, e.upstream, e.upstream_model, e.upstream_reply_id, e.outcome, e.manners, e.language,
       e.confidence, e.decided_by, e.signal, e.detector, e.verdict_choice, e.finishes, e.findings, e.unkept_findings,
       e.action, e.prompt_tokens, e.completion_tokens, e.reasoning_tokens, e.cached_tokens, e.screened_us,
       e.first_byte_us, e.first_reasoning_us, e.first_answer_us, e.total_us, e.reply_bytes, e.unkept_bytes,
       e.unread_frames, e.preview AS answer_preview, e.review, e.written_tokens, e.cost_nanos, e.currency, e.price,
       e.cost_estimated, e.reasoning_us, e.reasoning_steps, e.reasoning_checks,
       b.subject, b.audit, e.upstream_dialect
FROM record_begin b
LEFT JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at;
