package dash

import (
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

// The wall clock of a dynamic manifest.
//
// A fragment that ends at e on the timeline is available at availabilityStartTime + e
// (ISO/IEC 23009-1 section A.3.2), and players load none before. The timeline closes gaps,
// and where fragments overlap it is longer than the time that passes, so no start is right
// for ever. It stays as long as the two agree within some fragments, and then moves by whole
// target durations: dash.js follows, and finds the end when it begins again with an old
// URL. Shaka keeps the start that it found first; it stays where it is as long as
// timeShiftBufferDepth, counted from there, reaches to what it plays.

// origin returns availabilityStartTime: never so late that a listed fragment would not
// be available yet.
func (m *manifest) origin() kvs.Millis {
	target := kvs.Millis(m.t.Target * 1000)
	origin := m.first()
	drift := m.available() - kvs.Millis(m.end()) - (origin + target)
	if drift < -target || drift > 2*target {
		origin += floor(drift, target)
	}
	return min(origin, m.now-kvs.Millis(m.end()))
}

// first returns what origin is when a session begins: one target duration in the past, as
// the list may have been old then, by as much as the next fragment comes early.
func (m *manifest) first() kvs.Millis {
	return m.s.Created - kvs.Millis(m.s.Base.Listed) - kvs.Millis(m.t.Target*1000)
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
// first fragment listed from the latest time that a player may believe in, also while the
// producer pauses.
func (m *manifest) depth(origin kvs.Millis) int64 {
	origin = min(origin, m.first())
	return max(m.end(), int64(m.now-origin)) - m.t.Entries[0].Begin + spare
}

// delay returns suggestedPresentationDelay: three fragments, which is one that is
// played, one that is loaded, and one for the target duration in origin. A list of fewer
// has no more to give.
func (m *manifest) delay() int64 {
	return min(3*m.longest(), m.end()-m.t.Entries[0].Begin+m.longest())
}
