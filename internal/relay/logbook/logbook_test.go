package logbook

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/kvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// room is a logbook with what a test looks at. Its clock stands still until it is moved.
type room struct {
	*Logbook
	text bytes.Buffer // complete behind Close
	now  time.Time
}

func newRoom(change ...func(*Options)) *room {
	r := &room{now: time.Unix(1_800_000_000, 0)}
	level := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}
	o := Options{Now: func() time.Time { return r.now }, Logger: slog.New(slog.NewTextHandler(&r.text, level))}
	for _, c := range change {
		c(&o)
	}
	r.Logbook = New(o)
	return r
}

// lines returns what was logged since the last call.
func (r *room) lines() []string {
	r.Close()
	defer r.text.Reset()
	return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n")
}

func (r *room) want(t *testing.T, want ...string) {
	t.Helper()
	if got := r.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var errAway = fmt.Errorf("the database is away")

// named is a source of names: of channel 7 alone.
func named(id kvs.ChannelID) (string, error) {
	if id == 7 {
		return "door", nil
	}
	return "", kvs.Errorf(kvs.NotFound, "there is no such channel")
}

// Lines have the names of channels while there are any, and the numbers of others.
func TestLines(t *testing.T) {
	r := newRoom(func(o *Options) { o.Name = named })
	r.Write(Line{Text: "ended", Account: "1", Channel: 7, More: []any{"client", "anna", "bytes", 3}})
	r.Write(Line{Level: slog.LevelWarn, Text: "ended", Account: "1", Channel: 8})
	r.Write(Line{Text: "stranger", More: []any{"source", "there"}})
	r.Write(Line{Level: slog.LevelDebug, Text: "nobody looks so closely"})
	r.want(t, "msg=ended account=1 channel=door client=anna bytes=3", "msg=ended account=1 channel=8", "msg=stranger source=there")
	plain := newRoom()
	plain.Write(Line{Text: "ended", Account: "1", Channel: 7})
	plain.want(t, "msg=ended account=1 channel=7")
}

// Lines that find no room are missing in the place where they would stand.
func TestMissingLines(t *testing.T) {
	var r *room
	r = newRoom(func(o *Options) {
		o.most = lot + 2
		o.Name = func(kvs.ChannelID) (string, error) {
			r.Write(Line{Text: "behind the gap"})
			return "door", nil
		}
	})
	r.Write(Line{Text: "first", Channel: 7})
	for i := range lot + 3 {
		r.Write(Line{Text: fmt.Sprint(i)})
	}
	got := r.lines()
	want := []string{fmt.Sprint("msg=", lot), `msg="relay lines missing" lines=2`, `msg="behind the gap"`}
	if n := len(got); n != lot+4 || strings.Join(got[n-3:], "\n") != strings.Join(want, "\n") || r.Lost() != 2 {
		t.Errorf("%d lines, %d are missing, the last ones are\n%s", n, r.Lost(), strings.Join(got[n-3:], "\n"))
	}
	for range lot + 7 {
		r.Write(Line{Text: "more"})
	}
	if got := r.lines(); got[len(got)-1] != `msg="relay lines missing" lines=5` || r.Lost() != 7 {
		t.Errorf("%d are missing; the last line is %s", r.Lost(), got[len(got)-1])
	}
	r.Write(Line{Text: "again"})
	r.want(t, "msg=again")
}

// From however many sides lines come, each is written or counted, those of one side in order.
func TestManySides(t *testing.T) {
	const sides, each = 8, 2000
	r := newRoom(func(o *Options) { o.Name, o.most = named, 500 })
	ctx, cancel := context.WithCancel(t.Context())
	var running, writing sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	for side := range sides {
		writing.Go(func() {
			for i := range each {
				r.Write(Line{Text: "line", Channel: kvs.ChannelID(side), More: []any{"side", side, "n", i}})
				if i%100 == 0 {
					r.Forget(kvs.ChannelID(side))
				}
			}
		})
	}
	writing.Wait()
	cancel()
	running.Wait()
	var next [sides]int
	written, missing := 0, 0
	one, gap := regexp.MustCompile(`side=(\d) n=(\d+)$`), regexp.MustCompile(`lines=(\d+)$`)
	for _, line := range r.lines() {
		var side, n int
		if m := gap.FindStringSubmatch(line); m != nil {
			_, _ = fmt.Sscan(m[1], &n)
			missing += n
			continue
		}
		m := one.FindStringSubmatch(line)
		_, _ = fmt.Sscan(m[1]+" "+m[2], &side, &n)
		if n < next[side] {
			t.Fatalf("line %d of side %d comes behind its successor", n, side)
		}
		next[side] = n + 1
		written++
	}
	if written+missing != sides*each || uint64(missing) != r.Lost() {
		t.Errorf("%d are written, %d missing, %d counted as that, of %d", written, missing, r.Lost(), sides*each)
	}
}

// The end does not wait for names for ever.
func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(func(o *Options) {
			o.Name = func(kvs.ChannelID) (string, error) {
				time.Sleep(closing * 3 / 4)
				return "door", nil
			}
		})
		for id := range kvs.ChannelID(4) {
			r.Write(Line{Text: "ended", Channel: id + 1})
		}
		over := r.Hurry()
		r.want(t, "msg=ended account=\"\" channel=door", "msg=ended account=\"\" channel=door", "msg=ended account=\"\" channel=3", "msg=ended account=\"\" channel=4")
		over()
	})
}
