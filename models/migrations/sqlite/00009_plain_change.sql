-- +goose Up

-- PostgreSQL has functions for what a plain statement has no words for; here every change is a transaction.
SELECT 1;
