package rejection

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/millrace/millrace/internal/kvs"
)

func anyStream(kvs.StreamID) bool { return true }

// stop runs a book until it has written itself.
func (b *Book) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// load opens a book that an earlier one wrote.
func load(t *testing.T, o Options, there func(kvs.StreamID) bool) *Book {
	t.Helper()
	b := NewBook(o)
	if err := b.Load(there); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARestartLosesNothing(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "rejections")}
	b := load(t, o, anyStream) // there is no file yet
	for i, cause := range []string{"a", "b", "a"} {
		b.add(1, int64(i), cause)
		b.add(2, int64(i), cause)
	}
	b.add(3, 9, "gone")
	b.add(1, 10, "c")
	b.stop(t)
	again := load(t, o, func(id kvs.StreamID) bool { return id != 3 })
	b.Forget(3)
	for id := range kvs.StreamID(4) {
		if got, want := again.List(id, all), b.List(id, all); !reflect.DeepEqual(utc(got), utc(want)) {
			t.Errorf("stream %d: got %+v, want %+v", id, got, want)
		}
	}
	if got := again.Recent("111122223333", all); len(got) != 2 || got[0].StreamName != "cam1" || again.bytes != b.bytes {
		t.Errorf("got %+v, %d bytes, want %d", got, again.bytes, b.bytes)
	}
	fixes := again.List(1, all)
	if unsafe.StringData(fixes[0].Last.Fix) != unsafe.StringData(fixes[1].First.Fix) {
		t.Error("the same advice is in memory twice")
	}
	if small := load(t, Options{Path: o.Path, Streams: 1, Entries: 2}, anyStream); small.order.Len() != 1 || shape(small, 1) != "c:1 10-10, a:2 0-2" {
		t.Errorf("within other bounds: %d streams, %s", small.order.Len(), shape(small, 1))
	}
}

// utc makes times comparable.
func utc(entries []Entry) []Entry {
	for i := range entries {
		entries[i].First.Time, entries[i].Last.Time = entries[i].First.Time.UTC(), entries[i].Last.Time.UTC()
	}
	return entries
}

// A crash costs some seconds; what did not change is not written again.
func TestTheBookIsWrittenNowAndThen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejections")
	synctest.Test(t, func(t *testing.T) {
		b := NewBook(Options{Path: path})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = b.Run(ctx) }()
		b.add(1, 1, "a")
		time.Sleep(saveEvery + time.Second)
		if got := shape(load(t, Options{Path: path}, anyStream), 1); got != "a:1 1-1" {
			t.Errorf("after a while: %q", got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * saveEvery)
		if _, err := os.Stat(path); err == nil {
			t.Error("written without a change")
		}
		b.Forget(1)
		time.Sleep(saveEvery)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("not written after a deletion: %v", err)
		}
		cancel()
		synctest.Wait()
	})
}

func TestADamagedFileIsReadAsFarAsItGoes(t *testing.T) {
	o := Options{Path: filepath.Join(t.TempDir(), "rejections")}
	b := NewBook(o)
	b.add(1, 1, "a")
	b.add(2, 2, "a")
	b.stop(t)
	text, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Path, text[:len(text)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if again := load(t, o, anyStream); shape(again, 2) != "a:1 2-2" || shape(again, 1) != "" || !strings.Contains(log.String(), o.Path) {
		t.Errorf("%s, %s, %s", shape(again, 2), shape(again, 1), log.String())
	}
}

// A disk that is full costs the report of a restart, and nobody's time.
func TestABookThatCannotBeWritten(t *testing.T) {
	var log bytes.Buffer
	b := NewBook(Options{Path: filepath.Join(t.TempDir(), "nowhere", "rejections"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	b.add(1, 1, "a")
	b.stop(t)
	if !b.changed || !strings.Contains(log.String(), "level=WARN") || shape(b, 1) == "" {
		t.Errorf("changed %v, %s", b.changed, log.String())
	}
}

// FuzzLoad: whatever is in the file, the book stays within its bounds.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"Stream":1,"Account":"1","Name":"a","Entries":[{"Count":2,"First":{"Case":"x"},"Last":{"Case":"x"}}]}` + "\n"))
	f.Add([]byte(`{"Stream":1,"Entries":[]}{"Stream":1,"Entries":null}{`))
	f.Fuzz(func(t *testing.T, text []byte) {
		o := Options{Path: filepath.Join(t.TempDir(), "rejections"), Entries: 3, Streams: 2}
		if err := os.WriteFile(o.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		b := load(t, o, anyStream)
		b.add(1, 1, "a")
		if shape(b, 1) == "" || b.order.Len() > 2 || len(b.List(1, all)) > 3 {
			t.Errorf("%d streams, %s", b.order.Len(), shape(b, 1))
		}
		b.Forget(1)
	})
}
