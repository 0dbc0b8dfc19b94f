-- +goose Up

-- Second clients' words on what is done with a card's PIN. See the same file for PostgreSQL.
CREATE TABLE approvals (
    card_id    TEXT NOT NULL,
    id         TEXT NOT NULL,
    program_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL,
    PRIMARY KEY (card_id, id)
);
CREATE INDEX approvals_by_id ON approvals (id);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);
