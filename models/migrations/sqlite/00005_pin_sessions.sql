-- +goose Up

-- token_hash and private_key are null before the link's secret was exchanged and after the session has ended.
CREATE TABLE pin_sessions (
    id             TEXT NOT NULL PRIMARY KEY,
    program_id     TEXT NOT NULL,
    card_id        TEXT NOT NULL REFERENCES cards (id),
    client_id      TEXT NOT NULL,
    action         TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    state          TEXT NOT NULL,
    secret_hash    BLOB NOT NULL,
    exchanges_left INTEGER NOT NULL CHECK (exchanges_left >= 0),
    token_hash     BLOB,
    private_key    BLOB,
    pin_version    INTEGER NOT NULL,
    created_at     DATETIME NOT NULL,
    expires_at     DATETIME NOT NULL CHECK (expires_at LIKE '%+00:00')
);
CREATE INDEX pin_sessions_by_expiry ON pin_sessions (expires_at);
