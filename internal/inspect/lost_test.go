package inspect

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

func named(context.Context) (map[kvs.StreamID]string, error) {
	return map[kvs.StreamID]string{5: "garden", 6: "yard"}, nil
}

// texts are those of the findings of one rule.
func texts(r *Report, rule int) (all []string) {
	for _, f := range r.Findings {
		if f.Invariant == rule {
			all = append(all, f.Text)
		}
	}
	return all
}

// A repair that makes the index forget a lost segment says what is lost with it.
func TestARepairTellsWhatIsLost(t *testing.T) {
	v := copyOf(t, newStock(t))
	o := Options{Dir: filepath.Join(v.dir, "archive"), Warm: filepath.Join(v.dir, "warm"), Names: named}
	if err := os.Remove(v.file(v.rows[0].segment)); err != nil {
		t.Fatal(err)
	}
	v.exec(`UPDATE streams SET fragments = fragments + 1 WHERE stream = 5`) // something to mend
	r, err := Repair(t.Context(), RepairOptions{Options: o, Open: v.reopen})
	if err != nil {
		t.Fatal(err)
	}
	if left := texts(r.After, 14); len(left) != 1 || r.After.Counts[14] != 1 ||
		!strings.Contains(left[0], "fragments of garden from 2027-01-15T") {
		t.Errorf("left: %q", left)
	}
}

// A file of tombstones that is gone, or an old one, is found.
func TestLostTombstonesAreFound(t *testing.T) {
	v := copyOf(t, newStock(t))
	o := Options{Dir: filepath.Join(v.dir, "archive"), Warm: filepath.Join(v.dir, "warm")}
	if err := os.Remove(v.path("tombstones")); err != nil {
		t.Fatal(err)
	}
	r, err := Repair(t.Context(), RepairOptions{Options: o, Open: v.reopen})
	if err != nil {
		t.Fatal(err)
	}
	if found := texts(r.Before, 15); len(found) != 1 || !strings.Contains(found[0], "tombstones is missing") || !r.After.Clean() {
		t.Errorf("found %q, left %d", found, r.After.Total())
	}
}

// A wrapping key that was replaced loses media: it is a finding, told once. One that is
// disabled is worth a note.
func TestAReplacedWrappingKey(t *testing.T) {
	v := copyOf(t, newStock(t))
	for _, c := range []struct {
		failure         keyring.Failure
		findings, notes int
	}{{keyring.Validation, 2, 0}, {keyring.NotFound, 2, 0}, {keyring.Disabled, 0, 2}} {
		o := Options{Dir: filepath.Join(v.dir, "archive"), Warm: filepath.Join(v.dir, "warm"), Names: named, Deep: true,
			Unwrap: func(context.Context, kvs.StreamID, []byte) ([32]byte, error) {
				return [32]byte{}, &keyring.Error{Failure: c.failure, KeyID: "alias/mine"}
			}}
		r, err := Check(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if all := slices.Concat(texts(r, 4), r.Notes); r.Total() != c.findings || len(r.Notes) != c.notes || !strings.Contains(all[0], "garden") && !strings.Contains(all[1], "garden") {
			t.Errorf("%v: %q", c.failure, all)
		}
	}
}

// What many fragments suffer from is told once, with the names that operators know.
func TestFindingsAreFoldedAndNamed(t *testing.T) {
	s := &stock{t: t, dir: t.TempDir(), segment: 10 << 20, now: new(atomic.Int64)}
	s.now.Store(began)
	s.grow(40)
	v := copyOf(t, s)
	if err := os.Truncate(v.path("keys"), 64); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(v.dir, "archive"), Warm: filepath.Join(v.dir, "warm"), Names: named}
	r, err := Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	lost := int64(0)
	for _, f := range r.Findings {
		lost += f.Lost
		if f.Name == "" || len(f.Fragment) != 47 || !strings.Contains(f.Text, f.Fragment+" of "+f.Name+" (2027-01-15T") {
			t.Errorf("%+v", f)
		}
	}
	if all := texts(r, 12); len(all) != 2 || lost != int64(len(v.rows)) {
		t.Errorf("%d findings, %d fragments of %d", len(all), lost, len(v.rows))
	}
}

// A segment that the disk cannot read is a finding, and the others are looked at all the
// same.
func TestACheckGoesOnBehindWhatCannotBeRead(t *testing.T) {
	v := copyOf(t, newStock(t))
	ill := v.rows[0].segment
	file := v.file(ill)
	if err := os.Rename(file, file+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil { // opens, and no byte of it can be read
		t.Fatal(err)
	}
	r := v.check(Options{})
	others := v.number(`SELECT COUNT(*) FROM fragments WHERE segment <> ` + strconv.FormatInt(ill, 10))
	found := texts(r, 4)
	if len(found) != 1 || !strings.Contains(found[0], filepath.Base(file)+" cannot be read") || r.Total() != 1 || r.Fragments != others {
		t.Errorf("%q, %v, %d fragments of %d", found, r.Findings, r.Fragments, others)
	}
	v.exec(`DELETE FROM fragments WHERE segment = ` + strconv.FormatInt(ill, 10))
	v.exec(`DELETE FROM segments WHERE id = ` + strconv.FormatInt(ill, 10))
	if found := texts(v.check(Options{}), 4); len(found) != 1 || !strings.Contains(found[0], "cannot be read") {
		t.Errorf("without a row: %q", found)
	}
}
