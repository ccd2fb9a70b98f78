package clip

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
)

// A track that pauses for longer than a sample of a file can last is the caller's to leave
// out: it is named, with how long that is.
func TestAPauseThatNoFileHolds(t *testing.T) {
	s := newStudio(t)
	s.film(mediatest.Bytes("ffmpeg-h264"))
	rows := s.rows()
	rows[0].Duration = (14 * time.Hour).Milliseconds()
	_, err := Open(t.Context(), Options{Archive: s.archive, Fragments: rows})
	if kvs.KindOf(err) != kvs.InvalidArgument || err == nil || !strings.Contains(err.Error(), "Track 1 pauses for more than 13h15m21s") {
		t.Errorf("a pause of 14 hours: %v", err)
	}
	rows[0].Duration = (13 * time.Hour).Milliseconds()
	s.clip(Options{Fragments: rows})
}
