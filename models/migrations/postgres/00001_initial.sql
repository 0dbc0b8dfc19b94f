-- +goose Up

-- What a row says stands in its body, as JSON, and under its seal, a MAC over the whole row. Beside it
-- stand only the columns that rows are found, ordered and swapped by; the seal covers them too.
--
-- Everything that belongs to a card has the card's id in its key, and no statement of the service touches
-- two cards, so that the tables can be spread over machines by card (scripts/cluster/citus.sql):
-- no foreign key, no sequence, no unique index without the column that its table would be spread by.
--
-- Identifiers are compared and ordered byte by byte (COLLATE "C"), as Go and SQLite do, whatever the
-- database's own collation: pages of a list continue after an id. Times are microseconds since 1970.

-- Any number of processes may migrate at once: each version is one transaction, and the index below
-- makes it fail in all of them but the first.
CREATE UNIQUE INDEX goose_db_version_once ON goose_db_version (version_id);

CREATE TABLE settings (
    key   text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE programs (
    id      text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    body    text NOT NULL,
    seal    bytea NOT NULL
);

-- program_id is empty for a client of the whole server.
CREATE TABLE clients (
    id         text COLLATE "C" PRIMARY KEY,
    program_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL
);
CREATE INDEX clients_by_program ON clients (program_id, id);

-- program_id is empty for a key that serves every program.
CREATE TABLE zone_keys (
    id         text COLLATE "C" PRIMARY KEY,
    program_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL
);

-- The newest event of each chain that is no card's. version is its place.
CREATE TABLE chains (
    id      text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    body    text NOT NULL,
    seal    bytea NOT NULL
);

-- Numbers that partners see; a process reserves a block of them at a time. program_id is empty for those
-- of callers of the whole server.
CREATE TABLE sequences (
    name       text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    last       bigint NOT NULL,
    PRIMARY KEY (name, program_id)
);

-- A card: details change seldom, value with each operation on its PIN. Pages are left with room, so that a
-- new revision stands beside the one before it and no index hears of it.
CREATE TABLE cards (
    id         text COLLATE "C" PRIMARY KEY,
    program_id text COLLATE "C" NOT NULL,
    revision   bigint NOT NULL,
    details    text NOT NULL,
    value      text NOT NULL,
    seal       bytea NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX cards_by_program ON cards (program_id, id);

-- What finds a card within its program, and a session or a contract's record its card. slot is the card's id
-- where several cards may share a value, otherwise empty. A PAN stands here as a keyed hash only.
CREATE TABLE card_lookup (
    kind       text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    slot       text COLLATE "C" NOT NULL,
    card_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, value, program_id, slot)
);

CREATE TABLE audit_events (
    chain      text COLLATE "C" NOT NULL,
    seq        bigint NOT NULL CHECK (seq >= 1),
    id         text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    body       text NOT NULL,
    mac        bytea NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_events_by_program ON audit_events (program_id, id);

CREATE TABLE pin_sessions (
    card_id    text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    expires_at bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL,
    PRIMARY KEY (card_id, id)
);
CREATE INDEX pin_sessions_by_expiry ON pin_sessions (expires_at);

-- What a contract keeps of an operation on a card. id begins with the contract's name.
CREATE TABLE contract_records (
    card_id    text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL,
    PRIMARY KEY (card_id, id)
);

-- id is a keyed hash of whose idempotency key it is and of the key.
CREATE TABLE replays (
    id         text COLLATE "C" PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL
);
CREATE INDEX replays_by_expiry ON replays (expires_at);

-- swap_card makes a change of one card in one round trip. It knows no rule: where the card is at the
-- revision that was read, the next value takes its place, and what comes with it is written. It returns
-- false, and nothing is written, where the card has moved on. card is null for replays that belong to none.
-- What else stands in the way undoes all:
-- SQLSTATE PV001 with the table that was overtaken, PV002 with the kind or table of a duplicate.
--
-- more holds what few changes bring: {"replays": [row], "pin_sessions": [row], "contract_records": [row],
-- "card_lookup": [row]}, rows as they are stored.
-- +goose StatementBegin
CREATE FUNCTION swap_card(card text, program text, from_revision bigint, next_details text, next_value text, next_seal bytea,
    first_seq bigint, event_ids text[], event_bodies text[], event_macs bytea[], more jsonb, at bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    r record;
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
    END LOOP;
    IF more IS NULL THEN
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

-- Append-only is held by the chains. The trigger keeps an operator's slip from breaking one, and stands
-- only where the engine takes triggers.
-- +goose StatementBegin
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
            FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
        CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
    END IF;
END
$$;
-- +goose StatementEnd
