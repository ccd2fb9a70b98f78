package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// end is one end of a channel without a server.
type end struct {
	name string // of a viewer
	in   chan signaling.Message
	out  *end // of a viewer: the master
	hall *hall
}

// hall is a channel: a master and viewers.
type hall struct {
	master *end
	mu     sync.Mutex
	all    map[string]*end
}

func newHall() *hall {
	h := &hall{all: map[string]*end{}}
	h.master = &end{in: make(chan signaling.Message, 100), hall: h}
	return h
}

func (h *hall) viewer(name string) *end {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &end{name: name, in: make(chan signaling.Message, 100), out: h.master, hall: h}
	h.all[name] = e
	return e
}

func (e *end) Send(ctx context.Context, m signaling.Message) error {
	to := e.out
	if to == nil {
		e.hall.mu.Lock()
		to = e.hall.all[m.Peer]
		e.hall.mu.Unlock()
	}
	m.Peer = e.name
	select {
	case to.in <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *end) Receive(ctx context.Context) (signaling.Message, error) {
	select {
	case m := <-e.in:
		return m, nil
	case <-ctx.Done():
		return signaling.Message{}, ctx.Err()
	}
}

func (e *end) ICEServers(context.Context) ([]signaling.ICEServer, error) { return nil, nil }

const clipRate = 25

func clip(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../demo/clip.mkv")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oggFile makes an Ogg file of Opus: n packets of 20 ms, each with its number inside.
func oggFile(n int) []byte {
	var b []byte
	page := func(flags byte, sequence int, packets ...[]byte) {
		b = append(b, "OggS\x00"...)
		b = append(b, flags)
		b = append(b, make([]byte, 8)...) // granule position
		b = binary.LittleEndian.AppendUint32(b, 7)
		b = binary.LittleEndian.AppendUint32(b, uint32(sequence))
		b = append(b, 0, 0, 0, 0) // checksum
		var sizes, data []byte
		for _, p := range packets {
			for rest := len(p); ; rest -= 255 {
				sizes = append(sizes, byte(min(rest, 255)))
				if rest < 255 {
					break
				}
			}
			data = append(data, p...)
		}
		b = append(append(append(b, byte(len(sizes))), sizes...), data...)
	}
	page(2, 0, opusHeader())
	page(0, 1, append([]byte("OpusTags"), make([]byte, 300)...))
	for i := 0; i < n; i += 2 {
		page(0, 2+i/2, opusPacket(i), opusPacket(i+1))
	}
	return b
}

func opusPacket(n int) []byte {
	b := make([]byte, 300)
	b[0] = 31<<3 | 1<<2 // CELT, 20 ms, stereo, one frame
	binary.BigEndian.PutUint32(b[1:], uint32(n))
	return b
}

// recording is what a test reads back.
type recording struct {
	tracks   []mkv.Track
	pictures []int           // numbers of the clip's frames
	shown    []time.Duration // of the pictures
	sound    []int
	heard    []time.Duration
}

func readRecording(t *testing.T, b []byte) (r recording) {
	t.Helper()
	numbers := map[string]int{}
	source, err := Matroska(clip(t), clipRate)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range source.(*film).frames {
		frame, _, _ := units(split(f.Data))
		numbers[string(frame)] = i
	}
	reader := mkv.NewReader(bytes.NewReader(b), mkv.Options{})
	var a mkv.Assembler
	for {
		it, err := reader.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return r
		}
		if it.Kind == mkv.TracksElement {
			r.tracks = it.Tracks
		}
		for _, f := range a.Add(it) {
			at := time.Duration(f.Timecode) * time.Millisecond
			if f.Track == soundTrack {
				r.sound = append(r.sound, int(binary.BigEndian.Uint32(f.Data[1:])))
				r.heard = append(r.heard, at)
				continue
			}
			n, ok := numbers[string(f.Data)]
			if !ok {
				t.Fatalf("a picture of %d bytes at %v is not of the clip", len(f.Data), at)
			}
			if len(r.pictures) == 0 && !f.Key {
				t.Error("the recording does not begin with a key frame")
			}
			r.pictures = append(r.pictures, n)
			r.shown = append(r.shown, at)
		}
	}
}

// split takes an access unit apart as if each NAL unit were a packet.
func split(data []byte) (all [][]byte) {
	u := newUnitReader(bytes.NewReader(data))
	for {
		unit, err := u.next()
		if unit != nil {
			all = append(all, unit)
		}
		if err != nil {
			return all
		}
	}
}

// follows checks that numbers count on, from the last to the first.
func follows(t *testing.T, what string, numbers []int, of int) {
	t.Helper()
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != (numbers[i-1]+1)%of {
			t.Fatalf("%s %d follows %d", what, numbers[i], numbers[i-1])
		}
	}
}

type stage struct {
	*hall
	t     *testing.T
	video Source
	sound Source
}

