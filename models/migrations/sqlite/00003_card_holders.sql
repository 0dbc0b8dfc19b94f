-- +goose Up

-- Accosa asks who else has a customer id, a mobile number or a card profile. The program does not come
-- first: callers of the whole server seek without one.
CREATE INDEX cards_by_customer ON cards (customer_id, program_id, id);
CREATE INDEX cards_by_mobile ON cards (mobile_number, program_id, id);
CREATE INDEX cards_by_profile ON cards (card_profile_id, program_id, id);
