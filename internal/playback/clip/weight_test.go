package clip

import (
	"testing"

	"github.com/millrace/millrace/internal/mediatest"
)

// What is asked for in front of the layout is enough for it, and not ten times as much.
func TestWeightIsEnough(t *testing.T) {
	for _, film := range mediatest.Clips() {
		s := newStudio(t)
		s.film(mediatest.Bytes(film.Name))
		rows := s.rows()
		got := s.clip(Options{})
		guess, is := Weight(rows, 0), got.Weight()
		if is < got.head.Size()+2*got.parts[0].size || guess < is || guess > 10*is {
			t.Errorf("%s: %d bytes are taken for %d", film.Name, guess, is)
		}
		if len(rows) > 1 {
			if cut := Weight(rows, rows[0].Length()); cut >= guess {
				t.Errorf("%s: a clip of one fragment takes %d bytes, of %d %d", film.Name, cut, len(rows), guess)
			}
		}
	}
}
