package inspect

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/segment"
)

// harm breaks an invariant in a copy of an archive.
type harm struct {
	name      string
	invariant int
	do        func(*victim)
	deep      bool // only a deep check sees it
	refused   bool // it cannot be repaired
	lost      int  // fragments that cannot be read any more, repaired or not
}

var harms = []harm{
	{name: "head of a segment flipped", invariant: 1, do: func(v *victim) { v.flip(v.file(v.sealed()), 33) }},
	{name: "head of a segment empty", invariant: 1, do: func(v *victim) { v.put(v.file(v.growing()), 0, make([]byte, 64)) }},
	{name: "file has another name", invariant: 1, do: func(v *victim) { v.rename(v.file(v.sealed()), v.file(77)) }},
	{name: "names of files swapped", invariant: 1, do: func(v *victim) {
		a, b := v.file(v.sealed()), v.file(v.growing())
		v.rename(a, a+".x")
		v.rename(b, a)
		v.rename(a+".x", b)
	}},
	{name: "salt of a row", invariant: 1, do: func(v *victim) { v.exec(`UPDATE segments SET salt = 99 WHERE id = $1`, v.sealed()) }},
	{name: "class of a row", invariant: 1, do: func(v *victim) { v.exec(`UPDATE segments SET class = 3 WHERE id = $1`, v.sealed()) }},

	{name: "dead record flipped", invariant: 2, refused: true, do: func(v *victim) {
		r := v.in(v.sealed())[2]
		v.bury(r)
		v.flip(v.file(r.segment), r.position+20)
	}, lost: 1},
	{name: "dead record of an open segment flipped", invariant: 2, refused: true, do: func(v *victim) {
		r := v.in(v.growing())[1]
		v.bury(r)
		v.flip(v.file(r.segment), r.position+20)
	}, lost: 1},
	{name: "file cut", invariant: 2, refused: true, lost: 1, do: func(v *victim) {
		rows := v.in(v.growing())
		v.truncate(v.file(v.growing()), rows[len(rows)-1].length/2)
	}},

	{name: "header record's head flipped", invariant: 3, refused: true, lost: -1, do: func(v *victim) {
		r := v.in(v.sealed())[1]
		v.flip(v.file(r.segment), r.header+20)
	}},
	{name: "header flipped", invariant: 3, refused: true, lost: -1, do: func(v *victim) {
		r := v.in(v.sealed())[1]
		v.flip(v.file(r.segment), r.header+segment.RecordHeadSize+16+1)
	}},
	{name: "header record of another stream", invariant: 3, refused: true, lost: -1, do: func(v *victim) {
		r := v.in(v.sealed())[1]
		v.rewrite(r.segment, r.header, func(rec *segment.Record) { rec.Fragment.Stream = 77 })
	}},

	{name: "body flipped", invariant: 4, deep: true, refused: true, lost: 1, do: func(v *victim) {
		r := v.in(v.sealed())[1]
		v.flip(v.file(r.segment), r.position+3000)
	}},
	{name: "checksums flipped", invariant: 4, deep: true, refused: true, do: func(v *victim) {
		r := v.in(v.growing())[1]
		v.flip(v.file(r.segment), r.position+r.length-2)
	}},
	{name: "head of a record flipped", invariant: 4, refused: true, lost: 1, do: func(v *victim) {
		r := v.in(v.sealed())[1]
		v.flip(v.file(r.segment), r.position+40)
	}},
	{name: "facts flipped", invariant: 4, refused: true, lost: 1, do: func(v *victim) {
		r := v.in(v.growing())[1]
		v.flip(v.file(r.segment), r.position+segment.RecordHeadSize+9)
	}},
	{name: "salt of a record changed", invariant: 4, deep: true, refused: true, lost: 1, do: func(v *victim) {
		r := v.in(v.growing())[1]
		v.rewrite(r.segment, r.position, func(rec *segment.Record) { rec.Salt[3]++ })
	}},

	{name: "row gone", invariant: 5, do: func(v *victim) {
		r := v.in(v.sealed())[1]
		v.exec(`DELETE FROM fragments WHERE stream = $1 AND n = $2`, int64(r.Stream), r.Number.N)
	}},
	{name: "row and its counts gone", invariant: 5, do: func(v *victim) {
		r := v.in(v.growing())[1]
		v.exec(`DELETE FROM fragments WHERE stream = $1 AND n = $2`, int64(r.Stream), r.Number.N)
		v.exec(`UPDATE segments SET live = live - 1, bytes = bytes - $2 WHERE id = $1`, r.segment, r.length)
		v.exec(`UPDATE streams SET fragments = fragments - 1, bytes = bytes - $2 WHERE stream = $1`, int64(r.Stream), r.length)
	}},

	{name: "row's duration", invariant: 6, do: wrongRow(`duration = 999`)},
	{name: "row's producer time", invariant: 6, do: wrongRow(`producer = producer + 1`)},
	{name: "row's position", invariant: 6, do: wrongRow(`position = position + 4`)},
	{name: "row's header", invariant: 6, do: wrongRow(`header = header + 4`)},
	{name: "row's length", invariant: 6, do: wrongRow(`length = length - 1`)},
	{name: "row's facts", invariant: 6, do: wrongRow(`ms = ms + 1`)},
	{name: "row's tracks", invariant: 6, do: wrongRow(`tracks = x'01'`)},
	{name: "row's segment", invariant: 6, do: func(v *victim) {
		r := v.in(v.growing())[1]
		v.exec(`UPDATE fragments SET segment = $3, position = 64 WHERE stream = $1 AND n = $2`, int64(r.Stream), r.Number.N, v.sealed())
	}},
	{name: "index overwritten", invariant: 6, do: func(v *victim) { v.put(v.path("index.db"), 0, bytes.Repeat([]byte{9}, 5000)) }},

	{name: "live", invariant: 7, do: segmentRowOf(`live = live + 1`)},
	{name: "bytes", invariant: 7, do: segmentRowOf(`bytes = bytes - 1`)},
	{name: "total", invariant: 7, do: segmentRowOf(`total = total + 5`)},
	{name: "longest", invariant: 7, do: segmentRowOf(`longest = 1`)},
	{name: "count of a stream", invariant: 7, do: func(v *victim) { v.exec(`UPDATE streams SET fragments = fragments + 1 WHERE stream = 5`) }},
	{name: "bytes of a stream", invariant: 7, do: func(v *victim) { v.exec(`UPDATE streams SET bytes = 1 WHERE stream = 6`) }},
	{name: "count of a stream without fragments", invariant: 7, do: func(v *victim) {
		v.exec(`INSERT INTO streams (stream, fragments, bytes) VALUES (99, 1, 1)`)
	}},

	{name: "end record cut", invariant: 8, do: func(v *victim) { v.truncate(v.file(v.sealed()), segment.RecordHeadSize) }},
	{name: "end record flipped", invariant: 8, do: func(v *victim) { v.flip(v.file(v.sealed()), -5) }},
	{name: "footer flipped", invariant: 8, do: func(v *victim) { v.flip(v.file(v.sealed()), -segment.RecordHeadSize-200) }},
	{name: "footer lacks a record", invariant: 8, do: shortFooter},
	{name: "bytes behind the end record", invariant: 8, do: func(v *victim) { v.put(v.file(v.sealed()), -1, []byte("more")) }},

	{name: "two open segments", invariant: 9, do: segmentRowOf(`sealed = 0`)},

	{name: "row of a dead fragment", invariant: 10, lost: 1, do: func(v *victim) { v.tombstone(v.in(v.sealed())[1]) }},

	{name: "hole in a fragment", invariant: 11, refused: true, lost: 1, do: func(v *victim) {
		r := largest(v.in(v.sealed()))
		v.punch(v.file(r.segment), (r.position+segment.RecordHeadSize+pageSize)/pageSize*pageSize, pageSize)
	}},
	{name: "zeros in a fragment", invariant: 11, deep: true, refused: true, lost: 1, do: func(v *victim) {
		r := largest(v.in(v.sealed()))
		v.put(v.file(r.segment), (r.position+segment.RecordHeadSize+pageSize)/pageSize*pageSize, make([]byte, pageSize))
	}},
	{name: "hole in an open segment", invariant: 11, refused: true, lost: 1, do: func(v *victim) {
		r := largest(v.in(v.growing()))
		v.punch(v.file(r.segment), (r.position+segment.RecordHeadSize+pageSize)/pageSize*pageSize, pageSize)
	}},
	{name: "hole at the head", invariant: 11, lost: -1, refused: true, do: func(v *victim) { v.punch(v.file(v.sealed()), 0, pageSize) }},
	{name: "hole at the end", invariant: 11, do: holeAtTheEnd},

	{name: "key missing", invariant: 12, refused: true, lost: -1, do: func(v *victim) { v.setKeys(v.keyEntries()[1:]) }},
	{name: "key of another stream", invariant: 12, refused: true, lost: -1, do: func(v *victim) {
		all := v.keyEntries()
		binary.LittleEndian.PutUint64(all[0][8:], 77)
		v.setKeys(all)
	}},
	{name: "key twice", invariant: 12, do: func(v *victim) {
		all := v.keyEntries()
		v.setKeys(append(all, all[0]))
	}},
	{name: "keys gone", invariant: 12, refused: true, lost: -1, do: func(v *victim) { v.remove(v.path(keysFile)) }},

	{name: "live_seq of rows", invariant: 13, do: func(v *victim) { v.exec(`UPDATE fragments SET live_seq = 1 WHERE stream = 5 AND n = 20`) }},
	{name: "live_seq of records", invariant: 13, refused: true, do: func(v *victim) {
		r := v.in(v.growing())[3]
		v.rewrite(r.segment, r.position, func(rec *segment.Record) { rec.Facts.LiveSeq = 1 })
		v.exec(`UPDATE fragments SET live_seq = 1 WHERE stream = $1 AND n = $2`, int64(r.Stream), r.Number.N)
	}},

	{name: "file missing", invariant: 14, refused: true, lost: -1, do: func(v *victim) { v.remove(v.file(v.sealed())) }},
	{name: "row of a segment missing", invariant: 14, do: func(v *victim) {
		v.exec(`DELETE FROM segments WHERE id = $1`, v.sealed())
	}},
	{name: "rows of a segment missing", invariant: 14, do: func(v *victim) {
		id := v.sealed()
		v.exec(`DELETE FROM segments WHERE id = $1`, id)
		v.exec(`DELETE FROM fragments WHERE segment = $1`, id)
	}},
	{name: "segment in both folders", invariant: 14, do: func(v *victim) {
		v.copyToWarm(v.sealed())
	}},
	{name: "segment in both folders, one damaged", invariant: 14, do: func(v *victim) {
		id := v.sealed()
		v.flip(v.copyToWarm(id), v.in(id)[1].position+3000)
	}},
	{name: "row says the other folder", invariant: 14, do: segmentRowOf(`warm = 1`)},
	{name: "index missing", invariant: 14, do: func(v *victim) { v.remove(v.path("index.db")) }},

	{name: "end of keys torn", invariant: 15, do: func(v *victim) { v.put(v.path(keysFile), -1, make([]byte, 100)) }},
	{name: "end of tombstones torn", invariant: 15, do: func(v *victim) { v.put(v.path(tombstoneFile), -1, []byte("torn")) }},
	{name: "entry of tombstones flipped", invariant: 15, lost: 1, do: func(v *victim) {
		rows := v.in(v.sealed())
		v.bury(rows[1])
		v.bury(rows[2])
		v.flip(v.path(tombstoneFile), 64+3)
	}},
	{name: "head of tombstones flipped", invariant: 15, refused: true, lost: -1, do: func(v *victim) { v.flip(v.path(tombstoneFile), 3) }},
}

