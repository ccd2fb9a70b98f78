-- +goose Up

-- How many holds a stream has: with one it cannot be deleted.
ALTER TABLE stream ADD COLUMN holds BIGINT NOT NULL DEFAULT 0;

INSERT INTO last_id (kind, value) VALUES ('hold', 0);
INSERT INTO last_id (kind, value) VALUES ('erasure', 0);

-- Fragments that must stay: those of a stream in a range of time, both ends inclusive.
CREATE TABLE hold (
  id      BIGINT NOT NULL PRIMARY KEY,
  stream  BIGINT NOT NULL REFERENCES stream (id),
  clock   TEXT   NOT NULL, -- server or producer
  since   BIGINT NOT NULL, -- milliseconds
  until   BIGINT NOT NULL,
  note    TEXT   NOT NULL,
  who     TEXT   NOT NULL, -- access key
  created BIGINT NOT NULL
);
CREATE INDEX hold_stream ON hold (stream, id);

-- What was removed by request. It outlives its stream, so it says what that was.
CREATE TABLE erasure (
  id        BIGINT NOT NULL PRIMARY KEY,
  stream    BIGINT NOT NULL,
  account   TEXT   NOT NULL,
  region    TEXT   NOT NULL,
  name      TEXT   NOT NULL,
  clock     TEXT   NOT NULL,
  since     BIGINT NOT NULL,
  until     BIGINT NOT NULL,
  who       TEXT   NOT NULL,
  created   BIGINT NOT NULL,
  through   BIGINT NOT NULL, -- fragments with a greater number are not meant
  fragments BIGINT NOT NULL, -- how many went
  bytes     BIGINT NOT NULL,
  done      BIGINT NOT NULL  -- 0: begun
);
CREATE INDEX erasure_account ON erasure (account, id);
CREATE INDEX erasure_stream ON erasure (stream, id);
