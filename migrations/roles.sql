-- Roles with the least rights, for databases that several people can reach. Run by the owner of Candor's tables after
-- `candor migrate`, once and after each later migration:
--
--     psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f migrations/roles.sql
--
-- Then let the gateways' own user have the first two, and nobody else:
--
--     CREATE USER gateway PASSWORD '...' IN ROLE candor_writer, candor_sealer;
--
--   candor_writer   stores records: inserts only. It can neither change nor remove a record, a leaf or an event.
--   candor_sealer   numbers and signs leaves: it alone moves them out of pending.
--   candor_privacy  erases, holds, releases and drops what is too old; cannot insert or change a record's row.
--   candor_reader   looks at everything, payloads too, and leaves a mark of having looked; it may write decisions.
--   candor_auditor  as the reader, without payloads, previews and keys of callers: enough for `candor ledger status`.
--
-- `candor migrate` and `candor keys` are for the owner. Retention runs in the gateway only where its user has
-- candor_privacy too; otherwise `candor records retain` does it, run by somebody who has.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['candor_writer', 'candor_sealer', 'candor_privacy', 'candor_reader', 'candor_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
        EXECUTE format('GRANT SELECT ON migration TO %I', role);
    END LOOP;
END
$$;

-- Partitions are made and dropped by functions that run with the owner's rights and touch nothing else.
ALTER FUNCTION make_partitions(date[], date[]) SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION drop_partition(text) SECURITY DEFINER SET search_path = public, pg_temp;
ALTER FUNCTION make_search(date) SECURITY DEFINER SET search_path = public, pg_temp;
REVOKE EXECUTE ON FUNCTION make_partitions(date[], date[]), drop_partition(text), make_search(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_search(date) TO candor_writer;
GRANT EXECUTE ON FUNCTION make_partitions(date[], date[]) TO candor_writer, candor_privacy;
GRANT EXECUTE ON FUNCTION drop_partition(text) TO candor_privacy;

GRANT SELECT, INSERT ON record_begin, record_end, finding, evidence, attempt, payload, loss TO candor_writer;
GRANT SELECT, INSERT ON stream TO candor_writer;
GRANT UPDATE (last_sequence, heartbeat, closed) ON stream TO candor_writer;
GRANT INSERT ON pending, event, document TO candor_writer;
GRANT SELECT ON ledger, document, event, caller_key, payload_kept TO candor_writer;
GRANT SELECT, INSERT ON search TO candor_writer;
GRANT SELECT ON leaf, searched TO candor_writer;
GRANT UPDATE (next) ON searched TO candor_writer;
-- Sums of what callers took: each gateway writes its own, and old ones are of no use.
GRANT SELECT, INSERT, UPDATE, DELETE ON spent TO candor_writer;

GRANT SELECT, DELETE ON pending TO candor_sealer;
GRANT INSERT ON pending, event TO candor_sealer;
GRANT SELECT, INSERT ON leaf, node, checkpoint, signing_key TO candor_sealer;
GRANT SELECT ON ledger TO candor_sealer;
GRANT UPDATE (size, roots) ON ledger TO candor_sealer;

GRANT SELECT ON record_begin, record_end, finding, ledger, event TO candor_privacy;
GRANT UPDATE (preview) ON record_begin, record_end TO candor_privacy;
GRANT SELECT, DELETE ON payload TO candor_privacy;
GRANT SELECT, INSERT, DELETE ON payload_kept TO candor_privacy;
GRANT SELECT, INSERT, UPDATE, DELETE ON held TO candor_privacy;
GRANT SELECT, INSERT ON erasure TO candor_privacy;
GRANT UPDATE (approved_by, done_at) ON erasure TO candor_privacy;
GRANT INSERT ON pending, event TO candor_privacy;
GRANT SELECT, DELETE ON search TO candor_privacy;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO candor_reader;
REVOKE SELECT ON caller_key FROM candor_reader;
-- That somebody looked is written down before he sees anything.
GRANT INSERT ON pending, event TO candor_reader;

GRANT SELECT ON stream, ledger, pending, leaf, node, checkpoint, signing_key, event, held, erasure, loss, document
    TO candor_auditor;
GRANT SELECT (exchange, occurred_at, stream, sequence, accepted_at, dialect, team, model, streamed, snapshot, recording,
              request_bytes) ON record_begin TO candor_auditor;
GRANT SELECT (exchange, occurred_at, stream, sequence, ended_at, ending, status, upstream, upstream_model, outcome,
              manners, language, confidence, decided_by, detector, findings, action, total_us, prompt_tokens, completion_tokens, reasoning_tokens,
              cached_tokens, written_tokens, cost_nanos, currency, price, cost_estimated, reasoning_us, reasoning_steps,
              reasoning_checks) ON record_end
    TO candor_auditor;
