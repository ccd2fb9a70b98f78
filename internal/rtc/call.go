package rtc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/millrace/millrace/signaling"
)

const (
	offerWait   = 30 * time.Second // for the offer of a viewer whose candidates came
	connectWait = 30 * time.Second // for the media to flow
)

// call is a master's side of one viewer.
type call struct {
	master  *Master
	viewer  string
	log     *slog.Logger
	cancel  context.CancelFunc
	inbox   chan signaling.Message
	offered bool // under the master's mu

	pc      *webrtc.PeerConnection
	senders []*webrtc.RTPSender
	tracks  map[*feed]*webrtc.TrackLocalStaticRTP
	sending sync.WaitGroup
}

// run leads the call from the first message to its end.
func (c *call) run(ctx context.Context) {
	offer, early, err := c.offer(ctx)
	if err == nil {
		err = c.talk(ctx, offer, early)
	}
	if ctx.Err() == nil {
		c.log.InfoContext(ctx, "the viewer has gone", "reason", err)
	}
}

// offer waits for the offer; candidates may come before it.
func (c *call) offer(ctx context.Context) (offer signaling.Message, early []signaling.Message, err error) {
	timer := time.NewTimer(offerWait)
	defer timer.Stop()
	for {
		select {
		case m := <-c.inbox:
			if m.Type == signaling.Offer {
				return m, early, nil
			}
			if early = append(early, m); len(early) > inbox {
				return m, nil, errors.New("candidates without an offer")
			}
		case <-timer.C:
			return offer, nil, errors.New("no offer came")
		case <-ctx.Done():
			return offer, nil, ctx.Err()
		}
	}
}

// talk answers the offer and sends media until the viewer goes.
func (c *call) talk(ctx context.Context, offer signaling.Message, early []signaling.Message) (err error) {
	if c.pc, err = c.master.network.connection(ctx, c.master.signaling, c.log); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		_ = c.pc.GracefulClose() // there is nothing more to lose
		c.sending.Wait()
	}()
	link := newLink(ctx, c.pc)
	c.pc.OnDataChannel(func(d *webrtc.DataChannel) { echo(d, c.log) })
	c.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { c.sending.Go(func() { drain(t) }) })
	if err := c.answer(ctx, offer, link); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	for _, m := range early {
		c.candidate(m)
	}
	for _, s := range c.senders {
		c.sending.Go(func() { c.feedback(s) })
	}
	return c.stay(ctx, link)
}

// stay passes candidates on in both directions and begins to send when the viewer is there.
func (c *call) stay(ctx context.Context, l *link) error {
	limit := time.NewTimer(connectWait)
	defer limit.Stop()
	for {
		select {
		case m := <-c.inbox:
			c.candidate(m)
		case candidate := <-l.candidates:
			if err := c.say(ctx, signaling.Candidate, candidate); err != nil {
				return err
			}
		case state := <-l.states:
			switch state {
			case webrtc.PeerConnectionStateConnected:
				if limit.Stop() {
					c.log.InfoContext(ctx, "the viewer is connected", "pair", selected(c.pc))
					c.send(ctx)
				}
			case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
				return fmt.Errorf("the connection has %s", map[webrtc.PeerConnectionState]string{
					webrtc.PeerConnectionStateFailed: "failed", webrtc.PeerConnectionStateClosed: "been closed"}[state])
			}
		case <-limit.C:
			return errors.New("no connection came about")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer takes the offer and sends the answer: at once when the viewer takes candidates one
// by one, else with all of them in it.
func (c *call) answer(ctx context.Context, m signaling.Message, l *link) error {
	var offer webrtc.SessionDescription
	if err := json.Unmarshal(m.Payload, &offer); err != nil {
		return err
	}
	c.missing(offer.SDP)
	if err := c.pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	if err := c.addTracks(offer.SDP); err != nil {
		return err
	}
	trickle := trickles(offer.SDP)
	answer, err := c.pc.CreateAnswer(&webrtc.AnswerOptions{OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: trickle}})
	if err != nil {
		return err
	}
	if !trickle {
		answer, err = l.gather(ctx, c.pc, answer)
	} else {
		err = c.pc.SetLocalDescription(answer)
	}
	if err != nil {
		return err
	}
	return c.say(ctx, signaling.Answer, answer)
}

// addTracks adds what the viewer wants of what there is.
func (c *call) addTracks(offer string) error {
	c.tracks = map[*feed]*webrtc.TrackLocalStaticRTP{}
	for _, f := range c.master.feeds() {
		codec, kind := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: videoClock}, "video"
		if f.sound {
			codec, kind = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: soundClock, Channels: 2}, "audio"
		}
		if !offers(offer, kind, codec.MimeType) {
			continue
		}
		track, err := webrtc.NewTrackLocalStaticRTP(codec, kind, "millrace")
		if err != nil {
			return err
		}
		sender, err := c.pc.AddTrack(track)
		if err != nil {
			return err
		}
		c.tracks[f] = track
		c.senders = append(c.senders, sender)
	}
	return c.close()
}

// close has the answer say that nothing comes of a medium for which there is no track.
func (c *call) close() error {
	for _, t := range c.pc.GetTransceivers() {
		if t.Sender() != nil && t.Sender().Track() != nil {
			continue
		}
		if err := t.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// missing says what the viewer will not get, and why.
func (c *call) missing(offer string) {
	for _, f := range c.master.feeds() {
		kind, mime := "video", webrtc.MimeTypeH264
		if f.sound {
			kind, mime = "audio", webrtc.MimeTypeOpus
		}
		switch {
		case !strings.Contains(offer, "m="+kind):
			c.log.Info("the viewer does not ask for it", "medium", kind)
		case !offers(offer, kind, mime):
			c.log.Warn("no common codec", "medium", kind, "sent", mime, "offered", strings.Join(codecsOf(offer, kind), " "))
		}
	}
}

// send begins to send the media.
func (c *call) send(ctx context.Context) {
	for f, track := range c.tracks {
		q := f.listen()
		c.sending.Go(func() {
			defer f.leave(q)
			if err := newSender(track, f.sound).run(ctx, q); err != nil {
				c.log.WarnContext(ctx, "sending", "error", err)
			}
		})
	}
}

// feedback reads what a viewer says about the media: what was lost is sent again by pion. A
// viewer that lost more than that gets its next key frame with the next group of pictures,
// which is never far: all see the same source.
func (c *call) feedback(s *webrtc.RTPSender) {
	for {
		if _, _, err := s.ReadRTCP(); err != nil {
			return
		}
	}
}

// candidate takes a candidate of the viewer. One that makes no sense harms nobody.
func (c *call) candidate(m signaling.Message) {
	if err := addCandidate(c.pc, m.Payload); err != nil {
		c.log.Debug("a candidate was not taken", "error", err)
	}
}

func (c *call) say(ctx context.Context, t signaling.Type, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.master.signaling.Send(ctx, signaling.Message{Type: t, Peer: c.viewer, Payload: payload})
}
