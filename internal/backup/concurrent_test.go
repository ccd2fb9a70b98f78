package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// At each step of a backup fragments come, expire, or a stream is deleted with all its
// media: each backup restores, everything listed can be read, and everything that was
// stored before and has not gone is there.
func TestChangesAtEachStep(t *testing.T) {
	for name, change := range map[string]func(*source){
		"store":  func(s *source) { s.store(5) },
		"expire": func(s *source) { s.store(5); s.expire(s.numbers[s.streams[0].ID] - 2) },
		"whole life": func(s *source) { // a segment begins, is sealed, and dies
			s.store(9)
			s.expire(s.numbers[s.streams[0].ID])
		},
		"delete": func(s *source) {
			s.store(2)
			id := s.streams[1].ID
			if err := errors.Join(s.catalog.Delete(context.Background(), id, ""), s.archive.DeleteStream(context.Background(), id)); err != nil && kvs.KindOf(err) != kvs.NotFound {
				s.t.Fatal(err)
			}
			s.expire(-1)
		},
	} {
		for _, step := range []string{"looking", "copying sealed segments", "pinning", "copying the index", "looking for segments",
			"copying files", "copying open segments", "finishing"} {
			t.Run(name+" before "+step, func(t *testing.T) {
				s := newSource(t)
				o := s.options()
				s.store(12)
				changed := false
				o.step = func(at string) {
					if at == step && !changed {
						changed = true
						change(s)
					}
				}
				before := s.contents()
				r := s.backup(o)
				if !changed || len(r.Warnings) > 0 {
					t.Errorf("changed: %v, warnings %v", changed, r.Warnings)
				}
				verified(t, o.Dir, 1)
				got, after := s.restored(o.Dir, r.ID), s.contents()
				for id := range before {
					for n, f := range before[id] {
						if _, lives := after[id][n]; lives && got[id][n] != f {
							t.Errorf("fragment %d of stream %d was stored before and is not in the backup", n, id)
						}
					}
				}
			})
		}
	}
}

// Segments that come and go faster than the index can be taken end in an error that says
// so, not in a backup that lacks them.
func TestExpiryThatNeverRests(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(3)
	o.step = func(at string) {
		switch at {
		case "copying the index": // behind the pins
			s.store(6)
		case "looking for segments":
			s.expire(s.numbers[s.streams[0].ID])
		}
	}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "run the backup again") {
		t.Errorf("error %v", err)
	}
}

