package rtc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/millrace/millrace/signaling"
)

// ViewerOptions say what a viewer asks for and what becomes of it.
type ViewerOptions struct {
	Signaling Signaling // required
	// Record gets Matroska; nil = the media are counted and dropped.
	Record  io.Writer
	Network Network
	// NoTrickle has the offer wait until it has all candidates, for masters that do not take
	// them one by one.
	NoTrickle bool
	// Data opens a data channel of this label; "" = none.
	Data   string
	Logger *slog.Logger // nil = nobody wants to know
}

// Progress is what a viewer has got so far.
type Progress struct {
	Connected bool
	Frames    int64 // pictures that can be decoded
	Keys      int64 // of them, key frames
	Packets   int64 // of sound
	Bytes     int64 // of both
	Lost      int64 // packets that did not come, also when asked for again
	Calls     int   // how often a master answered
}

// Viewer asks the master of a channel for its media, and asks again when they end.
type Viewer struct {
	o        ViewerOptions
	log      *slog.Logger
	recorder *recorder

	mu       sync.Mutex // over progress
	progress Progress
}

// NewViewer returns a viewer. It does nothing until [Viewer.Run].
func NewViewer(o ViewerOptions) *Viewer {
	v := &Viewer{o: o, log: o.Logger, recorder: newRecorder(o.Record)}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	return v
}

// Progress says how far the viewer is. It may be called from any goroutine.
func (v *Viewer) Progress() Progress {
	v.mu.Lock()
	p := v.progress
	v.mu.Unlock()
	r := v.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Frames, p.Keys, p.Packets, p.Bytes = r.frames, r.keys, r.packets, r.bytes
	return p
}

// How long a viewer waits: for an answer before it asks again, for the media behind it, and
// between two calls.
const (
	answerWait = 20 * time.Second
	againWait  = 500 * time.Millisecond
)

// ErrNoCodec says that the master has neither H.264 nor Opus for us.
var ErrNoCodec = errors.New("the master answered, but it sends nothing that this viewer takes: H.264 pictures and Opus sound")

