package crashtest

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// The streams of the month, and how many fragments of 20 KB each stores in an hour. The
// first two share segments, and so do the next.
var monthly = []struct {
	hours, perHour int
}{{1, 12}, {24, 4}, {30, 4}, {7 * 24, 4}, {10 * 365 * 24, 2}}

// In 30 days of streams that keep an hour, a day, a week and ten years, the disk never
// holds more than a quarter above what lives, the open segments apart. Under the race
// detector the month has a day and a half, in which the second stream begins to expire.
func TestThirtyDays(t *testing.T) {
	for _, size := range []int{2_000, 20_000, 250_000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			thirtyDays(t, size)
		})
	}
}

func thirtyDays(t *testing.T, size int) {
	dir := scratch(t)
	truth := newTruth()
	for i, s := range monthly {
		truth.policies[kvs.StreamID(i+1)] = archive.Policy{Hours: s.hours}
	}
	d := disktest.NewCrash(dir)
	keys, err := openKeys(dir, d, truth)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(context.Background(), archive.Options{
		Dir: dir, SegmentBytes: 1 << 20, ExpireEvery: 1 << 40, Policy: truth.policy, Now: truth.time, Disk: d, Keys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	worst := 0.0
	for hour := 1; hour <= 30*24/slowness; hour++ {
		const passes = 2
		for pass := range passes {
			truth.pass(time.Hour / passes)
			ingest(t, a, keys, truth, size, hour, pass, passes)
			if err := a.Expire(ctx); err != nil {
				t.Fatal(err)
			}
		}
		used, live, open := usage(t, d, dir)
		if hour%(5*24) == 0 {
			t.Logf("day %d: %d KB on disk, %d KB live, %d KB in open segments", hour/24, used>>10, live>>10, open>>10)
		}
		if over := float64(used-open) / float64(live); over > worst {
			worst = over
		}
		if used-open > live*5/4 {
			t.Fatalf("hour %d: %d bytes on disk, %d live, %d in open segments", hour, used, live, open)
		}
	}
	t.Logf("at most %.3f times the live bytes", worst)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := truth.judge(a); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := keys.Close(); err != nil {
		t.Error(err)
	}
}

// ingest stores the fragments of one part of an hour.
func ingest(t *testing.T, a *archive.Archive, keys *keyring.Ring, truth *truth, size, hour, part, parts int) {
	t.Helper()
	answers := make(chan error)
	count := 0
	for i, s := range monthly {
		id := kvs.StreamID(i + 1)
		for n := part * s.perHour / parts; n < (part+1)*s.perHour/parts; n++ {
			f := fragment{id, int64((hour-1)*s.perHour + n + 1)}
			truth.sizes[f], truth.servers[f] = size+int(f.n*7919)%(size/4), truth.now+kvs.Millis(n)
			r := truth.record(f)
			r.Retention = s.hours
			var err error
			if r.Key, err = keys.Current(context.Background(), id, truth.servers[f]); err != nil {
				t.Fatal(err)
			}
			truth.fates[f] = going // when it is removed is not what is looked at here
			go a.Append(r, func(err error) { answers <- err })
			count++
		}
	}
	for range count {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
}

// usage returns how many bytes the segments take, how many of them are of living records,
// and how many belong to open segments.
func usage(t *testing.T, d *disktest.Crash, dir string) (used, live, open int64) {
	t.Helper()
	pool, err := db.OpenReader(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	all, err := archive.Segments(context.Background(), pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		f, err := d.Open(filepath.Join(dir, "segments", segment.FileName(s.ID)))
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := f.Allocated()
		if err != nil {
			t.Fatal(err)
		}
		used += bytes
		live += s.Bytes
		if !s.Sealed {
			open += bytes
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return used, live, open
}
