-- +goose Up

-- What the store remembers about itself: a text sealed under the wrapping key, to tell
-- whether the key file is the right one.
CREATE TABLE meta (
  name  TEXT  NOT NULL PRIMARY KEY,
  value BYTEA NOT NULL
);

-- Accounts. The first one (home = 1) was made by the first start.
CREATE TABLE account (
  id      TEXT   NOT NULL PRIMARY KEY, -- 12 digits
  home    BIGINT NOT NULL,
  created BIGINT NOT NULL
);

CREATE TABLE access_key (
  id      TEXT   NOT NULL PRIMARY KEY,
  account TEXT   NOT NULL REFERENCES account (id),
  root    BIGINT NOT NULL, -- 1: given out by the first start or by reset-root
  secret  BYTEA  NOT NULL, -- AES-256-GCM under the wrapping key, the id as associated data
  active  BIGINT NOT NULL,
  created BIGINT NOT NULL,
  used    BIGINT NOT NULL  -- 0: never; to the minute
);
CREATE INDEX access_key_account ON access_key (account);
