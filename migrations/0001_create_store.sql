-- 0001 create store: everything that serving, shipping and looking at records needs.
--
-- Why these tables:
--   * Rows are only ever inserted. A begin frame is one row of record_begin, the end frame one row of record_end;
--     what is shown as a record is the two joined (view record). An update in place would cost a second version of
--     every wide row, would need a right that a writer of evidence should not have, and would hide an exchange whose
--     end never came.
--   * occurred_at is the time inside the exchange's id (UUID version 7), the same in every table. It is the partition
--     key, so an id alone leads to its partitions, begin and end meet in the same month, and retention drops whole
--     partitions.
--   * record_* are narrow and typed, by month. Raw bytes and texts are in payload, by day: they are large, are kept
--     for weeks instead of years, and can be erased alone. The gateway compresses them, so storage is EXTERNAL: out
--     of line, never compressed again. The texts of a reply are one payload part (`segments`, JSON); the prompt's are
--     read from the request's bytes when they are shown.
--   * There is no DEFAULT partition: it would take rows silently when partitions run out. The gateway makes
--     partitions ahead with make_partitions(); where one is missing, the spool holds the rows.
--   * stream.last_sequence moves in the transaction that inserts the rows: a frame is stored exactly once.
--   * Indexes are those that `records list` and `records show` use, and no more.
--
-- What it locks: nothing that exists; it only creates.

