package db

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// A commit is shared by at most maxBatch functions, and no function joins a batch
// that has been collecting for maxCollect: the first must not wait for ever.
const (
	maxBatch   = 256
	maxCollect = 50 * time.Millisecond
)

// errAborted is the result of a function that ended by a panic or runtime.Goexit.
var errAborted = errors.New("the function did not return")

// request is one caller of Write. The caller runs its function itself while the
// writer waits, so that a panic unwinds the stack it belongs to.
type request struct {
	turn chan *sql.Tx // the writer lends the transaction
	ran  chan error   // the caller gives it back with the function's result
	done chan error   // capacity 1: the outcome, after the commit
}

// Write runs f in a transaction and returns after the commit.
//
// Functions of callers that wait at the same time run one after the other in one
// transaction, each in its own savepoint: the error of one undoes its own statements
// only and is returned to its caller; a failing commit fails all of them. f runs in
// the caller's goroutine, alone; it must not commit, roll back, or call Write. It may
// run a second time when a neighbour's error took the whole transaction away, so its
// only effects should be those through tx and plain assignments.
//
// A ctx that ends while f is queued removes it from the queue. Once f has run, Write
// waits for the commit, so that its answer is never a guess.
//
// Errors of the disk (full, unreadable, locked by another process) have the kind
// Unavailable; those of f are returned as they are.
func (d *DB) Write(ctx context.Context, f func(*sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{turn: make(chan *sql.Tx), ran: make(chan error), done: make(chan error, 1)}
	select {
	case d.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closing:
		return errClosed()
	}
	for {
		select {
		case tx := <-r.turn:
			r.run(tx, f)
		case err := <-r.done:
			return storeError(d.path, err)
		}
	}
}

// run calls f and gives the transaction back, however f ends.
func (r *request) run(tx *sql.Tx, f func(*sql.Tx) error) {
	err := errAborted
	defer func() { r.ran <- err }()
	err = f(tx)
}

// runWriter serves batches until the database closes.
func (d *DB) runWriter() {
	for {
		select {
		case first := <-d.queue:
			d.serve(first)
		case <-d.closing:
			return
		}
	}
}

// batch is the requests that share one transaction.
type batch struct {
	queue   <-chan *request
	waiting []*request // taken from the queue and not yet run, or to run again
	taken   int
	opened  time.Time
}

// next returns the next request to run, nil when nobody is waiting now or the batch
// is full.
func (b *batch) next() *request {
	if len(b.waiting) > 0 {
		r := b.waiting[0]
		b.waiting = b.waiting[1:]
		return r
	}
	if b.taken == maxBatch || time.Since(b.opened) > maxCollect {
		return nil
	}
	select {
	case r := <-b.queue:
		b.taken++
		return r
	default:
		return nil
	}
}

// serve commits one batch and tells its callers. When a function's error took the
// transaction away (SQLite does so on a full disk and on an interrupted statement),
// the others start again without it.
func (d *DB) serve(first *request) {
	d.batch.Lock()
	defer d.batch.Unlock()
	b := &batch{queue: d.queue, waiting: []*request{first}, taken: 1, opened: time.Now()}
	for !d.attempt(b) {
	}
	select {
	case d.dirty <- struct{}{}:
	default:
	}
}

// attempt runs the batch in one transaction and answers its callers. It returns false
// when the transaction was lost on the way and the batch must run again.
func (d *DB) attempt(b *batch) bool {
	tx, err := d.write.BeginTx(context.Background(), nil)
	if err != nil {
		answer(b.waiting, err)
		return true
	}
	var good []*request
	for r := b.next(); r != nil; r = b.next() {
		lost, err := r.inSavepoint(tx)
		if err == nil {
			good = append(good, r)
			continue
		}
		r.done <- err
		if lost {
			_ = tx.Rollback() // already gone inside SQLite; this frees the connection
			b.waiting = append(good, b.waiting...)
			return len(b.waiting) == 0
		}
	}
	d.commit(tx, good)
	return true
}

// commit ends the transaction and answers those whose functions succeeded.
func (d *DB) commit(tx *sql.Tx, good []*request) {
	if len(good) == 0 {
		_ = tx.Rollback() // every function undid its own statements: nothing to lose
		return
	}
	start := time.Now()
	err := tx.Commit()
	if err == nil {
		d.onCommit(len(good), time.Since(start))
	}
	answer(good, err)
}

// answer tells the callers how their functions ended.
func answer(rs []*request, err error) {
	for _, r := range rs {
		r.done <- err
	}
}

// inSavepoint lends the transaction to the request's caller. lost means that the
// transaction no longer exists.
func (r *request) inSavepoint(tx *sql.Tx) (lost bool, err error) {
	if _, err := tx.Exec("SAVEPOINT f"); err != nil {
		return true, err
	}
	r.turn <- tx
	if err := <-r.ran; err != nil {
		return undo(tx) != nil, err
	}
	if _, err := tx.Exec("RELEASE SAVEPOINT f"); err != nil {
		return true, err
	}
	return false, nil
}

// undo takes back what the function at the savepoint did.
func undo(tx *sql.Tx) error {
	if _, err := tx.Exec("ROLLBACK TO SAVEPOINT f"); err != nil {
		return err
	}
	_, err := tx.Exec("RELEASE SAVEPOINT f")
	return err
}
