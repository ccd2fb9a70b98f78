package archive

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// mixed stores fragments of stream 2, and of stream 1 wherever a number can be divided by
// every; all at one time. It returns those of stream 1.
func (m *mill) mixed(count, size, every int) (kept []Record) {
	m.t.Helper()
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	var recs []Record
	for n := 1; n <= count; n++ {
		id := kvs.StreamID(2)
		if n%every == 0 {
			id = 1
		}
		r := sample(id, int64(n), size)
		r.Fragment.Number.Server, r.Fragment.Duration = kvs.Millis(60_000+n), 1
		if recs = append(recs, r); id == 1 {
			kept = append(kept, r)
		}
		if len(recs)*size >= 200_000 || n == count {
			m.mustStore(recs...)
			recs = nil
		}
	}
	return kept
}

// spoil changes bytes in the middle of a stored fragment's record.
func (m *mill) spoil(r Record) (segment int64) {
	m.t.Helper()
	s, ok, err := m.Get(m.t.Context(), r.Fragment.Stream, r.Fragment.Number, 0)
	if err != nil || !ok {
		m.t.Fatal(ok, err)
	}
	f, err := os.OpenFile(m.segmentPath(s.segment), os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	at := s.position + s.length/2
	if _, err := f.ReadAt(b, at); err != nil {
		m.t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[0] ^ 1}, at); err != nil {
		m.t.Fatal(err)
	}
	return s.segment
}

