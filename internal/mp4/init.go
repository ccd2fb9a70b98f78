package mp4

import (
	"github.com/millrace/millrace/internal/codec"
)

// segmentTrack is the id of the only track in a segment.
const segmentTrack = 1

// Init makes the initialization segment of one track, whose id is 1 there: ftyp, and moov
// without samples. G.711 is announced as the FLAC it is converted to. The error is one of a
// track that codec.Of did not accept.
func Init(t *codec.Track) ([]byte, error) {
	b, at := begin(make([]byte, 0, 1024), "ftyp")
	b = u32(append(b, "iso6"...), 0)
	b = end(append(b, "iso6mp41dash"...), at)
	b, movie := begin(b, "moov")
	b = appendMvhd(b, 0, segmentTrack+1)
	b, track := begin(b, "trak")
	b = appendTkhd(b, t, segmentTrack, 0)
	b, media := begin(b, "mdia")
	b = appendMdhd(b, Timescale(t), 0)
	b = appendHdlr(b, t)
	b, info := begin(b, "minf")
	b = appendMediaHeader(b, t)
	b, table := begin(b, "stbl")
	b, entries := beginFull(b, "stsd", 0, 0)
	b = u32(b, 1)
	b, err := appendEntry(b, t)
	if err != nil {
		return nil, err
	}
	b = end(b, entries)
	for _, kind := range []string{"stts", "stsc", "stco"} {
		b, at = beginFull(b, kind, 0, 0)
		b = end(u32(b, 0), at)
	}
	b, at = beginFull(b, "stsz", 0, 0)
	b = end(u32(b, 0, 0), at)
	b = end(end(end(end(b, table), info), media), track)
	b, extends := begin(b, "mvex")
	b, at = beginFull(b, "trex", 0, 0)
	b = end(u32(b, segmentTrack, 1, 0, 0, 0), at)
	return end(end(b, extends), movie), nil
}

// movieTimescale is how many units a second has in the headers of a movie and its tracks.
const movieTimescale = 1000

// matrix leaves the picture as it is.
var matrix = []uint32{1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30}

// appendMvhd appends the movie's header. Duration is in milliseconds, 0 in segments.
func appendMvhd(b []byte, duration uint64, nextTrack uint32) []byte {
	b, at := beginFull(b, "mvhd", 1, 0)
	b = u64(u64(b, 0), 0) // made, changed
	b = u64(u32(b, movieTimescale), duration)
	b = u32(b, 1<<16)              // rate
	b = u32(u16(b, 1<<8, 0), 0, 0) // volume
	b = u32(b, matrix...)
	b = u32(b, 0, 0, 0, 0, 0, 0, nextTrack)
	return end(b, at)
}

// appendTkhd appends a track's header. Duration is in milliseconds.
func appendTkhd(b []byte, t *codec.Track, id uint32, duration uint64) []byte {
	b, at := beginFull(b, "tkhd", 1, 3) // enabled, in the movie
	b = u64(u64(b, 0), 0)
	b = u64(u32(b, id, 0), duration)
	b = u32(b, 0, 0)
	volume := uint16(1 << 8)
	if t.Kind.Video() {
		volume = 0
	}
	b = u16(b, 0, 0, volume, 0) // layer, alternate group
	b = u32(b, matrix...)
	b = u32(b, uint32(t.Width)<<16, uint32(t.Height)<<16)
	return end(b, at)
}

// appendMdhd appends the header of a track's media. Duration is in its time scale.
func appendMdhd(b []byte, timescale uint32, duration uint64) []byte {
	b, at := beginFull(b, "mdhd", 1, 0)
	b = u64(u64(b, 0), 0)
	b = u64(u32(b, timescale), duration)
	b = u16(b, 0x55C4, 0) // language: und
	return end(b, at)
}

// appendHdlr appends whether the track is one of pictures or sound.
func appendHdlr(b []byte, t *codec.Track) []byte {
	kind := "soun"
	if t.Kind.Video() {
		kind = "vide"
	}
	b, at := beginFull(b, "hdlr", 0, 0)
	b = append(u32(b, 0), kind...)
	b = append(u32(b, 0, 0, 0), "Millrace\x00"...)
	return end(b, at)
}

// appendMediaHeader appends vmhd or smhd, and dinf: all media are in the file.
func appendMediaHeader(b []byte, t *codec.Track) []byte {
	kind, flags := "smhd", uint32(0)
	if t.Kind.Video() {
		kind, flags = "vmhd", 1
	}
	b, at := beginFull(b, kind, 0, flags)
	b = u32(b, 0) // balance; or mode and the first color
	if t.Kind.Video() {
		b = u32(b, 0)
	}
	b = end(b, at)
	b, info := begin(b, "dinf")
	b, at = beginFull(b, "dref", 0, 0)
	b = u32(b, 1)
	b, entry := beginFull(b, "url ", 0, 1)
	return end(end(end(b, entry), at), info)
}
