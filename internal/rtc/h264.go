package rtc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Types of NAL units (ISO/IEC 14496-10, table 7-1).
const (
	unitSlice     = 1
	unitIDR       = 5
	unitSEI       = 6
	unitSPS       = 7
	unitPPS       = 8
	unitDelimiter = 9
)

func unitType(unit []byte) byte { return unit[0] & 0x1F }

// maxUnit is how long a NAL unit of a file may be.
const maxUnit = 16 << 20

// h264File repeats a file of H.264 between start codes.
type h264File struct {
	file  io.ReadSeeker
	units *unitReader
	each  time.Duration

	ahead    []byte // the first unit of the next access unit
	sps, pps []byte // the last ones, for key frames without
	frames   int    // in this turn
}

// H264 returns a source that repeats a file of H.264 between start codes (Annex B), rate
// frames a second. The file is read as it goes. It must have no frames that are shown in
// another order than sent (B-frames): browsers do not take them. What stands in front of the
// first key frame is left out.
func H264(file io.ReadSeeker, rate float64) (Source, error) {
	h := &h264File{file: file, each: time.Duration(float64(time.Second) / rate)}
	if err := h.rewind(); err != nil {
		return nil, err
	}
	first, err := h.unit() // the first frame's parameter sets are needed for more than to send
	if err != nil {
		return nil, fmt.Errorf("no H.264 between start codes: %w", err)
	}
	h.ahead = first
	return h, nil
}

func (h *h264File) rewind() error {
	if _, err := h.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h.units, h.ahead, h.frames = newUnitReader(h.file), nil, 0
	return nil
}

// Next returns the next access unit; behind the last one comes the first.
func (h *h264File) Next() (Frame, error) {
	for {
		f, err := h.frame()
		switch {
		case errors.Is(err, io.EOF) && h.frames == 0:
			return Frame{}, errors.New("the file has no key frame of H.264 (with its parameter sets, between start codes)")
		case errors.Is(err, io.EOF):
			if err := h.rewind(); err != nil {
				return Frame{}, err
			}
			continue
		case err != nil:
			return Frame{}, err
		case h.frames == 0 && !f.Key:
			continue // nothing can be decoded yet
		}
		h.frames++
		return f, nil
	}
}

// frame reads an access unit.
func (h *h264File) frame() (Frame, error) {
	f := Frame{Duration: h.each}
	var units [][]byte
	pictures := false
	for {
		unit, err := h.unit()
		if errors.Is(err, io.EOF) && pictures {
			return h.finish(f, units), nil
		}
		if err != nil {
			return f, err
		}
		if pictures && begins(unit) {
			h.ahead = unit
			return h.finish(f, units), nil
		}
		switch t := unitType(unit); {
		case t == unitSPS:
			h.sps = unit
		case t == unitPPS:
			h.pps = unit
		case t == unitDelimiter:
			continue // RTP has its own
		case t >= unitSlice && t <= unitIDR:
			pictures = true
			f.Key = f.Key || t == unitIDR
		}
		units = append(units, unit)
	}
}

// finish puts an access unit together.
func (h *h264File) finish(f Frame, units [][]byte) Frame {
	if f.Key {
		if h.sps == nil || h.pps == nil {
			f.Key = false // nothing could be decoded with it
		} else {
			units = slices.DeleteFunc(units, func(u []byte) bool { return unitType(u) == unitSPS || unitType(u) == unitPPS })
			units = append([][]byte{h.sps, h.pps}, units...)
		}
	}
	for _, u := range units {
		f.Data = appendUnit(f.Data, u)
	}
	return f
}

// unit returns the next NAL unit.
func (h *h264File) unit() ([]byte, error) {
	if u := h.ahead; u != nil {
		h.ahead = nil
		return u, nil
	}
	return h.units.next()
}

// begins says whether a unit behind a picture belongs to the next access unit (ISO/IEC
// 14496-10, 7.4.1.2.3): a slice does if it holds the first macroblock.
func begins(unit []byte) bool {
	switch t := unitType(unit); {
	case t >= unitSEI && t <= unitDelimiter, t >= 14 && t <= 18:
		return true
	case t == unitSlice || t == unitIDR || t == 2:
		return len(unit) > 1 && unit[1]&0x80 != 0
	}
	return false
}

// unitReader splits a stream at start codes.
type unitReader struct {
	r    *bufio.Reader
	open bool // the first start code was seen
}

func newUnitReader(r io.Reader) *unitReader { return &unitReader{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next NAL unit that is not empty.
func (u *unitReader) next() ([]byte, error) {
	for {
		unit, err := u.until()
		skip := !u.open
		u.open = u.open || err == nil
		if unit = trimZeros(unit); !skip && len(unit) > 0 {
			return unit, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// until reads to the next start code, which it consumes.
func (u *unitReader) until() (unit []byte, err error) {
	zeros := 0
	for {
		b, err := u.r.ReadByte()
		if err != nil {
			return unit, err
		}
		if b == 1 && zeros >= 2 {
			return unit[:len(unit)-zeros], nil
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		if unit = append(unit, b); len(unit) > maxUnit {
			return nil, fmt.Errorf("no start code within %d bytes", maxUnit)
		}
	}
}

// trimZeros takes trailing zero bytes away: they belong to the next start code.
func trimZeros(unit []byte) []byte {
	for len(unit) > 0 && unit[len(unit)-1] == 0 {
		unit = unit[:len(unit)-1]
	}
	return unit
}
