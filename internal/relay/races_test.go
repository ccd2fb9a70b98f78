package relay

import (
	"net/netip"
	"testing"

	"github.com/millrace/millrace/internal/relay/credential"
)

// watched is a way that notes whether another allocation could have begun on the path before
// it was told of the end of the last.
type watched struct {
	way
	path *path
	late bool
}

func (w *watched) keep(yes bool) {
	w.late = w.late || !yes && w.path.allocation.Load() == nil
	w.way.keep(yes)
}

// What ends an allocation takes nothing from the one that the client begins at that moment.
func TestEndBesideABeginning(t *testing.T) {
	r := start(t)
	p, _ := r.from(loopback)
	w := &watched{way: p.way, path: p}
	p.way = w
	for range 2 {
		a, code := r.create(p, wish{address: Address{Local: loopback, Advertised: loopback}, life: allocationLife})
		if code != 0 {
			t.Fatal(code)
		}
		a.stop(Expired)
	}
	if w.late {
		t.Error("the path was forgotten after it was free for the next allocation")
	}
}

// An allocation that ends before it is in the book never comes into it.
func TestShortestLife(t *testing.T) {
	b := newBook(Ports{First: 50000, Last: 50001})
	a := &allocation{holder: credential.Holder{Channel: front}, relayed: netip.MustParseAddrPort("127.0.0.1:50000")}
	if code := b.begin(front, 1); code != 0 {
		t.Fatal(code)
	}
	b.remove(a)
	if b.add(a) || b.at(a.relayed) != nil || b.pending != 0 || b.begin(front, 1) != 0 {
		t.Errorf("%+v", b)
	}
}
