-- The index of the second form. Nothing is carried over: the index is derived, and the
-- start that follows reads all rows from the segments again.

-- +goose Up
DROP TABLE fragments;
DROP TABLE segments;
DROP TABLE streams;

CREATE TABLE segments (
    id        BIGINT  NOT NULL PRIMARY KEY, -- names the file
    salt      BIGINT  NOT NULL, -- as in the file's head: a file of the same name but another salt is not ours
    version   INTEGER NOT NULL,
    class     INTEGER NOT NULL, -- retention class
    tier      INTEGER NOT NULL, -- 0 hot, 1 warm
    created   BIGINT  NOT NULL, -- milliseconds
    length    BIGINT  NOT NULL, -- bytes whose fragments are all in this index; recovery starts here
    sealed    INTEGER NOT NULL, -- 1: the file will not grow
    warm      INTEGER NOT NULL, -- 1: the file is in the warm folder; 2 more: it may be in the other one, too
    live      BIGINT  NOT NULL, -- rows in fragments that point here
    bytes     BIGINT  NOT NULL, -- their records' bytes
    total     BIGINT  NOT NULL, -- bytes of all fragment records here, dead ones included
    longest   BIGINT  NOT NULL  -- no fragment here lasts longer, in milliseconds
);

CREATE TABLE fragments (
    stream   BIGINT NOT NULL,
    n        BIGINT NOT NULL, -- counter part of the fragment number
    server   BIGINT NOT NULL, -- server timestamp, milliseconds
    random   BIGINT NOT NULL, -- 28 random bits of the fragment number
    producer BIGINT NOT NULL, -- producer timestamp, milliseconds
    duration BIGINT NOT NULL, -- milliseconds
    size     BIGINT NOT NULL, -- bytes of metadata and media, as listed
    timecode BIGINT NOT NULL, -- of the cluster, as the producer wrote it
    segment  BIGINT NOT NULL, -- the record is there,
    position BIGINT NOT NULL, -- at this byte,
    length   BIGINT NOT NULL, -- this many bytes long,
    header   BIGINT NOT NULL, -- behind the header record at this byte
    live_seq BIGINT NOT NULL, -- dense number among those in order; 0 = came late
    changes       BIGINT NOT NULL, -- of codec private data so far
    server_gaps   BIGINT NOT NULL, -- between server times so far
    producer_gaps BIGINT NOT NULL, -- between producer times so far
    ms       BIGINT NOT NULL, -- milliseconds of media so far
    tracks   BYTEA  NOT NULL, -- per track: number, frames, bytes (unsigned varints), fingerprint (8)
    PRIMARY KEY (stream, n)
) WITHOUT ROWID; -- decision 10 says why

CREATE INDEX fragments_server ON fragments (stream, server, n);
CREATE INDEX fragments_producer ON fragments (stream, producer, n);

CREATE TABLE streams (
    stream    INTEGER NOT NULL PRIMARY KEY,
    fragments BIGINT NOT NULL, -- rows of the stream in fragments
    bytes     BIGINT NOT NULL  -- their records' bytes
);

-- One row: the rows that tombstones below this position name are gone.
CREATE TABLE journal (
    id       INTEGER NOT NULL PRIMARY KEY, -- 1
    salt     BIGINT  NOT NULL, -- of the file tombstones that position is in
    position BIGINT  NOT NULL
);

INSERT INTO journal (id, salt, position) VALUES (1, 0, 0);

-- +goose Down
DROP TABLE journal;
DROP TABLE streams;
DROP TABLE fragments;
DROP TABLE segments;
