package lint

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/mkv"
)

// What is unwise, in milliseconds.
const (
	longSpan  = 10_000
	jump      = 2000
	late      = 1000
	apart     = 2000
	year2000  = 946_684_800_000
	lastFrame = 1000 // allowed on top of jump where frames are seldom
)

// watcher goes through the media beside the session and looks for what is unwise. It
// belongs to one goroutine.
type watcher struct {
	notes  *notes
	scale  float64 // milliseconds of one timecode unit
	tracks map[uint64]*track
	order  []*track
	lead   *track // the first video track
	c      cluster
	any    bool    // a cluster was timed
	first  float64 // the earliest start of a frame
	latest float64 // the latest so far
}

// track is what the watcher knows of one track.
type track struct {
	Track
	kind     mkv.TrackType
	lengths  bool // its frames must have lengths, not start codes
	silent   bool // nothing says how long its frames last
	begun    bool
	previous float64 // start of the frame before
}

// cluster is the one being read.
type cluster struct {
	open, timed, known bool
	offset             int64
	timecode           int64
	earliest, latest   float64 // starts of frames

	led   bool    // a frame of the lead track came
	key   bool    // the first is a key frame
	group bool    // it is in the group that is being read
	shown float64 // when it is shown
}

func newWatcher(n *notes) *watcher {
	n.report.FirstTimecode = -1
	return &watcher{notes: n, scale: 1, tracks: map[uint64]*track{}, first: math.Inf(1), latest: math.Inf(-1)}
}

// run reads to the end. What it cannot read the session refuses.
func (w *watcher) run(r io.Reader) {
	items := mkv.NewReader(r, mkv.Options{Buffer: 32 << 10, MaxFrame: 1 << 40})
	for {
		it, err := items.Next()
		if err != nil || it.Kind == mkv.EBML && len(w.order) > 0 { // a session takes one document
			break
		}
		w.item(it)
	}
	w.clusterEnd()
	for i, t := range w.order {
		w.notes.report.Tracks[i] = t.Track
	}
	// The session reads as long as it likes.
	_, _ = io.Copy(io.Discard, r)
}

func (w *watcher) item(it *mkv.Item) {
	switch it.Kind {
	case mkv.InfoElement:
		w.info(it.Info)
	case mkv.TracksElement:
		if len(w.order) == 0 {
			w.header(it)
		}
	case mkv.ClusterStart:
		w.clusterEnd()
		w.notes.report.Fragments.Count++
		w.c = cluster{open: true, known: it.Size >= 0, offset: it.Offset, earliest: math.Inf(1), latest: math.Inf(-1)}
		if !w.c.known {
			w.notes.report.Fragments.UnknownSize++
		}
	case mkv.ClusterTimecode:
		w.timecode(it)
	case mkv.Block:
		w.block(it)
	case mkv.BlockDuration:
		if t := w.lead; t != nil {
			t.silent = false
		}
	case mkv.BlockReference:
		if w.c.group && it.InGroup {
			w.c.key = false
		}
	}
}

func (w *watcher) info(i *mkv.Info) {
	w.scale = float64(i.TimecodeScale) / 1e6
	r := w.notes.report
	r.MuxingApp, r.WritingApp, r.TimecodeScale = i.MuxingApp, i.WritingApp, i.TimecodeScale
}

// header describes the tracks.
func (w *watcher) header(it *mkv.Item) {
	for i := range it.Tracks {
		t := describe(&it.Tracks[i])
		w.order = append(w.order, t)
		w.notes.report.Tracks = append(w.notes.report.Tracks, t.Track)
		if w.tracks[t.Number] == nil {
			w.tracks[t.Number] = t
		}
		if w.lead == nil && t.kind == mkv.VideoTrack {
			w.lead = t
		}
		w.judge(t, it.Offset)
	}
}

// judge warns of what a track's entry says.
func (w *watcher) judge(t *track, offset int64) {
	switch {
	case t.Private == "none" && needsPrivate[t.Codec]:
		w.warn(privateMissing, offset, t, "track %d, %s, has no codec private data", t.Number, t.Codec)
	case t.Private != "none" && t.Private != valid && t.Private != "present":
		w.warn(privateBroken, offset, t, "the private data of track %d, %s: %s", t.Number, t.Codec, t.Private)
	}
	if !playable[t.Codec] {
		w.warn(notPlayable, offset, t, "track %d is %.40q", t.Number, t.Codec)
	}
}

// playable are the codecs of playback sessions and clips.
var playable = map[string]bool{"V_MPEG4/ISO/AVC": true, "V_MPEGH/ISO/HEVC": true, "A_AAC": true, "A_MS/ACM": true}

// kinds names the types of tracks.
var kinds = map[mkv.TrackType]string{mkv.VideoTrack: "video", mkv.AudioTrack: "audio", mkv.SubtitleTrack: "subtitle", mkv.MetadataTrack: "metadata"}

