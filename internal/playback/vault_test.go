package playback

import (
	"context"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// vault is a real archive of one stream.
type vault struct {
	*archive.Archive
	t       *testing.T
	dir     string
	keys    *keyring.Ring
	horizon kvs.Millis
	close   func()
}

func newVault(t *testing.T) *vault {
	v := &vault{t: t, dir: t.TempDir(), keys: keyringtest.New(t)}
	v.open()
	return v
}

func (v *vault) open() {
	var err error
	v.Archive, err = archive.Open(context.Background(), archive.Options{
		Dir: v.dir, Keys: v.keys, ExpireEvery: time.Hour, SegmentBytes: 1 << 14,
		Policy: func(context.Context, kvs.StreamID) (archive.Policy, error) { return archive.Policy{Hours: 1}, nil },
		Now:    func() time.Time { return (v.horizon + 3_600_000).Time() },
	})
	if err != nil {
		v.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	v.close = func() {
		cancel()
		if err := errors.Join(<-done, v.Close()); err != nil {
			v.t.Error(err)
		}
	}
}

func (v *vault) restart() (changed bool) {
	v.close()
	v.open()
	return true
}

func (v *vault) store(f kvs.Fragment, tracks []segment.Track) archive.Stored {
	key, err := v.keys.Current(context.Background(), f.Stream, f.Number.Server)
	if err != nil {
		v.t.Fatal(err)
	}
	answer := make(chan error, 1)
	v.Append(archive.Record{Fragment: f, Tracks: tracks, Key: key, Retention: 1, Header: []byte("header"), Body: net.Buffers{[]byte("media")}},
		func(err error) { answer <- err })
	if err := <-answer; err != nil {
		v.t.Fatal(err)
	}
	s, _, err := v.Get(context.Background(), f.Stream, f.Number, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	return s
}

func (v *vault) lose(kvs.Fragment, []segment.Track) {}

func (v *vault) expire(horizon kvs.Millis) {
	v.horizon = horizon
	if err := v.Expire(context.Background()); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) erase(e archive.Erasure) {
	if _, err := v.Erase(context.Background(), 1, e); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) all() []archive.Stored {
	all, err := v.Span(context.Background(), 1, math.MinInt64, math.MaxInt64, 1<<20, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	return all
}

// TestHistoriesOfAnArchive plays histories with the archive itself, its restarts included.
func TestHistoriesOfAnArchive(t *testing.T) {
	lists := 0
	for seed := range uint64(max(histories(t, 500)/50/slowness, 2)) {
		rows := newVault(t)
		h := newHistory(seed, rows)
		if testing.Verbose() {
			h.log = t.Logf
		}
		h.run(moments)
		rows.close()
		if h.failed {
			t.Fatalf("history %d; with -v it is told", seed)
		}
		for _, v := range h.viewers {
			lists += v.lists
		}
	}
	t.Logf("%d lists were compared", lists)
}
