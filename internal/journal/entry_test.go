package journal

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
)

func (j *Journal) wantEntry(t *testing.T, i int, want string) {
	t.Helper()
	b := make([]byte, words.Size-checksumSize)
	ok, err := j.Entry(words.Position(i), b)
	if err != nil || ok != (want != "") || ok && string(b) != want {
		t.Errorf("entry %d: %v, %v, %q; want %q", i, ok, err, b, want)
	}
}

// TestEntry: one entry is read where it is, and nothing where there is none.
func TestEntry(t *testing.T) {
	j := reopen(t, disktest.NewCrash("/d"))
	ok(t, j.Append(word(1), word(2), word(3)))
	j.wantEntry(t, 0, "w0000001")
	j.wantEntry(t, 2, "w0000003")
	j.wantEntry(t, 3, "")
	if found, err := j.Entry(words.Position(1)+1, make([]byte, 8)); found || err != nil {
		t.Error(found, err)
	}
	salt := j.Salt()
	ok(t, j.Revise(func(b []byte) ([]byte, error) {
		if string(b) == "w0000002" {
			return nil, nil
		}
		return b, nil
	}, func() []byte { return word(9) }))
	for i, want := range []string{"w0000001", "w0000003", "w0000009", ""} {
		j.wantEntry(t, i, want)
	}
	if j.Salt() == salt {
		t.Error("the salt is the same")
	}
	ok(t, j.Close())
	if _, err := j.Entry(words.Position(0), make([]byte, 8)); err == nil {
		t.Error("a closed journal was read")
	}
}

// TestWhatCannotBeReadIsNotLost: when an entry cannot be read or changed the file stays
// as it is.
func TestWhatCannotBeReadIsNotLost(t *testing.T) {
	crash := disktest.NewCrash("/d")
	d := &disktest.Faulty{FS: crash}
	j := reopen(t, d)
	ok(t, j.Append(word(1), word(2), word(3)))
	same := func(b []byte) ([]byte, error) { return b, nil }
	none := func() []byte { return nil }
	bad := errors.New("bad")
	n := 0
	if err := j.Revise(func(b []byte) ([]byte, error) {
		if n++; n == 2 {
			return nil, bad
		}
		return b, nil
	}, none); !errors.Is(err, bad) {
		t.Error(err)
	}
	d.FailKinds(disktest.Read)
	if j.Revise(same, none) == nil {
		t.Error("nothing could be read")
	}
	d.Heal()
	ok(t, j.Append(word(4)), j.Close())
	ok(t, reopen(t, crash, 1, 2, 3, 4).Close())
	// A start that leaves out a damaged entry reads the file three times.
	change(t, crash, func(f disk.File, _ int64) error { return f.Write([][]byte{{'x'}}, words.Position(1)) })
	reads := 0
	d.Fail(func(o disktest.Op) error {
		if o.Kind != disktest.Read {
			return nil
		}
		if reads++; reads > 3 {
			return disktest.ErrFault
		}
		return nil
	})
	if j, _, err := open(d); err == nil {
		t.Error("nothing was read a second time", j.Close())
	}
	d.Heal()
	ok(t, reopen(t, crash, 1, 3, 4).Close())
}
