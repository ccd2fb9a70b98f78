package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// columns is what scan reads, in its order.
const columns = "id, account, region, name, created, version, revision, retention, device, media_type, kms_key, tier, tags, holds, sessions_from"

// row is a stream as it is stored.
type row struct {
	kvs.Stream
	revision int64
	holds    int64
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(...any) error }

// scan reads the columns of one stream.
func scan(s scanner) (row, error) {
	r := row{Stream: kvs.Stream{Status: kvs.Active}}
	var tags string
	err := s.Scan(&r.ID, &r.Account, &r.Region, &r.Name, &r.Created, &r.Version, &r.revision,
		&r.Retention, &r.DeviceName, &r.MediaType, &r.KmsKeyID, &r.Tier, &tags, &r.holds, &r.SessionsFrom)
	r.Held = r.holds > 0
	if errors.Is(err, sql.ErrNoRows) {
		return r, errNotFound()
	}
	if err == nil {
		r.Tags, err = DecodeTags(tags)
	}
	return r, err
}

// EncodeTags writes tags as they are stored.
func EncodeTags(tags map[string]string) (string, error) {
	if len(tags) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// DecodeTags reads tags as they are stored; nil when there are none.
func DecodeTags(text string) (tags map[string]string, err error) {
	if text != "{}" {
		err = json.Unmarshal([]byte(text), &tags)
	}
	return tags, err
}

// querier is a *sql.DB or *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// byID reads one stream of any account.
func byID(ctx context.Context, q querier, id kvs.StreamID) (row, error) {
	return scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM stream WHERE id = $1", id))
}

// ByID returns the stream of that id, of any account, NotFound if there is none.
func (c *Catalog) ByID(ctx context.Context, id kvs.StreamID) (kvs.Stream, error) {
	r, err := byID(ctx, c.db.Read(), id)
	return r.Stream, err
}

// ByName returns the stream of that name, NotFound if there is none.
func (c *Catalog) ByName(ctx context.Context, account kvs.AccountID, name string) (kvs.Stream, error) {
	s, ok, changes := c.names.Find(account, name)
	if ok {
		return s, nil
	}
	r, err := scan(c.db.Read().QueryRowContext(ctx,
		"SELECT "+columns+" FROM stream WHERE account = $1 AND region = $2 AND name = $3", account, c.region, name))
	if err != nil {
		return kvs.Stream{}, err
	}
	c.names.Remember(account, name, int64(r.ID), r.Stream, changes)
	return r.Stream, nil
}

// ByARN returns the stream with exactly that ARN, NotFound if there is none. The ARN of
// a deleted stream does not find a new one of the same name, and an account does not
// find the streams of another.
func (c *Catalog) ByARN(ctx context.Context, account kvs.AccountID, arn kvs.ARN) (kvs.Stream, error) {
	s, err := c.ByName(ctx, account, arn.Name)
	if err != nil {
		return kvs.Stream{}, err
	}
	if s.ARN() != arn {
		return kvs.Stream{}, errNotFound()
	}
	return s, nil
}

// errNotFound is what callers of the service know for a stream that is not there.
func errNotFound() error {
	return kvs.Errorf(kvs.NotFound, "The requested stream is not found or not active.")
}
