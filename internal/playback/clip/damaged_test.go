package clip

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
)

// damage turns bits of a stored record, at a byte of it that may be counted from its end.
func (s *studio) damage(row *archive.Stored, at int64) {
	s.t.Helper()
	all, err := filepath.Glob(filepath.Join(s.dir, "segments", "*"))
	if err != nil || len(all) != 1 {
		s.t.Fatal(all, err)
	}
	f, err := os.OpenFile(all[0], os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if at < 0 {
		at += row.Length()
	}
	if _, err := f.WriteAt([]byte("bit rot"), row.Position()+at); err != nil {
		s.t.Fatal(err)
	}
}

// A damaged record costs a clip its fragment, not the whole day: the others play, in the first
// one's place the next. What is left out is told; when nothing is left, which one it was.
func TestDamagedFragmentsAreLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		damaged []int
		at      int64 // in the record
	}{
		"in the middle, its head":       {[]int{2}, 20},
		"in the middle, its end":        {[]int{2}, -20},
		"the first, its head":           {[]int{0}, 20},
		"the first two, their pictures": {[]int{0, 1}, 3000},
		"the last, its head":            {[]int{4}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStudio(t)
			s.film(mediatest.Bytes("ffmpeg-h264-aac"))
			rows := s.rows()[:5]
			var lost []kvs.FragmentNumber
			for _, i := range c.damaged {
				s.damage(&rows[i], c.at)
				lost = append(lost, rows[i].Number)
			}
			got := s.clip(Options{Fragments: rows, Skip: 40})
			if !slices.Equal(got.Damaged(), lost) || got.Fragments() != len(rows)-len(lost) {
				t.Errorf("%v are damaged, %d in the clip; want %v", got.Damaged(), got.Fragments(), lost)
			}
			left := slices.DeleteFunc(slices.Clone(rows), func(r archive.Stored) bool { return slices.Contains(lost, r.Number) })
			want := 0
			for i := range left {
				for _, f := range s.shots[left[i].Number.N].Frames {
					if f.Track == 1 {
						want++
					}
				}
			}
			tracks := play(t, whole(t, got))
			if len(tracks[0]) != want {
				t.Errorf("%d pictures, want %d", len(tracks[0]), want)
			}
			if skips := tracks[0][0].shown < 0; skips != (left[0].Number == rows[0].Number) {
				t.Errorf("the first picture is shown at %v s", tracks[0][0].shown)
			}
		})
	}
	s := newStudio(t)
	s.film(mediatest.Bytes("ffmpeg-h264-aac"))
	rows := s.rows()[:2]
	for i := range rows {
		s.damage(&rows[i], 20)
	}
	_, err := Open(t.Context(), Options{Archive: s.archive, Fragments: rows})
	if kvs.KindOf(err) != kvs.Internal || !strings.Contains(err.Error(), rows[0].Number.String()) {
		t.Errorf("nothing is left: %v", err)
	}
}
