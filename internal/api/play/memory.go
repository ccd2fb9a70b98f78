package play

import (
	"hash/maphash"
	"sync"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/playback/dash"
	"github.com/millrace/millrace/internal/playback/hls"
	"github.com/millrace/millrace/internal/quota"
)

// seed hashes tokens: they are credentials, and not kept.
var seed = maphash.MakeSeed()

// session names the session of a visit in this process.
func (v *visit) session() uint64 { return maphash.String(seed, v.token) }

// young is a map that forgets what was not asked for since two times as many others came
// as it has room for.
type young[K comparable, V any] struct {
	now, before map[K]V
	weight      int
}

// get returns a value and keeps it from being forgotten.
func (y *young[K, V]) get(k K) (v V, ok bool) {
	if v, ok = y.now[k]; ok {
		return v, true
	}
	v, ok = y.before[k]
	return v, ok
}

// put keeps a value of some weight; room is how much all may weigh, half of it at least is
// used.
func (y *young[K, V]) put(k K, v V, weight, room int) {
	if y.now == nil || y.weight > room/2 {
		y.before, y.now, y.weight = y.now, map[K]V{}, 0
	}
	if _, again := y.now[k]; !again {
		y.weight += weight
	}
	y.now[k] = v
}

// meters are the request rates of sessions. Only profiles and settings that have such
// limits fill it.
type meters struct {
	mu  sync.Mutex
	all young[meterKey, *quota.Meter]
}

type meterKey struct {
	session uint64
	limit   *quota.Limit
}

// maxMeters is how many are remembered. One that is forgotten begins anew, full.
const maxMeters = 200_000

// of returns the meter of a session and a rate.
func (m *meters) of(token string, l quota.PerSecond) *quota.Meter {
	k := meterKey{maphash.String(seed, token), l.Limit}
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.all.get(k)
	if !ok {
		one = new(quota.Meter)
	}
	if _, current := m.all.now[k]; !current {
		m.all.put(k, one, 1, maxMeters)
	}
	return one
}

// lastLists are the live lists that sessions got last. When their stream is deleted its
// fragments are gone, and players that play on without an end of the list would ask for ever.
type lastLists struct {
	mu  sync.Mutex
	all young[listKey, kept]
}

type listKey struct {
	session, track uint64
}

// kept is a list as it was sent.
type kept struct {
	t      *playback.Timeline
	tracks []codec.Track // of a manifest
	track  uint64        // of a media playlist
	at     kvs.Millis
}

const (
	lastRoom  = 16 << 20 // bytes of lists that are kept, about
	entrySize = 400
	lastLife  = 60_000 // milliseconds after which a list is of no use
)

// keep remembers the list of a visit.
func (l *lastLists) keep(v *visit, k kept) {
	if v.ses.Mode == playback.OnDemand || k.t.Ended {
		return
	}
	k.at = v.now
	key := listKey{v.session(), k.track}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.put(key, k, entrySize*(1+len(k.t.Entries)), lastRoom)
}

// of returns the list that a visit got before, as long as it is of use.
func (l *lastLists) of(v *visit) (kept, bool) {
	n, err := v.query.number("TrackNumber", 0)
	if err != nil {
		return kept{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	session := v.session()
	k, ok := l.all.get(listKey{session, uint64(n)})
	if !ok && n != 0 { // MPEG-TS has no tracks
		k, ok = l.all.get(listKey{session, 0})
	}
	return k, ok && v.now-k.at < lastLife
}

// again answers a visit of a deleted stream: with the list that was, and its end.
func (r *room) again(v *visit) error {
	k, ok := r.last.of(v)
	if !ok {
		return errGone
	}
	t := *k.t
	t.Ended = true
	switch v.Operation.Name {
	case "GetHLSMediaPlaylist":
		return v.sendText(hlsType, hls.AppendMedia(nil, &v.ses, &t, v.token, k.track))
	case "GetDASHManifest":
		return v.sendText(dashType, dash.AppendManifest(nil, &v.ses, &t, k.tracks, v.token, v.now))
	}
	return errGone
}
