-- +goose Up

-- What the catalog remembers about itself: the key that seals page tokens.
CREATE TABLE meta (
  name  TEXT  NOT NULL PRIMARY KEY,
  value BYTEA NOT NULL
);

-- The last stream id given. A row of its own, so that the id of a deleted stream is
-- never given again.
CREATE TABLE last_id (
  kind  TEXT   NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO last_id (kind, value) VALUES ('stream', 0);

-- Names are compared byte by byte (PostgreSQL: a database with collation C).
CREATE TABLE stream (
  id         BIGINT NOT NULL PRIMARY KEY,
  account    TEXT   NOT NULL,
  region     TEXT   NOT NULL,
  name       TEXT   NOT NULL,
  created    BIGINT NOT NULL, -- milliseconds, the code of the ARN
  version    TEXT   NOT NULL,
  revision   BIGINT NOT NULL, -- counts changes, orders them in memory
  retention  BIGINT NOT NULL, -- hours
  device     TEXT   NOT NULL,
  media_type TEXT   NOT NULL,
  kms_key    TEXT   NOT NULL,
  tier       TEXT   NOT NULL,
  tags       TEXT   NOT NULL  -- a JSON object
);
CREATE UNIQUE INDEX stream_name ON stream (account, region, name);

-- Fragment numbers up to reserved, and server times up to millis, may have been given.
CREATE TABLE numbering (
  stream   BIGINT NOT NULL PRIMARY KEY REFERENCES stream (id) ON DELETE CASCADE,
  reserved BIGINT NOT NULL,
  millis   BIGINT NOT NULL
);

-- Streams that are gone. Not purged: their media may still be there. Purged: kept one
-- per name, so that a name used again gets another ARN.
CREATE TABLE deleted (
  id      BIGINT NOT NULL PRIMARY KEY,
  account TEXT   NOT NULL,
  region  TEXT   NOT NULL,
  name    TEXT   NOT NULL,
  created BIGINT NOT NULL,
  purged  BIGINT NOT NULL
);
CREATE INDEX deleted_name ON deleted (account, region, name);
CREATE INDEX deleted_purged ON deleted (purged, id);