func wrongRow(change string) func(*victim) {
	return func(v *victim) {
		r := v.in(v.sealed())[2]
		v.exec(`UPDATE fragments SET `+change+` WHERE stream = $1 AND n = $2`, int64(r.Stream), r.Number.N)
	}
}

func segmentRowOf(change string) func(*victim) {
	return func(v *victim) { v.exec(`UPDATE segments SET `+change+` WHERE id = $1`, v.sealed()) }
}

func largest(rows []fragmentRow) fragmentRow {
	best := rows[1]
	for _, r := range rows[1:] {
		if r.length > best.length {
			best = r
		}
	}
	return best
}

// holeAtTheEnd punches the last page of a segment whose footer goes over more than one, so
// that no fragment is in it.
func holeAtTheEnd(v *victim) {
	for id := v.sealed(); ; id++ {
		done := false
		v.edit(v.file(id), func(f *os.File, size int64) {
			h, err := segment.ReadHead(f)
			if err != nil {
				v.t.Fatal(err)
			}
			footer, ok, err := segment.EndsSealed(f, h, size)
			if last := size / pageSize * pageSize; err == nil && ok && footer < last && size < last+pageSize-1 {
				// Only whole pages become holes: this one ends with the file for a moment.
				if err := f.Truncate(last + pageSize); err != nil {
					v.t.Fatal(err)
				}
				v.punch(v.file(id), last, pageSize)
				done = f.Truncate(size) == nil
			}
		})
		if done {
			return
		}
	}
}

