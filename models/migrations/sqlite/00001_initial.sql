-- +goose Up

-- A time is text in UTC with a fraction of up to six digits and the zone +00:00, so that its order is
-- that of the text: '+' sorts before '.' and the digits. Where times are compared, a CHECK holds the
-- zone.
--
-- Two processes may migrate at once: each version is one transaction, and the index below makes it
-- fail in all of them but the first.
CREATE UNIQUE INDEX goose_db_version_once ON goose_db_version (version_id);

CREATE TABLE settings (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE programs (
    id                     TEXT NOT NULL PRIMARY KEY,
    name                   TEXT NOT NULL,
    min_pin_length         INTEGER NOT NULL,
    max_pin_length         INTEGER NOT NULL,
    try_limit              INTEGER NOT NULL,
    policy                 TEXT NOT NULL,
    retrieval_allowed      BOOLEAN NOT NULL,
    alias_capability       BOOLEAN NOT NULL,
    card_profile_mandatory BOOLEAN NOT NULL,
    c_plus                 BOOLEAN NOT NULL,
    time_zone              TEXT NOT NULL,
    frame_ancestors        TEXT,
    parent_origin          TEXT NOT NULL,
    branding               TEXT,
    languages              TEXT,
    version                INTEGER NOT NULL,
    created_at             DATETIME NOT NULL,
    updated_at             DATETIME NOT NULL
);

-- program_id is empty for a client of the whole server, revoked_at null while the client is active.
CREATE TABLE clients (
    id             TEXT NOT NULL PRIMARY KEY,
    program_id     TEXT NOT NULL,
    contract       TEXT NOT NULL,
    name           TEXT NOT NULL,
    secret_mac     BLOB NOT NULL,
    old_secret_mac BLOB,
    old_until      DATETIME,
    scopes         TEXT,
    settings       TEXT NOT NULL,
    version        INTEGER NOT NULL,
    created_at     DATETIME NOT NULL,
    revoked_at     DATETIME
);
CREATE INDEX clients_by_program ON clients (program_id, id);

CREATE TABLE cards (
    id                 TEXT NOT NULL PRIMARY KEY,
    program_id         TEXT NOT NULL REFERENCES programs (id),
    status             TEXT NOT NULL,
    upgrade_status     INTEGER NOT NULL,
    expiry             TEXT NOT NULL,
    sequence           TEXT NOT NULL,
    pan_ciphertext     BLOB,
    customer_reference TEXT NOT NULL,
    emboss_name        TEXT NOT NULL,
    customer_id        TEXT NOT NULL,
    mobile_number      TEXT NOT NULL,
    email_address      TEXT NOT NULL,
    card_profile_id    TEXT NOT NULL,
    program_code       TEXT NOT NULL,
    device_plan_code   TEXT NOT NULL,
    institution_code   TEXT NOT NULL,
    cardholder_id      TEXT NOT NULL,
    wallet_id          TEXT NOT NULL,
    version            INTEGER NOT NULL,
    created_at         DATETIME NOT NULL,
    updated_at         DATETIME NOT NULL
);
CREATE INDEX cards_by_program ON cards (program_id, id);

-- Within a program a value of a kind belongs to one card, but for aliases. The program comes last in
-- the indexes: callers of the whole server seek without one. A query must repeat the index's WHERE
-- word for word to be served by it.
CREATE TABLE card_references (
    card_id    TEXT NOT NULL REFERENCES cards (id),
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    program_id TEXT NOT NULL,
    PRIMARY KEY (card_id, kind, value)
);
CREATE UNIQUE INDEX card_references_unique ON card_references (kind, value, program_id) WHERE kind <> 'alias';
CREATE INDEX card_references_by_alias ON card_references (value, program_id) WHERE kind = 'alias';

CREATE TABLE pins (
    card_id    TEXT NOT NULL PRIMARY KEY REFERENCES cards (id),
    state      TEXT NOT NULL,
    verifier   BLOB,
    ciphertext BLOB,
    version    INTEGER NOT NULL,
    tries_left INTEGER NOT NULL CHECK (tries_left >= 0),
    takes      INTEGER NOT NULL CHECK (takes >= 0),
    changed_at DATETIME NOT NULL
);

CREATE TABLE pin_history (
    card_id  TEXT NOT NULL REFERENCES cards (id),
    version  INTEGER NOT NULL,
    verifier BLOB NOT NULL,
    PRIMARY KEY (card_id, version)
);

-- program_id is empty for a key that serves every program, retired_at null while the key may be used.
CREATE TABLE zone_keys (
    id          TEXT NOT NULL PRIMARY KEY,
    program_id  TEXT NOT NULL,
    usage       TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    wrapped     BLOB NOT NULL,
    check_value TEXT NOT NULL,
    version     INTEGER NOT NULL,
    created_at  DATETIME NOT NULL,
    retired_at  DATETIME
);

-- No foreign key: an event outlives what it is about.
CREATE TABLE audit_events (
    id          TEXT NOT NULL PRIMARY KEY,
    chain       TEXT NOT NULL,
    seq         INTEGER NOT NULL CHECK (seq >= 1),
    type        TEXT NOT NULL,
    program_id  TEXT NOT NULL,
    card_id     TEXT NOT NULL,
    subject     TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    at          DATETIME NOT NULL,
    contract    TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    remote_addr TEXT NOT NULL,
    trace_id    TEXT NOT NULL,
    description TEXT NOT NULL,
    updated_by  TEXT NOT NULL,
    mac         BLOB NOT NULL,
    UNIQUE (chain, seq)
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

CREATE TABLE replays (
    scope       TEXT NOT NULL,
    key         TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    done        BOOLEAN NOT NULL,
    result      BLOB,
    created_at  DATETIME NOT NULL,
    expires_at  DATETIME NOT NULL CHECK (expires_at LIKE '%+00:00'),
    PRIMARY KEY (scope, key)
);
CREATE INDEX replays_by_expiry ON replays (expires_at);
