package live

import "testing"

// Freed pages are used again; what is needed no more goes within seconds.
func TestPagesAreKeptWhileTheyAreNeeded(t *testing.T) {
	var p pagePool
	var pages [][]byte
	for range 1000 {
		pages = append(pages, p.get())
	}
	p.put(pages)
	p.trim()
	if len(p.free) != 1000 {
		t.Errorf("%d pages after a busy second, want all", len(p.free))
	}
	for range 30 { // a steady load of 100
		pages = pages[:0]
		for range 100 {
			pages = append(pages, p.get())
		}
		p.put(pages)
		p.trim()
	}
	if len(p.free) != 100 || cap(p.free) > 1000 {
		t.Errorf("%d pages of %d, want those of the load", len(p.free), cap(p.free))
	}
	for range 10 {
		p.trim()
	}
	if len(p.free) != 0 {
		t.Errorf("%d pages, want none", len(p.free))
	}
}
