-- +goose Up

-- What a key is for, in its owner's words.
ALTER TABLE access_key ADD COLUMN note TEXT NOT NULL DEFAULT '';
