package rtc

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// packetsOf makes packets of frames of the clip, with numbers near their ends.
func packetsOf(t *testing.T, n int) (all []*rtp.Packet) {
	t.Helper()
	source, err := Matroska(clip(t), clipRate)
	if err != nil {
		t.Fatal(err)
	}
	var payloader codecs.H264Payloader
	sequence, stamp := uint16(65530), uint32(0xFFFF_F000)
	for range n {
		f, _ := source.Next()
		payloads := payloader.Payload(maxPayload, f.Data)
		for i, p := range payloads {
			all = append(all, &rtp.Packet{Payload: p, Header: rtp.Header{SequenceNumber: sequence, Timestamp: stamp, Marker: i == len(payloads)-1}})
			sequence++
		}
		stamp += videoClock / clipRate
	}
	return all
}

// collect gives packets, 4 ms apart, to an assembler and a recorder.
func collect(t *testing.T, packets []*rtp.Packet) (recording, *assembler) {
	t.Helper()
	var b bytes.Buffer
	r := newRecorder(&b)
	r.expect(true, false)
	a := &assembler{several: true}
	now := time.Unix(1000, 0)
	s := stream{sync: new(lipSync), rate: videoClock}
	for _, p := range packets {
		now = now.Add(4 * time.Millisecond)
		for _, f := range a.push(p, now) {
			if _, err := r.picture(s.time(f.stamp, now), f); err != nil {
				t.Fatal(err)
			}
		}
	}
	return readRecording(t, b.Bytes()), a
}

// Packets that overtake each other, or come twice, make the same recording; numbers and
// timestamps wrap around.
func TestDisorder(t *testing.T) {
	packets := packetsOf(t, 100)
	want, _ := collect(t, packets)
	random := rand.New(rand.NewPCG(1, 2))
	for i := 1; i+8 < len(packets); i += 8 {
		random.Shuffle(8, func(a, b int) { packets[i+a], packets[i+b] = packets[i+b], packets[i+a] })
	}
	packets = append(packets[:50:50], append([]*rtp.Packet{packets[40]}, packets[50:]...)...)
	got, a := collect(t, packets)
	if len(want.pictures) != 100 || fmt.Sprint(got.pictures, got.shown) != fmt.Sprint(want.pictures, want.shown) || a.lost != 0 {
		t.Errorf("%v\n%v, %d lost", want, got, a.lost)
	}
	if want.shown[99] != 99*40*time.Millisecond {
		t.Errorf("the last picture is shown at %v", want.shown[99])
	}
}

// Behind a loss there is nothing until the next key frame, and nothing broken ever.
func TestLoss(t *testing.T) {
	for _, hole := range []int{1, 3, 20, 60} { // inside the first key frame, and behind it
		var packets []*rtp.Packet
		for i, p := range packetsOf(t, 250) {
			if i != hole {
				packets = append(packets, p)
			}
		}
		got, a := collect(t, packets)
		if a.lost != 1 || len(got.pictures) < 40 {
			t.Fatalf("packet %d: %d lost, %d pictures", hole, a.lost, len(got.pictures))
		}
		for i := 1; i < len(got.pictures); i++ {
			if n := got.pictures[i]; n != got.pictures[i-1]+1 && n%clipRate != 0 {
				t.Errorf("packet %d: %d follows %d", hole, n, got.pictures[i-1])
			}
		}
		if len(a.packets) != 0 {
			t.Errorf("%d packets are left", len(a.packets))
		}
	}
}

// What is kept is bounded, however wild the numbers are.
func TestWildNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	a := &assembler{several: true}
	now := time.Unix(0, 0)
	for range 20_000 {
		now = now.Add(time.Millisecond)
		a.push(&rtp.Packet{Payload: []byte{1}, Header: rtp.Header{SequenceNumber: uint16(random.Uint32()), Timestamp: random.Uint32(), Marker: random.IntN(4) == 0}}, now)
		if len(a.packets) > 2*lossPackets {
			t.Fatalf("%d packets are kept", len(a.packets))
		}
	}
}