// TestADamagedRecordStopsOnlyItsSegment: the others of the group are copied forward, no
// pass fails or tells of it again, and what was to be read still is.
func TestADamagedRecordStopsOnlyItsSegment(t *testing.T) {
	var text strings.Builder
	m := newMill(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	kept := m.mixed(300, 20_000, 20)
	bad := m.spoil(kept[0])
	delete(m.policies, 2)
	m.pass(301)
	for minute := int64(0); minute < 5; minute++ {
		m.pass(400 + minute)
	}
	if files := len(segmentFiles(t, m.o.Dir)); m.forwards != 1 || files > 3 {
		t.Errorf("%d were copied forward, %d files are left", m.forwards, files)
	}
	if n := strings.Count(text.String(), "not copied forward"); n != 1 {
		t.Errorf("told %d times:\n%s", n, text.String())
	}
	rows, err := m.index.segments(t.Context())
	if err != nil || rows[bad].live == 0 {
		t.Errorf("segment %d: %+v, %v", bad, rows[bad], err)
	}
	m.again(m.withoutIndex)
	if s, err := m.Stats(t.Context()); err != nil || s.Fragments != int64(len(kept)) {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestADamagedHeaderKeepsFewHolesAway: the bytes up to the fragment that needs it stay, and
// the others go.
func TestADamagedHeaderKeepsFewHolesAway(t *testing.T) {
	m := newMill(t, nil)
	kept := m.mixed(200, 20_000, 3)
	s, _, err := m.Get(t.Context(), 1, kept[0].Fragment.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(m.segmentPath(s.segment), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("rot"), s.header+20); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	before := m.allocated(m.segmentPath(s.segment))
	delete(m.policies, 2)
	m.pass(301)
	if after := m.allocated(m.segmentPath(s.segment)); after > before/2 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
}

// TestASegmentWithoutFooterIsToldOfOnce, and not read again in each pass.
func TestASegmentWithoutFooterIsToldOfOnce(t *testing.T) {
	var text strings.Builder
	m := newMill(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	kept := m.mixed(100, 20_000, 3)
	s, _, err := m.Get(t.Context(), 1, kept[0].Fragment.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(m.segmentPath(s.segment))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(m.segmentPath(s.segment), info.Size()-100); err != nil {
		t.Fatal(err)
	}
	delete(m.policies, 2)
	for minute := int64(301); minute < 306; minute++ {
		m.pass(minute)
	}
	if n := strings.Count(text.String(), "not punched"); n != 1 {
		t.Errorf("told %d times:\n%s", n, text.String())
	}
}

// TestSmallFragmentsAreCopiedForward: holes give nothing back where records are smaller
// than pages, so the rest must move.
func TestSmallFragmentsAreCopiedForward(t *testing.T) {
	m := newMill(t, nil)
	kept := m.mixed(2000, 3000, 3)
	delete(m.policies, 2)
	m.pass(2)
	for hour := int64(1); hour < 4; hour++ {
		m.pass(2 + hour*60)
	}
	s, err := m.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if used := onDisk(t, m.o.Dir); used > s.Bytes*5/4 {
		t.Errorf("%d bytes on disk for %d that live", used, s.Bytes)
	}
	wantStored(t, m.Archive, 1, kept...)
	m.again(m.withoutIndex)
	wantStored(t, m.Archive, 1, kept...)
}

// thin makes an archive with a segment to be copied forward, and returns that.
func (m *mill) thin() (sources []segmentRow, kept []Record) {
	m.t.Helper()
	kept = m.mixed(1300*5, 50, 5)
	delete(m.policies, 2)
	m.pass(120)
	rows, err := m.index.segmentsWhere(m.t.Context(), `sealed = 1 AND live > 1000`)
	if err != nil || len(rows) != 1 {
		m.t.Fatal(rows, err)
	}
	for _, row := range rows {
		sources = append(sources, row)
	}
	return sources, kept
}

// TestRowsMoveAFewAtATime: whatever ends the process, or the transaction, while some rows
// point to the copies and others do not, nothing is lost or there twice.
func TestRowsMoveAFewAtATime(t *testing.T) {
	for _, next := range []string{"process", "index", "pass", "removal"} {
		t.Run(next, func(t *testing.T) {
			m := newMill(t, func(o *Options) {
				o.Disk, o.SegmentBytes = &disktest.Faulty{FS: disk.System{}, SkipSync: true}, 64<<20
			})
			sources, kept := m.thin()
			m.halfway(sources)
			wantStored(t, m.Archive, 1, kept...)
			switch next {
			case "process":
				m.again(nil)
			case "index":
				m.again(m.withoutIndex)
			case "removal":
				server := kept[1000].Fragment.Number.Server
				toll, err := m.Erase(t.Context(), 1, Erasure{Range: kvs.TimeRange{Start: server, End: server}, Through: 1 << 40})
				if err != nil || toll.Fragments != 1 {
					t.Fatal(toll, err)
				}
				kept = append(append([]Record{}, kept[:1000]...), kept[1001:]...)
			}
			m.pass(121)
			m.pass(300)
			wantStored(t, m.Archive, 1, kept...)
			rows, err := m.index.segments(t.Context())
			if err != nil || rows[sources[0].ID].ID != 0 {
				t.Errorf("%+v, %v", rows, err)
			}
			m.again(m.withoutIndex)
			wantStored(t, m.Archive, 1, kept...)
		})
	}
}

// halfway copies sources forward until the first rows have moved.
func (m *mill) halfway(sources []segmentRow) {
	m.t.Helper()
	ctx := m.t.Context()
	err := m.maintain(ctx, func(ctx context.Context) error {
		c, err := m.copyLive(ctx, shelfOf(sources[0].Class, sources[0].Tier), sources)
		if err != nil {
			return err
		}
		m.upkeep.copies = c
		path := filepath.Join(m.dir, segment.FileName(c.ID))
		if err := m.disk.Rename(c.path, path); err != nil {
			return err
		}
		// The second transaction finds that the index fails.
		err = m.index.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TRIGGER broken BEFORE UPDATE OF segment ON fragments
				WHEN (SELECT live FROM segments WHERE id = %d) >= %d BEGIN SELECT RAISE(ABORT, 'broken'); END`, c.ID, maxDeletes))
			return err
		})
		if err != nil {
			return err
		}
		if err := m.adopt(ctx, c, false); err == nil || !strings.Contains(err.Error(), "broken") {
			m.t.Fatal(err)
		}
		rows, err := m.index.segmentsWhere(ctx, fmt.Sprintf("id = %d AND sealed = 0", c.ID))
		if rows[c.ID].live != maxDeletes || rows[c.ID].bytes != rows[c.ID].total || rows[c.ID].length >= c.length {
			m.t.Errorf("%+v, %v", rows, err)
		}
		return m.index.db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DROP TRIGGER broken`)
			return err
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
}
