package inspect

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scrubCounts notes what a scrub tells.
type scrubCounts struct {
	bytes, damaged int64
	rounds         []int
}

func (c *scrubCounts) Scrubbed(bytes int64)               { c.bytes += bytes }
func (c *scrubCounts) Damaged()                           { c.damaged++ }
func (c *scrubCounts) Round(_ time.Duration, damaged int) { c.rounds = append(c.rounds, damaged) }

// scrubber makes one that is fast.
func (s *stock) scrubber(counts *scrubCounts, log *slog.Logger) *Scrubber {
	return NewScrubber(ScrubOptions{Dir: filepath.Join(s.dir, "archive"), Warm: filepath.Join(s.dir, "warm"), Rate: 1 << 50, Observer: counts, Logger: log})
}

// round scrubs until a round has ended.
func round(t *testing.T, s *Scrubber) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScrubFindsABitThatTurned(t *testing.T) {
	v := copyOf(t, newStock(t))
	rows := v.in(v.sealed())
	var log bytes.Buffer
	counts := &scrubCounts{}
	s := v.scrubber(counts, slog.New(slog.NewTextHandler(&log, nil)))
	round(t, s)
	sealed := v.number(`SELECT SUM(bytes) FROM segments WHERE sealed = 1`)
	if counts.damaged != 0 || len(counts.rounds) != 1 || counts.bytes < sealed || counts.bytes > sealed+sealed/10 {
		t.Errorf("a whole archive with %d bytes: %+v\n%s", sealed, counts, log.String())
	}
	v.flip(v.file(rows[1].segment), rows[1].position+700) // its body
	v.flip(v.file(rows[3].segment), rows[3].position+50)  // its head
	v.bury(rows[2])
	v.flip(v.file(rows[2].segment), rows[2].position+700) // dead: nobody will read it
	for range 2 {
		round(t, s)
	}
	if counts.damaged != 2 || len(counts.rounds) != 3 || counts.rounds[1] != 2 || counts.rounds[2] != 2 {
		t.Errorf("%+v, want two damaged records in each round, told once", counts)
	}
	if n := strings.Count(log.String(), "a stored fragment"); n != 2 || !strings.Contains(log.String(), rows[1].Number.String()) {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	// What many fragments need: each of them cannot be read.
	v.flip(v.file(rows[0].segment), rows[0].header+140)
	round(t, s)
	if last := counts.rounds[3]; last < 3 {
		t.Errorf("%d damaged with a damaged header", last)
	}
}

func TestScrubGoesOnWhereItWas(t *testing.T) {
	v := copyOf(t, newStock(t))
	first, rest := &scrubCounts{}, &scrubCounts{}
	s := v.scrubber(first, nil)
	for range 3 {
		if more, err := s.step(t.Context()); err != nil || !more {
			t.Fatal(more, err)
		}
	}
	next := v.scrubber(rest, nil)
	next.load()
	round(t, next)
	sealed := v.number(`SELECT SUM(bytes) FROM segments WHERE sealed = 1`)
	if sum := first.bytes + rest.bytes; first.bytes == 0 || sum < sealed || sum > sealed+sealed/10 || len(rest.rounds) != 1 {
		t.Errorf("%d and %d bytes of %d", first.bytes, rest.bytes, sealed)
	}
	if err := os.WriteFile(v.path(ScrubFile), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	anew := v.scrubber(&scrubCounts{}, nil)
	anew.load()
	round(t, anew)
}

func TestScrubKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := NewScrubber(ScrubOptions{Rate: 1 << 20})
		p := &paced{s: s, ctx: t.Context(), r: bytes.NewReader(make([]byte, 4<<20))}
		for at := int64(0); at < 4<<20; at += 256 << 10 {
			if _, err := p.ReadAt(make([]byte, 256<<10), at); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("4 MiB at 1 MiB a second took %v", took)
		}
	})
}

// rotten is a file whose disk cannot read some of its bytes.
type rotten struct {
	scrubFile
	from, to int64
}

func (f *rotten) ReadAt(b []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(b)) > f.from {
		return 0, syscall.EIO
	}
	return f.scrubFile.ReadAt(b, off)
}

// Where the disk cannot read, the scrub says what is lost and goes on: with the rest of the
// segment, and with the others.
func TestScrubGoesOnBehindWhatCannotBeRead(t *testing.T) {
	v := copyOf(t, newStock(t))
	rows := v.in(v.sealed())
	first, second := rows[0], rows[1]
	length := v.number(`SELECT length FROM segments WHERE id = ` + strconv.FormatInt(first.segment, 10))
	for _, c := range []struct {
		name     string
		from, to int64
		damaged  int64 // told
		lines    string
	}{
		{"the head", 0, 64, 1, "its head cannot be read"},
		{"the end record", length - 10, length, 1, "its footer cannot be read"},
		{"the footer and a record", second.position + 700, length, 1 + int64(len(rows)) - 1, "its footer cannot be read"},
		{"the footer and a head within", second.position, second.position + 1, 1, second.Number.String()},
		{"all of it", 0, length, 2 + int64(len(rows)), "its head cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			counts := &scrubCounts{}
			s := v.scrubber(counts, slog.New(slog.NewTextHandler(&log, nil)))
			open := s.open
			read := map[int64]bool{}
			s.open = func(k *check, row segmentRow) (scrubFile, error) {
				f, err := open(k, row)
				read[row.ID] = true
				if row.ID == first.segment && err == nil {
					f = &rotten{f, c.from, c.to}
				}
				return f, err
			}
			for range 2 {
				round(t, s)
			}
			if counts.damaged != c.damaged || len(counts.rounds) != 2 || counts.rounds[0] != int(c.damaged) || counts.rounds[1] != int(c.damaged) {
				t.Errorf("%+v, want %d damaged, told once\n%s", counts, c.damaged, log.String())
			}
			if !strings.Contains(log.String(), c.lines) {
				t.Errorf("no line says %q:\n%s", c.lines, log.String())
			}
			if n := v.number(`SELECT COUNT(*) FROM segments WHERE sealed = 1 AND live > 0`); int64(len(read)) != n {
				t.Errorf("%d segments were read of %d", len(read), n)
			}
		})
	}
	s := v.scrubber(&scrubCounts{}, nil)
	s.open = func(*check, segmentRow) (scrubFile, error) { return nil, syscall.EIO }
	round(t, s)
	if n := v.number(`SELECT COUNT(*) FROM segments WHERE sealed = 1 AND live > 0`); int64(len(s.known)) != n {
		t.Errorf("%d segments that cannot be opened were told of %d", len(s.known), n)
	}
}

// Each step asks for the next segment, not for all there are.
func TestAScrubReadsOneRowAStep(t *testing.T) {
	v := copyOf(t, newStock(t))
	v.exec(`WITH RECURSIVE ids(i) AS (SELECT 1000000 UNION ALL SELECT i + 1 FROM ids WHERE i < 1010000)
		INSERT INTO segments (id, salt, version, class, tier, created, length, sealed, warm, live, bytes, total, longest)
		SELECT i, 1, 2, 0, 0, 0, 64, 1, 0, 0, 0, 0, 0 FROM ids`)
	s := v.scrubber(&scrubCounts{}, nil)
	if n := testing.AllocsPerRun(1, func() {
		if more, err := s.step(t.Context()); err != nil || !more {
			t.Error(more, err)
		}
	}); n > 10_000 {
		t.Errorf("%v allocations", n)
	}
}
