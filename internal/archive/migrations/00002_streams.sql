-- +goose Up
CREATE TABLE streams (
    stream    INTEGER NOT NULL PRIMARY KEY,
    fragments BIGINT NOT NULL, -- rows of the stream in fragments
    bytes     BIGINT NOT NULL  -- their body bytes
);

INSERT INTO streams (stream, fragments, bytes)
    SELECT stream, COUNT(*), SUM(length) FROM fragments GROUP BY stream;

-- +goose Down
DROP TABLE streams;
