package cut

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/remux"
)

// Times of MPEG-TS: 33 bits of ticks, 90 of which are a millisecond.
const (
	ticksPerSecond = 90_000
	clockMask      = 1<<33 - 1
)

// soundPacket is how long the sound of one PES packet lasts at most, in ticks. Less costs
// more: each has a head, and what is left of its last packet is stuffed.
const soundPacket = ticksPerSecond / 10

// stream is one track on its way into MPEG-TS.
type stream struct {
	part    remux.Part
	payload []byte // what is left of it
	next    int    // sample
	decode  int64  // of that one, units from the fragment's start
	out     *mpegts.Track

	sets   [][]byte // parameter sets of H.264, in front of key frames
	stamps []int64  // of H.264: decode time of each sample, ticks from the fragment's start
}

// cutTS makes a segment of all tracks.
func cutTS(f *remux.Fragment, s *archive.Stored, start kvs.Millis) (*piece, error) {
	streams, err := newStreams(f)
	if err != nil {
		return nil, err
	}
	size := 0
	w := mpegts.Writer{}
	for _, m := range streams {
		w.Tracks = append(w.Tracks, m.out)
		size += len(m.payload)
	}
	var out bytes.Buffer
	out.Grow(size + size/8 + 16*packetSize)
	w.W = &out
	if err := w.Initialize(); err != nil {
		return nil, err
	}
	if _, err := w.WriteTables(); err != nil {
		return nil, err
	}
	base := int64(start) * (ticksPerSecond / 1000)
	for m := earliest(streams); m != nil; m = earliest(streams) {
		if err := m.write(&w, base); err != nil {
			return nil, err
		}
	}
	p := &piece{body: out.Bytes()}
	markDiscontinuity(p.body)
	p.sum(s, 0)
	return p, nil
}

// newStreams readies the tracks, video first: the first one carries the clock.
func newStreams(f *remux.Fragment) (streams []*stream, err error) {
	tracks := f.Tracks()
	if err := codec.Check(tracks); err != nil {
		return nil, err
	}
	for i := range tracks {
		t := &tracks[i]
		m := &stream{out: &mpegts.Track{}}
		switch t.Kind {
		case codec.H264:
			m.out.Codec, m.sets = &codecs.H264{}, parameterSets(t.Config)
		case codec.AAC:
			c := &codecs.MPEG4Audio{}
			if err := c.Unmarshal(t.Config); err != nil {
				return nil, &kvs.Error{Kind: kvs.InvalidPrivateData, Message: fmt.Sprintf("Invalid codec private data in fragment for track %d.", t.Number), Cause: err}
			}
			m.out.Codec = c
		default:
			return nil, codec.UnsupportedMedia(fmt.Sprintf("(track %d: %s in MPEG-TS)", t.Number, t.ID))
		}
		if m.part, err = f.Samples(nil, t.Number); err != nil {
			return nil, err
		}
		if m.payload, err = f.AppendPayload(make([]byte, 0, m.part.Bytes), t.Number); err != nil {
			return nil, err
		}
		m.decode = m.part.First
		if t.Kind.Video() {
			m.stamps = moved(&m.part)
			streams = append([]*stream{m}, streams...)
		} else {
			streams = append(streams, m)
		}
	}
	return streams, nil
}

// earliest returns the stream whose next sample is decoded first, nil at the end. The
// very first is one of video, if there is any.
func earliest(streams []*stream) (first *stream) {
	for _, m := range streams {
		if m.next == len(m.part.Samples) {
			continue
		}
		if m.stamps != nil && m.next == 0 {
			return m
		}
		if first == nil || m.ticks(m.decode) < first.ticks(first.decode) {
			first = m
		}
	}
	return first
}

// ticks converts units of the track's time scale.
func (m *stream) ticks(units int64) int64 {
	return units * ticksPerSecond / int64(m.part.Scale)
}

// take takes the next sample off.
func (m *stream) take() []byte {
	s := &m.part.Samples[m.next]
	data := m.payload[:s.Size:s.Size]
	m.payload, m.next, m.decode = m.payload[s.Size:], m.next+1, m.decode+int64(s.Duration)
	return data
}

