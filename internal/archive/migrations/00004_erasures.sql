-- +goose Up
ALTER TABLE journal ADD COLUMN erasures BIGINT NOT NULL DEFAULT 0; -- what erasures up to this id of the catalog meant is gone

-- +goose Down
ALTER TABLE journal DROP COLUMN erasures;
