package signaling_test

import (
	"context"
	"fmt"
	"log"

	"github.com/millrace/millrace/signaling"
)

// A master answers each offer. What makes the answer is a WebRTC stack.
func ExampleNewMaster() {
	ctx := context.Background()
	answerTo := func(offer []byte) []byte { return []byte(`{"type":"answer","sdp":"..."}`) }

	p, err := signaling.NewMaster(signaling.Options{Channel: "door"})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(p.Run(ctx)) }()
	for {
		m, err := p.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if m.Type == signaling.Offer {
			err = p.Send(ctx, signaling.Message{Type: signaling.Answer, Peer: m.Peer, Payload: answerTo(m.Payload)})
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// A viewer makes an offer; the answer comes when there is a master.
func ExampleNewViewer() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p, err := signaling.NewViewer(signaling.Options{Channel: "door", ClientID: "kitchen"})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Println(p.Run(ctx)) }()
	offer := signaling.Message{Type: signaling.Offer, Payload: []byte(`{"type":"offer","sdp":"..."}`)}
	if err := p.Send(ctx, offer); err != nil {
		log.Fatal(err)
	}
	m, err := p.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Type, len(m.Payload))
}
