-- +goose Up

-- All events in the order of their ids, and one by its id: what a SIEM is handed, what the feed of the whole server reads, and
-- what a proof is made of.
CREATE INDEX audit_events_by_id ON audit_events (id);
