-- 0006 show subject and audit: the view of an exchange says whom it is about and which audit asked it.
--
-- Why: both are found by commands, and whoever looks at one exchange must see them too. The view lists its columns, so that
-- a column of a table is not shown by accident.
--
-- What it locks: the view alone, for a moment.

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
       b.subject, b.audit
FROM record_begin b
LEFT JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at;
