-- 0008 order by time: fewer indexes on the way in, and a search that knows what it has not seen.
--
-- Why:
--   * Keys of records begin with their time: one index then finds an exchange (its time is in its id), walks back in time
--     for lists, and cuts out an hour for sums. Before, two indexes did that, and each row paid for both.
--   * Leaves that wait are kept as they came, a batch a row: the sealer takes them by batches, and a row and an index entry
--     for each leaf was a seventh of what storing a record costs.
--   * Texts are indexed in the order of the ledger instead of by whole days. The sealer gives numbers in the order of
--     commits, so that one number says exactly what is indexed: a record that came days late is above it, and so is
--     nothing that was seen. What is above it is little, and is read.
--
-- What it locks: the tables of records against everything while their keys are made again, which reads each of them
-- once (a few seconds per million records); records wait in the spool meanwhile. Texts are indexed again from the first.

DROP INDEX record_begin_time, record_end_time;
ALTER TABLE record_begin DROP CONSTRAINT record_begin_pkey;
ALTER TABLE record_begin ADD PRIMARY KEY (occurred_at, exchange);
ALTER TABLE record_end DROP CONSTRAINT record_end_pkey;
ALTER TABLE record_end ADD PRIMARY KEY (occurred_at, exchange);
ALTER TABLE search DROP CONSTRAINT search_pkey;
ALTER TABLE search ADD PRIMARY KEY (occurred_at, exchange);

ALTER TABLE pending ALTER COLUMN bytes TYPE bytea[] USING ARRAY[bytes];
ALTER TABLE pending RENAME COLUMN bytes TO leaves;
ALTER TABLE pending ADD COLUMN count integer NOT NULL DEFAULT 1;
ALTER TABLE pending ALTER COLUMN count DROP DEFAULT;
-- Mostly hashes, which nothing compresses.
ALTER TABLE pending ALTER COLUMN leaves SET STORAGE EXTERNAL;
ALTER TABLE pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
                         toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE pending IS 'Leaves that have no number yet, a batch a row';
COMMENT ON COLUMN pending.count IS 'How many leaves the row has';

DROP TABLE searchable;
CREATE TABLE searched (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    next   bigint  NOT NULL DEFAULT 0
);
COMMENT ON TABLE searched IS 'The first leaf whose record is not in search yet';
INSERT INTO searched DEFAULT VALUES;
