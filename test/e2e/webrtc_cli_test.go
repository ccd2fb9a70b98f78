package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ends interrupts a command and waits until it has ended well.
func (c *companion) ends(t testing.TB) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	c.ended(t)
}

// says waits until a command has said something so often.
func (c *companion) says(t testing.TB, text string, times int) {
	t.Helper()
	eventually(t, text, func() error {
		if n := strings.Count(c.out.text(), text); n < times {
			return fmt.Errorf("said %d times:\n%s", n, c.out.tail(20))
		}
		return nil
	})
}

// ended waits until a command has ended well by itself.
func (c *companion) ended(t testing.TB) {
	t.Helper()
	select {
	case err := <-c.gone:
		if err != nil {
			t.Fatalf("%v:\n%s", err, c.out.tail(20))
		}
	case <-time.After(patience):
		t.Fatal("a command does not end")
	}
}

// grows waits until a recording has so many more bytes than it had.
func grows(t testing.TB, file string, more int64) {
	t.Helper()
	before := int64(-1)
	eventually(t, "the recording grows", func() error {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if before < 0 {
			before = info.Size()
		}
		if got := info.Size() - before; got < more {
			return fmt.Errorf("by %d bytes", got)
		}
		return nil
	})
}

// rows checks that the numbers of frames count on, with so many breaks; behind each, and in
// the beginning, stands a key frame.
func rows(t testing.TB, numbers []int, frames, breaks int) {
	t.Helper()
	if len(numbers) == 0 || numbers[0] < 0 || numbers[0]%filmRate != 0 {
		t.Fatalf("the recording begins with %.20v", numbers)
	}
	broken := 0
	for i := 1; i < len(numbers); i++ {
		if numbers[i] == (numbers[i-1]+1)%frames {
			continue
		}
		if broken++; numbers[i] < 0 || numbers[i]%filmRate != 0 {
			t.Errorf("frame %d stands behind %d", numbers[i], numbers[i-1])
		}
	}
	if broken > breaks {
		t.Errorf("%d breaks in %v", broken, numbers)
	}
}

// packetsOf are the packets of the sound of a file, each as the hash of its bytes.
func packetsOf(t testing.TB, file string) []string {
	t.Helper()
	out := run(t, os.Environ(), "ffprobe", "-v", "error", "-select_streams", "a", "-show_packets", "-show_data_hash", "md5",
		"-show_entries", "packet=data_hash", "-of", "csv=p=0", file)
	return regexp.MustCompile(`MD5:\w+`).FindAllString(out, -1)
}

// Two processes meet through a third, the viewer first: every frame from a key frame on is
// recorded, and every packet of the sound as it is in the file.
func TestOurMasterAndViewer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.channel(t, "yard")
	const frames = 6 * filmRate
	video, sound := filmFiles(t, frames)
	file := filepath.Join(t.TempDir(), "seen.mkv")
	viewer := s.begin(t, "webrtc", "viewer", "yard", "-o", file, "--duration", "8s", "--client-id", "anna")
	viewer.says(t, "connected to the channel", 1)
	master := s.begin(t, "webrtc", "master", "yard", "--video", video, "--audio", sound)
	viewer.ended(t)
	numbers := numbersOf(t, file)
	rows(t, numbers, frames, 0)
	if len(numbers) < 7*filmRate {
		t.Errorf("%d frames in 8 s", len(numbers))
	}
	sent, got := packetsOf(t, sound), packetsOf(t, file)
	if !turns(sent, got) || len(got) < 350 {
		t.Errorf("%d packets of sound that are not those of the file", len(got))
	}

	second := filepath.Join(t.TempDir(), "second.mkv")
	run(t, s.variables(), program(t), "webrtc", "viewer", "yard", "-o", second, "--duration", "2s", "--no-trickle")
	rows(t, numbersOf(t, second), frames, 0)
	master.ends(t)

	_, complaint, err := try(t, s.variables(), nil, program(t), "webrtc", "viewer", "nowhere")
	if err == nil || !strings.Contains(complaint, "millrace channel create nowhere") {
		t.Errorf("no such channel: %v, %s", err, complaint)
	}
}

