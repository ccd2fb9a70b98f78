package keyring_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// Streams that begin at the same time share a sync: one after the other they would wait so
// long that it counts as a provider that does not answer.
func TestNewKeysShareASync(t *testing.T) {
	const streams = 300
	d := &disktest.Faulty{FS: disktest.NewCrash("/d")}
	g := newRigOn(t, d)
	var syncs atomic.Int64
	entered, release := make(chan struct{}), make(chan struct{})
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Sync && syncs.Add(1) == 1 {
			close(entered)
			<-release
		}
		return nil
	})
	keys := make([]segment.DataKey, streams)
	var wg sync.WaitGroup
	begin := func(i int) {
		wg.Go(func() {
			var err error
			if keys[i], err = g.Current(t.Context(), kvs.StreamID(i+1), 0); err != nil {
				t.Error(err)
			}
		})
	}
	begin(0)
	<-entered
	for i := range streams - 1 {
		begin(i + 1)
	}
	for g.Waiting() < streams-1 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if n := syncs.Load(); n != 2 {
		t.Errorf("%d syncs", n)
	}
	g.reopen(t)
	for i, k := range keys {
		if same := g.current(t, kvs.StreamID(i+1), 1); same != k {
			t.Fatalf("stream %d has another key", i+1)
		}
	}
}
