package catalog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"regexp"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// The limits of a stream's settings (control section 2, limits sections 3.1 and 6).
const (
	maxRetention = 87_600 // hours, ten years
	maxTags      = 50
)

// namePattern is the rule of stream names (limits section 11). The list relies on it:
// all bytes of a name are smaller than 0x7f.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,256}$`)

// NewStream is what the creator of a stream says about it.
type NewStream struct {
	Account    kvs.AccountID
	Name       string
	DeviceName string
	MediaType  string
	KmsKeyID   string
	Retention  int             // hours
	Tier       kvs.StorageTier // "" = HOT
	Tags       map[string]string
}

// Create makes a stream, which is active at once. Of callers that create the same name
// at the same time one wins; the others get InUse. It fails with TooManyStreams when
// the account has its fill, with TooManyTags above 50 tags.
func (c *Catalog) Create(ctx context.Context, n NewStream) (kvs.Stream, error) {
	if err := n.check(); err != nil {
		return kvs.Stream{}, err
	}
	if err := c.checkTags(n.Account, 0, len(n.Tags)); err != nil {
		return kvs.Stream{}, err
	}
	s := kvs.Stream{
		Account: n.Account, Region: c.region, Name: n.Name, Version: NewVersion(), Status: kvs.Active,
		Retention: n.Retention, DeviceName: n.DeviceName, MediaType: n.MediaType, KmsKeyID: n.KmsKeyID,
		Tier: n.Tier, Tags: merged(nil, n.Tags),
	}
	if s.Tier == "" {
		s.Tier = kvs.Hot
	}
	now := kvs.MillisOf(c.now())
	err := c.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if err := c.checkRoom(tx, s); err != nil {
			return err
		}
		if s.Created, err = creationTime(tx, s, now); err != nil {
			return err
		}
		s.ID, err = insert(tx, s)
		return err
	})
	if db.IsConflict(err) { // only where several processes write
		err = errExists(s.Name)
	}
	if err != nil {
		return kvs.Stream{}, err
	}
	return s, nil
}

func (n NewStream) check() error {
	switch {
	case !namePattern.MatchString(n.Name):
		return kvs.Errorf(kvs.InvalidArgument, "The stream name must have 1 to 256 of the characters a-z, A-Z, 0-9, _, . and -.")
	case n.Retention < 0 || n.Retention > maxRetention:
		return errRetention(n.Retention)
	}
	return nil
}

// checkRoom fails when the name is taken or the account has as many streams as it may.
func (c *Catalog) checkRoom(tx *sql.Tx, s kvs.Stream) error {
	var n int
	err := tx.QueryRow("SELECT COUNT(*) FROM stream WHERE account = $1 AND region = $2 AND name = $3",
		s.Account, s.Region, s.Name).Scan(&n)
	if err != nil {
		return err
	}
	if n > 0 {
		return errExists(s.Name)
	}
	limit := c.maxStreams(s.Account)
	if limit <= 0 {
		return nil
	}
	err = tx.QueryRow("SELECT COUNT(*) FROM stream WHERE account = $1 AND region = $2", s.Account, s.Region).Scan(&n)
	if err == nil && n >= limit {
		err = kvs.Errorf(kvs.TooManyStreams, "The account has %d streams, the most it may have. Delete one that is not needed.", n)
	}
	return err
}

// creationTime is now, or the millisecond after the creation of the last stream that
// had this name: the time is part of the ARN, and an ARN never means two streams.
func creationTime(tx *sql.Tx, s kvs.Stream, now kvs.Millis) (kvs.Millis, error) {
	var last sql.NullInt64
	err := tx.QueryRow("SELECT MAX(created) FROM deleted WHERE account = $1 AND region = $2 AND name = $3",
		s.Account, s.Region, s.Name).Scan(&last)
	if last.Valid && now <= kvs.Millis(last.Int64) {
		now = kvs.Millis(last.Int64) + 1
	}
	return now, err
}

// insert stores a new stream under a new id.
func insert(tx *sql.Tx, s kvs.Stream) (id kvs.StreamID, err error) {
	n, err := NextID(tx, "stream")
	if err != nil {
		return 0, err
	}
	id = kvs.StreamID(n)
	tags, err := EncodeTags(s.Tags)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec("INSERT INTO stream ("+columns+") VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, $11, $12, 0, 0)",
		id, s.Account, s.Region, s.Name, s.Created, s.Version, s.Retention, s.DeviceName, s.MediaType, s.KmsKeyID, s.Tier, tags)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec("INSERT INTO numbering (stream, reserved, millis) VALUES ($1, 0, 0)", id)
	return id, err
}

// NewVersion returns 20 random letters and digits, the form of the service's versions.
func NewVersion() string { return rand.Text()[:20] }

func errExists(name string) error {
	return kvs.Errorf(kvs.InUse, "The stream %s already exists.", name)
}

func errRetention(hours int) error {
	return kvs.Errorf(kvs.InvalidArgument, "The data retention would be %d hours; it must be from 0 to %d.", hours, maxRetention)
}

// checkTags fails when a stream, or a new one of the account when id is 0, may not have
// n tags.
func (c *Catalog) checkTags(a kvs.AccountID, id kvs.StreamID, n int) error {
	if most := min(c.maxTags(a, id), maxTags); n > most {
		return kvs.Errorf(kvs.TooManyTags, "The stream would have %d tags; it may have at most %d.", n, most)
	}
	return nil
}
