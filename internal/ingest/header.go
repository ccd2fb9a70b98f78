package ingest

import (
	"strings"

	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/mkv"
)

// maxHeader bounds the bytes in front of the first cluster: they are kept in memory
// and repeated in every chunk.
const maxHeader = 1 << 20

// header is what came in front of the first cluster.
type header struct {
	all   []byte // everything, for the first fragment's chunk
	plain []byte // without Tags, for every later chunk
	first *live.Header
	later *live.Header

	segments int
	clusters bool // the first cluster was seen: the header is complete
	tracks   []mkv.Track
	scale    uint64 // nanoseconds of one timecode unit
	tagsNext bool   // tags between two clusters describe the later one
	ownTags  bool   // tags in front of the first cluster are fragment metadata
}

// sdkName begins the MuxingApp of the producer SDK (wire-media section 3.2).
const sdkName = "Kinesis Video SDK"

// embeddedName begins the MuxingApp of the embedded producer (wire-media section 3.4).
const embeddedName = "KVS APP"

// element takes one item in front of the first cluster.
func (h *header) element(it *mkv.Item, tracks int) *Fault {
	raw := it.Raw
	switch it.Kind {
	case mkv.EBML:
		if len(h.all) > 0 {
			return fault(InvalidMKV, "a second EBML header at byte %d; one request carries one document", it.Offset)
		}
	case mkv.SegmentStart:
		h.segments++
		// The service gives every chunk a Segment of unknown size, whatever the
		// producer sent (wire-media section 5.4).
		raw = mkv.AppendSegmentUnknown(nil)
	case mkv.InfoElement:
		h.info(it.Info)
	case mkv.TracksElement:
		if h.tracks != nil {
			return fault(InvalidMKV, "a second Tracks element at byte %d; a segment has one", it.Offset)
		}
		h.tracks = it.Tracks
		if len(it.Tracks) > tracks {
			return fault(TooManyTracks, "the header has %d tracks, %d are allowed", len(it.Tracks), tracks)
		}
	}
	h.all = append(h.all, raw...)
	if it.Kind != mkv.TagsElement {
		h.plain = append(h.plain, raw...)
	}
	if len(h.all) > maxHeader {
		return fault(InvalidMKV, "more than %d bytes in front of the first cluster", maxHeader)
	}
	return nil
}

func (h *header) info(i *mkv.Info) {
	h.scale = i.TimecodeScale
	h.ownTags = strings.HasPrefix(i.MuxingApp, sdkName)
	h.tagsNext = !strings.HasPrefix(i.MuxingApp, embeddedName)
}

// close ends the header at the first cluster.
func (h *header) close() *Fault {
	if len(h.tracks) == 0 {
		return fault(InvalidMKV, "the first cluster came before any track was declared")
	}
	if h.scale == 0 {
		h.scale, h.tagsNext = 1_000_000, true
	}
	h.clusters = true
	h.first = &live.Header{Bytes: h.all}
	h.later = h.first
	if len(h.plain) != len(h.all) {
		h.later = &live.Header{Bytes: h.plain}
	}
	h.all, h.plain = nil, nil
	return nil
}