// turns says whether got is a part of sent, which repeats.
func turns(sent, got []string) bool {
	for from := range sent {
		same := 0
		for same < len(got) && got[same] == sent[(from+same)%len(sent)] {
			same++
		}
		if same == len(got) {
			return same > 0
		}
	}
	return false
}

// A channel whose master sends sound alone is recorded as such.
func TestOpusFile(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.channel(t, "yard")
	_, sound := filmFiles(t, 2*filmRate)
	s.begin(t, "webrtc", "master", "yard", "--video", "none", "--audio", sound)
	file := filepath.Join(t.TempDir(), "heard.mkv")
	run(t, s.variables(), program(t), "webrtc", "viewer", "yard", "-o", file, "--duration", "5s")
	sent, got := packetsOf(t, sound), packetsOf(t, file)
	if !turns(sent, got) || len(got) < 200 {
		t.Errorf("%d packets of sound that are not those of the file", len(got))
	}
	codecs := run(t, os.Environ(), "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,sample_rate,channels", "-of", "csv=p=0", file)
	if strings.TrimSpace(codecs) != "opus,48000,2" {
		t.Errorf("the recording has %s", codecs)
	}
}

// A viewer outlives its master and records the next one; a second master takes over from the
// first, which says so.
func TestOurMasterRestarts(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.channel(t, "yard")
	const frames = 60 * filmRate
	video, _ := filmFiles(t, frames)
	args := []string{"webrtc", "master", "yard", "--video", video}
	first := s.begin(t, args...)
	first.says(t, "waiting for viewers", 1)
	file := filepath.Join(t.TempDir(), "seen.mkv")
	viewer := s.begin(t, "webrtc", "viewer", "yard", "-o", file)
	grows(t, file, 10_000)
	if err := first.Process.Kill(); err != nil { // without a word to the viewer
		t.Fatal(err)
	}
	second := s.begin(t, args...)
	viewer.says(t, "the master has answered", 2)
	grows(t, file, 10_000)
	third := s.begin(t, args...)
	if err := <-second.gone; err == nil || !strings.Contains(second.out.text(), "another master took over yard") {
		t.Errorf("the second master: %v\n%s", err, second.out.text())
	}
	viewer.says(t, "the master has answered", 3)
	grows(t, file, 10_000)
	viewer.ends(t)
	third.ends(t)
	rows(t, numbersOf(t, file), frames, 2)
}

// A server that stops sends its clients away; the media go on without it, and all are back
// when it is.
func TestOurPeersOutliveTheServer(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	config := filepath.Join(t.TempDir(), "millrace.yml")
	if err := os.WriteFile(config, []byte("account: \""+account+"\"\nendpoint: "+gate.url+"\nshutdown: 3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, config)
	gate.to(s)
	s.channel(t, "yard")
	through := *s
	through.https = gate.url
	const frames = 60 * filmRate
	video, _ := filmFiles(t, frames)
	master := through.begin(t, "webrtc", "master", "yard", "--video", video)
	file := filepath.Join(t.TempDir(), "seen.mkv")
	viewer := through.begin(t, "webrtc", "viewer", "yard", "-o", file)
	grows(t, file, 10_000)
	s.stop(t)
	for _, c := range []*companion{master, viewer} {
		c.says(t, "the server will close the connection", 1)
	}
	grows(t, file, 10_000) // while there is no server
	gate.to(s.again(t))
	for _, c := range []*companion{master, viewer} {
		c.says(t, `"connected to the channel"`, 2)
	}
	late := filepath.Join(t.TempDir(), "late.mkv")
	run(t, through.variables(), program(t), "webrtc", "viewer", "yard", "-o", late, "--duration", "1s")
	rows(t, numbersOf(t, late), frames, 0)
	viewer.ends(t)
	rows(t, numbersOf(t, file), frames, 0)
	master.ends(t)
}
