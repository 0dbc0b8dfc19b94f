-- +goose Up

-- What clients do, counted. See the same file for PostgreSQL.
CREATE TABLE limit_leases (
    id        TEXT NOT NULL PRIMARY KEY,
    starts_at INTEGER NOT NULL,
    taken     INTEGER NOT NULL,
    granted   INTEGER NOT NULL
);

CREATE TABLE limit_verifications (
    client_id     TEXT NOT NULL,
    bin           TEXT NOT NULL,
    starts_at     INTEGER NOT NULL,
    verifications INTEGER NOT NULL,
    mismatches    INTEGER NOT NULL,
    PRIMARY KEY (client_id, bin, starts_at)
);
CREATE INDEX limit_verifications_by_time ON limit_verifications (starts_at);
CREATE TABLE limit_mismatches (
    client_id TEXT NOT NULL,
    bin       TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    card_id   TEXT NOT NULL,
    PRIMARY KEY (client_id, bin, starts_at, card_id)
);
CREATE INDEX limit_mismatches_by_time ON limit_mismatches (starts_at);
