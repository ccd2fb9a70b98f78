-- +goose Up

-- Limits that were set for an account (stream = 0) or for one stream. Rows of streams
-- that are gone may stay behind: numbers of streams are never used again.
CREATE TABLE override (
  account TEXT   NOT NULL,
  stream  BIGINT NOT NULL,
  name    TEXT   NOT NULL, -- of the limit
  value   TEXT   NOT NULL, -- as an operator writes it
  PRIMARY KEY (account, stream, name)
);
CREATE INDEX override_stream ON override (stream);
