// Package signaling joins a signaling channel as its master or as a viewer.
//
// A [Peer] finds the channel's endpoints, connects with a signed URL, and connects again
// whenever the connection ends, until it is told to stop or there is no hope. It hands out
// messages in the order in which they came and sends them in the order in which they were
// given to it. What is inside the messages, SDP descriptions and ICE candidates, is for a
// WebRTC stack of your choice: this package has none. It works with this project's server
// and with the original service.
//
//	p, err := signaling.NewMaster(signaling.Options{Channel: "door"})
//	...
//	go p.Run(ctx)
//	for {
//		m, err := p.Receive(ctx)
//		...
//		switch m.Type {
//		case signaling.Offer:     // m.Payload is {"type":"offer","sdp":"..."} of viewer m.Peer
//		case signaling.Candidate: // m.Payload is {"candidate":"...","sdpMid":"0",...}
//		}
//	}
//
// A Peer may be used from any number of goroutines.
package signaling