// What the source has lost is a warning: the rest is worth a backup.
func TestLostSegment(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(12)
	names, err := filepath.Glob(filepath.Join(s.data, segmentsDir, "*.seg"))
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	if err := errors.Join(os.Remove(names[0]), os.Truncate(names[1], 1000)); err != nil {
		t.Fatal(err)
	}
	r := s.backup(o)
	if len(r.Warnings) != 2 || !strings.Contains(r.Warnings[0]+r.Warnings[1], "is missing") {
		t.Errorf("warnings %q", r.Warnings)
	}
	verified(t, o.Dir, 1)
	data := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data}); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), archive.Options{Dir: filepath.Join(data, "archive"), Keys: keysOf(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// After a power failure the index is behind the segments. A backup made before the next
// start has everything all the same.
func TestIndexBehindTheSegments(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(3)
	older := s.backup(o)
	s.store(20)
	want := s.contents()
	s.stop()
	index := filepath.Join(s.data, indexFile)
	text, err := os.ReadFile(filepath.Join(older.Folder, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.backup(o)
	same(t, "backup of a directory that was never recovered", want, s.restored(o.Dir, r.ID))
}

// Beside a server nothing behind the committed end of an open segment is taken: it may be
// of fragments whose producers hear that they were not stored.
func TestUncommittedBytesStayOut(t *testing.T) {
	s := newSource(t)
	s.store(1)
	names, err := filepath.Glob(filepath.Join(s.data, segmentsDir, "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	info, err := os.Stat(names[0])
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(names[0], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.backup(s.options())
	if m := mustList(t, s.options().Dir, r.ID); len(m.Segments) != 1 || m.Segments[0].Size != info.Size() {
		t.Errorf("segments %+v, want one of %d bytes", m.Segments, info.Size())
	}
}

// Media that unknown files hold are named.
func TestUnknownFile(t *testing.T) {
	s := newSource(t)
	if err := os.WriteFile(filepath.Join(s.data, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.backup(s.options())
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "notes.txt") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// Two runs do not get into each other's way, and a directory that is being copied without
// a server cannot be served.
func TestLocks(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(1)
	s.stop()
	inside := o
	o.step = func(at string) {
		if at != "copying files" {
			return
		}
		if _, err := Run(t.Context(), inside); err == nil || !strings.Contains(err.Error(), "another backup") {
			t.Errorf("a second run at the same time: %v", err)
		}
		if f, err := take(filepath.Join(s.data, lockFile)); !errors.Is(err, errTaken) {
			t.Errorf("the data directory can be served while it is copied: %v", err)
		} else if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	s.backup(o)
	s.open()
	s.backup(inside)
}

// Backups that are removed while they are verified are no damage.
func TestVerifyBesideABackup(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.Keep = 1
	s.store(8)
	s.backup(o)
	s.expire(100)
	s.store(100)
	again := false
	v, err := Verify(t.Context(), VerifyOptions{Dir: o.Dir, Progress: func(Progress) {
		if !again {
			again = true
			s.backup(o)
		}
	}})
	if err != nil || len(v.Damage) > 0 || len(v.Backups) > 0 {
		t.Errorf("verdict %+v, %v; want nothing of the backup that was removed", v, err)
	}
	verified(t, o.Dir, 1)
}

// A backup waits for a server that starts, whatever its last run left.
func TestWaitsForAStart(t *testing.T) {
	s := newSource(t)
	s.stop()
	lock, err := take(filepath.Join(s.data, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.WriteString("serving\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := Quiet(ctx, s.data); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the server starts: %v", err)
	}
	serving, err := take(filepath.Join(s.data, ServingFile))
	if err != nil {
		t.Fatal(err)
	}
	defer serving.Close()
	offline, release, err := Quiet(t.Context(), s.data)
	if err != nil || offline {
		t.Errorf("while the server serves: offline %v, %v", offline, err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// The rate holds for what is copied, however fast the disk is.
func TestRate(t *testing.T) {
	var waited time.Duration
	now := time.Unix(1_800_000_000, 0)
	c := copier{rate: 1 << 20, now: func() time.Time { return now.Add(waited) }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // pace says how it would wait instead of waiting
	for i := range 3 {
		if err := c.pace(ctx, 1<<20); !errors.Is(err, context.Canceled) {
			t.Errorf("megabyte %d at once: %v", i, err)
		}
	}
	waited = 3 * time.Second
	if err := c.pace(ctx, 0); err != nil {
		t.Errorf("after three seconds: %v", err)
	}
}

// Progress ends where it said that it would.
func TestProgress(t *testing.T) {
	s := newSource(t)
	s.store(12)
	o := s.options()
	var last Progress
	o.Progress = func(p Progress) { last = p }
	s.backup(o)
	if last.Done < last.Total/2 || last.Done > last.Total*2 { // logs of databases are not foreseen
		t.Errorf("the last word was %+v", last)
	}
}

func FuzzManifest(f *testing.F) {
	good := Manifest{Version: 1, ID: "20261122T052000Z", Files: []File{{Path: "keys.db", SHA256: strings.Repeat("0", 64)}},
		Segments: []Segment{pooled{1795315627, 7, 64, strings.Repeat("a", 64)}.segment()}}
	text, _, err := good.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":1,"id":"20261122T052000Z","files":[{"path":"../../etc/passwd","sha256":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text, good.ID)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Path) || file.Path == manifestFile {
				t.Errorf("file %q was let through", file.Path)
			}
		}
		for _, s := range m.Segments {
			if filepath.Base(s.File) != s.File || filepath.Base(s.Name) != s.Name {
				t.Errorf("segment %q, %q was let through", s.File, s.Name)
			}
		}
		if _, _, err := m.encode(); err != nil {
			t.Error(err)
		}
	})
}
