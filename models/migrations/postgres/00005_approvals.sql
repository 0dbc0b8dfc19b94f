-- +goose Up

-- Second clients' words on what is done with a card's PIN, sealed like sessions. A row authorizes only what the card's value, under the
-- card's seal, says of it: which rows are open, and which version of each. They are written in the statements of a transaction, not
-- by swap_card: there are few.
CREATE TABLE approvals (
    card_id    text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL,
    expires_at bigint NOT NULL,
    body       text NOT NULL,
    seal       bytea NOT NULL,
    PRIMARY KEY (card_id, id)
);
CREATE INDEX approvals_by_id ON approvals (id);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);
