-- +goose Up

-- Where events are sent, and what is to be sent to them. See the same file for PostgreSQL.
CREATE TABLE webhook_endpoints (
    id         TEXT NOT NULL PRIMARY KEY,
    program_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT NOT NULL,
    seal       BLOB NOT NULL
);
CREATE INDEX webhook_endpoints_by_program ON webhook_endpoints (program_id, id);

CREATE TABLE webhook_deliveries (
    chain       TEXT NOT NULL,
    endpoint_id TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    event_id    TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    first_at    INTEGER NOT NULL,
    done_at     INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    failure     TEXT NOT NULL,
    PRIMARY KEY (chain, endpoint_id, seq)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, event_id);
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (done_at) WHERE done_at > 0;
