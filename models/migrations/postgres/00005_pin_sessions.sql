-- +goose Up

-- token_hash and private_key are null before the link's secret was exchanged and after the session has ended.
CREATE TABLE pin_sessions (
    id             text COLLATE "C" PRIMARY KEY,
    program_id     text COLLATE "C" NOT NULL,
    card_id        text COLLATE "C" NOT NULL REFERENCES cards (id),
    client_id      text COLLATE "C" NOT NULL,
    action         text NOT NULL,
    request_id     text NOT NULL,
    state          text NOT NULL,
    secret_hash    bytea NOT NULL,
    exchanges_left integer NOT NULL CHECK (exchanges_left >= 0),
    token_hash     bytea,
    private_key    bytea,
    pin_version    bigint NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL
);
CREATE INDEX pin_sessions_by_expiry ON pin_sessions (expires_at);