func describe(m *mkv.Track) *track {
	t := &track{kind: m.Type, Track: Track{Number: m.Number, Type: kinds[m.Type], Codec: m.CodecID, Private: private(m)}}
	if t.Type == "" {
		t.Type = "other"
	}
	if m.DefaultDuration > 0 {
		t.Rate = 1e9 / float64(m.DefaultDuration)
	}
	t.silent = m.DefaultDuration == 0 && m.Type == mkv.VideoTrack
	t.lengths = m.CodecID == "V_MPEG4/ISO/AVC" || m.CodecID == "V_MPEGH/ISO/HEVC"
	if m.Video != nil {
		t.Width, t.Height = m.Video.PixelWidth, m.Video.PixelHeight
	}
	if m.Audio != nil {
		t.Sampling, t.Channels = m.Audio.SamplingFrequency, m.Audio.Channels
	}
	return t
}

func (w *watcher) timecode(it *mkv.Item) {
	if w.c.timed {
		return
	}
	w.c.timed, w.c.timecode = true, int64(it.Timecode)
	at := float64(it.Timecode) * w.scale
	if !w.any {
		w.any = true
		w.notes.report.FirstTimecode = int64(it.Timecode)
		if at < year2000 && w.notes.absolute {
			w.warn(since1970, it.Offset, nil, "the first cluster has the timecode %d", it.Timecode)
		}
		return
	}
	if silence := at - w.latest; silence > jump+lastFrame {
		w.warn(gap, it.Offset, nil, "%.0f ms after the last frame", silence)
	}
}

func (w *watcher) block(it *mkv.Item) {
	t := w.tracks[it.Block.Track]
	if t == nil || !w.c.timed {
		return
	}
	at := (float64(it.Timecode) + float64(it.Block.Time)) * w.scale
	key := it.Block.Key
	t.Frames++
	t.LargestFrame = max(t.LargestFrame, it.Block.Payload)
	if key && t.kind == mkv.VideoTrack {
		t.KeyFrames++
	}
	w.c.group = false
	if t == w.lead {
		w.picture(it, t, at)
	}
	w.timing(it, t, at)
	w.codes(it, t)
	t.previous = at
	w.c.earliest, w.c.latest = min(w.c.earliest, at), max(w.c.latest, at)
	w.first, w.latest = min(w.first, at), max(w.latest, at)
}

// picture judges a frame of the first video track.
func (w *watcher) picture(it *mkv.Item, t *track, at float64) {
	switch {
	case !w.c.led:
		w.c.led, w.c.key, w.c.group, w.c.shown = true, it.Block.Key, it.InGroup, at
	case at < w.c.shown:
		w.warn(openGOP, it.Offset, t, "a frame is shown %.0f ms before the first one of its fragment", w.c.shown-at)
	case at < t.previous:
		w.warn(bFrames, it.Offset, t, "a frame is shown %.0f ms before the one that it follows", t.previous-at)
	}
}

// timing judges when a frame comes.
func (w *watcher) timing(it *mkv.Item, t *track, at float64) {
	if !t.begun {
		t.begun = true
		if delay := at - w.first; delay > late {
			w.warn(lateStart, it.Offset, t, "the first frame of track %d comes %.0f ms after the first of all", t.Number, delay)
		}
	} else if behind := w.c.latest - at; behind > apart {
		w.warn(interleave, it.Offset, t, "a frame of track %d comes %.0f ms behind", t.Number, behind)
	}
}

// codes looks for start codes where lengths should be.
func (w *watcher) codes(it *mkv.Item, t *track) {
	if t.lengths && len(it.Raw) > it.Block.HeaderLen && startCode(it.Raw[it.Block.HeaderLen:], it.Block.Payload) {
		w.warn(startCodes, it.Offset, t, "a frame of track %d begins with a start code", t.Number)
	}
}

// startCode reports whether a frame of size bytes, of which b are the first, begins with
// a start code and not with a length.
func startCode(b []byte, size int64) bool {
	if !annexB(b) {
		return false
	}
	// 00 00 01 xx may be the length of a unit of 256 to 511 bytes.
	return b[2] == 0 || 4+int64(binary.BigEndian.Uint32(b)) > size
}

// clusterEnd judges the cluster that was read.
func (w *watcher) clusterEnd() {
	c := &w.c
	if !c.open || !c.timed {
		return
	}
	if c.led && !c.key {
		w.warn(noKey, c.offset, w.lead, "the first frame of track %d in the cluster is no key frame", w.lead.Number)
	}
	if span := c.latest - c.earliest; span > longSpan && !math.IsInf(span, 0) {
		w.warn(longFragment, c.offset, nil, "the frames of the cluster begin within %.1f s", span/1000)
	}
	if w.lead != nil && w.lead.silent && c.led {
		w.lead.silent = false
		w.warn(noRate, c.offset, w.lead, "track %d has no DefaultDuration, and its blocks no BlockDuration", w.lead.Number)
	}
	c.open = false
}

// warn notes a warning.
func (w *watcher) warn(c *Caution, offset int64, t *track, format string, args ...any) {
	r := rejection.Refusal{Offset: offset, Began: -1, Timecode: -1}
	if w.c.timed {
		r.Began, r.Timecode = w.c.offset, w.c.timecode
	}
	if t != nil {
		r.Track = t.Number
	}
	w.notes.warn(c, r, format, args...)
}
