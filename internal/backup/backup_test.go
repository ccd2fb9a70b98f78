package backup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
)

// Three backups while fragments come and go: each is what was there at its time, and
// copies only what the one before had not.
func TestBackupsAreOfTheirMoment(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(12)
	want1 := s.contents()
	first := s.backup(o)
	s.store(12)
	want2 := s.contents()
	second := s.backup(o)
	s.expire(10)
	s.store(3)
	want3 := s.contents()
	third := s.backup(o)

	if first.Shared != 0 || second.Shared == 0 || second.Copied >= second.Size/2+1<<20 {
		t.Errorf("the second backup shares %d of %d segments and copied %d bytes", second.Shared, second.Segments, second.Copied)
	}
	if first.Fragments != 24 || first.Streams != 2 || len(first.Warnings) != 0 {
		t.Errorf("report %+v, want 24 fragments of 2 streams", first)
	}
	verified(t, o.Dir, 3)
	same(t, "first backup", want1, s.restored(o.Dir, first.ID))
	same(t, "second backup", want2, s.restored(o.Dir, second.ID))
	same(t, "third backup", want3, s.restored(o.Dir, "latest"))
	last, err := Last(s.data)
	if err != nil || last.ID != third.ID || !last.Time.Equal(third.Time) {
		t.Errorf("the data directory says %+v, %v; want backup %s", last, err, third.ID)
	}
}

// Sealed segments that the folder has are not even opened.
func TestUnchangedSegmentsAreNotRead(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(12)
	s.backup(o)
	read := int64(0)
	o.Progress = func(p Progress) { read = p.Done }
	r := s.backup(o)
	databases := int64(0)
	for _, f := range mustList(t, o.Dir, r.ID).Files {
		databases += f.Size
	}
	if read > databases+r.Copied {
		t.Errorf("%d bytes were read, of which %d are databases and files, and %d were copied", read, databases, r.Copied)
	}
}

// With Verify a damaged copy is found and made again.
func TestVerifyMendsTheCopy(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(12)
	r := s.backup(o)
	m := mustList(t, o.Dir, r.ID)
	damage(t, filepath.Join(o.Dir, poolDir, m.Segments[0].File), 5000)
	o.Verify = true
	r = s.backup(o)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], m.Segments[0].Name) {
		t.Errorf("warnings %q, want one about %s", r.Warnings, m.Segments[0].Name)
	}
	verified(t, o.Dir, 2)
}

// So are copies of segments that were open then, of any backup, and files that are gone.
// What the server no longer has is told, with the backups that need it.
func TestVerifyMendsEveryBackup(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(7)
	want := s.contents()
	first := s.backup(o)
	open := mustList(t, o.Dir, first.ID).Segments
	damage(t, filepath.Join(o.Dir, poolDir, open[len(open)-1].File), 5000)
	s.store(12) // seals it
	second := s.backup(o)
	sealed := mustList(t, o.Dir, second.ID).Segments
	open = append(open, sealed[len(sealed)-1])
	if err := os.Remove(filepath.Join(o.Dir, poolDir, open[len(open)-1].File)); err != nil {
		t.Fatal(err)
	}
	s.store(1)
	o.Verify = true
	if r := s.backup(o); len(r.Warnings) != 2 || !strings.Contains(r.Warnings[0], open[len(open)-2].Name) {
		t.Errorf("warnings %q, want two that say what was copied again", r.Warnings)
	}
	verified(t, o.Dir, 3)
	same(t, "mended backup", want, s.restored(o.Dir, first.ID))

	s.expire(7)
	damage(t, filepath.Join(o.Dir, poolDir, open[0].File), 5000)
	r := s.backup(o)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], open[0].Name) || !strings.Contains(r.Warnings[0], first.ID) {
		t.Errorf("warnings %q, want one that %s of %s is lost", r.Warnings, open[0].Name, first.ID)
	}
	if m := mustList(t, o.Dir, r.ID); len(m.Warnings) > 0 {
		t.Errorf("the new backup is whole and says %q", m.Warnings)
	}
}