// shortFooter writes the footer of a segment again without its second record.
func shortFooter(v *victim) {
	id := v.sealed()
	d, err := os.OpenFile(v.file(id), os.O_RDWR, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		v.t.Fatal(err)
	}
	h, err := segment.ReadHead(d)
	if err != nil {
		v.t.Fatal(err)
	}
	at, _, err := segment.EndsSealed(d, h, info.Size())
	if err != nil {
		v.t.Fatal(err)
	}
	footer := segment.NewFooter(writer{d}, h, at)
	for i, r := range v.in(id) {
		rec, ok, err := segment.ReadRecord(d, h, r.position, info.Size())
		if err != nil || !ok {
			v.t.Fatal(err)
		}
		if i == 1 {
			continue
		}
		if err := footer.Add(segment.AppendFooterEntry(nil, r.position, rec.Append(nil, h.Salt, r.position))); err != nil {
			v.t.Fatal(err)
		}
	}
	size, err := footer.Close()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := d.Truncate(size); err != nil {
		v.t.Fatal(err)
	}
	v.exec(`UPDATE segments SET length = $2 WHERE id = $1`, id, size)
}

type writer struct{ f *os.File }

func (w writer) Write(pieces [][]byte, off int64) error {
	_, err := w.f.WriteAt(bytes.Join(pieces, nil), off)
	return err
}

