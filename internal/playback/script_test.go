package playback

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// script plays a file of testdata/timelines: paragraphs of commands, "----" and what they
// print. Times are milliseconds since the epoch of the script.
//
//	now 5000
//	store 1 0 0 2000 a        counter, server and producer time, duration, fingerprint of the codecs
//	lose 2 2000 2000 2000 a   it takes a place, but is not stored
//	erase server 0 1000       a range of time
//	expire 1000               all before a server time
//	restart                   of the server
//	begin live server always max=3 range=0-9000 expires=60000
//	list                      of the session that was begun last
//	find 3                    DASH number
//	set 1                     codec set
//	get 3 4000                HLS: counter and server time
type script struct {
	rows    *table
	board   *Board
	now     kvs.Millis
	horizon kvs.Millis
	ses     Session
	out     strings.Builder
}

func newScript() *script {
	s := &script{rows: newTable()}
	s.open()
	return s
}

func (s *script) open() {
	s.board = NewBoard(BoardOptions{Archive: s.rows, Now: func() time.Time { return (epoch + s.now).Time() }})
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func clockOf(text string) kvs.Clock {
	if text == "producer" {
		return kvs.ProducerClock
	}
	return kvs.ServerClock
}

func fragmentOf(words []string) (kvs.Fragment, []segment.Track) {
	f := kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: number(words[1]), Server: epoch + kvs.Millis(number(words[2]))},
		Producer: epoch + kvs.Millis(number(words[3])), Duration: number(words[4])}
	return f, []segment.Track{{Number: 1, Fingerprint: uint64(words[5][0])}}
}

func (s *script) do(words []string) {
	switch words[0] {
	case "now":
		s.now = kvs.Millis(number(words[1]))
	case "store":
		s.rows.store(fragmentOf(words))
	case "lose":
		s.rows.lose(fragmentOf(words))
	case "erase":
		s.rows.erase(archive.Erasure{Clock: clockOf(words[1]), Through: 1 << 60,
			Range: kvs.TimeRange{Start: epoch + kvs.Millis(number(words[2])), End: epoch + kvs.Millis(number(words[3]))}})
	case "expire":
		s.horizon = epoch + kvs.Millis(number(words[1]))
		s.rows.expire(s.horizon)
	case "restart":
		s.rows.restart()
		s.open()
	case "begin":
		s.begin(words[1:])
	case "list":
		s.list()
	case "find":
		e, ok, err := s.board.findNumber(context.Background(), &s.ses, number(words[1]), s.horizon)
		s.found(e, ok, err)
	case "set":
		e, ok, err := s.board.findSet(context.Background(), &s.ses, number(words[1]), s.horizon)
		s.found(e, ok, err)
	case "get":
		n := kvs.FragmentNumber{N: number(words[1]), Server: epoch + kvs.Millis(number(words[2]))}
		e, ok, err := s.board.fragment(context.Background(), &s.ses, n, s.horizon)
		s.found(e, ok, err)
	default:
		panic(words[0])
	}
}

func (s *script) begin(words []string) {
	want := Session{
		Stream: 1, Max: 5, Created: epoch + s.now, Expires: epoch + s.now + 300_000, Clock: clockOf(words[1]),
		Mode:          map[string]Mode{"live": Live, "replay": LiveReplay, "demand": OnDemand}[words[0]],
		Discontinuity: map[string]Discontinuity{"always": Always, "never": Never, "on": OnDiscontinuity}[words[2]],
	}
	for _, word := range words[3:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "max":
			want.Max = int(number(value))
		case "expires":
			want.Expires = epoch + kvs.Millis(number(value))
		case "break":
			want.Break = true
		case "range":
			from, to, _ := strings.Cut(value, "-")
			want.Range = kvs.TimeRange{Start: epoch + kvs.Millis(number(from)), End: NoEnd}
			if to != "" {
				want.Range.End = epoch + kvs.Millis(number(to))
			}
		default:
			panic(name)
		}
	}
	var err error
	if s.ses, _, err = s.board.begin(context.Background(), want, s.horizon); err != nil {
		s.printf("%v", err)
	}
}

func (s *script) printf(format string, args ...any) {
	fmt.Fprintf(&s.out, format+"\n", args...)
}

func (s *script) list() {
	t, err := s.board.timeline(context.Background(), &s.ses, epoch+s.now, s.horizon)
	if err != nil {
		s.printf("%v", err)
		return
	}
	s.printf("first %d, breaks %d, target %d, ended %v, static %v", t.First, t.Breaks, t.Target, t.Ended, t.Static)
	for i := range t.Entries {
		s.print(&t.Entries[i])
	}
}

func (s *script) print(e *Entry) {
	s.printf("%d: fragment %d at %d for %d, breaks %d, set %d, begin %d, length %d", e.Number, e.Stored.Number.N, e.Start-epoch, e.Duration,
		e.Breaks, e.Set, e.Begin, e.Length)
}

func (s *script) found(e Entry, ok bool, err error) {
	if err != nil || !ok {
		s.printf("not found (%v)", err)
		return
	}
	s.print(&e)
}

func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/timelines/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), got); diff != "" && !*update {
				t.Error(diff)
			}
		})
	}
}

// play returns the text of a script with what it prints now.
func play(text string) string {
	s := newScript()
	var out strings.Builder
	skip := false // what was printed before
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			skip = false
		case skip:
			continue
		case line == "----":
			fmt.Fprintf(&out, "----\n%s", s.out.String())
			s.out.Reset()
			skip = true
			continue
		case line[0] != '#':
			s.do(strings.Fields(line))
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}