CREATE TABLE stream (
    stream        uuid        PRIMARY KEY,
    last_sequence bigint      NOT NULL DEFAULT 0,
    opened        timestamptz NOT NULL DEFAULT now(),
    heartbeat     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE stream IS 'One spool of one replica, and how much of it is stored';

CREATE TABLE caller_key (
    id      text        PRIMARY KEY,
    hash    bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    caller  text        NOT NULL,
    team    text,
    role    text,
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz,
    revoked timestamptz
);
COMMENT ON TABLE caller_key IS 'Keys of callers: SHA-256 of the key, never the key';

CREATE TABLE loss (
    stream      uuid        NOT NULL,
    sequence    bigint      NOT NULL,
    occurred_at timestamptz NOT NULL,
    count       bigint      NOT NULL,
    why         text        NOT NULL,
    PRIMARY KEY (stream, sequence)
);
COMMENT ON TABLE loss IS 'Frames that were lost, counted';

CREATE TABLE record_begin (
    exchange          uuid        NOT NULL,
    occurred_at       timestamptz NOT NULL,
    stream            uuid        NOT NULL,
    sequence          bigint      NOT NULL,
    accepted_at       timestamptz NOT NULL,
    dialect           text        NOT NULL,
    caller            text        NOT NULL,
    team              text,
    role              text,
    key_id            text,
    peer              text        NOT NULL,
    client_request_id text,
    model             text        NOT NULL,
    streamed          boolean     NOT NULL,
    snapshot          text        NOT NULL,
    recording         text        NOT NULL,
    request_bytes     bigint      NOT NULL,
    preview           text,
    PRIMARY KEY (exchange, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX record_begin_time ON record_begin (occurred_at);
CREATE INDEX record_begin_caller ON record_begin (caller, occurred_at);
CREATE INDEX record_begin_model ON record_begin (model, occurred_at);

CREATE TABLE record_end (
    exchange           uuid        NOT NULL,
    occurred_at        timestamptz NOT NULL,
    stream             uuid        NOT NULL,
    sequence           bigint      NOT NULL,
    ended_at           timestamptz NOT NULL,
    ending             text        NOT NULL,
    status             smallint,
    fault              text,
    upstream           text,
    upstream_model     text,
    upstream_reply_id  text,
    outcome            text,
    manners            text[]      NOT NULL DEFAULT '{}',
    language           text,
    confidence         real,
    decided_by         text,
    signal             text,
    detector           text,
    verdict_choice     bigint,
    finishes           text,
    findings           integer     NOT NULL DEFAULT 0,
    unkept_findings    bigint      NOT NULL DEFAULT 0,
    action             text,
    prompt_tokens      bigint,
    completion_tokens  bigint,
    reasoning_tokens   bigint,
    cached_tokens      bigint,
    screened_us        bigint,
    first_byte_us      bigint,
    first_reasoning_us bigint,
    first_answer_us    bigint,
    total_us           bigint,
    reply_bytes        bigint      NOT NULL DEFAULT 0,
    unkept_bytes       bigint      NOT NULL DEFAULT 0,
    unread_frames      bigint      NOT NULL DEFAULT 0,
    preview            text,
    PRIMARY KEY (exchange, occurred_at)
) PARTITION BY RANGE (occurred_at);
COMMENT ON COLUMN record_end.ending IS
    'How the exchange ended; crashed, abandoned or end_lost where it was closed afterwards, then without an outcome';
COMMENT ON COLUMN record_end.verdict_choice IS 'The choice that the verdict is about, where a reply has several';
COMMENT ON COLUMN record_end.unkept_findings IS 'Findings beyond those kept in finding';
COMMENT ON COLUMN record_end.unread_frames IS
    'Events of a stream that could not be read and passed unscreened, where no rule could have changed them';
CREATE INDEX record_end_time ON record_end (occurred_at);
CREATE INDEX record_end_upstream ON record_end (upstream, occurred_at);
CREATE INDEX record_end_outcome ON record_end (outcome, occurred_at) WHERE outcome <> 'complied';
CREATE INDEX record_end_ending ON record_end (ending, occurred_at) WHERE ending <> 'complete';
CREATE INDEX record_end_manners ON record_end (occurred_at) WHERE manners <> '{}';

CREATE TABLE finding (
    exchange    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    ordinal     integer     NOT NULL,
    rule        text        NOT NULL,
    pack        text        NOT NULL,
    topic       text,
    detector    text        NOT NULL,
    channel     text        NOT NULL,
    choice      bigint      NOT NULL,
    part        bigint      NOT NULL,
    span_start  bigint      NOT NULL,
    span_end    bigint      NOT NULL,
    action      text        NOT NULL,
    enforced    text        NOT NULL,
    severity    text        NOT NULL,
    PRIMARY KEY (exchange, occurred_at, ordinal)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX finding_rule ON finding (rule, occurred_at);
CREATE INDEX finding_action ON finding (action, occurred_at);
CREATE INDEX finding_topic ON finding (topic, occurred_at) WHERE topic IS NOT NULL;

CREATE TABLE evidence (
    exchange    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    ordinal     integer     NOT NULL,
    channel     text        NOT NULL,
    span_start  bigint      NOT NULL,
    span_end    bigint      NOT NULL,
    what        text        NOT NULL,
    PRIMARY KEY (exchange, occurred_at, ordinal)
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE evidence IS 'What the verdict in record_end rests on';

CREATE TABLE attempt (
    exchange    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    ordinal     integer     NOT NULL,
    upstream    text        NOT NULL,
    status      smallint,
    fault       text,
    took_us     bigint      NOT NULL,
    PRIMARY KEY (exchange, occurred_at, ordinal)
) PARTITION BY RANGE (occurred_at);

CREATE TABLE payload (
    exchange    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    part        text        NOT NULL,
    codec       text        NOT NULL,
    size        bigint      NOT NULL,
    bytes       bytea       NOT NULL,
    PRIMARY KEY (exchange, occurred_at, part)
) PARTITION BY RANGE (occurred_at);
ALTER TABLE payload ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON COLUMN payload.part IS
    'request, headers, sent, received, delivered (bytes) or segments (texts of the reply, JSON)';
COMMENT ON COLUMN payload.size IS 'Bytes before compression';

CREATE VIEW record AS
SELECT b.exchange, b.occurred_at, b.accepted_at, b.dialect, b.caller, b.team, b.role, b.key_id, b.peer,
       b.client_request_id, b.model, b.streamed, b.snapshot, b.recording, b.request_bytes,
       b.preview AS prompt_preview, b.stream, b.sequence AS begin_sequence, e.sequence AS end_sequence, e.ended_at,
       e.ending, e.status, e.fault, e.upstream, e.upstream_model, e.upstream_reply_id, e.outcome, e.manners, e.language,
       e.confidence, e.decided_by, e.signal, e.detector, e.verdict_choice, e.finishes, e.findings, e.unkept_findings,
       e.action, e.prompt_tokens, e.completion_tokens, e.reasoning_tokens, e.cached_tokens, e.screened_us,
       e.first_byte_us, e.first_reasoning_us, e.first_answer_us, e.total_us, e.reply_bytes, e.unkept_bytes,
       e.unread_frames, e.preview AS answer_preview
FROM record_begin b
LEFT JOIN record_end e ON e.exchange = b.exchange AND e.occurred_at = b.occurred_at;
COMMENT ON VIEW record IS 'One row per exchange; the columns of its end are null while it runs or if its end is lost';

-- Makes the partitions of these days and months, where they are missing.
--
-- A partition is made as a table of its own and then attached: that locks its parent against other changes of the
-- schema, never against reading or inserting. One session at a time does so, whatever the number of gateways.
CREATE FUNCTION make_partitions(days date[], months date[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wanted record;
BEGIN
    PERFORM pg_advisory_xact_lock(7164098310);
    FOR wanted IN
        SELECT parent, first, until, format('%s_%s', parent, to_char(first, pattern)) AS name
        FROM (
            SELECT DISTINCT parent, date_trunc('month', month)::date AS first,
                   (date_trunc('month', month) + interval '1 month')::date AS until, 'YYYY_MM' AS pattern
            FROM unnest(months) AS month,
                 unnest(ARRAY['record_begin', 'record_end', 'finding', 'evidence', 'attempt']) AS parent
            UNION
            SELECT 'payload', day, day + 1, 'YYYY_MM_DD' FROM unnest(days) AS day
        ) AS all_wanted
        ORDER BY 1, 2
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits WHERE inhparent = wanted.parent::regclass AND inhrelid = to_regclass(wanted.name)
        );
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE %I INCLUDING ALL)', wanted.name, wanted.parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', wanted.parent, wanted.name,
                       wanted.first::text || ' 00:00+00', wanted.until::text || ' 00:00+00');
    END LOOP;
END
$$;
