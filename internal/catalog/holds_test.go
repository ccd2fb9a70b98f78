package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
)

func (r *room) hold(id kvs.StreamID, from, to kvs.Millis) Hold {
	r.t.Helper()
	h, err := r.AddHold(r.t.Context(), Hold{Stream: id, Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: from, End: to}, Note: "case 7", Who: "AKIA"})
	ok(r.t, err)
	return h
}

// A hold is seen by whoever has the stream open and by the archive, keeps the stream
// from being deleted, and survives a restart.
func TestHoldsKeepTheirStream(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	e := r.entry(s.ID)
	first, second := r.hold(s.ID, 10, 20), r.hold(s.ID, 0, kvs.MaxMillis)
	if first.ID == second.ID || first.When != r.clock.now {
		t.Errorf("%+v, %+v", first, second)
	}
	if !e.Stream().Held || !r.byName("cam").Held || r.byName("cam").Version != s.Version {
		t.Errorf("session %+v, by name %+v", e.Stream(), r.byName("cam"))
	}
	wantKind(t, r.Delete(t.Context(), s.ID, ""), kvs.InUse, "on hold")

	ok(t, r.db.Close())
	r.open()
	got, err := r.Holds(t.Context(), s.ID)
	ok(t, err)
	if d := cmp.Diff([]Hold{first, second}, got); d != "" {
		t.Error(d)
	}
	kept, err := r.Kept(t.Context())
	ok(t, err)
	if d := cmp.Diff(map[kvs.StreamID]Kept{s.ID: {Account: account, Tier: kvs.Hot, Holds: got}}, kept); d != "" {
		t.Error(d)
	}

	ok(t, r.RemoveHold(t.Context(), s.ID, first.ID))
	wantKind(t, r.Delete(t.Context(), s.ID, ""), kvs.InUse, "on hold")
	wantKind(t, r.RemoveHold(t.Context(), s.ID, first.ID), kvs.NotFound, "no hold 1")
	ok(t, r.RemoveHold(t.Context(), s.ID, second.ID))
	if r.entry(s.ID).Stream().Held {
		t.Error("still held")
	}
	ok(t, r.Delete(t.Context(), s.ID, ""))
	_, err = r.AddHold(t.Context(), Hold{Stream: s.ID})
	wantKind(t, err, kvs.NotFound, "")
}

