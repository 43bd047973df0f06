-- 0002 add ledger: what proves that records are whole and unchanged, and what may take them away.
--
-- Why these tables:
--   * A leaf is inserted into pending in the transaction that inserts its row. The sealer, whichever gateway it runs in,
--     moves leaves from there into leaf and gives them dense numbers, under an advisory lock and in one transaction: a
--     row committed late is sealed late, and nothing forks.
--   * ledger holds the right edge of the tree. node holds the roots of whole subtrees of 256, 65536 ... leaves, so that
--     any proof reads a few hundred rows at most. Leaves are never removed: they hold no text, only salted hashes.
--   * A row's salt stands in the row, a payload's beside the payload: erasing both leaves every proof valid.
--   * event holds what happened to records after they were stored: erasures, holds, retention, other keys and rules.
--     held are the exchanges that nothing may take away; payload_kept has their payloads once their day was dropped.
--   * document holds texts that records refer to by digest: the rules that were in force.
--
-- What it locks: each table that gets a column, exclusively but only for a moment; no row is rewritten. Rows from before
-- this step have no salt and no leaf.

ALTER TABLE stream ADD COLUMN closed timestamptz;
ALTER TABLE record_begin ADD COLUMN salt bytea;
ALTER TABLE record_begin ADD COLUMN subject text;
COMMENT ON COLUMN record_begin.subject IS 'Whom the exchange is about, as the client says in x-candor-subject: a tag, not a name';
CREATE INDEX record_begin_subject ON record_begin (subject, occurred_at) WHERE subject IS NOT NULL;
ALTER TABLE record_end ADD COLUMN salt bytea;
ALTER TABLE loss ADD COLUMN salt bytea;
ALTER TABLE payload ADD COLUMN salt bytea;
ALTER TABLE payload ADD COLUMN key_id text;
COMMENT ON COLUMN payload.key_id IS
    'The key that hides the bytes: nonce 12, AES-256-GCM, bound to exchange and part; null where they are not hidden';

CREATE TABLE ledger (
    single boolean     PRIMARY KEY DEFAULT true CHECK (single),
    log    uuid        NOT NULL,
    origin text        NOT NULL,
    made   timestamptz NOT NULL DEFAULT now(),
    size   bigint      NOT NULL DEFAULT 0,
    roots  bytea       NOT NULL DEFAULT ''
);
COMMENT ON TABLE ledger IS 'The tree over all leaves by its right edge: roots of its whole subtrees, largest first';
INSERT INTO ledger (log, origin) SELECT log, 'candor/' || log FROM gen_random_uuid() AS log;

CREATE TABLE pending (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bytes bytea  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE pending IS 'Leaves that have no number yet';

CREATE TABLE leaf (
    leaf_index bigint PRIMARY KEY,
    record     uuid   NOT NULL,
    bytes      bytea  NOT NULL
);
CREATE INDEX leaf_record ON leaf (record);

CREATE TABLE node (
    level      smallint NOT NULL,
    node_index bigint   NOT NULL,
    hash       bytea    NOT NULL,
    PRIMARY KEY (level, node_index)
);
COMMENT ON TABLE node IS 'Roots of the subtrees of 2^level leaves; levels 8, 16, 24 ... only';

CREATE TABLE checkpoint (
    size   bigint      NOT NULL,
    key    text        NOT NULL,
    note   text        NOT NULL,
    signed timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (size, key)
);
COMMENT ON TABLE checkpoint IS 'Signed heads of the tree, as c2sp.org/tlog-checkpoint has them';

CREATE TABLE signing_key (
    key   text        PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_key IS 'Public keys that gateways of this database have signed with';

CREATE TABLE event (
    id          uuid        PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    kind        text        NOT NULL,
    exchange    uuid,
    text        text        NOT NULL,
    salt        bytea       NOT NULL
);
CREATE INDEX event_kind ON event (kind, occurred_at);
CREATE INDEX event_exchange ON event (exchange) WHERE exchange IS NOT NULL;
COMMENT ON COLUMN event.text IS 'What happened, as the JSON that its leaf commits to';

CREATE TABLE held (
    exchange    uuid        PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    matter      text        NOT NULL,
    event       uuid        NOT NULL
);
CREATE INDEX held_time ON held (occurred_at);
CREATE INDEX held_matter ON held (matter);

CREATE TABLE payload_kept (LIKE payload INCLUDING ALL);
ALTER TABLE payload_kept ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE payload_kept IS 'Payloads whose day was dropped while something held them';

CREATE TABLE erasure (
    id          uuid        PRIMARY KEY,
    asked_by    text        NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    why         text        NOT NULL,
    exchanges   uuid[]      NOT NULL,
    approved_by text        CHECK (approved_by <> asked_by),
    done_at     timestamptz
);
COMMENT ON TABLE erasure IS 'Erasures that were asked for; where two persons are needed, the second is never the first';

CREATE TABLE document (
    digest text        PRIMARY KEY,
    name   text        NOT NULL,
    text   text        NOT NULL,
    since  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE document IS 'Texts that records refer to by digest';

-- Words of texts, by day, filled when a day is over: the way in of records never waits for an index.
CREATE TABLE search (
    exchange    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    words       text[]      NOT NULL,
    PRIMARY KEY (exchange, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX search_words ON search USING gin (words);
CREATE TABLE searchable (
    day       date        PRIMARY KEY,
    exchanges bigint      NOT NULL,
    indexed   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE searchable IS 'Days whose texts are all in search';

-- Makes the partition of search for one day, where it is missing.
CREATE FUNCTION make_search(day date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    name text := format('search_%s', to_char(day, 'YYYY_MM_DD'));
BEGIN
    PERFORM pg_advisory_xact_lock(7164098310);
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE search INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE search ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
                       day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
    END IF;
END
$$;

-- Drops one partition of a table of records, and nothing else.
CREATE FUNCTION drop_partition(name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_inherits
        WHERE inhrelid = to_regclass(name)
          AND inhparent IN ('payload'::regclass, 'record_begin'::regclass, 'record_end'::regclass,
                            'finding'::regclass, 'evidence'::regclass, 'attempt'::regclass, 'search'::regclass)
    ) THEN
        RAISE EXCEPTION 'no partition of records is named %', name;
    END IF;
    EXECUTE format('DROP TABLE %I', name);
END
$$;
