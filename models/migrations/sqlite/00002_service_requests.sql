-- +goose Up

-- Numbers that partners see: last is the one given out last. PostgreSQL has sequences for this.
CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
);
INSERT INTO sequences (name, last) VALUES ('service_request', 0), ('accosa_ref', 0);

CREATE TABLE service_requests (
    number       TEXT NOT NULL PRIMARY KEY,
    program_id   TEXT NOT NULL,
    card_id      TEXT NOT NULL REFERENCES cards (id),
    client_id    TEXT NOT NULL,
    contract     TEXT NOT NULL,
    version      TEXT NOT NULL,
    service_code TEXT NOT NULL,
    notes        TEXT NOT NULL,
    source       TEXT NOT NULL,
    logged_at    DATETIME NOT NULL
);
