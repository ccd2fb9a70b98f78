package e2e

import (
	"context"
	bytesof "encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A film is a moving picture whose frames carry their index, so that whoever sees one knows
// which it is: a row of black and white blocks along the top, which player.js reads.
const (
	filmWidth, filmHeight = 320, 180
	filmRate              = 25
	filmBlocks            = 20 // white, black, 16 bits, their parity, white
	filmSampleRate        = 48000
)

// appendPicture appends frame index as planar YUV 4:2:0.
func appendPicture(dst []byte, index int) []byte {
	bits := uint32(1)<<(filmBlocks-1) | uint32(index&0xFFFF)<<2 | 1
	for n := range 16 {
		bits ^= uint32(index) >> n & 1 << 1
	}
	row := make([]byte, filmWidth)
	for x := range row {
		row[x] = 16
		if bits>>(filmBlocks-1-x*filmBlocks/filmWidth)&1 == 1 {
			row[x] = 235
		}
	}
	for range 32 {
		dst = append(dst, row...)
	}
	for y := 32; y < filmHeight; y++ {
		for x := range filmWidth {
			dst = append(dst, byte(64+(x+2*y+3*index)%128))
		}
	}
	for range filmWidth * filmHeight / 2 {
		dst = append(dst, 128)
	}
	return dst
}

// appendSound appends the sound of frame index, a tone, as 16-bit samples of one channel.
func appendSound(dst []byte, index int) []byte {
	const each = filmSampleRate / filmRate
	for n := range each {
		v := 8000 * math.Sin(2*math.Pi*440*float64(index*each+n)/filmSampleRate)
		dst = bytesof.LittleEndian.AppendUint16(dst, uint16(int16(v)))
	}
	return dst
}

// Encoders of a film. All begin a fragment each second.
const (
	filmH264     = "-c:v libx264 -preset veryfast -bf 2 -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac"
	filmH264Live = "-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -keyint_min 25 -sc_threshold 0 -c:a aac"
)

// film is one that is being made.
type film struct {
	mu    sync.Mutex
	wrote []time.Time // when each frame was given to the encoder
	stop  context.CancelFunc
	done  chan struct{} // closed when everything sent is durable
}

// record sends a film of so many frames to a stream; args are those of millrace put. A
// live film takes as long as it lasts; it ends early with the test or when it is stopped.
// Its frames leave the encoder one by one.
func (s *server) record(t testing.TB, stream, encoder string, frames int, live bool, args ...string) *film {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &film{stop: stop, done: make(chan struct{})}
	diagnostics := newOutput()
	from := exec.Command("ffmpeg", strings.Fields(fmt.Sprintf(`-v error -probesize 32 -analyzeduration 0 -f rawvideo -pix_fmt yuv420p -s %dx%d -r %d -i pipe:3
		-probesize 32 -analyzeduration 0 -f s16le -ar %d -ac 1 -i pipe:4 -map 0 -map 1 %s -f matroska -cluster_time_limit 1 -flush_packets 1 -`,
		filmWidth, filmHeight, filmRate, filmSampleRate, encoder))...)
	from.Env, from.Stderr = environment(), diagnostics
	pictures, sound := f.input(t, from), f.input(t, from)
	out, err := from.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	to := exec.Command(program(t), append([]string{"put", stream, "-", "--create"}, args...)...)
	to.Env, to.Stdin, to.Stderr = s.variables(), out, diagnostics
	if err := from.Start(); err != nil {
		t.Fatal(err)
	}
	if err := to.Start(); err != nil {
		t.Fatal(err)
	}
	for _, r := range from.ExtraFiles {
		_ = r.Close()
	}
	begin := time.Now()
	go f.feed(ctx, pictures, begin, frames, live, func(b []byte, i int) []byte {
		f.mu.Lock()
		f.wrote = append(f.wrote, time.Now())
		f.mu.Unlock()
		return appendPicture(b, i)
	})
	go f.feed(ctx, sound, begin, frames, live, appendSound)
	var failed error
	go func() {
		defer close(f.done)
		failed = to.Wait()
		if err := from.Wait(); failed == nil {
			failed = err
		}
	}()
	t.Cleanup(func() {
		stop()
		<-f.done
		if failed != nil {
			t.Errorf("the film for %s: %v\n%s", stream, failed, diagnostics.tail(20))
		}
	})
	return f
}

// input adds a pipe to a command.
func (f *film) input(t testing.TB, c *exec.Cmd) io.WriteCloser {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = append(c.ExtraFiles, r)
	return w
}

// feed writes frames at their times, or as fast as they are taken. An encoder that ended
// early says so itself.
func (f *film) feed(ctx context.Context, w io.WriteCloser, begin time.Time, frames int, live bool, draw func([]byte, int) []byte) {
	defer func() { _ = w.Close() }()
	var b []byte
	for i := range frames {
		if live {
			select {
			case <-time.After(time.Until(begin.Add(time.Duration(i) * time.Second / filmRate))):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
		b = draw(b[:0], i)
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// written is when the producer wrote a frame.
func (f *film) written(index int) (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if index < 0 || index >= len(f.wrote) {
		return time.Time{}, false
	}
	return f.wrote[index], true
}

// await waits until all of the film is durable.
func (f *film) await(t testing.TB) {
	t.Helper()
	select {
	case <-f.done:
	case <-time.After(patience):
		t.Fatal("the film is not durable")
	}
}
