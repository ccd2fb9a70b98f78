package front

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// Goals of a clip: what it may take, compared with ffmpeg on the same media.
const (
	clipCPU  = 1.0
	clipWall = 1.5
	// clipPairs is how often both are run in turns.
	clipPairs = 5
)

// BenchmarkClip gets ten minutes of 720p at 4 Mbit/s with AAC as a clip, and has ffmpeg make
// an MP4 file of the Matroska file that was stored. The processor time is the server's: ffmpeg reads
// and writes files, the server unseals the archive and writes to a connection, and who
// reads there is not counted. Wall time is to the end of the file on the disk on both sides.
func BenchmarkClip(b *testing.B) {
	dir := b.TempDir()
	film := tenMinutes(b, dir)
	data := filepath.Join(dir, "data")
	p := launch(b, data, true, "--no-demo")
	c := p.client(b, data)
	c.Endpoint = p.url
	name := "film"
	if err := c.Call(context.Background(), wire.CreateStream, &wire.CreateStreamInput{StreamName: &name, DataRetentionInHours: new(int64(24))}, nil); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(film)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if n, err := sendAll(c, name, f); err != nil || n < 250 {
		b.Fatalf("%d fragments: %v", n, err)
	}
	for b.Loop() {
		var cpu, wall, ownCPU, ownWall, theirCPU, theirWall []float64
		for range clipPairs {
			used, took := p.clip(b, c, name, filepath.Join(dir, "ours.mp4"))
			ffUsed, ffTook := faststart(b, film, filepath.Join(dir, "theirs.mp4"))
			ownCPU, ownWall = append(ownCPU, ms(used)), append(ownWall, ms(took))
			theirCPU, theirWall = append(theirCPU, ms(ffUsed)), append(theirWall, ms(ffTook))
			cpu, wall = append(cpu, used.Seconds()/ffUsed.Seconds()), append(wall, took.Seconds()/ffTook.Seconds())
		}
		b.ReportMetric(median(ownCPU), "cpu-ms")
		b.ReportMetric(median(theirCPU), "ffmpeg-cpu-ms")
		b.ReportMetric(median(ownWall), "wall-ms")
		b.ReportMetric(median(theirWall), "ffmpeg-wall-ms")
		clipGoal(b, "cpu-ratio", median(cpu), clipCPU)
		clipGoal(b, "wall-ratio", median(wall), clipWall)
	}
}

func clipGoal(b *testing.B, name string, got, most float64) {
	b.Helper()
	b.ReportMetric(got, name)
	if got > most {
		b.Errorf("GOAL MISSED: %s is %.2f, at most %v is wanted", name, got, most)
	}
}

// clip gets everything as a file.
func (p *process) clip(b *testing.B, c *client.Client, stream, name string) (cpu, wall time.Duration) {
	b.Helper()
	var in wire.GetClipInput
	text := fmt.Sprintf(`{"StreamName":%q,"ClipFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":0,"EndTimestamp":86400}}}`, stream)
	if err := wire.Decode([]byte(text), &in); err != nil {
		b.Fatal(err)
	}
	before, start := p.used(b), time.Now()
	resp, err := c.Stream(context.Background(), wire.GetClip, &in)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, resp.Body, make([]byte, 256<<10))
	if err != nil || n < 200_000_000 {
		b.Fatalf("%d bytes: %v", n, err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return p.used(b) - before, time.Since(start)
}

// faststart does the same by ffmpeg.
func faststart(b *testing.B, from, to string) (cpu, wall time.Duration) {
	b.Helper()
	start := time.Now()
	state := ffmpeg(b, "-i", from, "-c", "copy", "-movflags", "+faststart", to)
	return state.UserTime() + state.SystemTime(), time.Since(start)
}

func ffmpeg(b *testing.B, args ...string) *os.ProcessState {
	b.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		b.Fatalf("ffmpeg: %v\n%s", err, said.String())
	}
	return cmd.ProcessState
}

// tenMinutes makes the film: half a minute, encoded once, twenty times.
func tenMinutes(b *testing.B, dir string) string {
	b.Helper()
	part, film := filepath.Join(dir, "part.mkv"), filepath.Join(dir, "film.mkv")
	ffmpeg(b, "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30,noise=alls=12:allf=t", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", "30", "-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-bf", "2", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "8M",
		"-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-b:a", "128k", part)
	ffmpeg(b, "-stream_loop", "19", "-i", part, "-c", "copy", "-cluster_time_limit", "2000", film)
	return film
}
