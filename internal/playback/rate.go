package playback

// Rate is how many bits a second players must be able to load.
type Rate struct {
	Peak    int64 // in the densest fragment
	Average int64
}

// What a container adds to the media, as well as it can be told from the number of frames: of
// fMP4 a moof for each segment and an entry of its table for each frame; of MPEG-TS four
// bytes of 188, PES headers and half a packet of filling for each frame.
const (
	segmentBytes = 120
	entryBytes   = 12
	packetBytes  = 120
)

// RateOf estimates the rate of one track, or with track 0 of all, from the fragments of a
// list. Fragments of less than half the longest one's length have no say in the peak, as RFC
// 8216 section 4.3.4.2 wants it.
func RateOf(t *Timeline, c Container, track uint64) (r Rate) {
	longest := int64(0)
	for i := range t.Entries {
		longest = max(longest, t.Lasts(i))
	}
	var bits, millis int64
	for i := range t.Entries {
		e := &t.Entries[i]
		n := 8 * loaded(e, c, track)
		ms := t.Lasts(i)
		bits, millis = bits+n, millis+ms
		if ms > 0 && ms >= longest/2 {
			r.Peak = max(r.Peak, n*1000/ms)
		}
	}
	if millis > 0 {
		r.Average = bits * 1000 / millis
	}
	r.Peak = max(r.Peak, r.Average, 1) // a rate of 0 is none to players
	return r
}

// loaded is how many bytes players load of a fragment.
func loaded(e *Entry, c Container, track uint64) (bytes int64) {
	for _, t := range e.Facts.Tracks {
		if track != 0 && uint64(t.Number) != track {
			continue
		}
		frames := int64(t.Frames)
		if c == TS {
			bytes += t.Bytes + t.Bytes/46 + packetBytes*frames
		} else {
			bytes += t.Bytes + segmentBytes + entryBytes*frames
		}
	}
	if len(e.Facts.Tracks) == 0 { // of the first form, which has no facts
		bytes = e.Size
	}
	return bytes
}
