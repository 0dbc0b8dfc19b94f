-- +goose Up

-- The comments of the same file for PostgreSQL say what the tables are for.
--
-- Two processes may migrate at once: each version is one transaction, and the index below makes it
-- fail in all of them but the first.
CREATE UNIQUE INDEX goose_db_version_once ON goose_db_version (version_id);

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE programs (
    id      TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    body    TEXT NOT NULL,
    seal    BLOB NOT NULL
);

CREATE TABLE clients (
    id         TEXT NOT NULL PRIMARY KEY,
    program_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL
);
CREATE INDEX clients_by_program ON clients (program_id, id);

CREATE TABLE zone_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    program_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL
);

CREATE TABLE chains (
    id      TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    body    TEXT NOT NULL,
    seal    BLOB NOT NULL
);

CREATE TABLE sequences (
    name       TEXT NOT NULL,
    program_id TEXT NOT NULL,
    last       INTEGER NOT NULL,
    PRIMARY KEY (name, program_id)
);

CREATE TABLE cards (
    id         TEXT NOT NULL PRIMARY KEY,
    program_id TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    details    TEXT NOT NULL,
    value      TEXT NOT NULL,
    seal       BLOB NOT NULL
);
CREATE INDEX cards_by_program ON cards (program_id, id);

CREATE TABLE card_lookup (
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    program_id TEXT NOT NULL,
    slot       TEXT NOT NULL,
    card_id    TEXT NOT NULL,
    PRIMARY KEY (kind, value, program_id, slot)
) WITHOUT ROWID;

CREATE TABLE audit_events (
    chain      TEXT NOT NULL,
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    id         TEXT NOT NULL,
    program_id TEXT NOT NULL,
    body       TEXT NOT NULL,
    mac        BLOB NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_events_by_program ON audit_events (program_id, id);

-- +goose StatementBegin
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit_events is append-only');
END;
-- +goose StatementEnd

CREATE TABLE pin_sessions (
    card_id    TEXT NOT NULL,
    id         TEXT NOT NULL,
    program_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL,
    PRIMARY KEY (card_id, id)
);
CREATE INDEX pin_sessions_by_expiry ON pin_sessions (expires_at);

CREATE TABLE contract_records (
    card_id    TEXT NOT NULL,
    id         TEXT NOT NULL,
    program_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL,
    PRIMARY KEY (card_id, id)
);

CREATE TABLE replays (
    id         TEXT NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL
);
CREATE INDEX replays_by_expiry ON replays (expires_at);
