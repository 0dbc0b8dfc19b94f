-- +goose Up

-- What clients do, counted over all processes. Nothing here is sealed: whoever may write to the database needs no limit to be
-- raised, and what a limit is stands under the client's seal.
--
-- The window of a limit that is under way. A process takes some of it at a time and counts by itself until that is used up; what a
-- process leaves is lost. id is the limit and whom it is of, starts_at in microseconds since 1970 by the clock of the
-- database, taken is of this window, and granted what the newest statement took.
CREATE TABLE limit_leases (
    id        text COLLATE "C" PRIMARY KEY,
    starts_at bigint NOT NULL,
    taken     bigint NOT NULL,
    granted   bigint NOT NULL
);

-- PIN verifications of a client and BIN in a minute, and which cards had a mismatch, for the alarm. bin is the first six digits.
CREATE TABLE limit_verifications (
    client_id     text COLLATE "C" NOT NULL,
    bin           text COLLATE "C" NOT NULL,
    starts_at     bigint NOT NULL,
    verifications bigint NOT NULL,
    mismatches    bigint NOT NULL,
    PRIMARY KEY (client_id, bin, starts_at)
);
CREATE INDEX limit_verifications_by_time ON limit_verifications (starts_at);
CREATE TABLE limit_mismatches (
    client_id text COLLATE "C" NOT NULL,
    bin       text COLLATE "C" NOT NULL,
    starts_at bigint NOT NULL,
    card_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (client_id, bin, starts_at, card_id)
);
CREATE INDEX limit_mismatches_by_time ON limit_mismatches (starts_at);
