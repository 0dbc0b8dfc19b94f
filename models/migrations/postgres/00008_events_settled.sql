-- +goose Up

-- Who reads events in the order of their ids, and goes on after the last one, must see each. So an event is let in only within five seconds
-- after its id was drawn (a UUIDv7), and its transaction holds a lock that says which second that was; as many as like hold it at once, and
-- nobody ever waits for it. It is the transaction's, through PREPARE TRANSACTION too, and is let go of once others see what was written.
-- The class of the locks is a number of our own. A transaction with several events says which is the oldest. SQLSTATE PV001: too late.
-- +goose StatementBegin
CREATE FUNCTION admit_event(id text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    drawn bigint; -- milliseconds since 1970
BEGIN
    IF id !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7' THEN
        RETURN;
    END IF;
    drawn := ('x' || substr(id, 1, 8) || substr(id, 10, 4))::bit(48)::bigint;
    PERFORM pg_advisory_xact_lock_shared((1347833428::bigint << 32) | (drawn / 1000));
    -- The lock before the time: who finds no lock knows that the time was later than theirs.
    IF drawn < extract(epoch FROM clock_timestamp()) * 1000 - 5000 THEN
        RAISE EXCEPTION 'overtaken' USING ERRCODE = 'PV001', TABLE = 'audit_events';
    END IF;
END
$$;
-- +goose StatementEnd

-- From which time on, in milliseconds since 1970, events may come yet that a statement after this one does not see: that of the oldest
-- that is being written, or six seconds ago.
-- +goose StatementBegin
CREATE FUNCTION events_settled() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000); -- before the look at the locks
BEGIN
    RETURN (SELECT least(now_ms - 6000, min(l.objid::bigint) * 1000) FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.classid = 1347833428 AND l.objsubid = 1
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()));
END
$$;
-- +goose StatementEnd

-- swap_card as before, and events are let in. What comes with a card is taken out of more member by member: to make records of it costs as
-- much as writing them, for tables of which nothing comes too.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION swap_card(card text, program text, from_revision bigint, next_details text, next_value text, next_seal bytea,
    first_seq bigint, event_ids text[], event_bodies text[], event_macs bytea[], more jsonb, at bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    r record;
    topic text;
    brought jsonb;
    one jsonb;
BEGIN
    IF card IS NOT NULL THEN
        UPDATE cards SET revision = from_revision + 1, details = coalesce(next_details, details), value = next_value, seal = next_seal
            WHERE id = card AND revision = from_revision;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    IF event_ids[1] IS NOT NULL THEN
        PERFORM admit_event(event_ids[1]);
    END IF;
    FOR i IN 1 .. coalesce(array_length(event_ids, 1), 0) LOOP
        INSERT INTO audit_events (chain, seq, id, program_id, body, mac)
            VALUES (card, first_seq + i - 1, event_ids[i], program, event_bodies[i], event_macs[i]);
        topic := more->'topics'->>(i - 1);
        CONTINUE WHEN topic IS NULL;
        FOR r IN SELECT e.id FROM webhook_endpoints e WHERE e.program_id IN ('', program)
            AND (e.body LIKE '%"' || topic || '"%' OR e.body LIKE '%"on *"%') LOOP
            INSERT INTO webhook_deliveries (chain, endpoint_id, seq, event_id, state, attempts, due_at, created_at, first_at, done_at, status, failure)
                VALUES (card, r.id, first_seq + i - 1, event_ids[i], 'pending', 0, at, at, 0, 0, 0, '') ON CONFLICT DO NOTHING;
        END LOOP;
    END LOOP;
    brought := more->'replays';
    FOR i IN 0 .. coalesce(jsonb_array_length(brought), 0) - 1 LOOP
        one := brought->i;
        INSERT INTO replays AS old (id, version, expires_at, body, seal)
            VALUES (one->>'id', (one->>'version')::bigint, (one->>'expires_at')::bigint, one->>'body', (one->>'seal')::bytea)
            ON CONFLICT (id) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body, seal = excluded.seal
            WHERE old.expires_at <= at;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'PV002', TABLE = 'replays';
        END IF;
    END LOOP;
    brought := more->'pin_sessions';
    FOR i IN 0 .. coalesce(jsonb_array_length(brought), 0) - 1 LOOP
        one := brought->i;
        IF (one->>'version')::bigint = 1 THEN
            INSERT INTO pin_sessions (card_id, id, program_id, version, expires_at, body, seal)
                VALUES (one->>'card_id', one->>'id', one->>'program_id', 1, (one->>'expires_at')::bigint, one->>'body', (one->>'seal')::bytea) ON CONFLICT DO NOTHING;
        ELSE
            UPDATE pin_sessions s SET version = (one->>'version')::bigint, expires_at = (one->>'expires_at')::bigint, body = one->>'body', seal = (one->>'seal')::bytea
                WHERE s.card_id = one->>'card_id' AND s.id = one->>'id' AND s.version = (one->>'version')::bigint - 1;
        END IF;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'overtaken' USING ERRCODE = 'PV001', TABLE = 'pin_sessions';
        END IF;
    END LOOP;
    brought := more->'contract_records';
    FOR i IN 0 .. coalesce(jsonb_array_length(brought), 0) - 1 LOOP
        one := brought->i;
        INSERT INTO contract_records (card_id, id, program_id, version, body, seal)
            VALUES (one->>'card_id', one->>'id', one->>'program_id', (one->>'version')::bigint, one->>'body', (one->>'seal')::bytea) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'PV002', TABLE = 'contract_records';
        END IF;
    END LOOP;
    brought := more->'card_lookup';
    FOR i IN 0 .. coalesce(jsonb_array_length(brought), 0) - 1 LOOP
        one := brought->i;
        INSERT INTO card_lookup (kind, value, program_id, slot, card_id)
            VALUES (one->>'kind', one->>'value', one->>'program_id', one->>'slot', one->>'card_id') ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'PV002', TABLE = one->>'kind';
        END IF;
    END LOOP;
    RETURN true;
END
$$;
-- +goose StatementEnd
