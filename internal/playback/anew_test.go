package playback

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// storeSeconds stores fragments of a second, the codecs of every fifth others than before.
func (v *vault) storeSeconds(first, last int64) {
	for n := first; n <= last; n++ {
		at := epoch + kvs.Millis(n)*1000
		v.store(kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: n, Server: at, Random: 7}, Producer: at, Duration: 1000},
			[]segment.Track{{Number: 1, Frames: 1, Fingerprint: uint64(n / 5)}})
	}
}

// TestASessionIsOverWhenAllWasErased: counts begin anew when a server starts that keeps nothing of a
// stream, and nobody is told that they fall. A session that begins then knows nothing of it.
func TestASessionIsOverWhenAllWasErased(t *testing.T) {
	v := newVault(t)
	defer func() { v.close() }()
	begin := func(last int64) (b *Board, ses Session, now kvs.Millis) {
		now = epoch + kvs.Millis(last+1)*1000
		b = NewBoard(BoardOptions{Archive: v, Now: func() time.Time { return now.Time() }})
		ses, _, err := b.begin(context.Background(), Session{Stream: 1, Max: 10, Created: now, Expires: now + 43_200_000}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return b, ses, now
	}
	v.storeSeconds(1, 10)
	_, old, _ := begin(10)
	v.storeSeconds(11, 40)
	v.erase(archive.Erasure{Range: kvs.TimeRange{End: kvs.MaxMillis}, Through: 40})
	v.restart()
	v.storeSeconds(640, 670) // ten minutes later
	b, ses, now := begin(670)
	if list, err := b.timeline(context.Background(), &old, now, 0); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("the session goes on: %+v, %v", list, err)
	}
	if list, err := b.timeline(context.Background(), &ses, now, 0); err != nil || list.First != 0 || len(list.Entries) != 10 {
		t.Errorf("%+v, %v", list, err)
	}
}
