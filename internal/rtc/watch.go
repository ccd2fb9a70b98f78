package rtc

import (
	"context"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// askEvery is how often a key frame is asked for while one is missing.
const askEvery = time.Second

// track reads a medium that the master sends. It is called by pion.
func (w *watching) track(ctx context.Context, t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	sound := t.Kind() == webrtc.RTPCodecTypeAudio
	s := &stream{sync: &w.sync, rate: videoClock}
	if sound {
		s.rate = soundClock
	}
	w.reading.Go(func() { reports(r, s) })
	w.reading.Go(func() {
		if err := w.read(ctx, t, s, sound); err != nil {
			w.fail(&fatal{err})
		}
	})
}

// reports takes the sender reports of a stream until there are no more.
func reports(r *webrtc.RTPReceiver, s *stream) {
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if report, ok := p.(*rtcp.SenderReport); ok {
				s.report(report.NTPTime, report.RTPTime)
			}
		}
	}
}

// read records a stream until there is no more. Its error is that of the recording.
func (w *watching) read(ctx context.Context, t *webrtc.TrackRemote, s *stream, sound bool) error {
	a := assembler{several: !sound}
	var asked time.Time
	lost := int64(0)
	for {
		p, _, err := t.ReadRTP()
		if err != nil || ctx.Err() != nil {
			return nil //nolint:nilerr // the call is over
		}
		now := time.Now()
		needKey, err := w.take(&a, p, s, sound, now)
		if err != nil {
			return err
		}
		if a.lost != lost {
			w.note(func(p *Progress) { p.Lost += a.lost - lost })
			lost = a.lost
		}
		if needKey && now.Sub(asked) > askEvery {
			asked = now
			// A request that is lost is made again in a second.
			_ = w.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(t.SSRC())}})
		}
	}
}

// take records what a packet completes. It says whether a key frame is needed.
func (w *watching) take(a *assembler, p *rtp.Packet, s *stream, sound bool, now time.Time) (needKey bool, err error) {
	for _, f := range a.push(p, now) {
		at := s.time(f.stamp, now)
		if sound {
			err = w.recorder.packet(at, f)
		} else {
			needKey, err = w.recorder.picture(at, f)
		}
		if err != nil {
			return false, err
		}
	}
	return needKey, nil
}

// sends says whether who made a description sends the first medium of a kind.
func sends(sdp, kind string) bool {
	found, direction := false, "sendrecv"
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		if medium, ok := strings.CutPrefix(line, "m="); ok {
			if found {
				break
			}
			fields := strings.Fields(medium)
			found = len(fields) > 1 && fields[0] == kind && fields[1] != "0" // port 0: refused
		}
		switch line {
		case "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive":
			if found {
				direction = line[2:]
			}
		}
	}
	return found && strings.HasPrefix(direction, "send")
}
