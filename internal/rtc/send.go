package rtc

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// The clocks of RTP (RFC 6184, RFC 7587) in ticks a second, and what a packet carries at most.
const (
	videoClock = 90_000
	soundClock = 48_000
	maxPayload = 1188 // bytes: 1,200 with the header
)

// sender makes packets of frames for one viewer.
type sender struct {
	track     *webrtc.TrackLocalStaticRTP
	payloader rtp.Payloader
	clock     int64
	sequence  uint16
	base      uint32 // the timestamp of time 0
}

func newSender(track *webrtc.TrackLocalStaticRTP, sound bool) *sender {
	s := &sender{track: track, payloader: &codecs.H264Payloader{}, clock: videoClock,
		sequence: uint16(rand.Uint32()), base: rand.Uint32()}
	if sound {
		s.payloader, s.clock = &codecs.OpusPayloader{}, soundClock
	}
	return s
}

// run sends what is in the queue until ctx ends or nobody is there any more.
func (s *sender) run(ctx context.Context, q *queue) error {
	var used []shot
	for {
		shots, ok := q.pop(ctx, used)
		if !ok {
			return nil
		}
		for _, shot := range shots {
			if err := s.send(shot); errors.Is(err, io.ErrClosedPipe) {
				return nil
			} else if err != nil {
				return err
			}
		}
		clear(shots) // the frames go
		used = shots
	}
}

// send sends one frame.
func (s *sender) send(f shot) error {
	payloads := s.payloader.Payload(maxPayload, f.Data)
	stamp := s.base + uint32(int64(f.at)*s.clock/int64(time.Second)) // wraps around, as it shall
	for i, payload := range payloads {
		p := rtp.Packet{Payload: payload, Header: rtp.Header{Version: 2, SequenceNumber: s.sequence, Timestamp: stamp,
			Marker: i == len(payloads)-1 && s.clock == videoClock}}
		s.sequence++
		if err := s.track.WriteRTP(&p); err != nil {
			return err
		}
	}
	return nil
}
