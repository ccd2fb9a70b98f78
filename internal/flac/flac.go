// Package flac turns G.711 sound into FLAC, without loss: browsers and MP4 players know
// FLAC, and few of them G.711. A frame of A-law or mu-law codes becomes one FLAC frame.
//
// Frames are those of RFC 9639, section 9: block sizes vary, channels are coded each by
// itself, and values are written plainly, without the low bits that are always zero in
// G.711. So the number of codes alone tells the size of a frame. All may be called from any
// number of goroutines.
package flac

import (
	"encoding/binary"
	"errors"
)

// Law is how a G.711 code stands for a value.
type Law uint8

// Laws of ITU-T G.711.
const (
	ALaw Law = iota
	ULaw
)

// Bounds of what can be encoded.
const (
	MaxChannels = 8
	MaxRate     = 1<<20 - 1 // Hz
	MaxBlock    = 65535     // samples of each channel in a frame
)

var (
	// ErrSound says that FLAC has no such number of channels or sampling rate.
	ErrSound = errors.New("FLAC has 1 to 8 channels and 1 to 1,048,575 samples per second")

	// ErrFrame says that codes cannot be one frame: none, too many for one, or not the
	// same number for each channel.
	ErrFrame = errors.New("a frame of G.711 has 1 to 65,535 codes for each channel")
)

// StreamInfo returns the 34 bytes of a STREAMINFO block without its header (RFC 9639,
// section 8.2), as a dfLa box has it. Lengths and checksum of the whole are unknown there.
func StreamInfo(rate, channels int) []byte {
	b := make([]byte, 0, 34)
	b = binary.BigEndian.AppendUint16(b, 16) // the least that the format knows
	b = binary.BigEndian.AppendUint16(b, MaxBlock)
	b = append(b, make([]byte, 6)...) // sizes of frames: unknown
	b = binary.BigEndian.AppendUint64(b, uint64(rate)<<44|uint64(channels-1)<<41|(sampleBits-1)<<36)
	return append(b, make([]byte, 16)...)
}

// An Encoder makes FLAC frames of frames of one track. It never changes.
type Encoder struct {
	law      Law
	rate     int // Hz
	channels int
}

// New makes an encoder, or returns [ErrSound].
func New(law Law, rate, channels int) (*Encoder, error) {
	if rate < 1 || rate > MaxRate || channels < 1 || channels > MaxChannels {
		return nil, ErrSound
	}
	return &Encoder{law: law, rate: rate, channels: channels}, nil
}

// Append appends the FLAC frame of codes, which take turns by channel. First says how many
// samples of each channel came before, less than 2^36. The error is [ErrFrame].
func (e *Encoder) Append(dst, codes []byte, first uint64) ([]byte, error) {
	block, err := e.block(len(codes))
	if err != nil {
		return dst, err
	}
	start := len(dst)
	w := bitWriter{b: e.appendHeader(dst, block, first)}
	for channel := range e.channels {
		e.subframe(&w, codes, channel)
	}
	b := w.close()
	return binary.BigEndian.AppendUint16(b, crc16(b[start:])), nil
}

// Size returns the bytes that [Encoder.Append] appends for so many codes. The error is
// [ErrFrame].
func (e *Encoder) Size(codes int, first uint64) (int, error) {
	block, err := e.block(codes)
	if err != nil {
		return 0, err
	}
	var header [maxHeader]byte
	bits := e.channels * (e.law.subframeHeader() + block*e.law.bits())
	return len(e.appendHeader(header[:0], block, first)) + (bits+7)/8 + 2, nil
}

// block returns the samples of each channel in a frame of so many codes.
func (e *Encoder) block(codes int) (int, error) {
	if codes == 0 || codes%e.channels != 0 || codes/e.channels > MaxBlock {
		return 0, ErrFrame
	}
	return codes / e.channels, nil
}