// copyToWarm copies a segment into the warm folder and returns the copy's path.
func (v *victim) copyToWarm(id int64) string {
	b, err := os.ReadFile(v.file(id))
	if err != nil {
		v.t.Fatal(err)
	}
	to := filepath.Join(v.dir, "warm", "segments", segment.FileName(id))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		v.t.Fatal(err)
	}
	return to
}

func TestEveryInvariantIsChecked(t *testing.T) {
	s := newStock(t)
	for i, h := range harms {
		if i%slowness > 0 {
			continue
		}
		t.Run(strconv.Itoa(h.invariant)+" "+h.name, func(t *testing.T) {
			v := copyOf(t, s)
			if r := v.check(Options{Deep: true}); !r.Clean() {
				t.Fatal(r.Findings)
			}
			h.do(v)
			h.see(t, v)
			h.repair(t, v)
		})
	}
}

// see makes sure that a check names the invariant.
func (h *harm) see(t *testing.T, v *victim) {
	t.Helper()
	if shallow := v.check(Options{}); (shallow.Counts[h.invariant] > 0) == h.deep {
		t.Errorf("without --deep: %v", shallow.Findings)
	}
	r := v.check(Options{Deep: true})
	if r.Counts[h.invariant] == 0 {
		t.Errorf("found %v, want invariant %d", r.Findings, h.invariant)
	}
	repairable := 0
	for _, f := range r.Findings {
		if f.Repairable {
			repairable++
		}
		if strings.Contains(f.Text, "%!") {
			t.Error(f.Text)
		}
	}
	if (repairable == 0) != h.refused {
		t.Errorf("%d of %v can be repaired", repairable, r.Findings)
	}
}

// repair makes sure that a repair leaves a clean archive, or says what is wrong still, and
// that every fragment that can be saved has its bytes.
func (h *harm) repair(t *testing.T, v *victim) {
	t.Helper()
	r, err := Repair(t.Context(), v.repairOptions())
	if err != nil {
		t.Fatal(err)
	}
	if r.After.Clean() == h.refused || h.refused && r.After.Counts[h.invariant] == 0 {
		t.Errorf("%v; left %v", r.Done, r.After.Findings)
	}
	if h.refused && len(v.check(Options{Deep: true}).Findings) == 0 {
		t.Error("clean behind a repair that was refused")
	}
	if h.refused && h.lost < 0 {
		return // the archive may not even open
	}
	if readable := v.readable(); len(readable) != 2*v.count-h.lost {
		t.Errorf("%d fragments can be read, want %d but %d", len(readable), 2*v.count, h.lost)
	}
}

func (v *victim) repairOptions() RepairOptions {
	return RepairOptions{
		Options: Options{Dir: filepath.Join(v.dir, "archive"), Warm: filepath.Join(v.dir, "warm"), Deep: true, Unwrap: v.unwrap},
		Open:    v.reopen,
	}
}

// A backup's index tells of a warm folder that a restored directory does not have.
func TestRestoredDirectoriesAreClean(t *testing.T) {
	v := copyOf(t, newStock(t))
	segmentRowOf(`warm = 1`)(v)
	if r := v.check(Options{Deep: true, Unmoved: true}); !r.Clean() {
		t.Error(r.Findings)
	}
	if r := v.check(Options{}); r.Clean() {
		t.Error("a segment was moved back by hand, and nothing is wrong")
	}
}

// The page lists the invariants; each must be broken by a test above.
func TestEveryInvariantOfThePageHasATest(t *testing.T) {
	page, err := os.ReadFile("../../docs/design/archive-format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Invariants\n")
	text, _, _ = strings.Cut(text, "\n## ")
	listed := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([0-9]+)\. `).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		listed[n] = true
	}
	if len(listed) < 15 {
		t.Errorf("the page lists %d invariants", len(listed))
	}
	tested := map[int]bool{}
	for _, h := range harms {
		tested[h.invariant] = true
		if !listed[h.invariant] {
			t.Errorf("%s breaks invariant %d, which the page does not have", h.name, h.invariant)
		}
	}
	for n := range listed {
		if !tested[n] {
			t.Errorf("no test breaks invariant %d", n)
		}
	}
}
