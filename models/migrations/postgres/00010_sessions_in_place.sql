-- +goose Up

-- A session's row changes two or three times, and its indexes hear of no change that stays on the row's page: so its pages are left with room.
ALTER TABLE pin_sessions SET (fillfactor = 50);