// The holds of an account come page by page, with the names of their streams, and no
// others do.
func TestHoldsOfAnAccount(t *testing.T) {
	r := newRoom(t)
	cam, door := r.create("cam").ID, r.create("door").ID
	want := []StreamHold{{r.hold(cam, 1, 2), "cam", 0}, {r.hold(door, 3, 4), "door", 0}, {r.hold(cam, 5, 6), "cam", 0}}
	var got []StreamHold
	for after := int64(0); ; after = got[len(got)-1].ID {
		page, err := r.AccountHolds(t.Context(), account, after, 2)
		ok(t, err)
		if got = append(got, page...); len(page) < 2 {
			break
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n, err := r.CountHolds(t.Context()); err != nil || n != 3 {
		t.Error(n, err)
	}
	if others, err := r.AccountHolds(t.Context(), "999999999999", 0, 2); err != nil || len(others) != 0 {
		t.Error(others, err)
	}
}

func TestAHoldIsChecked(t *testing.T) {
	r := newRoom(t)
	id := r.create("cam").ID
	for text, h := range map[string]Hold{
		"not end before it begins": {Range: kvs.TimeRange{Start: 2, End: 1}},
		"in 1970 or later":         {Range: kvs.TimeRange{Start: -1, End: 1}},
		"end by the year 9999":     {Range: kvs.TimeRange{Start: 1, End: kvs.MaxMillis + 1}},
		"1001 characters":          {Note: strings.Repeat("ü", 1001)},
	} {
		h.Stream = id
		_, err := r.AddHold(t.Context(), h)
		wantKind(t, err, kvs.InvalidArgument, text)
	}
	other := r.create("other").ID
	h := r.hold(id, 1, 1)
	wantKind(t, r.RemoveHold(t.Context(), other, h.ID), kvs.NotFound, "")
	for range maxHolds - 1 {
		r.hold(id, 1, 1)
	}
	_, err := r.AddHold(t.Context(), Hold{Stream: id})
	wantKind(t, err, kvs.InvalidArgument, "1000 holds")
}

// Other changes of a stream leave its holds alone.
func TestHoldsSurviveChanges(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	r.hold(s.ID, 1, 2)
	ok(t, r.UpdateRetention(t.Context(), s.ID, s.Version, 1))
	ok(t, r.Tag(t.Context(), s.ID, map[string]string{"a": "b"}))
	wantKind(t, r.Delete(t.Context(), s.ID, ""), kvs.InUse, "")
}

// The record of an erasure is there before anything is removed, and stays when its
// stream goes.
func TestErasuresAreRemembered(t *testing.T) {
	r := newRoom(t)
	ids := []kvs.StreamID{r.create("cam").ID, r.create("yard").ID}
	var want []Erasure
	for i := range 5 {
		e, err := r.BeginErasure(t.Context(), Erasure{Stream: ids[i%2], Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: 1, End: 9}, Who: "AKIA", Through: 77})
		ok(t, err)
		if i > 0 {
			e.Fragments, e.Bytes, e.Done = int64(i), 1000, true
			ok(t, r.FinishErasure(t.Context(), e.ID, e.Fragments, e.Bytes))
		}
		want = append(want, e)
	}
	if want[0].Name != "cam" || want[0].When != r.clock.now {
		t.Errorf("%+v", want[0])
	}
	list := func(id kvs.StreamID, after int64, limit int, want ...Erasure) {
		t.Helper()
		got, err := r.Erasures(t.Context(), account, id, after, limit)
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	ok(t, r.db.Close())
	r.open()
	list(0, 0, 2, want[0], want[1])
	list(0, want[1].ID, 9, want[2:]...)
	list(ids[1], 0, 9, want[1], want[3])
	ok(t, r.Delete(t.Context(), ids[0], ""))
	list(0, 0, 9, want...)
	due := func(settled, after int64, want ...Erasure) {
		t.Helper()
		got, err := r.ErasuresDue(t.Context(), settled, after, 9)
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("due behind %d: %s", settled, d)
		}
	}
	due(0, 0, want[1], want[3]) // that of a stream that is there
	due(want[1].ID, 0, want[3])
	due(0, want[1].ID, want[3])
	last, err := r.LastErasure(t.Context())
	ok(t, err)
	due(last, 0)
	open, err := r.BeginErasure(t.Context(), Erasure{Stream: ids[1], Range: kvs.TimeRange{End: 9}})
	ok(t, err)
	due(open.ID, 0, open)
	_, err = r.BeginErasure(t.Context(), Erasure{Stream: ids[0]})
	wantKind(t, err, kvs.NotFound, "")
	_, err = r.BeginErasure(t.Context(), Erasure{Stream: ids[1], Range: kvs.TimeRange{Start: 2}})
	wantKind(t, err, kvs.InvalidArgument, "range")
}

// Holds and erasures of every day are found by an index.
func TestKeptQueriesUseTheirIndex(t *testing.T) {
	r := newRoom(t)
	for query, want := range map[string]string{
		holdColumns + " FROM hold WHERE stream = $1 ORDER BY id":                            "SEARCH hold USING INDEX hold_stream (stream=?)",
		"SELECT id FROM erasure WHERE id > $1 AND account = $2 AND region = $3 ORDER BY id": "SEARCH erasure USING INDEX erasure_account (account=? AND id>?)",
		"SELECT id FROM erasure WHERE id > $1 AND account = $2 AND stream = $3 ORDER BY id": "SEARCH erasure USING INDEX erasure_stream (stream=? AND id>?)",
	} {
		if plan := explain(t, r.db.Read(), query, []any{1, 2, 3}[:strings.Count(query, "$")]); plan != want {
			t.Errorf("%s: plan %q, want %q", query, plan, want)
		}
	}
}
