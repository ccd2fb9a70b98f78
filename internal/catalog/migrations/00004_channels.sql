-- +goose Up

-- Signaling channels. Their ids come from last_id 'stream', too: a number means one thing.
CREATE TABLE channel (
  id      BIGINT NOT NULL PRIMARY KEY,
  account TEXT   NOT NULL,
  region  TEXT   NOT NULL,
  name    TEXT   NOT NULL,
  created BIGINT NOT NULL, -- milliseconds, the code of the ARN
  version TEXT   NOT NULL,
  ttl     BIGINT NOT NULL, -- of messages, seconds
  tags    TEXT   NOT NULL, -- a JSON object
  storage BIGINT REFERENCES stream (id) -- that it stores to
);
CREATE UNIQUE INDEX channel_name ON channel (account, region, name);
CREATE UNIQUE INDEX channel_storage ON channel (storage);
CREATE INDEX channel_storing ON channel (account, region, storage);

-- When the last channel of a name was made that is gone, so that a name used again gets
-- another ARN.
CREATE TABLE deleted_channel (
  account TEXT   NOT NULL,
  region  TEXT   NOT NULL,
  name    TEXT   NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (account, region, name)
);
