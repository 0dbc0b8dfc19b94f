-- +goose Up

-- Of one chain and webhook the first row that is pending goes before the others: whether one does is looked up here, and not among
-- all that was delivered already.
CREATE INDEX webhook_deliveries_first ON webhook_deliveries (chain, endpoint_id, seq) WHERE state = 'pending';
