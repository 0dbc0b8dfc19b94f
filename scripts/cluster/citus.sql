-- Spreads PinVault's tables over the machines of a Citus cluster, all that belongs to a card by the card:
--
--     psql "$PINVAULT_DATABASE_URL" -v ON_ERROR_STOP=1 -f scripts/cluster/citus.sql
--
-- on the coordinator, once, between the first `pinvault migrate` and the first server: the extension is made
-- and its nodes are added before the migration, which then leaves out the triggers that Citus refuses. Servers find
-- out at start that the tables are spread. Which table is spread by what stands in models.Spread; a test
-- holds this file against it.

-- Cards, and what changes with a card. One operation writes to one card, so it is one machine's.
SELECT create_distributed_table('cards', 'id', colocate_with => 'none');
-- A card's chain of events has the card's id; those of programs and of the server stand somewhere among them.
SELECT create_distributed_table('audit_events', 'chain', colocate_with => 'cards');
SELECT create_distributed_table('pin_sessions', 'card_id', colocate_with => 'cards');
SELECT create_distributed_table('approvals', 'card_id', colocate_with => 'cards');
SELECT create_distributed_table('contract_records', 'card_id', colocate_with => 'cards');
-- What is to be sent of a card's events, so that it is written where the events are.
SELECT create_distributed_table('webhook_deliveries', 'chain', colocate_with => 'cards');

-- What is known before the card is, stands by itself: the card is found by two statements, and a change that
-- brings look-ups or the record of an idempotency key is a transaction of two machines.
SELECT create_distributed_table('card_lookup', 'value', colocate_with => 'none');
SELECT create_distributed_table('replays', 'id', colocate_with => 'none');

-- What clients do, counted: each statement is about one limit, or one client.
SELECT create_distributed_table('limit_leases', 'id', colocate_with => 'none');
SELECT create_distributed_table('limit_verifications', 'client_id', colocate_with => 'none');
SELECT create_distributed_table('limit_mismatches', 'client_id', colocate_with => 'none');

-- Small tables that seldom change are on every machine, so that a card meets its program there.
SELECT create_reference_table('programs');
SELECT create_reference_table('clients');
SELECT create_reference_table('zone_keys');
SELECT create_reference_table('webhook_endpoints');
SELECT create_reference_table('chains');
SELECT create_reference_table('sequences');
SELECT create_reference_table('settings');

-- The swap of a card runs whole on the card's machine: its first argument is the card. Within a transaction of
-- several statements (pin.Store's Locked) Citus runs it on the coordinator, and its statements where the
-- card is: the same, only slower.
-- It calls this one there, and readers of events ask the other of every machine.
SELECT create_distributed_function('admit_event(text)');
SELECT create_distributed_function('events_settled()');
SELECT create_distributed_function('swap_card(text,text,bigint,text,text,bytea,bigint,text[],text[],bytea[],jsonb,bigint)',
    'card', colocate_with => 'cards');
