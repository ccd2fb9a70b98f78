package directory

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

const (
	// mostLife is how long temporary credentials live at most (GetSessionToken).
	mostLife = 36 * time.Hour
	// keepFor is how long a session policy is kept at least after it was used, and
	// renewBelow how much of that may be over before it is written again.
	keepFor    = mostLife + 4*time.Hour
	renewBelow = mostLife + 2*time.Hour
	// cleanEvery and cleanAtOnce bound the work of Run.
	cleanEvery  = 10 * time.Minute
	cleanAtOnce = 500
)

// KeepSessionPolicy stores the text of a session policy until no credentials that are
// issued now can need it, and returns the hash that their token carries. MalformedPolicy
// if it is none, TooLarge above 2,048 characters.
func (d *Directory) KeepSessionPolicy(ctx context.Context, text string) (hash string, err error) {
	if policy.Size([]byte(text)) > policy.MaxSession {
		return "", kvs.Errorf(kvs.TooLarge, "A session policy has at most %d characters.", policy.MaxSession)
	}
	if _, err := parse(policy.Identity, text); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(text))
	hash = base64.RawURLEncoding.EncodeToString(sum[:])
	now := d.now()
	var until kvs.Millis
	err = d.db.Read().QueryRowContext(ctx, "SELECT until FROM session_policy WHERE hash = $1", hash).Scan(&until)
	if err == nil && until >= kvs.MillisOf(now.Add(renewBelow)) {
		return hash, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	return hash, d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO session_policy (hash, text, until) VALUES ($1, $2, $3)
			ON CONFLICT (hash) DO UPDATE SET until = excluded.until`, hash, text, int64(kvs.MillisOf(now.Add(keepFor))))
		return err
	})
}

// RevokeSessions has the temporary credentials of a user or role that were issued until now
// be refused, and returns the time from which issued ones are taken.
func (d *Directory) RevokeSessions(ctx context.Context, account kvs.AccountID, o Owner) (kvs.Millis, error) {
	if o.Kind != UserOwner && o.Kind != RoleOwner {
		return 0, kvs.Errorf(kvs.InvalidArgument, "Only users and roles have sessions.")
	}
	from := d.millis() + 1
	return from, d.changeOwned(ctx, account, o, func(tx *sql.Tx, _ row) error {
		_, err := tx.Exec("UPDATE entity SET not_before = $2 WHERE id = $1 AND not_before < $2", o.ID, int64(from))
		return err
	})
}

// EndSession has temporary credentials that would expire at a time be refused from now on.
func (d *Directory) EndSession(ctx context.Context, accessKey string, expires kvs.Millis) error {
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO ended_session (id, until) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
			accessKey, int64(expires.Add(time.Hour))) // clocks may be set back
		return err
	})
	d.memory.noteEnded(accessKey)
	return err
}

const endedByID = "SELECT COUNT(*) FROM ended_session WHERE id = $1"

// checkEnded refuses credentials that were ended.
func (d *Directory) checkEnded(ctx context.Context, accessKey string) error {
	if d.memory.lives(accessKey) {
		return nil
	}
	now, ends := d.memory.now(), d.memory.endCount()
	n, err := count(d.read(ctx), endedByID, accessKey)
	if err == nil && n > 0 {
		err = kvs.Errorf(kvs.NotFound, "The session was ended.")
	}
	if err == nil {
		d.memory.noteLiving(accessKey, now, ends)
	}
	return err
}

// Run removes what no credentials can need any more, now and every ten minutes, until ctx
// ends. What could not be removed is tried again, so errors are logged only.
func (d *Directory) Run(ctx context.Context) error {
	t := time.NewTicker(cleanEvery)
	defer t.Stop()
	for {
		if err := d.clean(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("could not remove what expired credentials needed", "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// The statements of a clean-up, a bounded number of rows at once.
const (
	cleanPolicies = "DELETE FROM session_policy WHERE hash IN (SELECT hash FROM session_policy WHERE until < $1 ORDER BY until LIMIT $2)"
	cleanEnded    = "DELETE FROM ended_session WHERE id IN (SELECT id FROM ended_session WHERE until < $1 ORDER BY until LIMIT $2)"
)

func (d *Directory) clean(ctx context.Context) error {
	for _, statement := range []string{cleanPolicies, cleanEnded} {
		for removed := int64(cleanAtOnce); removed == cleanAtOnce; {
			err := d.db.Write(ctx, func(tx *sql.Tx) error {
				r, err := tx.Exec(statement, int64(d.millis()), cleanAtOnce)
				if err == nil {
					removed, err = r.RowsAffected()
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
