-- 0003 add review: which exchanges a person must look at.
--
-- Why: a rule may demand a review (`review: true`). The demand is part of what an exchange's end says, so it is a column
-- of record_end, set when the row is inserted and never changed: `pending` means that a review was demanded. Rows of
-- decisions, where there are some, take an exchange off the queue; they do not touch this one.
--
-- The index holds only exchanges that wait, by time: the queue is listed from it, newest first, and it costs nothing for
-- the others.
--
-- What it locks: record_end and its partitions against everything for a moment (a column without a default, no rewrite),
-- then against inserts while the index is made, which reads each partition once. Ends wait in the spool meanwhile.

ALTER TABLE record_end ADD COLUMN review text CHECK (review = 'pending');
COMMENT ON COLUMN record_end.review IS 'pending where a rule demanded that a person look at the exchange';
CREATE INDEX record_end_review ON record_end (occurred_at) WHERE review IS NOT NULL;

CREATE OR REPLACE VIEW record AS
SELECT b.exchange, b.occurred_at, b.accepted_at, b.dialect, b.caller, b.team, b.role, b.key_id, b.peer,
       b.client_request_id, b.model, b.streamed, b.snapshot, b.recording, b.request_bytes,
       b.preview AS prompt_preview, b.stream, b.sequence AS begin_sequence, e.sequence AS end_sequence, e.ended_at,
       e.ending, e.status, e.fault, e.upstream, e.upstream_model, e.upstream_reply_id, e.outcome, e.manners, e.language,
       e.confidence, e.decided_by, e.signal, e.detector, e.verdict_choice, e.finishes, e.findings, e.unkept_findings,
       e.action, e.prompt_tokens, e.completion_tokens, e.reasoning_tokens, e.cached_tokens, e.screened_us,
       e.first_byte_us, e.first_reasoning_us, e.first_answer_us, e.total_us, e.reply_bytes, e.unkept_bytes,
       e.unread_frames, e.preview AS answer_preview, e.review
FROM record_begin b
LEFT JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at;