// The folder keeps so many backups and only the segments that they need.
func TestPrune(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.Keep = 2
	for i := range 4 {
		s.store(8)
		r := s.backup(o)
		if want := max(0, min(1, i-1)); len(r.Removed) != want {
			t.Errorf("backup %d removed %v, want %d", i, r.Removed, want)
		}
		s.expire(int64(i) * 8)
	}
	verified(t, o.Dir, 2)
	pool, err := readPool(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := list(o.Dir)
	for _, m := range l.manifests {
		for _, seg := range m.Segments {
			p, _ := parsePooled(seg.File)
			delete(pool, p.part())
		}
	}
	if len(pool) > 0 {
		t.Errorf("%d segments lie there that no backup needs", len(pool))
	}
}

// A backup whose manifest cannot be read is listed as damaged and keeps all segments.
func TestPruneBesideADamagedBackup(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.Keep = 1
	s.store(8)
	first := s.backup(o)
	damage(t, filepath.Join(first.Folder, manifestFile), 100)
	s.expire(100)
	s.store(1)
	second := s.backup(o)
	if len(second.Removed) != 0 || second.Freed != 0 {
		t.Errorf("removed %v and %d bytes beside a backup that cannot be read", second.Removed, second.Freed)
	}
	if len(second.Warnings) != 1 || !strings.Contains(second.Warnings[0], first.Folder) {
		t.Errorf("warnings %q, want one that names %s", second.Warnings, first.Folder)
	}
	if m := mustList(t, o.Dir, second.ID); len(m.Warnings) > 0 {
		t.Errorf("the second backup is whole and says %q", m.Warnings)
	}
	all, err := List(o.Dir)
	if got := ids(all); err != nil || len(got) != 2 || got[0] != first.ID+"true" || got[1] != second.ID+"false" {
		t.Errorf("list %v, %v", got, err)
	}
	damage(t, filepath.Join(first.Folder, manifestFile), 100) // and back again
	verified(t, o.Dir, 2)
}

// An empty folder with the name of a backup is one that cannot be read.
func TestPruneBesideAnEmptyFolder(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.Keep = 1
	s.store(1)
	s.backup(o)
	empty := filepath.Join(o.Dir, "20250101T000000Z")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := s.backup(o); len(r.Removed) != 1 || r.Freed != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], empty) {
		t.Errorf("beside an empty folder: %+v, want a warning that names it", r)
	}
	if err := os.Remove(empty); err != nil {
		t.Fatal(err)
	}
	s.store(1)
	if r := s.backup(o); len(r.Warnings) != 0 || r.Freed == 0 {
		t.Errorf("without it: %+v", r)
	}
}

// Ids follow each other even if the clock does not.
func TestIDsGrow(t *testing.T) {
	s := newSource(t)
	o := s.options()
	now := time.Date(2026, 11, 22, 5, 20, 0, 0, time.UTC)
	o.Now = func() time.Time { return now }
	a := s.backup(o)
	b := s.backup(o)
	now = now.Add(-time.Hour)
	c := s.backup(o)
	if a.ID != "20261122T052000Z" || b.ID != "20261122T052001Z" || c.ID != "20261122T052002Z" {
		t.Errorf("ids %s, %s, %s", a.ID, b.ID, c.ID)
	}
	if m := mustList(t, o.Dir, "latest"); m.ID != c.ID || !m.Time.Equal(now) {
		t.Errorf("the latest is %s of %v", m.ID, m.Time)
	}
}

