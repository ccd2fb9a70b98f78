package server

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// onPaper proves a limit whose operation is not served: the book holds it and, where it
// knows how, refuses what is beyond.
func onPaper(t *testing.T, l *quota.Limit) {
	b, err := quota.NewBook(t.Context(), quota.BookOptions{Profile: quota.AWS, Now: func() time.Time { return time.Unix(epoch/1000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	s := kvs.Stream{ID: 7, Account: config.DevAccount, Name: "cam"}
	switch {
	case isRequestRate(l):
		op := quota.OperationOf(l.Operation)
		lift(t, b, l)
		for i := range int(l.AWS) {
			if err := b.Allow(op, s.Account, s.ID, s.Name); err != nil {
				t.Fatalf("call %d: %v", i+1, err)
			}
		}
		wantKind(t, b.Allow(op, s.Account, s.ID, s.Name), kvs.TooManyRequests)
	case l.Unit == quota.Frequency:
		var m quota.Meter
		view := b.View(s.Account, s.ID)
		for range int(l.AWS) {
			if err := m.Allow(view, quota.PerSecond{Limit: l}, "message"); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, m.Allow(view, quota.PerSecond{Limit: l}, "message"), kvs.TooManyRequests)
	case strings.HasSuffix(l.Name, ".sessions"):
		for range int(l.AWS) {
			if _, err := b.Connect(quota.Count{Limit: l}, s); err != nil {
				t.Fatal(err)
			}
		}
		_, err := b.Connect(quota.Count{Limit: l}, s)
		wantKind(t, err, kvs.TooManyConnections)
	case l.Unit == quota.Throughput:
		synctest.Test(t, func(t *testing.T) { slowOnPaper(t, l) })
	}
	holds(t, b, l)
}

// lift takes back the other rate of the limit's operation.
func lift(t *testing.T, b *quota.Book, l *quota.Limit) {
	for _, o := range quota.Table() {
		if isRequestRate(o) && o != l && o.Operation == l.Operation {
			if err := b.Set(t.Context(), quota.Target{Account: config.DevAccount}, o.Name, quota.None); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func slowOnPaper(t *testing.T, l *quota.Limit) {
	b, err := quota.NewBook(t.Context(), quota.BookOptions{Profile: quota.AWS})
	if err != nil {
		t.Fatal(err)
	}
	p := b.View(config.DevAccount, 7).Flow(quota.Bandwidth{Limit: l})
	defer p.Close()
	start := time.Now()
	if err := p.Wait(t.Context(), int(l.AWS)); err != nil || time.Since(start) < 800*time.Millisecond {
		t.Errorf("a second's worth took %v, %v", time.Since(start), err)
	}
}

func wantKind(t *testing.T, err error, want kvs.Kind) {
	t.Helper()
	if kvs.KindOf(err) != want {
		t.Errorf("got %v", err)
	}
}

// holds checks that the limit has its value and can be changed.
func holds(t *testing.T, b *quota.Book, l *quota.Limit) {
	find := func() quota.InForce {
		all := b.List(config.DevAccount, 0)
		return all[slices.IndexFunc(all, func(f quota.InForce) bool { return f.Limit == l })]
	}
	if f := find(); f.Value != l.AWS || f.From != quota.FromProfile {
		t.Errorf("in force is %s from %s", l.Format(f.Value), f.From)
	}
	half := l.Format(l.AWS / 2)
	if l.Unit == quota.Number {
		half = l.Format(max(1, l.AWS-1))
	}
	if err := b.Set(context.Background(), quota.Target{Account: config.DevAccount}, l.Name, half); err != nil {
		t.Fatal(err)
	}
	if f := find(); l.Format(f.Value) != half || f.From != quota.FromAccount {
		t.Errorf("in force is %s from %s, want %s", l.Format(f.Value), f.From, half)
	}
}
