-- 0005 add audit: which exchanges were asked by which audit.
--
-- Why: every question of an audit is an ordinary exchange, judged and recorded like any other. The client says which run,
-- probe and sample it is in x-candor-audit (RUN/PROBE/SAMPLE); the begin keeps that, so that verdicts can be read back by
-- run, an audit that was killed finds what it has asked already, and live tables can leave audits out. The index holds only
-- exchanges of audits, in byte order, so that a run's are one range of it.
--
-- What it locks: record_begin and its partitions against everything for a moment (a column without a default, no rewrite),
-- then against inserts while the index is made, which reads each partition once. Begins wait in the spool meanwhile.

ALTER TABLE record_begin ADD COLUMN audit text;
COMMENT ON COLUMN record_begin.audit IS 'RUN/PROBE/SAMPLE of the audit that asked, as its client says in x-candor-audit';
CREATE INDEX record_begin_audit ON record_begin (audit COLLATE "C", occurred_at) WHERE audit IS NOT NULL;
