package catalog

import (
	"fmt"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// Whoever changed a stream finds it changed, however many read it at the same time.
func TestNobodyIsToldOfTheStreamBeforeTheChange(t *testing.T) {
	c := newRoom(t)
	s := c.create("yard")
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = c.ByName(t.Context(), account, "yard")
				}
			}
		})
	}
	for i := range 200 {
		device := fmt.Sprint(i)
		if err := c.Update(t.Context(), s.ID, s.Version, &device, nil); err != nil {
			t.Fatal(err)
		}
		var err error
		if s, err = c.ByName(t.Context(), account, "yard"); err != nil || s.DeviceName != device {
			t.Fatalf("device %q after it was set to %q: %v", s.DeviceName, device, err)
		}
	}
	if err := c.Delete(t.Context(), s.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ByName(t.Context(), account, "yard"); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("after the deletion: %v", err)
	}
	close(stop)
	readers.Wait()
}

func TestTheMemoryOfNamesIsBounded(t *testing.T) {
	var n Names[kvs.Stream]
	for i := range maxNames + 100 {
		n.Remember("1", fmt.Sprint(i), int64(i), kvs.Stream{ID: kvs.StreamID(i)}, 0)
	}
	if len(n.values) != maxNames || len(n.keys) != maxNames {
		t.Errorf("%d streams and %d keys, want %d", len(n.values), len(n.keys), maxNames)
	}
	if _, ok, _ := n.Find("1", fmt.Sprint(maxNames+99)); !ok {
		t.Error("the last one is not there")
	}
	n.Changed(maxNames + 99)
	if _, ok, _ := n.Find("1", fmt.Sprint(maxNames+99)); ok {
		t.Error("it is there after a change")
	}
	n.Remember("1", "late", 0, kvs.Stream{}, 0)
	if _, ok, _ := n.Find("1", "late"); ok {
		t.Error("a stream read before a change was kept")
	}
}
