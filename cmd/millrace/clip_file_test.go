package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// behind is a server whose clock is a minute behind ours: it refuses ends in its future.
type behind struct {
	cutter
	now  time.Time
	ends []kvs.Millis // that were asked for
}

func (b *behind) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", b.now.UTC().Format(http.TimeFormat))
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if _, text, ok := strings.Cut(string(body), `"EndTimestamp":`); ok {
		text, _, _ = strings.Cut(text, ",")
		end, _ := parseMoment(text)
		b.ends = append(b.ends, end)
		if end > kvs.MillisOf(b.now) {
			w.Header().Set("x-amzn-ErrorType", "InvalidArgumentException")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"Message":"EndTimestamp must be in the past."}`)
			return
		}
	}
	b.cutter.ServeHTTP(w, r)
}

// Without --to a clip ends now, whatever the time is here; with it nothing else is asked.
func TestClipToNowOfTheServer(t *testing.T) {
	there := time.Now().Add(-time.Minute)
	for name, c := range map[string]struct {
		args []string
		code int
		ends int
	}{
		"now":           {nil, exitOK, 2},
		"in the future": {[]string{"--to", there.Add(10 * time.Second).Format(time.RFC3339)}, exitFailed, 1},
		"in the past":   {[]string{"--to", there.Add(-time.Second).Format(time.RFC3339)}, exitOK, 1},
	} {
		b := &behind{cutter: cutter{sends: 1000}, now: there}
		code, out, errs := command(t, b, nil, append([]string{"clip", "yard", "--from", "1000", "-o", "-"}, c.args...)...)
		if code != c.code || (code == exitOK) != (len(out) == 1000) || len(b.ends) != c.ends {
			t.Errorf("%s: code %d, %d bytes, asked for %v: %s", name, code, len(out), b.ends, errs)
		}
		if last := b.ends[len(b.ends)-1]; name == "now" && last != kvs.MillisOf(there.Truncate(time.Second)) {
			t.Errorf("asked for %v then", last)
		}
	}
}

// A clip is a file as any other: the umask says who reads it, a link stays one, and a pipe
// is written to.
func TestWhereClipsGo(t *testing.T) {
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "x.mp4"), filepath.Join(dir, "link.mp4"), filepath.Join(dir, "pipe")
	clip := func(to string) {
		t.Helper()
		if code, _, errs := command(t, &cutter{sends: 1000}, nil, "clip", "yard", "--from", "1000", "--to", "2000", "-o", to); code != exitOK {
			t.Errorf("%s: code %d, %s", to, code, errs)
		}
	}
	is := func(name string, mode os.FileMode) {
		t.Helper()
		if st, err := os.Lstat(name); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	for umask, mode := range map[int]os.FileMode{0o077: 0o600, 0o022: 0o644} {
		before := syscall.Umask(umask)
		clip(file)
		syscall.Umask(before)
		is(file, mode)
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	clip(link)
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", st, err)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 1000 {
		t.Errorf("what it names has %d bytes, %v", len(b), err)
	}

	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	go func() {
		b, _ := os.ReadFile(pipe)
		got <- len(b)
	}()
	clip(pipe)
	if n := <-got; n != 1000 {
		t.Errorf("%d bytes came through the pipe", n)
	}
	is(pipe, os.ModeNamedPipe|0o600)
}
