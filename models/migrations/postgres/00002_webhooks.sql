-- +goose Up

-- Where events are sent: a webhook, sealed like the rows of clients. program_id is empty for one of the whole server. What it wants
-- to hear of stands in its body, as texts that are no other text's part: "on pin.set", or "on *" for everything.
CREATE TABLE webhook_endpoints (
    id         text COLLATE "C" PRIMARY KEY,
    program_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL
);
CREATE INDEX webhook_endpoints_by_program ON webhook_endpoints (program_id, id);

-- What is to be sent to them, written with the event: one row for each webhook that wants it at that moment, so that no process
-- has to know of a webhook that another one has made. They say nothing that the event does not say, and so have no seal: what is sent is
-- read from the event, under its MAC.
--
-- A row is due from due_at on. Whoever takes it puts that off by as long as it may need, and counts the attempt: both are its lease.
-- Of one chain and webhook the first row that is pending goes before the others.
CREATE TABLE webhook_deliveries (
    chain       text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL, -- pending, delivered, parked
    attempts    bigint NOT NULL,
    due_at      bigint NOT NULL,
    created_at  bigint NOT NULL,
    first_at    bigint NOT NULL, -- of the first attempt, 0 before
    done_at     bigint NOT NULL, -- when it was delivered or parked, 0 before
    status      bigint NOT NULL, -- of the last reply, 0 without
    failure     text NOT NULL,   -- of the last attempt, as a word
    PRIMARY KEY (chain, endpoint_id, seq)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, event_id);
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (done_at) WHERE done_at > 0;

-- swap_card as before, and more may hold {"topics": [text or null for each event]}: what webhooks want the event by. A loop and single
-- inserts, since an INSERT … SELECT into a table that is spread would leave the card's machine.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION swap_card(card text, program text, from_revision bigint, next_details text, next_value text, next_seal bytea,
    first_seq bigint, event_ids text[], event_bodies text[], event_macs bytea[], more jsonb, at bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    r record;
    topic text;
BEGIN
    IF card IS NOT NULL THEN
        UPDATE cards SET revision = from_revision + 1, details = coalesce(next_details, details), value = next_value, seal = next_seal
            WHERE id = card AND revision = from_revision;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
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
    IF more IS NULL OR NOT more ?| ARRAY['replays', 'pin_sessions', 'contract_records', 'card_lookup'] THEN
        RETURN true;
    END IF;
    FOR r IN SELECT * FROM jsonb_populate_recordset(NULL::replays, more->'replays') LOOP
        INSERT INTO replays AS old (id, version, expires_at, body, seal) VALUES (r.id, r.version, r.expires_at, r.body, r.seal)
            ON CONFLICT (id) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body, seal = excluded.seal
            WHERE old.expires_at <= at;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'PV002', TABLE = 'replays';
        END IF;
    END LOOP;
    FOR r IN SELECT * FROM jsonb_populate_recordset(NULL::pin_sessions, more->'pin_sessions') LOOP
        IF r.version = 1 THEN
            INSERT INTO pin_sessions (card_id, id, program_id, version, expires_at, body, seal)
                VALUES (r.card_id, r.id, r.program_id, r.version, r.expires_at, r.body, r.seal) ON CONFLICT DO NOTHING;
        ELSE
            UPDATE pin_sessions s SET version = r.version, expires_at = r.expires_at, body = r.body, seal = r.seal
                WHERE s.card_id = r.card_id AND s.id = r.id AND s.version = r.version - 1;
        END IF;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'overtaken' USING ERRCODE = 'PV001', TABLE = 'pin_sessions';
        END IF;
    END LOOP;
    FOR r IN SELECT * FROM jsonb_populate_recordset(NULL::contract_records, more->'contract_records') LOOP
        INSERT INTO contract_records (card_id, id, program_id, version, body, seal)
            VALUES (r.card_id, r.id, r.program_id, r.version, r.body, r.seal) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'PV002', TABLE = 'contract_records';
        END IF;
    END LOOP;
    FOR r IN SELECT * FROM jsonb_populate_recordset(NULL::card_lookup, more->'card_lookup') LOOP
        INSERT INTO card_lookup (kind, value, program_id, slot, card_id)
            VALUES (r.kind, r.value, r.program_id, r.slot, r.card_id) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'duplicate' USING ERRCODE = 'PV002', TABLE = r.kind;
        END IF;
    END LOOP;
    RETURN true;
END
$$;
-- +goose StatementEnd
