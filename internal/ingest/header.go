package ingest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/mkv"
)

// maxHeader bounds the bytes in front of the first cluster: they are kept in memory
// and repeated in every chunk.
const maxHeader = 1 << 20

// A header this small is not charged to the memory budget: collecting of it goes
// without as long as it has at most freeCollecting bytes, keeping it at most freeHeader.
const (
	freeCollecting = 16 << 10
	freeHeader     = 4 << 10
)

// collecting is what a larger header is charged while it arrives: the element being
// read, what it was parsed to, and all elements before. It is taken at once, because
// sessions that hold halves of headers would wait for each other.
const collecting = 3 * maxHeader

// headerWait is how long a header waits for memory: longer than some slow fragments may
// keep it (who gives up and comes again is last in line).
const headerWait = 5 * time.Minute

var errNoMemory = errors.New("the memory budget is spent")

// header is what came in front of the first cluster.
type header struct {
	store *live.Store
	held  int64 // bytes of the memory budget

	all   []byte       // everything so far
	tags  [][2]int     // where in it Tags elements are
	first *live.Header // for the first fragment's chunk: everything
	later *live.Header // for every later chunk: without Tags

	metadata metadata // in the Tags among it
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
			return fault(secondDocument, "a second EBML header at byte %d; one request carries one document", it.Offset)
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
			return fault(secondDocument, "a second Tracks element at byte %d; a segment has one", it.Offset)
		}
		h.tracks = it.Tracks
		if tracks > 0 && len(it.Tracks) > tracks {
			return fault(manyTracks, "the header has %d tracks, %d are allowed", len(it.Tracks), tracks)
		}
	}
	if it.Kind == mkv.TagsElement {
		h.tags = append(h.tags, [2]int{len(h.all), len(h.all) + len(raw)})
	}
	h.all = append(h.all, raw...)
	return h.bound(int64(len(h.all)))
}

func (h *header) bound(size int64) *Fault {
	if size > maxHeader {
		return fault(bigHeader, "more than %d bytes in front of the first cluster", maxHeader)
	}
	return nil
}

// arriving says that so many bytes lie in the reader's memory, beside what is kept.
func (h *header) arriving(ctx context.Context, buffered int64) error {
	size := max(0, buffered-readBuffer) + int64(len(h.all))
	if f := h.bound(size); f != nil {
		return f
	}
	if size <= freeCollecting || h.held > 0 {
		return nil
	}
	return h.hold(ctx, collecting)
}

// hold takes n bytes of the memory budget. A header must not wait for ever: what others
// keep for as long as their sessions last may never come free.
func (h *header) hold(ctx context.Context, n int64) error {
	ctx, stop := context.WithTimeoutCause(ctx, headerWait, errNoMemory)
	defer stop()
	err := h.store.Hold(ctx, n)
	switch {
	case errors.Is(err, errNoMemory):
		return fault(noMemory, "no memory for a header of more than %d bytes within %v", freeHeader, headerWait).because(err)
	case err != nil:
		return err
	}
	h.held = n
	return nil
}

func (h *header) info(i *mkv.Info) {
	h.scale = i.TimecodeScale
	h.ownTags = strings.HasPrefix(i.MuxingApp, sdkName)
	h.tagsNext = !strings.HasPrefix(i.MuxingApp, embeddedName)
}

// close ends the header at the first cluster.
func (h *header) close(ctx context.Context) error {
	if len(h.tracks) == 0 {
		return fault(noTracks, "the first cluster came before any track was declared")
	}
	if h.scale == 0 {
		h.scale, h.tagsNext = 1_000_000, true
	}
	h.clusters = true
	plain := h.plain()
	n := charge(h.all)
	if plain != nil {
		n += charge(plain)
	}
	if h.held == 0 && n > 0 {
		if err := h.hold(ctx, n); err != nil {
			return err
		}
	}
	if h.held > n {
		h.store.Give(h.held - n)
	}
	h.held = 0
	h.first = h.store.NewHeader(h.all, charge(h.all))
	if h.later = h.first; plain != nil {
		h.later = h.store.NewHeader(plain, charge(plain))
	}
	h.all, h.tags = nil, nil
	return nil
}

// plain is the header without its tags; nil when it has none.
func (h *header) plain() []byte {
	if len(h.tags) == 0 {
		return nil
	}
	var tags, from int
	for _, t := range h.tags {
		tags += t[1] - t[0]
	}
	b := make([]byte, 0, len(h.all)-tags)
	for _, t := range h.tags {
		b = append(b, h.all[from:t[0]]...)
		from = t[1]
	}
	return append(b, h.all[from:]...)
}

// charge is what keeping b is charged.
func charge(b []byte) int64 {
	if len(b) <= freeHeader {
		return 0
	}
	return int64(cap(b))
}

// spent says that the tags in front of the first cluster need not be sent again: a
// fragment has them, or they are what is wrong.
func (h *header) spent() {
	if h.first != h.later {
		h.first.Release()
		h.first = h.later
	}
}

// release gives back what the session holds; its fragments hold on to theirs.
func (h *header) release() {
	if h.held > 0 {
		h.store.Give(h.held)
		h.held = 0
	}
	if h.first != nil {
		h.spent()
		h.later.Release()
		h.first, h.later = nil, nil
	}
}
