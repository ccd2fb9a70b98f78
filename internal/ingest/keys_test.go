package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/internal/segment"
)

// lockedKeys are keys of which none can be used.
type lockedKeys struct{ err error }

func (k lockedKeys) Current(context.Context, kvs.StreamID, kvs.Millis) (segment.DataKey, error) {
	return segment.DataKey{}, k.err
}
func (k lockedKeys) Ready(context.Context, kvs.StreamID) error { return k.err }

// Each failure of a wrapping key has its code and fails fragments, with and without
// retention, one after the other; the session goes on.
func TestWrappingKeysThatCannotBeUsed(t *testing.T) {
	s := newStudio(t, quota.Open)
	var refused []rejection.Refusal
	s.o.Reject = func(_ kvs.Stream, r rejection.Refusal) { refused = append(refused, r) }
	for f := keyring.AccessDenied; f <= keyring.NotFound; f++ {
		for _, hours := range []int{0, 24} {
			s.again(t)
			refused = nil
			s.o.Keys = lockedKeys{&keyring.Error{Failure: f, KeyID: "alias/mine", Cause: errors.New("inside the provider")}}
			c := s.put(s.stream(hours), head(otherApp), aSecond(0), aSecond(1000))
			c.want(fmt.Sprintf("b1@0 e1@0:%d b2@1000 e2@1000:%d", f, f), 0)
			if len(s.shelf.all()) != 0 {
				t.Errorf("%v: something was stored", f)
			}
			if len(refused) != 2 || refused[0].Case != keyCases[Code(f)].Name || !strings.Contains(refused[0].Why, "alias/mine") || strings.Contains(refused[0].Why, "inside") {
				t.Errorf("%v: reported as %+v", f, refused)
			}
		}
	}
}

// A disk that takes no new key is the server's fault; a deleted stream is none of the key.
func TestKeysThatCannotBeStored(t *testing.T) {
	s := newStudio(t, quota.Open)
	s.o.Keys = lockedKeys{&kvs.Error{Kind: kvs.Internal, Message: "disk full"}}
	s.put(s.stream(24), head(otherApp), aSecond(0)).want("b1@0 e1@0:5001", 0)
	s.o.Keys = lockedKeys{kvs.Errorf(kvs.NotFound, "gone")}
	s.put(s.stream(24), head(otherApp), aSecond(0)).want("b1@0 e1@0:4008", 0)
}

// The archive gets each fragment with its key; one that gets a retention on its way is
// given a key at its end.
func TestFragmentsHaveKeys(t *testing.T) {
	s := newStudio(t, quota.Open)
	ring := keyringtest.New(t)
	s.o.Keys = ring
	e := s.stream(24)
	s.put(e, head(otherApp), aSecond(0), aSecond(1000))
	late := s.stream(0)
	grow := func() {
		if err := s.catalog.UpdateRetention(t.Context(), late.Stream().ID, late.Stream().Version, 24); err != nil {
			t.Error(err)
		}
	}
	s.put(late, head(otherApp), unknown(0, at(0)), grow, at(40))
	all := s.shelf.all()
	if len(all) != 3 {
		t.Fatalf("%d records", len(all))
	}
	for _, r := range all {
		k, err := ring.Key(t.Context(), r.Fragment.Stream, r.Key.ID)
		if err != nil || k.Secret != r.Key.Secret {
			t.Errorf("fragment %v: %v", r.Fragment.Number, err)
		}
	}
	if all[0].Key.ID != all[1].Key.ID || all[1].Key.ID == all[2].Key.ID {
		t.Error("keys are not by stream")
	}
}

// A provider that does not answer costs a fragment after 5 s, and no other stream waits.
func TestAProviderThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStudio(t, quota.Open)
		provider := keyringtest.NewProvider()
		ring := keyringtest.NewOn(t, provider)
		s.o.Keys = ring
		other := s.stream(24)
		s.put(other, head(otherApp), aSecond(0)).want("b1@0 r1@0 p1@0", 0)
		provider.Delay(time.Hour, true)
		start := time.Now()
		done := make(chan *call)
		go func() { done <- s.put(s.stream(24), head(otherApp), aSecond(0)) }()
		synctest.Wait()
		s.put(other, head(otherApp), aSecond(1000)).want("b1@1000 r1@1000 p1@1000", 0)
		if took := time.Since(start); took > 0 {
			t.Errorf("another stream waited %v", took)
		}
		(<-done).want("b1@0 e1@0:4503", 0)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("after %v", took)
		}
		time.Sleep(time.Hour) // the provider returns
	})
}
