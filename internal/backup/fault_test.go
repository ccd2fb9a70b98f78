package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/archive"
)

// faultyVolume fails at its nth operation: once, or for ever like a process that was
// killed there.
type faultyVolume struct {
	realVolume
	n     int
	dead  bool // everything behind the nth fails, too
	count int
	hit   bool
}

var errFault = fmt.Errorf("injected: %w", syscall.ENOSPC)

func (v *faultyVolume) step(op string) error {
	v.count++
	if v.count == v.n || v.dead && v.count > v.n {
		v.hit = true
		return fmt.Errorf("%s, operation %d: %w", op, v.count, errFault)
	}
	return nil
}

func (v *faultyVolume) MakeDir(name string) error {
	if err := v.step("make folder"); err != nil {
		return err
	}
	return v.realVolume.MakeDir(name)
}

func (v *faultyVolume) Create(name string) (sink, error) {
	if err := v.step("create"); err != nil {
		return nil, err
	}
	f, err := v.realVolume.Create(name)
	return &faultySink{f, v}, err
}

func (v *faultyVolume) Rename(from, to string) error {
	if err := v.step("rename"); err != nil {
		return err
	}
	return v.realVolume.Rename(from, to)
}

func (v *faultyVolume) Remove(name string) error {
	if err := v.step("remove"); err != nil {
		return err
	}
	return v.realVolume.Remove(name)
}

func (v *faultyVolume) SyncDir(name string) error {
	return v.step("sync folder")
}

func (v *faultyVolume) Chmod(name string, m fs.FileMode) error {
	if err := v.step("chmod"); err != nil {
		return err
	}
	return v.realVolume.Chmod(name, m)
}

// Snapshot leaves a part of the file behind when it fails.
func (v *faultyVolume) Snapshot(ctx context.Context, from, to string) error {
	if err := v.step("snapshot"); err != nil {
		return errors.Join(err, os.WriteFile(to, []byte("SQLite format 3\x00"), 0o600))
	}
	return v.realVolume.Snapshot(ctx, from, to)
}

type faultySink struct {
	sink
	v *faultyVolume
}

// Write leaves half of the bytes behind when it fails.
func (f *faultySink) Write(b []byte) (int, error) {
	if err := f.v.step("write"); err != nil {
		n, _ := f.sink.Write(b[:len(b)/2])
		return n, err
	}
	return f.sink.Write(b)
}

func (f *faultySink) Sync() error { return f.v.step("sync") }

