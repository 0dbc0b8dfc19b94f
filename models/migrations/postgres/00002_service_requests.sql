-- +goose Up

-- Numbers that partners see. A sequence holds no lock until the transaction ends; a transaction that is
-- undone leaves a gap.
CREATE SEQUENCE service_request;
CREATE SEQUENCE accosa_ref;

CREATE TABLE service_requests (
    number       text COLLATE "C" PRIMARY KEY,
    program_id   text COLLATE "C" NOT NULL,
    card_id      text COLLATE "C" NOT NULL REFERENCES cards (id),
    client_id    text COLLATE "C" NOT NULL,
    contract     text NOT NULL,
    version      text NOT NULL,
    service_code text NOT NULL,
    notes        text NOT NULL,
    source       text NOT NULL,
    logged_at    timestamptz NOT NULL
);
