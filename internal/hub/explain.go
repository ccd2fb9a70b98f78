package hub

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/sdp"
	"github.com/millrace/millrace/internal/signal"
)

// Bounds of looking at descriptions.
const (
	maxLooks  = 256  // that wait to be looked at; those that come besides are not
	maxOffers = 1024 // whose codecs are remembered
)

// look is a description to be looked at.
type look struct {
	channel kvs.ChannelID
	name    string // of the channel
	viewer  string // of the pair
	master  bool   // sent it
	answer  bool
	payload string
}

// look has a description looked at, later and elsewhere, if there is time.
func (r *room) look(msg *message) {
	if msg.kind == signal.Candidate {
		return
	}
	l := look{channel: r.id, name: r.name, viewer: msg.from + msg.to, master: msg.from == "", answer: msg.kind == signal.Answer, payload: msg.payload}
	select {
	case r.hub.looks <- l:
	default:
	}
}

// offerKey says whose offer it was.
type offerKey struct {
	channel kvs.ChannelID
	viewer  string
	master  bool
}

// explainer remembers offers until they are answered. One goroutine has it.
type explainer struct {
	log    *slog.Logger
	offers map[offerKey][]sdp.Medium
	order  []offerKey // as they came; some are answered
}

// explain looks at descriptions until ctx ends (signaling.md, section 9).
func (h *Hub) explain(ctx context.Context) {
	e := &explainer{log: h.log, offers: map[offerKey][]sdp.Medium{}}
	for {
		select {
		case l := <-h.looks:
			e.look(l)
		case <-ctx.Done():
			return
		}
	}
}

func (e *explainer) look(l look) {
	text, err := sdp.Text(l.payload)
	if err != nil {
		return // peers may send each other what they like
	}
	media, err := sdp.Codecs(text)
	if err != nil {
		return
	}
	if !l.answer {
		e.remember(offerKey{l.channel, l.viewer, l.master}, media)
		return
	}
	key := offerKey{l.channel, l.viewer, !l.master}
	offer := e.offers[key]
	delete(e.offers, key)
	for _, g := range sdp.Gaps(offer, media) {
		e.log.Warn("no common codec", slog.String("channel", l.name), slog.String("client", l.viewer), slog.Bool("offered_by_master", key.master),
			slog.String("medium", g.Kind), slog.Bool("refused", g.Refused), slog.Any("offered", g.Offered), slog.Any("answered", g.Answered))
	}
}

func (e *explainer) remember(k offerKey, media []sdp.Medium) {
	if _, known := e.offers[k]; !known {
		e.order = append(e.order, k)
	}
	e.offers[k] = media
	for len(e.offers) > maxOffers || len(e.order) > 2*maxOffers {
		delete(e.offers, e.order[0])
		e.order = e.order[1:]
	}
}
