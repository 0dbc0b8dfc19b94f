-- +goose Up

-- Any number of processes may migrate at once: each version is one transaction, and the index below
-- makes it fail in all of them but the first.
CREATE UNIQUE INDEX goose_db_version_once ON goose_db_version (version_id);

-- Identifiers are compared and ordered byte by byte (COLLATE "C"), as Go and SQLite do, whatever the
-- database's own collation: pages of a list continue after an id.

CREATE TABLE settings (
    key   text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE programs (
    id                     text COLLATE "C" PRIMARY KEY,
    name                   text NOT NULL,
    min_pin_length         integer NOT NULL,
    max_pin_length         integer NOT NULL,
    try_limit              integer NOT NULL,
    policy                 text NOT NULL,
    retrieval_allowed      boolean NOT NULL,
    alias_capability       boolean NOT NULL,
    card_profile_mandatory boolean NOT NULL,
    c_plus                 boolean NOT NULL,
    time_zone              text NOT NULL,
    frame_ancestors        jsonb,
    parent_origin          text NOT NULL,
    branding               jsonb,
    languages              jsonb,
    version                bigint NOT NULL,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL
);

-- program_id is empty for a client of the whole server, revoked_at null while the client is active.
CREATE TABLE clients (
    id             text COLLATE "C" PRIMARY KEY,
    program_id     text COLLATE "C" NOT NULL,
    contract       text NOT NULL,
    name           text NOT NULL,
    secret_mac     bytea NOT NULL,
    old_secret_mac bytea,
    old_until      timestamptz,
    scopes         jsonb,
    settings       jsonb NOT NULL,
    version        bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    revoked_at     timestamptz
);
CREATE INDEX clients_by_program ON clients (program_id, id);

CREATE TABLE cards (
    id                 text COLLATE "C" PRIMARY KEY,
    program_id         text COLLATE "C" NOT NULL REFERENCES programs (id),
    status             text NOT NULL,
    upgrade_status     integer NOT NULL,
    expiry             text NOT NULL,
    sequence           text NOT NULL,
    pan_ciphertext     bytea,
    customer_reference text NOT NULL,
    emboss_name        text NOT NULL,
    customer_id        text NOT NULL,
    mobile_number      text NOT NULL,
    email_address      text NOT NULL,
    card_profile_id    text NOT NULL,
    program_code       text NOT NULL,
    device_plan_code   text NOT NULL,
    institution_code   text NOT NULL,
    cardholder_id      text NOT NULL,
    wallet_id          text NOT NULL,
    version            bigint NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
CREATE INDEX cards_by_program ON cards (program_id, id);

-- Within a program a value of a kind belongs to one card, but for aliases. The program comes last in
-- the indexes: callers of the whole server seek without one. A query must repeat the index's WHERE
-- word for word to be served by it.
CREATE TABLE card_references (
    card_id    text COLLATE "C" NOT NULL REFERENCES cards (id),
    kind       text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (card_id, kind, value)
);
CREATE UNIQUE INDEX card_references_unique ON card_references (kind, value, program_id) WHERE kind <> 'alias';
CREATE INDEX card_references_by_alias ON card_references (value, program_id) WHERE kind = 'alias';

CREATE TABLE pins (
    card_id    text COLLATE "C" PRIMARY KEY REFERENCES cards (id),
    state      text NOT NULL,
    verifier   bytea,
    ciphertext bytea,
    version    bigint NOT NULL,
    tries_left integer NOT NULL CHECK (tries_left >= 0),
    takes      bigint NOT NULL CHECK (takes >= 0),
    changed_at timestamptz NOT NULL
);

CREATE TABLE pin_history (
    card_id  text COLLATE "C" NOT NULL REFERENCES cards (id),
    version  bigint NOT NULL,
    verifier bytea NOT NULL,
    PRIMARY KEY (card_id, version)
);

-- program_id is empty for a key that serves every program, retired_at null while the key may be used.
CREATE TABLE zone_keys (
    id          text COLLATE "C" PRIMARY KEY,
    program_id  text COLLATE "C" NOT NULL,
    usage       text NOT NULL,
    algorithm   text NOT NULL,
    wrapped     bytea NOT NULL,
    check_value text NOT NULL,
    version     integer NOT NULL,
    created_at  timestamptz NOT NULL,
    retired_at  timestamptz
);

-- No foreign key: an event outlives what it is about.
CREATE TABLE audit_events (
    id          text COLLATE "C" PRIMARY KEY,
    chain       text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL CHECK (seq >= 1),
    type        text NOT NULL,
    program_id  text COLLATE "C" NOT NULL,
    card_id     text NOT NULL,
    subject     text NOT NULL,
    outcome     text NOT NULL,
    at          timestamptz NOT NULL,
    contract    text NOT NULL,
    client_id   text NOT NULL,
    remote_addr text NOT NULL,
    trace_id    text NOT NULL,
    description text NOT NULL,
    updated_by  text NOT NULL,
    mac         bytea NOT NULL,
    UNIQUE (chain, seq)
);
CREATE INDEX audit_events_by_program ON audit_events (program_id, id);

-- +goose StatementBegin
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_events is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE TABLE replays (
    scope       text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    endpoint    text NOT NULL,
    fingerprint bytea NOT NULL,
    done        boolean NOT NULL,
    result      bytea,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX replays_by_expiry ON replays (expires_at);
