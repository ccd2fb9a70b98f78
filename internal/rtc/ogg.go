package rtc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxPacket is how long a packet of an Ogg file may be: tags may hold pictures.
const maxPacket = 1 << 20

// oggReader takes packets out of one Ogg stream (RFC 3533).
type oggReader struct {
	r      *bufio.Reader
	sizes  []byte // lacing values of the page that are still to be read
	packet []byte
	serial uint32
	bound  bool // serial is known
}

// next returns the next packet, which is the caller's.
func (o *oggReader) next() ([]byte, error) {
	for {
		if len(o.sizes) == 0 {
			if err := o.page(); err != nil {
				return nil, err
			}
			continue
		}
		size := int(o.sizes[0])
		o.sizes = o.sizes[1:]
		if len(o.packet)+size > maxPacket {
			return nil, fmt.Errorf("an Ogg packet longer than %d bytes", maxPacket)
		}
		start := len(o.packet)
		o.packet = append(o.packet, make([]byte, size)...)
		if _, err := io.ReadFull(o.r, o.packet[start:]); err != nil {
			return nil, whole(err)
		}
		if size < 255 { // less ends a packet
			p := o.packet
			o.packet = nil
			return p, nil
		}
	}
}

// page reads the header of the next page of the stream; pages of others are passed over.
func (o *oggReader) page() error {
	for {
		var head [27]byte
		if _, err := io.ReadFull(o.r, head[:]); err != nil {
			return err
		}
		if string(head[:5]) != "OggS\x00" {
			return errors.New("no Ogg page where one should begin")
		}
		sizes := make([]byte, head[26])
		if _, err := io.ReadFull(o.r, sizes); err != nil {
			return whole(err)
		}
		serial := binary.LittleEndian.Uint32(head[14:])
		if first := head[5]&2 != 0; first { // a stream begins; a file may chain several
			o.serial, o.bound = serial, true
		}
		if o.bound && serial == o.serial {
			if head[5]&1 == 0 {
				o.packet = nil // it does not go on with what was begun
			}
			o.sizes = sizes
			return nil
		}
		skip := 0
		for _, s := range sizes {
			skip += int(s)
		}
		if _, err := o.r.Discard(skip); err != nil {
			return whole(err)
		}
	}
}

// whole says that an end is too early.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// opusFile repeats an Ogg file of Opus.
type opusFile struct {
	file    io.ReadSeeker
	ogg     *oggReader
	packets int // in this turn
}

// Opus returns a source that repeats an Ogg file of Opus (RFC 7845). The file is read as it
// goes. It has one or two channels, as WebRTC does.
func Opus(file io.ReadSeeker) (Source, error) {
	o := &opusFile{file: file}
	if err := o.rewind(); err != nil {
		return nil, err
	}
	head, err := o.ogg.next()
	if err != nil || !bytes.HasPrefix(head, opusHead) || len(head) < 19 {
		return nil, errors.Join(errors.New("no Ogg file of Opus"), err)
	}
	if channels, mapping := head[9], head[18]; mapping != 0 || channels < 1 || channels > 2 {
		return nil, fmt.Errorf("the file has %d channels; WebRTC takes one or two", channels)
	}
	return o, o.rewind()
}

var (
	opusHead = []byte("OpusHead")
	opusTags = []byte("OpusTags")
)

func (o *opusFile) rewind() error {
	if _, err := o.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	o.ogg, o.packets = &oggReader{r: bufio.NewReaderSize(o.file, 32<<10)}, 0
	return nil
}

// Next returns the next packet; behind the last one comes the first. A file that was cut off
// is repeated up to there.
func (o *opusFile) Next() (Frame, error) {
	for {
		p, err := o.ogg.next()
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		switch {
		case end && o.packets == 0:
			return Frame{}, errors.New("the file has no packets of Opus")
		case end:
			if err := o.rewind(); err != nil {
				return Frame{}, err
			}
			continue
		case err != nil:
			return Frame{}, err
		case bytes.HasPrefix(p, opusHead), bytes.HasPrefix(p, opusTags):
			continue
		}
		if d := opusDuration(p); d > 0 {
			o.packets++
			return Frame{Data: p, Key: true, Duration: d}, nil
		}
	}
}

// opusDuration says how long a packet of Opus lasts (RFC 6716, section 3.1); 0 when it is
// broken.
func opusDuration(p []byte) time.Duration {
	if len(p) == 0 {
		return 0
	}
	var each time.Duration
	switch config := p[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		each = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond}[config%4]
	case config < 16: // hybrid: 10, 20 ms
		each = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}[config%2]
	default: // CELT: 2.5, 5, 10, 20 ms
		each = 2500 * time.Microsecond << (config % 4)
	}
	frames := 1
	switch p[0] & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(p) < 2 {
			return 0
		}
		frames = int(p[1] & 0x3F)
	}
	if d := each * time.Duration(frames); d <= 120*time.Millisecond {
		return d
	}
	return 0
}
