-- +goose Up

-- Keys that tokens are sealed under. The one with the greatest id seals; the others
-- still open what they sealed.
CREATE TABLE sealing_key (
  id     BIGINT NOT NULL PRIMARY KEY,
  secret BYTEA  NOT NULL, -- AES-256-GCM under the wrapping key, the id as associated data
  made   BIGINT NOT NULL  -- milliseconds
);