// masterRuns runs a master until stop is called.
func (s *stage) masterRuns() (m *Master, stop func()) {
	s.t.Helper()
	m, err := NewMaster(MasterOptions{Signaling: s.master, Video: s.video, Sound: s.sound, Network: Network{Loopback: true}, Logger: slog.New(slog.NewTextHandler(s.t.Output(), nil))})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// watches runs a viewer until enough holds.
func (s *stage) watches(o ViewerOptions, enough func(Progress) bool) Progress {
	s.t.Helper()
	o.Network.Loopback = true
	o.Logger = slog.New(slog.NewTextHandler(s.t.Output(), nil))
	v := NewViewer(o)
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !enough(v.Progress()) {
		select {
		case <-tick.C:
		case err := <-done:
			s.t.Fatalf("the viewer ended: %v, %+v", err, v.Progress())
		case <-ctx.Done():
			<-done
			s.t.Fatalf("too slow: %+v", v.Progress())
		}
	}
	cancel()
	if err := <-done; err != nil {
		s.t.Error(err)
	}
	return v.Progress()
}

func newStage(t *testing.T) *stage {
	t.Helper()
	video, err := Matroska(clip(t), clipRate)
	if err != nil {
		t.Fatal(err)
	}
	sound, err := Opus(bytes.NewReader(oggFile(50)))
	if err != nil {
		t.Fatal(err)
	}
	return &stage{hall: newHall(), t: t, video: video, sound: sound}
}

// A viewer that comes in the middle records every picture from a key frame on, and the sound
// that belongs to them.
func TestRecording(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, stop := s.masterRuns()
	defer stop()
	var b bytes.Buffer
	s.watches(ViewerOptions{Signaling: s.viewer("anna"), Record: &b}, func(p Progress) bool { return p.Frames > 40 && p.Packets > 60 })
	r := readRecording(t, b.Bytes())
	follows(t, "picture", r.pictures, 250)
	follows(t, "packet", r.sound, 50)
	if len(r.tracks) != 2 || r.tracks[0].Video == nil || r.tracks[0].Video.PixelWidth != 640 || r.pictures[0]%clipRate != 0 {
		t.Errorf("%+v, first picture %d", r.tracks, r.pictures[0])
	}
	span := r.shown[len(r.shown)-1] - r.shown[0]
	frames := time.Duration(len(r.shown)-1) * time.Second / clipRate
	if span > frames+5*time.Millisecond || span < frames-time.Second {
		t.Errorf("%d pictures last %v", len(r.shown), span)
	}
	if last := len(r.heard) - 1; (r.heard[last] - r.heard[0] - time.Duration(last)*20*time.Millisecond).Abs() > 110*time.Millisecond {
		t.Errorf("%d packets last %v", len(r.heard), r.heard[last]-r.heard[0])
	}
}

// Without trickle the descriptions hold all candidates, in both directions; a data channel is
// open beside.
func TestWithoutTrickle(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.sound = nil
	_, stop := s.masterRuns()
	defer stop()
	var b bytes.Buffer
	s.watches(ViewerOptions{Signaling: s.viewer("anna"), NoTrickle: true, Data: "talk", Record: &b}, func(p Progress) bool { return p.Frames > 2 })
	if r := readRecording(t, b.Bytes()); len(r.tracks) != 1 {
		t.Errorf("there is no sound, and %d tracks", len(r.tracks))
	}
}

// A viewer that begins again under its name replaces itself; when all have gone nothing is
// left of them.
func TestSameName(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	m, stop := s.masterRuns()
	defer stop()
	var group sync.WaitGroup
	first := make(chan struct{})
	group.Go(func() {
		s.watches(ViewerOptions{Signaling: s.viewer("bert")}, func(p Progress) bool {
			select {
			case <-first:
				return p.Frames > 40
			default:
				return false
			}
		})
	})
	for range 2 {
		s.watches(ViewerOptions{Signaling: s.viewer("anna")}, func(p Progress) bool { return p.Frames > 2 && p.Packets > 2 })
	}
	if n := m.Viewers(); n > 2 {
		t.Errorf("%d viewers", n)
	}
	close(first)
	group.Wait()
}

// A viewer waits for its master and goes on with the next one, in the same recording.
func TestMastersComeAndGo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	stops := make(chan func(), 2)
	var b bytes.Buffer
	begun, again := false, false
	s.watches(ViewerOptions{Signaling: s.viewer("anna"), Record: &b}, func(p Progress) bool {
		switch {
		case !begun:
			begun = true
			_, stop := s.masterRuns()
			stops <- stop
		case !again && p.Frames > 5:
			again = true
			(<-stops)()
			_, stop := s.masterRuns()
			stops <- stop
		}
		return again && p.Calls == 2 && p.Connected && p.Keys > 3
	})
	(<-stops)()
	if r := readRecording(t, b.Bytes()); len(r.pictures) < 30 {
		t.Errorf("%d pictures", len(r.pictures))
	}
}

// A master without a common codec ends the viewer with words.
func TestNoCommonCodec(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	v := NewViewer(ViewerOptions{Signaling: s.viewer("anna"), Network: Network{Loopback: true}})
	go func() { done <- v.Run(ctx) }()
	offer, err := s.master.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	refused := bytes.ReplaceAll(offer.Payload, []byte(`m=audio 9`), []byte(`m=audio 0`))
	refused = bytes.ReplaceAll(refused, []byte(`m=video 9`), []byte(`m=video 0`))
	refused = bytes.ReplaceAll(refused, []byte(`"offer"`), []byte(`"answer"`))
	refused = bytes.ReplaceAll(refused, []byte(`a=setup:actpass`), []byte(`a=setup:active`))
	if err := s.master.Send(ctx, signaling.Message{Type: signaling.Answer, Peer: "anna", Payload: refused}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrNoCodec) {
		t.Errorf("%v", err)
	}
}
