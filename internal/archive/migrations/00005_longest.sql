-- +goose Up
ALTER TABLE streams ADD COLUMN longest BIGINT NOT NULL DEFAULT 0; -- no fragment that was counted here lasts longer, in milliseconds

UPDATE streams SET longest = (SELECT MAX(duration) FROM fragments WHERE fragments.stream = streams.stream) WHERE fragments > 0;

-- +goose Down
ALTER TABLE streams DROP COLUMN longest;
