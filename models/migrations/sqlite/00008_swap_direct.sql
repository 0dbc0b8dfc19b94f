-- +goose Up

-- PostgreSQL's swap_card, which there is not here.
SELECT 1;
