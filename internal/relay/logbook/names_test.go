package logbook

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// asked counts how often a name was asked for.
type asked struct {
	n    int
	text string
	err  error
}

func (a *asked) name(kvs.ChannelID) (string, error) {
	a.n++
	return a.text, a.err
}

func (a *asked) room() *room { return newRoom(func(o *Options) { o.Name = a.name }) }

// wantAsked says how often a look should have asked by now, and what it should find.
func (a *asked) wantAsked(t *testing.T, r *room, n int, text string, known bool) {
	t.Helper()
	if got, ok := r.look(7); got != text || ok != known || a.n != n {
		t.Errorf("asked %d times: %q, known %t; want %d: %q, %t", a.n, got, ok, n, text, known)
	}
}

// What was found holds for a while, also that there is nothing.
func TestNamesAreKept(t *testing.T) {
	for _, c := range []asked{{text: "door"}, {err: kvs.Errorf(kvs.NotFound, "gone")}} {
		r := c.room()
		c.wantAsked(t, r, 1, c.text, true)
		r.now = r.now.Add(nameLife - 1)
		c.wantAsked(t, r, 1, c.text, true)
		r.now = r.now.Add(1)
		c.wantAsked(t, r, 2, c.text, true)
		r.Forget(7)
		c.wantAsked(t, r, 3, c.text, true)
	}
}

// What could not be found is asked for again soon, but not for each line.
func TestNamesThatFail(t *testing.T) {
	a := asked{err: errAway}
	r := a.room()
	a.wantAsked(t, r, 1, "", false)
	a.wantAsked(t, r, 1, "", false)
	r.now, a.err, a.text = r.now.Add(pause), nil, "door"
	a.wantAsked(t, r, 2, "door", true)
	r.now, a.err = r.now.Add(nameLife), errAway
	a.wantAsked(t, r, 3, "", false)
}

// A channel that is deleted while its name is looked up is not kept.
func TestForgottenMeanwhile(t *testing.T) {
	var r *room
	n := 0
	r = newRoom(func(o *Options) {
		o.Name = func(kvs.ChannelID) (string, error) { n++; r.Forget(7); return "door", nil }
	})
	for range 2 {
		if text, ok := r.look(7); text != "door" || !ok {
			t.Error(text, ok)
		}
	}
	if n != 2 {
		t.Error("what was forgotten was kept")
	}
}

func TestNamesAreBounded(t *testing.T) {
	a := asked{text: "door"}
	r := a.room()
	for id := range kvs.ChannelID(mostNames + 100) {
		r.look(id)
	}
	if len(r.names.of) != mostNames || a.n != mostNames+100 {
		t.Error(len(r.names.of), a.n)
	}
	r.look(mostNames + 99) // the last one is there
	if a.n != mostNames+100 {
		t.Error("the newest one went")
	}
	r.now = r.now.Add(time.Hour)
	r.look(mostNames + 99)
	if len(r.names.of) != mostNames {
		t.Error("one that is there made another one go")
	}
}