// Run watches until ctx ends, the recording cannot be written, the master has no codec in
// common, or the channel is lost for good. The recording ends with a whole frame.
func (v *Viewer) Run(ctx context.Context) error {
	for {
		err := v.call(ctx)
		v.note(func(p *Progress) { p.Connected = false })
		switch {
		case ctx.Err() != nil:
			return v.recorder.failure()
		case errors.As(err, new(*fatal)):
			return errors.Unwrap(err)
		}
		v.log.InfoContext(ctx, "asking the master again", "reason", err)
		timer := time.NewTimer(againWait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// fatal is an error behind which no other call helps.
type fatal struct{ error }

func (f *fatal) Unwrap() error { return f.error }

func (r *recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (v *Viewer) note(change func(*Progress)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.progress)
}

// watching is one call.
type watching struct {
	*Viewer
	pc      *webrtc.PeerConnection
	link    *link
	sync    lipSync
	early   []signaling.Message // candidates in front of the answer
	answers bool
	failed  chan error // of the goroutines that read media
	reading sync.WaitGroup
}

// call makes an offer and stays until its media end.
func (v *Viewer) call(ctx context.Context) error {
	pc, err := v.o.Network.connection(ctx, v.o.Signaling, v.log)
	if err != nil {
		return &fatal{err}
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watching{Viewer: v, pc: pc, failed: make(chan error, 4)}
	defer func() {
		cancel()
		_ = pc.GracefulClose() // there is nothing more to lose
		w.reading.Wait()
	}()
	w.link = newLink(ctx, pc)
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { w.track(ctx, t, r) })
	if err := w.offer(ctx); err != nil {
		return fmt.Errorf("making the offer: %w", err)
	}
	messages := make(chan signaling.Message)
	w.reading.Go(func() { w.receive(ctx, messages) })
	return w.stay(ctx, messages)
}

// offer asks for media.
func (w *watching) offer(ctx context.Context) error {
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		t, err := w.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err == nil {
			err = prefer(t, kind)
		}
		if err != nil {
			return err
		}
	}
	if w.o.Data != "" {
		d, err := w.pc.CreateDataChannel(w.o.Data, nil)
		if err != nil {
			return err
		}
		d.OnOpen(func() { w.log.InfoContext(ctx, "the data channel is open", "label", d.Label()) })
		d.OnMessage(func(m webrtc.DataChannelMessage) {
			w.log.InfoContext(ctx, "data", "label", d.Label(), "bytes", len(m.Data))
		})
	}
	offer, err := w.pc.CreateOffer(&webrtc.OfferOptions{OfferAnswerOptions: webrtc.OfferAnswerOptions{ICETricklingSupported: !w.o.NoTrickle}})
	if err != nil {
		return err
	}
	if w.o.NoTrickle {
		offer, err = w.link.gather(ctx, w.pc, offer)
	} else {
		err = w.pc.SetLocalDescription(offer)
	}
	if err != nil {
		return err
	}
	return w.say(ctx, signaling.Offer, offer)
}

// prefer leaves only what can be recorded in an offer.
func prefer(t *webrtc.RTPTransceiver, kind webrtc.RTPCodecType) error {
	var wanted []webrtc.RTPCodecParameters
	again := map[string]bool{} // "apt=102": what is sent again for a codec that is wanted
	for _, c := range t.Receiver().GetParameters().Codecs {
		if c.MimeType == webrtc.MimeTypeH264 || c.MimeType == webrtc.MimeTypeOpus {
			wanted = append(wanted, c)
			again[fmt.Sprintf("apt=%d", c.PayloadType)] = true
		}
	}
	for _, c := range t.Receiver().GetParameters().Codecs {
		if c.MimeType == webrtc.MimeTypeRTX && again[c.SDPFmtpLine] {
			wanted = append(wanted, c)
		}
	}
	if len(wanted) == 0 {
		return fmt.Errorf("no codec for %s", kind)
	}
	return t.SetCodecPreferences(wanted)
}

// receive passes messages on.
func (w *watching) receive(ctx context.Context, to chan<- signaling.Message) {
	for {
		m, err := w.o.Signaling.Receive(ctx)
		if err != nil {
			w.fail(&fatal{err})
			return
		}
		select {
		case to <- m:
		case <-ctx.Done():
			return
		}
	}
}

// fail ends the call; only the first reason counts.
func (w *watching) fail(err error) {
	select {
	case w.failed <- err:
	default:
	}
}

// stay leads the call to its end.
func (w *watching) stay(ctx context.Context, messages <-chan signaling.Message) error {
	limit := time.NewTimer(answerWait)
	defer limit.Stop()
	for {
		select {
		case m := <-messages:
			if err := w.message(ctx, m); err != nil {
				return err
			}
		case candidate := <-w.link.candidates:
			if err := w.say(ctx, signaling.Candidate, candidate); err != nil {
				return &fatal{err}
			}
		case state := <-w.link.states:
			switch state {
			case webrtc.PeerConnectionStateConnected:
				limit.Stop()
				w.note(func(p *Progress) { p.Connected = true })
				w.log.InfoContext(ctx, "connected to the master", "pair", selected(w.pc))
			case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
				return errors.New("the connection to the master is lost")
			}
		case err := <-w.failed:
			return err
		case <-limit.C:
			if w.answers {
				return errors.New("the master answered, but no connection came about")
			}
			return errors.New("no master has answered yet")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// message takes what the master says.
func (w *watching) message(ctx context.Context, m signaling.Message) error {
	switch m.Type {
	case signaling.Answer:
		if w.answers {
			w.log.DebugContext(ctx, "a second answer was not taken")
			return nil
		}
		return w.answer(ctx, m)
	case signaling.Candidate:
		if !w.answers {
			if len(w.early) < inbox {
				w.early = append(w.early, m)
			}
			return nil
		}
		w.candidate(m)
	case signaling.StatusResponse:
		w.log.WarnContext(ctx, "the server refused a message", "status", m.Status)
	}
	return nil
}

func (w *watching) answer(ctx context.Context, m signaling.Message) error {
	var answer webrtc.SessionDescription
	err := json.Unmarshal(m.Payload, &answer)
	if err == nil {
		err = w.pc.SetRemoteDescription(answer)
	}
	if err != nil {
		return fmt.Errorf("the answer of the master: %w", err)
	}
	w.answers = true
	w.note(func(p *Progress) { p.Calls++ })
	video, sound := w.comes("video", webrtc.MimeTypeH264, answer.SDP), w.comes("audio", webrtc.MimeTypeOpus, answer.SDP)
	if !video && !sound && w.o.Data == "" {
		return &fatal{fmt.Errorf("%w; it has %v and %v", ErrNoCodec, codecsOf(answer.SDP, "video"), codecsOf(answer.SDP, "audio"))}
	}
	w.log.InfoContext(ctx, "the master has answered", "video", video, "sound", sound)
	w.recorder.expect(video, sound)
	for _, m := range w.early {
		w.candidate(m)
	}
	w.early = nil
	return nil
}

// comes says whether the master sends a medium.
func (w *watching) comes(kind, mime, answer string) bool {
	for _, t := range w.pc.GetTransceivers() {
		if t.Kind().String() == kind {
			return sends(answer, kind) && offers(answer, kind, mime)
		}
	}
	return false
}

func (w *watching) candidate(m signaling.Message) {
	if err := addCandidate(w.pc, m.Payload); err != nil {
		w.log.Debug("a candidate was not taken", "error", err)
	}
}

func (w *watching) say(ctx context.Context, t signaling.Type, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.o.Signaling.Send(ctx, signaling.Message{Type: t, Payload: payload})
}
