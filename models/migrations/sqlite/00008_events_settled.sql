-- +goose Up

-- PostgreSQL has functions that say which events can be read; here the one writer does.
SELECT 1;
