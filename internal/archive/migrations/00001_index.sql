-- +goose Up
CREATE TABLE segments (
    id        BIGINT  NOT NULL PRIMARY KEY, -- names the file
    salt      BIGINT  NOT NULL, -- as in the file's header: a file of the same name but another salt is not ours
    class     INTEGER NOT NULL, -- retention class
    created   BIGINT  NOT NULL, -- milliseconds
    length    BIGINT  NOT NULL, -- bytes whose fragments are all in this index; recovery starts here
    sealed    INTEGER NOT NULL, -- 1: the file will not grow
    live      BIGINT  NOT NULL, -- rows in fragments that point here
    bytes     BIGINT  NOT NULL, -- their body bytes
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
    length   BIGINT NOT NULL, -- with a body of this many bytes,
    header   BIGINT NOT NULL, -- behind the header record at this byte
    PRIMARY KEY (stream, n)
);

CREATE INDEX fragments_server ON fragments (stream, server, n);
CREATE INDEX fragments_producer ON fragments (stream, producer, n);

-- +goose Down
DROP TABLE fragments;
DROP TABLE segments;
