-- +goose Up

-- PostgreSQL leaves room on pages for the next state of a session; there is no such setting here.
SELECT 1;
