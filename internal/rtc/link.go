package rtc

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"
)

// link carries what pion says from its goroutines to the one that leads a call.
type link struct {
	candidates chan webrtc.ICECandidateInit
	states     chan webrtc.PeerConnectionState
}

func newLink(ctx context.Context, pc *webrtc.PeerConnection) *link {
	l := &link{candidates: make(chan webrtc.ICECandidateInit, 64), states: make(chan webrtc.PeerConnectionState, 8)}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			return // there will be no more
		}
		select {
		case l.candidates <- c.ToJSON():
		case <-ctx.Done():
		}
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		select {
		case l.states <- s:
		case <-ctx.Done():
		}
	})
	return l
}

// gather sets a description and waits until it has all candidates.
func (l *link) gather(ctx context.Context, pc *webrtc.PeerConnection, d webrtc.SessionDescription) (webrtc.SessionDescription, error) {
	complete := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return d, err
	}
	for {
		select {
		case <-complete:
			for len(l.candidates) > 0 {
				<-l.candidates // it is in the description
			}
			return *pc.LocalDescription(), nil
		case <-l.candidates:
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
}

// addCandidate reads a candidate of the other side.
func addCandidate(pc *webrtc.PeerConnection, payload []byte) error {
	var c webrtc.ICECandidateInit
	if err := json.Unmarshal(payload, &c); err != nil {
		return err
	}
	return pc.AddICECandidate(c)
}

// trickles says whether who made a description takes candidates one by one (RFC 8840).
func trickles(sdp string) bool {
	for line := range strings.Lines(sdp) {
		if options, ok := strings.CutPrefix(strings.TrimSpace(line), "a=ice-options:"); ok {
			return slices.Contains(strings.Fields(options), "trickle")
		}
	}
	return false
}

// codecsOf lists the codecs of the media of a kind in a description.
func codecsOf(sdp, kind string) (all []string) {
	inside := false
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		if medium, ok := strings.CutPrefix(line, "m="); ok {
			inside = strings.HasPrefix(medium, kind+" ")
		}
		_, codec, ok := strings.Cut(line, " ")
		if inside && ok && strings.HasPrefix(line, "a=rtpmap:") {
			name, _, _ := strings.Cut(codec, "/")
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// offers says whether a description has a codec, given as "video/H264".
func offers(sdp, kind, mime string) bool {
	_, name, _ := strings.Cut(mime, "/")
	return slices.ContainsFunc(codecsOf(sdp, kind), func(c string) bool { return strings.EqualFold(c, name) })
}

// selected names the pair of candidates that carries the media.
func selected(pc *webrtc.PeerConnection) string {
	sctp := pc.SCTP()
	if sctp == nil || sctp.Transport() == nil || sctp.Transport().ICETransport() == nil {
		return ""
	}
	pair, err := sctp.Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return ""
	}
	return pair.Local.Typ.String() + " " + pair.Remote.Typ.String()
}

// maxEcho is how many bytes may wait to go back.
const maxEcho = 1 << 20

// echo sends back what comes through a data channel, so that whoever opened it sees that it
// works.
func echo(d *webrtc.DataChannel, log *slog.Logger) {
	log.Debug("a data channel was opened", "label", d.Label())
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		if d.BufferedAmount() > maxEcho {
			return
		}
		var err error
		if m.IsString {
			err = d.SendText(string(m.Data))
		} else {
			err = d.Send(m.Data)
		}
		if err != nil {
			log.Debug("echo", "label", d.Label(), "error", err)
		}
	})
}

// drain reads media that nobody wants until there is no more.
func drain(t *webrtc.TrackRemote) {
	buffer := make([]byte, 1500)
	for {
		if _, _, err := t.Read(buffer); err != nil {
			return
		}
	}
}
