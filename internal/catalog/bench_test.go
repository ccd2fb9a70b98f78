package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// fill adds n streams, a thousand per transaction.
func fill(b *testing.B, r *room, n int) {
	b.Helper()
	for from := 0; from < n; from += 1000 {
		err := r.db.Write(context.Background(), func(tx *sql.Tx) error {
			for i := from; i < from+1000; i++ {
				s := kvs.Stream{Account: account, Region: "eu-central-1", Name: fmt.Sprintf("cam-%06d", i),
					Created: r.clock.now, Version: NewVersion(), Tier: kvs.Hot, Tags: map[string]string{"site": "x"}}
				if _, err := insert(tx, s); err != nil {
					return err
				}
			}
			return nil
		})
		ok(b, err)
	}
}

func BenchmarkHundredThousandStreams(b *testing.B) {
	r := newRoom(b)
	fill(b, r, 100_000)
	_, token, err := r.List(b.Context(), account, ListQuery{Max: 50_000})
	ok(b, err)
	list := func(want int, q ListQuery) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, _, err := r.List(b.Context(), account, q); err != nil || len(got) != want {
					b.Fatal(len(got), err)
				}
			}
		}
	}
	b.Run("describe", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := r.ByName(b.Context(), account, fmt.Sprintf("cam-%06d", i*7919%100_000)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list 100 from the middle", list(100, ListQuery{Token: token, Max: 100}))
	b.Run("list 10 by prefix", list(10, ListQuery{Prefix: "cam-09999", Max: 100}))
	b.Run("list 10000", list(10_000, ListQuery{Max: 10_000}))
	b.Run("update", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := r.Tag(b.Context(), kvs.StreamID(i%100_000+1), map[string]string{"a": "b"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNextNumber(b *testing.B) {
	r := newRoom(b)
	r.create("cam")
	e := r.entry(1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.NextNumber(context.Background(), 0); err != nil {
				b.Error(err)
			}
		}
	})
}

// Session starts of different streams at the same time share their commits.
func BenchmarkBeginSession(b *testing.B) {
	r := newRoom(b)
	fill(b, r, 1000)
	r.commits = 0
	b.SetParallelism(100)
	b.RunParallel(func(pb *testing.PB) {
		for i := 1; pb.Next(); i++ {
			e, err := r.Open(context.Background(), kvs.StreamID(i%1000+1))
			if err == nil {
				err = e.BeginSession(context.Background())
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/float64(max(1, r.commits)), "sessions/commit")
}
