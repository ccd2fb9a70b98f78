package dash

import (
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

// The wall clock of a dynamic manifest.
//
// A fragment that ends at e on the timeline is available at availabilityStartTime + e
// (ISO/IEC 23009-1 section A.3.2), and players load none before. The timeline closes gaps,
// and where fragments overlap it is longer than the time that passes, so no fixed start is right for
// ever. It is fixed as long as the two agree within some fragments, for players that
// remember it, and then moves by whole target durations.

// origin returns availabilityStartTime: never so late that a listed fragment would not
// be available yet.
func (m *manifest) origin() kvs.Millis {
	// One target duration in the past: the list may have been old when the session began, by
	// as much as the next fragment then comes early.
	target := kvs.Millis(m.t.Target * 1000)
	fixed := m.s.Created - kvs.Millis(m.s.Base.Listed) - target
	drift := m.available() - kvs.Millis(m.end()) - (fixed + target)
	if drift < -target || drift > 2*target {
		fixed += floor(drift, target)
	}
	return min(fixed, m.now-kvs.Millis(m.end()))
}

// floor rounds down to a multiple.
func floor(v, of kvs.Millis) kvs.Millis {
	r := v % of
	if r < 0 {
		r += of
	}
	return v - r
}

// available is when the last fragment could be had: when it had come, in a replay also
// when its turn was.
func (m *manifest) available() kvs.Millis {
	last := &m.t.Entries[len(m.t.Entries)-1]
	at := last.Stored.Number.Server + kvs.Millis(last.Duration)
	if m.s.Mode == playback.LiveReplay {
		at = max(at, m.s.Created+kvs.Millis(last.Begin))
	}
	return min(at, m.now)
}

// spare is how much longer than needed fragments stay available, in milliseconds: until
// the manifest was read again.
const spare = 5000

// depth returns timeShiftBufferDepth: players drop what is older, so it reaches to the
// first fragment listed, also while the producer pauses.
func (m *manifest) depth(origin kvs.Millis) int64 {
	first := m.t.Entries[0].Begin
	return max(m.end(), int64(m.now-origin)) - first + spare
}

// delay returns suggestedPresentationDelay: three fragments, which is one that is
// played, one that is loaded, and one for the target duration in origin. A list of fewer
// has no more to give.
func (m *manifest) delay() int64 {
	return min(3*m.longest(), m.end()-m.t.Entries[0].Begin+m.longest())
}