// sha256sum can verify a backup, without Millrace.
func TestSumsAreForSha256sum(t *testing.T) {
	tool, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Log("no sha256sum here; shasum reads the same format")
		return
	}
	s := newSource(t)
	s.store(5)
	r := s.backup(s.options())
	c := exec.Command(tool, "-c", "--quiet", sumsFile)
	c.Dir = r.Folder
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The key file comes along only when asked for; a restore checks it.
func TestKeyFile(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(1)
	without := s.backup(o)
	o.WithKeyFile = true
	with := s.backup(o)
	if without.HasKeyFile || !with.HasKeyFile || exists(filepath.Join(without.Folder, keyFile)) {
		t.Errorf("key file: %v without asking, %v with", without.HasKeyFile, with.HasKeyFile)
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	text := "millrace wrapping key 1\n" + strings.Repeat("A", 43) + "=\n"
	if err := os.WriteFile(wrong, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id, key string
		has     bool
		fails   string
	}{
		{without.ID, "", false, ""},
		{without.ID, filepath.Join(s.data, keyFile), true, ""},
		{with.ID, "", true, ""},
		{without.ID, wrong, false, "is not the one"},
		{without.ID, wrong + "-missing", false, "no key file"},
	} {
		data := filepath.Join(t.TempDir(), "restored")
		r, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, ID: c.id, Data: data, KeyFile: c.key})
		switch {
		case c.fails != "":
			if err == nil || !strings.Contains(err.Error(), c.fails) || exists(data) {
				t.Errorf("%s with key %q: %v, target made %v; want %q", c.id, c.key, err, exists(data), c.fails)
			}
		case err != nil || r.HasKey != c.has || exists(filepath.Join(data, keyFile)) != c.has:
			t.Errorf("%s with key %q: %+v, %v", c.id, c.key, r, err)
		}
	}
}

// A copy of the key file that others can read, as on a stick, is restored with a warning,
// and the server accepts what comes out; so is the key file of a backup on such a disk.
func TestKeyFileOnAStick(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.WithKeyFile = true
	s.store(1)
	r := s.backup(o)
	text, err := os.ReadFile(filepath.Join(s.data, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	stick := filepath.Join(t.TempDir(), "millrace-key")
	inside := filepath.Join(r.Folder, keyFile)
	if err := errors.Join(os.WriteFile(stick, text, 0o600), os.Chmod(stick, 0o644), os.Chmod(inside, 0o755)); err != nil {
		t.Fatal(err)
	}
	for given, path := range map[string]string{stick: stick, "": inside} {
		data := filepath.Join(t.TempDir(), "restored")
		done, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data, KeyFile: given})
		if err != nil || len(done.Warnings) != 1 || !strings.Contains(done.Warnings[0], path) {
			t.Errorf("restored with %q: %+v, %v; want a warning that names %s", given, done, err, path)
			continue
		}
		if info, err := os.Stat(filepath.Join(data, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("restored with %q: %v, %v; want mode 0600", given, info, err)
		}
	}
}

// A counter never stands behind a fragment that is there: numbers are not given twice.
func TestCountersAreNotBehind(t *testing.T) {
	s := newSource(t)
	o := s.options()
	e, err := s.catalog.Open(t.Context(), s.streams[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	var highest int64
	draw := func() {
		for range 700 {
			n, err := e.NextNumber(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			highest = n.N
		}
		if err := s.put(s.streams[0].ID, highest); err != nil {
			t.Fatal(err)
		}
	}
	o.step = func(part string) {
		if part == "copying the index" {
			draw()
		}
	}
	for range 4 {
		draw()
		s.backup(o)
		inIndex := highest
		data := filepath.Join(t.TempDir(), "restored")
		if _, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data}); err != nil {
			t.Fatal(err)
		}
		rows := s.rows(db.Options{Path: filepath.Join(data, catalogFile), Migrations: catalog.Migrations()})
		c, err := catalog.Open(t.Context(), catalog.Options{DB: rows, Region: "us-east-1"})
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Open(t.Context(), s.streams[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		n, err := again.NextNumber(t.Context(), 0)
		if err != nil || n.N <= inIndex {
			t.Errorf("the restored counter gives %d, %v; fragment %d is stored", n.N, err, inIndex)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A directory that no server has opened yet is told from a damaged one.
func TestADirectoryWhoseServerNeverStarted(t *testing.T) {
	o := Options{Data: t.TempDir(), Dir: t.TempDir()}
	for _, c := range []struct{ file, want string }{{"", "not a data directory"}, {catalogFile, "start its server once"}} {
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(o.Data, c.file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: %v, want %q", c.file, err, c.want)
		}
	}
}