// A full disk, or the end of the process, at each operation of a backup: the backups
// made before are whole, and the next run makes one that has everything.
func TestFaultAtEachStep(t *testing.T) {
	for _, dead := range []bool{false, true} {
		t.Run(map[bool]string{false: "error", true: "killed"}[dead], func(t *testing.T) {
			s := newSource(t)
			o := s.options()
			o.Keep = 1
			s.store(5)
			s.backup(o)
			for n, tried := 1, true; tried; n += 1 + n/12 {
				s.store(2)
				s.expire(s.numbers[s.streams[0].ID] - 8)
				before := mustList(t, o.Dir, "latest").ID
				v := &faultyVolume{n: n, dead: dead}
				o.volume = v
				r, err := Run(t.Context(), o)
				tried = v.hit
				if err == nil && v.hit && len(r.Warnings) == 0 {
					t.Errorf("fault at operation %d was not reported: %+v", n, r)
				}
				if err == nil && mustList(t, o.Dir, "latest").ID == before {
					t.Errorf("fault at operation %d: there is no new backup, and the run says nothing", n)
				}
				o.volume = nil
				l, err := list(o.Dir)
				if err != nil || len(l.broken) > 0 || len(l.manifests) == 0 || l.manifests[0].ID < before {
					t.Fatalf("after a fault at operation %d: %v, damaged %v", n, err, l.broken)
				}
				verified(t, o.Dir, len(l.manifests))
			}
			want := s.contents()
			r := s.backup(o)
			verified(t, o.Dir, 1)
			same(t, "backup after the faults", want, s.restored(o.Dir, r.ID))
			if left, _ := filepath.Glob(filepath.Join(o.Dir, "*", ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// What fails once a backup is valid is told and does not make it a failure.
func TestFaultsBehindTheBackup(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.Keep = 1
	s.store(1)
	s.backup(o)
	if err := os.RemoveAll(filepath.Join(s.data, StateFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(s.data, StateFile, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	v := &faultyVolume{n: -1}
	o.volume = v
	o.step = func(part string) {
		if part == "removing old backups" {
			v.n, v.dead = v.count+1, true
		}
	}
	r, err := Run(t.Context(), o)
	if err != nil || len(r.Warnings) != 2 || !strings.Contains(r.Warnings[0], "removing old backups") || !strings.Contains(r.Warnings[1], StateFile) {
		t.Fatalf("%+v, %v; want two warnings", r, err)
	}
	if m := mustList(t, o.Dir, "latest"); m.ID != r.ID {
		t.Errorf("the latest backup is %s, the run made %s", m.ID, r.ID)
	}
	verified(t, o.Dir, 2)
}

// A fault at each operation of a restore is reported, and what is left is no data
// directory, so that no server opens it.
func TestRestoreFaults(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(4)
	s.backup(o)
	for n, hit := 1, true; hit; n++ {
		v := &faultyVolume{n: n, dead: true}
		data := filepath.Join(t.TempDir(), "restored")
		_, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data, KeyFile: filepath.Join(s.data, keyFile), volume: v})
		hit = v.hit
		if !hit {
			break
		}
		if err == nil {
			t.Errorf("fault at operation %d was not reported", n)
		}
		if m := mustList(t, o.Dir, "latest"); exists(filepath.Join(data, formatFile)) {
			if info, err := os.Stat(filepath.Join(data, formatFile)); err == nil && info.Size() == m.file(formatFile).Size && !whole(t, data, m) {
				t.Errorf("fault at operation %d left a data directory that is not whole", n)
			}
		}
	}
}

// A restore that fails takes away what it made and nothing else, whatever the operation.
func TestRestoreLeavesNothingWhenItFails(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(4)
	s.backup(o)
	parent := t.TempDir()
	empty, missing := filepath.Join(parent, "empty"), filepath.Join(parent, "missing", "restored")
	if err := os.MkdirAll(filepath.Join(empty, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{missing, empty} {
		if data == empty {
			if err := os.RemoveAll(filepath.Dir(missing)); err != nil {
				t.Fatal(err)
			}
		}
		for n := 1; ; n++ {
			v := &faultyVolume{n: n}
			_, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data, KeyFile: filepath.Join(s.data, keyFile), volume: v})
			if !v.hit {
				break
			}
			if entries, _ := os.ReadDir(empty); err == nil || len(entries) != 1 || exists(filepath.Dir(missing)) {
				t.Fatalf("fault at operation %d: %v; %v is left", n, err, entries)
			}
		}
		if !exists(filepath.Join(data, formatFile)) {
			t.Error("the run without a fault made no data directory")
		}
	}
}

// What a restore could not remove is said; the next one says the same.
func TestRestoreThatWasKilled(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(4)
	s.backup(o)
	data := filepath.Join(t.TempDir(), "restored")
	_, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data, volume: &faultyVolume{n: 12, dead: true}})
	if err == nil || !strings.Contains(err.Error(), "remove what is in "+data) {
		t.Errorf("error %v", err)
	}
	if _, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data}); err == nil || !strings.Contains(err.Error(), "remove it if a restore was killed") {
		t.Errorf("error %v", err)
	}
}

// whole says whether everything of a backup is in a directory.
func whole(t *testing.T, data string, m *Manifest) bool {
	t.Helper()
	c := copier{progress: func(Progress) {}}
	for _, f := range m.Files {
		if ok, err := c.holds(t.Context(), filepath.Join(data, f.Path), f.Size, f.SHA256); err != nil || !ok {
			return false
		}
	}
	for _, s := range m.Segments {
		if ok, err := c.holds(t.Context(), filepath.Join(data, segmentsDir, s.Name), s.Size, s.SHA256); err != nil || !ok {
			return false
		}
	}
	return true
}

// One changed byte in any file of a backup is found by verify, and stops a restore.
func TestDamageIsFound(t *testing.T) {
	s := newSource(t)
	o := s.options()
	o.WithKeyFile = true
	s.store(6)
	r := s.backup(o)
	m := mustList(t, o.Dir, r.ID)
	files := []string{filepath.Join(r.Folder, manifestFile)}
	for _, f := range m.Files {
		files = append(files, filepath.Join(r.Folder, f.Path))
	}
	for _, s := range m.Segments {
		files = append(files, filepath.Join(o.Dir, poolDir, s.File))
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		damage(t, file, info.Size()/2)
		found(t, o.Dir, file)
		damage(t, file, info.Size()/2)
		if err := os.Rename(file, file+"-away"); err != nil {
			t.Fatal(err)
		}
		found(t, o.Dir, file)
		if err := os.Rename(file+"-away", file); err != nil {
			t.Fatal(err)
		}
	}
	verified(t, o.Dir, 1)
}

// found fails unless verify and restore complain.
func found(t *testing.T, dir, file string) {
	t.Helper()
	v, err := Verify(t.Context(), VerifyOptions{Dir: dir})
	if err != nil || len(v.Damage) == 0 {
		t.Errorf("%s: verify says %v, %v", file, v, err)
	}
	data := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), RestoreOptions{Dir: dir, Data: data}); err == nil {
		t.Errorf("%s: restored", file)
	}
	if exists(data) {
		t.Errorf("%s: the restore that failed left something", file)
	}
}

// Damaged media do not keep the rest from being restored, if that is wanted; a damaged
// database does.
func TestSalvage(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(12)
	r := s.backup(o)
	m := mustList(t, o.Dir, r.ID)
	damage(t, filepath.Join(o.Dir, poolDir, m.Segments[0].File), m.Segments[0].Size/2)
	if err := errors.Join(os.Remove(filepath.Join(o.Dir, poolDir, m.Segments[1].File)),
		os.Truncate(filepath.Join(o.Dir, poolDir, m.Segments[2].File), 30_000)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "restored")
	done, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data, Salvage: true})
	if err != nil || len(done.Warnings) != 3 {
		t.Fatalf("%+v, %v; want three warnings", done, err)
	}
	a, err := archive.Open(t.Context(), archive.Options{Dir: filepath.Join(data, "archive"), Keys: keysOf(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	readable, all := 0, stored(t, a, s.streams[0].ID)
	for n, f := range all {
		at, ok, err := a.Get(t.Context(), f.Stream, f.Number, 0)
		if err != nil || !ok {
			t.Fatal(err, ok)
		}
		rd, err := a.OpenRecord(t.Context(), at)
		if err != nil {
			continue
		}
		b := make([]byte, rd.Size())
		if _, err := rd.ReadAt(b, 0); err == nil {
			readable++
			if !bytes.Equal(b, body(f.Stream, n)) {
				t.Errorf("fragment %d came out changed", n)
			}
		}
		_ = rd.Close()
	}
	if len(all) >= 12 || readable < 5 || readable == len(all) { // a segment without a file is forgotten
		t.Errorf("%d of %d fragments can be read", readable, len(all))
	}
	damage(t, filepath.Join(r.Folder, catalogFile), 5000)
	if _, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data + "2", Salvage: true}); !errors.Is(err, errDamaged) {
		t.Errorf("with a damaged catalog: %v", err)
	}
}

