-- +goose Up

-- Playback sessions that began before are revoked; milliseconds.
ALTER TABLE stream ADD COLUMN sessions_from BIGINT NOT NULL DEFAULT 0;
