-- +goose Up

-- The change of a card is one plain statement where the session is the server's own, and swap_card where a pooler hands sessions on or the
-- tables are spread. What a statement has no words for is here: to write nothing at all after something was found in its way, and what
-- webhooks are to be sent, which the statement asks for only where a program has webhooks.
-- +goose StatementBegin
CREATE FUNCTION refuse_change(state text, about text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused' USING ERRCODE = state, TABLE = about;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION announce_events(card text, program text, first_seq bigint, event_ids text[], topics text[], at bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries (chain, endpoint_id, seq, event_id, state, attempts, due_at, created_at, first_at, done_at, status, failure)
        SELECT card, e.id, first_seq + t.place - 1, event_ids[t.place], 'pending', 0, at, at, 0, 0, 0, ''
        FROM unnest(topics) WITH ORDINALITY t(topic, place)
        JOIN webhook_endpoints e ON e.program_id IN ('', program) AND (e.body LIKE '%"' || t.topic || '"%' OR e.body LIKE '%"on *"%')
        WHERE t.topic <> '' ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;
-- +goose StatementEnd
