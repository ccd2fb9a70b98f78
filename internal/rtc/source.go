package rtc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/mkv"
)

// Frame is one picture or one packet of sound.
type Frame struct {
	// Data is an access unit of H.264 between start codes, with its parameter sets when it
	// is a key frame, or a packet of Opus. Nobody writes to it.
	Data     []byte
	Key      bool          // decoding can begin here
	Duration time.Duration // until the next frame
}

// Source is endless media. Next is called by one goroutine.
type Source interface {
	Next() (Frame, error)
}

// film repeats frames that are in memory.
type film struct {
	frames []Frame
	next   int
}

// Next returns the next frame.
func (f *film) Next() (Frame, error) {
	frame := f.frames[f.next]
	f.next = (f.next + 1) % len(f.frames)
	return frame, nil
}

// Matroska returns a source that repeats the first H.264 track of a short Matroska document,
// all of which is kept in memory. The document must begin with a key frame; rate is the frames
// of a second.
func Matroska(document []byte, rate int) (Source, error) {
	var f film
	var config parameters
	frames := mkv.NewReader(bytes.NewReader(document), mkv.Options{})
	var assembler mkv.Assembler
	track := uint64(0)
	for {
		it, err := frames.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if it.Kind == mkv.TracksElement && track == 0 {
			if track, config, err = avcTrack(it.Tracks); err != nil {
				return nil, err
			}
		}
		for _, frame := range assembler.Add(it) {
			if frame.Track != track {
				continue
			}
			data, err := config.annexB(frame.Data, frame.Key)
			if err != nil {
				return nil, err
			}
			f.frames = append(f.frames, Frame{Data: data, Key: frame.Key, Duration: time.Second / time.Duration(rate)})
		}
	}
	if len(f.frames) == 0 || !f.frames[0].Key {
		return nil, errors.New("the document does not begin with a key frame of H.264")
	}
	return &f, nil
}

// avcTrack finds the H.264 track.
func avcTrack(tracks []mkv.Track) (number uint64, p parameters, err error) {
	for _, t := range tracks {
		if t.CodecID == "V_MPEG4/ISO/AVC" {
			p, err = readRecord(t.CodecPrivate)
			return t.Number, p, err
		}
	}
	return 0, p, errors.New("the document has no track of H.264")
}

// parameters are the parameter sets of an avcC record (ISO/IEC 14496-15, 5.3.3.1).
type parameters struct {
	lengthSize int
	sets       [][]byte
}

// readRecord reads an avcC record.
func readRecord(b []byte) (p parameters, err error) {
	bad := errors.New("the private data of H.264 is no avcC record")
	if len(b) < 7 || b[0] != 1 {
		return p, bad
	}
	p.lengthSize = int(b[4]&3) + 1
	rest := b[5:]
	for _, mask := range []byte{0x1F, 0xFF} { // sequence, then picture parameter sets
		if len(rest) == 0 {
			return p, bad
		}
		n := rest[0] & mask
		rest = rest[1:]
		for range n {
			if len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
				return p, bad
			}
			size := int(binary.BigEndian.Uint16(rest))
			p.sets = append(p.sets, rest[2:2+size])
			rest = rest[2+size:]
		}
	}
	return p, nil
}

// annexB puts start codes in the place of lengths, and the parameter sets in front of a key
// frame.
func (p *parameters) annexB(frame []byte, key bool) (out []byte, err error) {
	if key {
		for _, set := range p.sets {
			out = appendUnit(out, set)
		}
	}
	for len(frame) > 0 {
		if len(frame) < p.lengthSize {
			return nil, io.ErrUnexpectedEOF
		}
		size := 0
		for _, b := range frame[:p.lengthSize] {
			size = size<<8 | int(b)
		}
		if frame = frame[p.lengthSize:]; len(frame) < size {
			return nil, fmt.Errorf("a NAL unit of %d bytes in a frame that has %d more", size, len(frame))
		}
		if unit := frame[:size]; size > 0 && !(key && (unitType(unit) == unitSPS || unitType(unit) == unitPPS)) {
			out = appendUnit(out, unit)
		}
		frame = frame[size:]
	}
	return out, nil
}

var startCode = []byte{0, 0, 0, 1}

func appendUnit(b, unit []byte) []byte { return append(append(b, startCode...), unit...) }
