package server

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/signaling"
	"github.com/millrace/millrace/sigv4"
)

// meet joins the channel as master and viewer, and returns when each has got a message of
// the other.
func (p *plant) meet(listener, channel string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	peer := func(of func(signaling.Options) (*signaling.Peer, error), id string) *signaling.Peer {
		one, err := of(signaling.Options{Channel: channel, Endpoint: p.URL(listener), Region: "us-east-1", ClientID: id, HTTP: p.HTTP,
			Credentials: func(context.Context) (sigv4.Credentials, error) { return p.Credentials, nil }})
		if err != nil {
			p.t.Fatal(err)
		}
		done := make(chan error, 1)
		running, stop := context.WithCancel(ctx)
		go func() { done <- one.Run(running) }()
		p.t.Cleanup(func() { stop(); <-done })
		return one
	}
	master, viewer := peer(signaling.NewMaster, ""), peer(signaling.NewViewer, "anna")
	say := func(from, to *signaling.Peer, m signaling.Message) signaling.Message {
		if err := from.Send(ctx, m); err != nil {
			p.t.Fatal(err)
		}
		got, err := to.Receive(ctx)
		if err != nil || got.Type != m.Type || string(got.Payload) != string(m.Payload) {
			p.t.Fatalf("%+v, %v", got, err)
		}
		return got
	}
	offer := say(viewer, master, signaling.Message{Type: signaling.Offer, Payload: []byte(`{"type":"offer"}`)})
	if offer.Peer != "anna" {
		p.t.Errorf("the offer is from %q", offer.Peer)
	}
	say(master, viewer, signaling.Message{Type: signaling.Answer, Peer: "anna", Payload: []byte(`{"type":"answer"}`)})
}

// A master and a viewer meet, by either listener.
func TestMasterAndViewerMeet(t *testing.T) {
	p := newPlant(t, nil)
	for _, listener := range []string{"http", "https"} {
		p.ask("CreateSignalingChannel", &wire.CreateSignalingChannelInput{ChannelName: &listener}, nil)
		p.meet(listener, listener)
	}
}
