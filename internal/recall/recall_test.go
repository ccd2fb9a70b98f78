package recall

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// until means the fragments up to a number.
type until int64

func (u until) Covers(f *kvs.Fragment) bool { return f.Number.N <= int64(u) }

func fragment(id kvs.StreamID, n int64) *kvs.Fragment {
	return &kvs.Fragment{Stream: id, Number: kvs.FragmentNumber{N: n}}
}

// TestCalls come once for each order that means what was stored, and again when they are
// returned.
func TestCalls(t *testing.T) {
	b := NewBook[until]()
	want := func(calls ...Call[until]) {
		t.Helper()
		if got := b.Take(); !slices.Equal(got, calls) {
			t.Errorf("%v, want %v", got, calls)
		}
	}
	woken := func(want bool) {
		t.Helper()
		select {
		case <-b.Wake():
			if !want {
				t.Error("woken for nothing")
			}
		default:
			if want {
				t.Error("not woken")
			}
		}
	}
	b.Add(1, 10)
	b.Add(1, 10)
	b.Add(1, 20)
	b.Stored(fragment(2, 5))
	b.Stored(fragment(1, 21))
	woken(false)
	want()
	b.Stored(fragment(1, 15))
	b.Stored(fragment(1, 10))
	woken(true)
	woken(false)
	want(Call[until]{1, 20}, Call[until]{1, 10})
	want()
	b.Return(Call[until]{1, 20})
	woken(false)
	want(Call[until]{1, 20})
	b.Forget(1)
	b.Stored(fragment(1, 1))
	woken(false)
}

// TestABookIsBounded: the oldest orders of a stream go.
func TestABookIsBounded(t *testing.T) {
	b := NewBook[until]()
	for i := range until(maxOrders + 1) {
		b.Add(1, i+1)
	}
	b.Stored(fragment(1, 1))
	if got := b.Take(); len(got) != maxOrders || got[0].Order != 2 {
		t.Errorf("%d calls", len(got))
	}
}