// A folder that is full is noticed before anything is written.
func TestNoRoom(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(4)
	o.volume = &fullVolume{}
	_, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "nothing was copied") {
		t.Errorf("error %v", err)
	}
	o.volume = nil
	s.backup(o)
	data := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), RestoreOptions{Dir: o.Dir, Data: data, volume: &fullVolume{}}); err == nil {
		t.Error("restored to a full disk")
	}
	if exists(data) {
		t.Error("a restore without room left a folder")
	}
}

type fullVolume struct{ realVolume }

func (fullVolume) Free(string) (int64, error) { return 1 << 20, nil }

// A run that is interrupted leaves the backups before as they were, and the next one goes
// on with the segments that are there.
func TestInterrupted(t *testing.T) {
	s := newSource(t)
	o := s.options()
	s.store(20)
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(p Progress) {
		if p.Done > 200_000 {
			cancel()
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), "interrupted; nothing that was there before has changed") {
		t.Fatalf("error %v", err)
	}
	verified(t, o.Dir, 0)
	o.Progress = nil
	want := s.contents()
	r := s.backup(o)
	if r.Shared == 0 {
		t.Error("no segment of the interrupted run was used")
	}
	verified(t, o.Dir, 1)
	same(t, "backup after an interruption", want, s.restored(o.Dir, r.ID))
}

// Folders that a backup or a restore must not touch.
func TestRefusedFolders(t *testing.T) {
	s := newSource(t)
	other := newSource(t)
	o := s.options()
	s.backup(o)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "diary.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		data, dir, says string
	}{
		{other.data, o.Dir, "another installation"},
		{s.data, full, "is not empty"},
		{s.data, filepath.Join(s.data, "backups"), "lie in each other"},
		{s.data, filepath.Dir(s.data), "lie in each other"},
		{full, t.TempDir(), "not a data directory"},
	} {
		if _, err := Run(t.Context(), Options{Data: c.data, Dir: c.dir}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("backup of %s into %s: %v, want %q", c.data, c.dir, err, c.says)
		}
	}
	for _, c := range []struct {
		dir, id, data, says string
	}{
		{o.Dir, "", full, "is not empty"},
		{o.Dir, "", s.data, "is not empty"},
		{o.Dir, "", filepath.Join(o.Dir, "new"), "lie in each other"},
		{o.Dir, "20200101T000000Z", filepath.Join(full, "new"), "holds no backup"},
		{full, "", filepath.Join(full, "new"), "no folder of backups"},
	} {
		if _, err := Restore(t.Context(), RestoreOptions{Dir: c.dir, ID: c.id, Data: c.data}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("restore of %s in %s into %s: %v, want %q", c.id, c.dir, c.data, err, c.says)
		}
	}
}
