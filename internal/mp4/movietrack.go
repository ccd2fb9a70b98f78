package mp4

import "encoding/binary"

// edits are the entries of an elst box: nothing, then media.
type edits struct {
	pause  int64 // before the media begin, units of the movie
	media  int64 // where in them, units of the track
	lasts  int64 // units of the movie
	needed bool
}

// edit says what of a track is shown when. A track that begins after the others begins
// with a pause.
func (m *Movie) edit(t *movieTrack, origin int64) (e edits) {
	from := scaled(t.first, movieScale, t.scale) - origin
	begin := int64(0)
	if m.edited {
		begin = max(0, m.begin*(movieScale/1000)-origin)
	}
	if skip := scaled(max(0, begin-from), t.scale, movieScale); t.samples > 0 && skip < t.end {
		e = edits{pause: max(0, from-begin), media: skip, lasts: scaled(t.end-skip, movieScale, t.scale)}
	}
	e.needed = e.pause > 0 || e.media > 0 || e.lasts == 0
	return e
}

func (e edits) box() *box {
	v := version(max(e.pause, e.lasts, e.media<<1)) // the place in the media is signed
	b := full("elst", v, 0, 0)
	add := func(lasts, media int64) {
		b.wide(v, lasts, media).u32(0x10000)
		binary.BigEndian.PutUint32(b.fields[4:], binary.BigEndian.Uint32(b.fields[4:])+1)
	}
	if e.pause > 0 || e.lasts == 0 {
		add(max(e.pause, 1), -1)
	}
	if e.lasts > 0 {
		add(e.lasts, e.media)
	}
	return newBox("edts", b)
}

// box returns the track's box, and how long it is shown, in units of the movie. Places
// of chunks are filled in by place.
func (t *movieTrack) box(id uint32, e edits, wide bool) (*box, int64) {
	length := e.pause + e.lasts
	trak := newBox("trak", t.tkhd(id, length))
	if e.needed {
		trak.inner = append(trak.inner, e.box())
	}
	kind, media := "soun", full("smhd", 0, 0, 0)
	if t.video {
		kind, media = "vide", full("vmhd", 0, 1, 0, 0)
	}
	v := version(t.end)
	mdhd := full("mdhd", v, 0).wide(v, 0, 0).u32(t.scale).wide(v, t.end).u32(0x55C4 << 16) // no language
	hdlr := full("hdlr", 0, 0, 0).text(kind).bytes(make([]byte, 12)...).text("Millrace\x00")
	dinf := newBox("dinf", full("dref", 0, 0, 1))
	dinf.inner[0].inner = []*box{full("url ", 0, 1)} // this file
	trak.inner = append(trak.inner, newBox("mdia", mdhd, hdlr, newBox("minf", media, dinf, t.stbl(wide))))
	return trak, length
}

func (t *movieTrack) tkhd(id uint32, length int64) *box {
	v := version(length)
	b := full("tkhd", v, 3).wide(v, 0, 0).u32(id, 0).wide(v, length).u32(0, 0)
	volume := byte(1)
	if t.video {
		volume = 0
	}
	b.bytes(0, 0, 0, 0, volume, 0, 0, 0).u32(matrix...)
	return b.u32(uint32(t.width)<<16, uint32(t.height)<<16)
}

func (t *movieTrack) stbl(wide bool) *box {
	stsd := full("stsd", 0, 0, uint32(len(t.entries)))
	for _, e := range t.entries {
		stsd.bytes(e...)
	}
	var last []uint32
	if t.samples > 0 {
		last = []uint32{t.last}
	}
	durations, n := t.durations.closed(last...)
	b := newBox("stbl", stsd, full("stts", 0, 0, n).with(durations))
	if !t.offsets.only(0) {
		offsets, n := t.offsets.closed()
		b.inner = append(b.inner, full("ctts", 1, 0, n).with(offsets), t.cslg())
	}
	if keys := uint32(t.keys.size / 4); t.video && keys < t.samples {
		b.inner = append(b.inner, full("stss", 0, 0, keys).with(t.keys))
	}
	b.inner = append(b.inner, full("stsc", 0, 0, t.perRuns).with(t.perRun), full("stsz", 0, 0, 0, t.samples).with(t.sizes), t.stco(wide))
	return b
}

// cslg says how far times of showing and decoding are apart (section 8.6.1.4): players
// need not look through all offsets.
func (t *movieTrack) cslg() *box {
	v := version(t.end << 1) // signed
	return full("cslg", v, 0).wide(v, max(0, -int64(t.least)), int64(t.least), int64(t.greatest), 0, t.end)
}

// stco is the box with the places of chunks. They are known when the length of the head
// is; it depends on how many there are, and on how wide.
func (t *movieTrack) stco(wide bool) *box {
	name, width := "stco", 4
	if wide {
		name, width = "co64", 8
	}
	places := make([]byte, width*len(t.chunks))
	t.places = table{pieces: [][]byte{places}, size: int64(len(places))}
	return full(name, 0, 0, uint32(len(t.chunks))).with(t.places)
}

// place fills in the places of chunks when the media begin at byte base of the file.
func (t *movieTrack) place(base int64, wide bool) {
	p := t.places.pieces[0][:0]
	for _, at := range t.chunks {
		if wide {
			p = binary.BigEndian.AppendUint64(p, uint64(base+at))
		} else {
			p = binary.BigEndian.AppendUint32(p, uint32(base+at))
		}
	}
}