// A frame that never ends is dropped, and what follows is taken again.
func TestEndlessFrame(t *testing.T) {
	a := &assembler{several: true}
	now := time.Unix(0, 0)
	for i := range 3 * framePackets {
		a.push(&rtp.Packet{Payload: []byte{1}, Header: rtp.Header{SequenceNumber: uint16(i), Timestamp: 7}}, now)
		if len(a.packets) > framePackets+1 {
			t.Fatalf("%d packets are kept", len(a.packets))
		}
	}
	end := uint16(3 * framePackets)
	a.push(&rtp.Packet{Payload: []byte{1}, Header: rtp.Header{SequenceNumber: end, Timestamp: 7, Marker: true}}, now)
	got := a.push(&rtp.Packet{Payload: []byte{2}, Header: rtp.Header{SequenceNumber: end + 1, Timestamp: 9, Marker: true}}, now)
	if len(got) != 1 || !got[0].broken || got[0].payloads[0][0] != 2 {
		t.Errorf("behind it came %v", got)
	}
}

// Reports move the second stream to the first one's clock; small differences are let be.
func TestLipSync(t *testing.T) {
	var both lipSync
	video, sound := stream{sync: &both, rate: videoClock}, stream{sync: &both, rate: soundClock}
	now := time.Unix(1000, 0)
	video.time(0, now)
	sound.time(1<<32-48_000, now.Add(70*time.Millisecond)) // it came 70 ms too late
	const hour = 3600 << 32
	video.report(hour, 0)
	sound.report(hour+1<<32, 0) // a second later its number is back at 0
	if at := sound.time(1<<32-48_000, now); !at.Equal(now) {
		t.Errorf("the sound begins %v too late", at.Sub(now))
	}
	video.report(hour+10<<32+1<<27, 10*videoClock) // 31 ms late
	if at := video.time(10*videoClock, now); !at.Equal(now.Add(10 * time.Second)) {
		t.Errorf("a little drift moved the clock by %v", at.Sub(now)-10*time.Second)
	}
	video.report(hour+20<<32+1<<31, 20*videoClock) // half a second late
	if at := video.time(20*videoClock, now); !at.Equal(now.Add(20500 * time.Millisecond)) {
		t.Errorf("much drift was let be: %v", at.Sub(now))
	}
}

// A viewer who does not take its frames skips to the next key frame.
func TestSlowViewer(t *testing.T) {
	source, err := Matroska(clip(t), clipRate)
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed(source, false)
	q := f.listen()
	for i := range 2000 {
		frame, _ := source.Next()
		f.give(shot{frame, time.Duration(i) * 40 * time.Millisecond})
		if len(q.shots) > queueFrames || q.bytes > queueBytes {
			t.Fatalf("%d frames wait", len(q.shots))
		}
	}
	if shots, ok := q.pop(t.Context(), nil); !ok || !shots[0].Key || q.skipped < 1500 {
		t.Errorf("%d frames, %d skipped", len(shots), q.skipped)
	}
	late := f.listen()
	if shots, _ := late.pop(t.Context(), nil); !shots[0].Key || len(shots) != len(f.group) || shots[len(shots)-1].at != 1999*40*time.Millisecond {
		t.Errorf("who comes late gets %d of %d frames", len(shots), len(f.group))
	}
}

// A group of pictures that is too long for a beginning is not kept.
func TestLongGroup(t *testing.T) {
	f := newFeed(nil, false)
	f.give(shot{Frame{Key: true, Data: []byte{1}}, 0})
	for range groupFrames {
		f.give(shot{Frame{Data: []byte{1}}, 0})
	}
	if q := f.listen(); len(q.shots) != 0 || !q.starving || len(f.group) != 0 {
		t.Errorf("%d frames", len(q.shots))
	}
}

func TestDescriptions(t *testing.T) {
	sdp := strings.ReplaceAll(`v=0
a=ice-options:renomination trickle
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=recvonly
a=rtpmap:111 opus/48000/2
m=video 0 UDP/TLS/RTP/SAVPF 125 96
a=rtpmap:125 H264/90000
a=rtpmap:96 VP8/90000
`, "\n", "\r\n")
	if !trickles(sdp) || trickles(strings.Replace(sdp, "trickle", "trickler", 1)) || trickles("v=0\r\n") {
		t.Error("trickle")
	}
	if !offers(sdp, "video", "video/H264") || offers(sdp, "audio", "video/H264") || !offers(sdp, "audio", "audio/opus") {
		t.Error("codecs")
	}
	if sends(sdp, "audio") || sends(sdp, "video") || !sends(strings.Replace(sdp, "recvonly", "sendonly", 1), "audio") ||
		!sends(strings.Replace(sdp, "video 0", "video 9", 1), "video") {
		t.Error("directions")
	}
}
