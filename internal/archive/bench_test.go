package archive

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// BenchmarkAppend stores fragments of 250 KB of 100 streams, 64 on their way at a time, and
// writes the same bytes plainly in pieces of 8 MiB with fdatasync after each. The two take
// turns.
func BenchmarkAppend(b *testing.B) {
	const size, fragments, turns = 250_000, 2000, 5
	rec := sample(1, 1, size)
	a := open(b, Options{Dir: b.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	var keys [100]segment.DataKey
	for i := range keys {
		keys[i] = sealed(a, sample(kvs.StreamID(i+1), 1, 0)).Key
	}
	number := 0
	b.SetBytes(2 * turns * fragments * size)
	b.ReportAllocs()
	var ratios, stored, plains []float64
	for b.Loop() {
		for range turns {
			start := time.Now()
			answers := make(chan error, 64)
			for i := range fragments + cap(answers) {
				if i >= cap(answers) {
					if err := <-answers; err != nil {
						b.Fatal(err)
					}
				}
				if i < fragments {
					r := rec
					r.Fragment.Stream, r.Fragment.Number.N = kvs.StreamID(number%100+1), int64(number/100+1)
					r.Key = keys[number%100]
					number++
					a.Append(r, func(err error) { answers <- err })
				}
			}
			took := time.Since(start)
			plain := writePlain(b, rec.Body, fragments*size)
			ratios = append(ratios, plain.Seconds()/took.Seconds())
			stored, plains = append(stored, fragments*size/1e6/took.Seconds()), append(plains, fragments*size/1e6/plain.Seconds())
		}
	}
	for name, all := range map[string][]float64{"stored-MB/s": stored, "plain-MB/s": plains, "ratio": ratios} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
	if got := ratios[len(ratios)/2]; got < 0.6 {
		b.Logf("GOAL MISSED: %.2f of plain writing, at least 0.6 are wanted", got)
	}
	cancel()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		b.Fatal(err)
	}
}

// writePlain writes so many bytes, a body again and again, and syncs every 8 MiB.
func writePlain(b *testing.B, body [][]byte, bytes int64) time.Duration {
	b.Helper()
	name := filepath.Join(b.TempDir(), "plain")
	f, err := disk.System{}.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close(); _ = os.Remove(name) }()
	start := time.Now()
	var size, synced int64
	for _, p := range body {
		size += int64(len(p))
	}
	for at := int64(0); at < bytes; at += size {
		if err := f.Write(append([][]byte(nil), body...), at); err != nil {
			b.Fatal(err)
		}
		if at+size-synced >= 8<<20 || at+size >= bytes {
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			synced = at + size
		}
	}
	return time.Since(start)
}

// filled returns an archive whose index has so many rows of one stream; there is no
// media behind them.
func filled(b *testing.B, rows int) *Archive {
	b.Helper()
	a := open(b, Options{Dir: b.TempDir()})
	b.Cleanup(func() {
		if err := a.Close(); err != nil {
			b.Error(err)
		}
	})
	err := a.index.db.Write(context.Background(), func(tx *sql.Tx) error {
		in, err := newInserter(context.Background(), tx)
		if err != nil {
			return err
		}
		for n := 1; n <= rows; n++ {
			s := Stored{Fragment: sample(1, int64(n), 0).Fragment, segment: int64(n / 1000), position: int64(n%1000) * 250_000}
			if _, err := in.insert(context.Background(), &s); err != nil {
				return err
			}
		}
		if err := (totals{1: {share: share{rows: int64(rows)}}}).count(context.Background(), tx); err != nil {
			return err
		}
		return in.Close()
	})
	if err != nil {
		b.Fatal(err)
	}
	a.raiseLongest(2000)
	return a
}

const benchRows = 100_000

// BenchmarkNext steps through a stream of 100,000 fragments.
func BenchmarkNext(b *testing.B) {
	a := filled(b, benchRows)
	b.ReportAllocs()
	var after kvs.FragmentNumber
	for b.Loop() {
		s, _, err := a.Next(context.Background(), 1, after, 0)
		if err != nil {
			b.Fatal(err)
		}
		after = s.Number // wraps around: behind the last comes none, number 0
	}
}

// BenchmarkAt finds a fragment by producer time among 100,000.
func BenchmarkAt(b *testing.B) {
	a := filled(b, benchRows)
	for i := int64(0); b.Loop(); i++ {
		t := kvs.Millis(500_000 + i*7919%benchRows*2000 + 1000)
		if _, _, err := a.At(context.Background(), 1, kvs.ProducerClock, t, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList reads pages of 1,000 of a stream of 100,000 fragments.
func BenchmarkList(b *testing.B) {
	a := filled(b, benchRows)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		q := Query{Clock: kvs.ProducerClock, Max: 1000, Range: kvs.TimeRange{
			Start: kvs.Millis(500_000 + i*7919%(benchRows-1000)*2000), End: kvs.MaxMillis}}
		f, _, _, err := a.List(context.Background(), 1, q)
		if err != nil || len(f) != 1000 {
			b.Fatal(len(f), err)
		}
	}
}

// BenchmarkRead reads a fragment of 250 KB that the system has cached, checksums
// included.
func BenchmarkRead(b *testing.B) {
	a := open(b, Options{Dir: b.TempDir()})
	a.Append(sealed(a, sample(1, 1, 250_000)), func(error) {})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Run(ctx); err != nil {
		b.Fatal(err)
	}
	s, _, err := a.Newest(context.Background(), 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(250_000)
	b.ReportAllocs()
	for b.Loop() {
		r, err := a.OpenRecord(context.Background(), s)
		if err == nil {
			_, err = r.WriteTo(discard{})
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCommit puts the rows of batches of 64 fragments, each of another stream, into
// the index: the most that counting by stream can cost.
func BenchmarkCommit(b *testing.B) {
	const batch, streams = 64, 1000
	a := open(b, Options{Dir: b.TempDir()})
	defer func() {
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	if err := a.index.addSegment(b.Context(), segmentRow{Head: segment.Head{ID: 1}}); err != nil {
		b.Fatal(err)
	}
	records := make([]pending, batch)
	r := &run{seg: &active{Head: segment.Head{ID: 1}}}
	for i := range records {
		r.records = append(r.records, &records[i])
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n += batch {
		for i := range records {
			records[i].Stored = Stored{Fragment: sample(kvs.StreamID((n+i)%streams+1), int64(n+i+1), 0).Fragment, segment: 1, length: 1000}
		}
		if err := a.index.addFragments(b.Context(), []*run{r}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUsage says what a stream keeps: it must not matter how much that is.
func BenchmarkUsage(b *testing.B) {
	for _, rows := range []int{100, benchRows} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			a := filled(b, rows)
			for b.Loop() {
				if u, err := a.Usage(context.Background(), 1, 0); err != nil || u.Fragments != int64(rows) || u.Newest == nil {
					b.Fatal(u, err)
				}
			}
		})
	}
}