// write writes the next PES packet.
func (m *stream) write(w *mpegts.Writer, base int64) error {
	if m.stamps != nil {
		i := m.next
		shown := m.decode + int64(m.part.Samples[i].Offset)
		unit := m.picture(m.take(), m.part.Samples[i].Key)
		if len(unit) == 0 {
			return nil
		}
		return w.WriteH264(m.out, (base+shown)&clockMask, (base+m.stamps[i])&clockMask, unit)
	}
	at := m.ticks(m.decode)
	units := make([][]byte, 0, 8)
	for m.next < len(m.part.Samples) && (len(units) == 0 || m.ticks(m.decode)-at < soundPacket) {
		usual := int(m.part.Samples[m.next].Duration) == m.part.Track.FrameSamples
		units = append(units, m.take())
		if !usual { // the times of those behind it do not follow from its own
			break
		}
	}
	return w.WriteMPEG4Audio(m.out, (base+at)&clockMask, units)
}

// moved gives each picture a decode time in ticks: that of so many pictures before it as
// the codec reorders, so that none is shown before it is decoded.
func moved(p *remux.Part) []int64 {
	n := len(p.Samples)
	if n == 0 {
		return []int64{}
	}
	plain, shown := make([]int64, n), make([]int64, n)
	at := p.First
	for i, s := range p.Samples {
		plain[i], shown[i] = at, at+int64(s.Offset)
		at += int64(s.Duration)
	}
	depth := max(0, p.Track.Reorder)
	for i, t := range shown { // a stream may reorder more than it says
		last, found := slices.BinarySearch(plain, t)
		if !found {
			last--
		}
		depth = max(depth, i-last)
	}
	// Where frames without bytes were left out, one may be shown before the first is decoded.
	first, each := min(plain[0], slices.Min(shown)), max(1, p.Length/int64(n))
	all := make([]int64, n)
	for i := range all {
		if i >= depth {
			all[i] = plain[i-depth]
		} else {
			all[i] = first - int64(depth-i)*each
		}
	}
	return all
}

// NAL unit types of H.264 (ISO/IEC 14496-10, table 7-1).
const (
	unitSPS       = 7
	unitDelimiter = 9
)

// picture splits a sample into NAL units, with the parameter sets in front of a key frame
// that does not bring them. The writer adds the access unit delimiter.
func (m *stream) picture(sample []byte, key bool) (units [][]byte) {
	size := m.part.Track.LengthSize
	for len(sample) > 0 {
		unit, rest, ok := remux.Unit(sample, size)
		if !ok {
			break // AppendPayload looked
		}
		if sample = rest; len(unit) > 0 {
			key = key && unit[0]&0x1F != unitSPS
			units = append(units, unit)
		}
	}
	if !key || len(units) == 0 {
		return units
	}
	front := 0
	if units[0][0]&0x1F == unitDelimiter {
		front = 1
	}
	all := append(make([][]byte, 0, len(units)+len(m.sets)), units[:front]...)
	return append(append(all, m.sets...), units[front:]...)
}

// parameterSets takes SPS and PPS out of an avcC record (ISO/IEC 14496-15, 5.3.3.1).
func parameterSets(record []byte) (sets [][]byte) {
	if len(record) < 6 {
		return nil
	}
	rest, number := record[6:], int(record[5]&0x1F)
	for range 2 {
		for range number {
			unit, behind, ok := remux.Unit(rest, 2)
			if !ok {
				return sets
			}
			if rest = behind; len(unit) > 0 {
				sets = append(sets, unit)
			}
		}
		if len(rest) == 0 {
			return sets
		}
		number, rest = int(rest[0]), rest[1:]
	}
	return sets
}

// packetSize is that of a packet of MPEG-TS (ISO/IEC 13818-1, 2.4.3.2).
const packetSize = 188

// markDiscontinuity sets the discontinuity indicator in the first packet of each
// elementary stream (2.4.3.4): a segment knows nothing of the one before, so its continuity counters
// begin anew.
func markDiscontinuity(packets []byte) {
	seen := map[uint16]bool{}
	for p := packets; len(p) >= packetSize; p = p[packetSize:] {
		pid := uint16(p[1]&0x1F)<<8 | uint16(p[2])
		if adapted := p[3]&0x20 != 0 && p[4] > 0; seen[pid] || !adapted {
			continue
		}
		seen[pid] = true
		p[5] |= 0x80
	}
}
