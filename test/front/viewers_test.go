package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// The camera of these benchmarks sends fragments of one second with 25 frames, 2 Mbit/s.
const (
	cameraRate  = 25
	cameraFrame = 10_000
)

// endOfFragment ends a fragment before the next one begins.
var endOfFragment = []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}}}

// pan is a live camera: each fragment is written at the moment its second is over, in one
// piece with the tag that ends it, so that its last byte is its end.
type pan struct {
	w      *io.PipeWriter
	up     *client.Upload
	every  time.Duration
	frame  []byte
	wrote  chan struct{} // told of each fragment that was handed over
	begins int64         // producer time of the next fragment, in milliseconds

	mu      sync.Mutex
	handed  map[int64]time.Time // when its last byte was, by timecode
	numbers map[string]int64    // timecode by fragment number
}

// openPan begins a session whose fragments last so long. The private data are those of a real
// encoder; what the frames show is noise, which nobody decodes.
func openPan(b *testing.B, c *client.Client, stream string, every time.Duration) *pan {
	b.Helper()
	var tracks []mkv.Track
	for r := mkv.NewReader(bytes.NewReader(mediatest.Bytes("gstreamer-h264")), mkv.Options{}); tracks == nil; {
		it, err := r.Next()
		if err != nil {
			b.Fatal(err)
		}
		tracks = it.Tracks
	}
	head := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	head = mkv.AppendTracks(mkv.AppendInfo(head, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "pan"}), tracks)
	r, w := io.Pipe()
	go func() { _, _ = w.Write(head) }()
	up, err := c.PutMedia(context.Background(), client.PutMediaRequest{StreamName: stream, Body: r})
	if err != nil {
		b.Fatal(err)
	}
	p := &pan{w: w, up: up, every: every, wrote: make(chan struct{}, 1000), begins: time.Now().UnixMilli(),
		handed: map[int64]time.Time{}, numbers: map[string]int64{}}
	p.frame = make([]byte, cameraFrame)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(p.frame)
	go func() {
		for {
			a, err := up.Next()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.numbers[a.Number] = a.Timecode
			p.mu.Unlock()
		}
	}()
	return p
}

// fragment is the next one.
func (p *pan) fragment() []byte {
	var body []byte
	n := int(p.every * cameraRate / time.Second)
	for i := range n {
		p.frame[0], p.frame[1], p.frame[2], p.frame[3] = 0, 0, byte((len(p.frame)-4)>>8), byte(len(p.frame)-4)
		if p.frame[4] = 0x41; i == 0 {
			p.frame[4] = 0x65 // an IDR picture
		}
		body = mkv.AppendSimpleBlock(body, mkv.BlockHeader{Track: 1, Time: int16(i * 1000 / cameraRate), Key: i == 0}, p.frame)
	}
	b := mkv.AppendTags(mkv.AppendClusterSized(nil, uint64(p.begins), body), endOfFragment)
	p.begins += int64(n * 1000 / cameraRate)
	return b
}

// run sends fragments until the context ends, then ends the session.
func (p *pan) run(ctx context.Context) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		timecode := p.begins
		b := p.fragment()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			_ = p.w.Close()
			return
		}
		if _, err := p.w.Write(b); err != nil {
			return
		}
		p.mu.Lock()
		p.handed[timecode] = time.Now()
		p.mu.Unlock()
		p.wrote <- struct{}{}
	}
}

// since is how long after a fragment's last byte was handed over a moment is.
func (p *pan) since(number string, at time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ms(at.Sub(p.handed[p.numbers[number]]))
}

// hls returns the URL of the media playlist of a new live session, at the plain listener.
func (p *process) hls(b *testing.B, c *client.Client, stream string) (string, error) {
	b.Helper()
	var out wire.GetHLSStreamingSessionURLOutput
	expires := int64(3600)
	in := &wire.GetHLSStreamingSessionURLInput{StreamName: &stream, Expires: &expires}
	if err := c.Call(context.Background(), wire.ByName("GetHLSStreamingSessionURL"), in, &out); err != nil {
		return "", err
	}
	u, err := url.Parse(*out.HLSStreamingSessionURL)
	if err != nil {
		return "", err
	}
	master := p.url + u.RequestURI()
	text, err := get(http.DefaultClient, master)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return resolve(master, line), nil
		}
	}
	return "", fmt.Errorf("no playlist in %s", text)
}

var fragmentNumber = regexp.MustCompile(`FragmentNumber=(\d+)`)

func resolve(base, uri string) string { return base[:strings.LastIndexByte(base, '/')+1] + uri }

// get fetches a URL to its end.
func get(c *http.Client, url string) ([]byte, error) {
	resp, err := c.Get(url)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.300s", resp.Status, b)
	}
	return b, err
}

// listed are the segments of a media playlist with the number of the first.
func listed(text []byte) (first int, segments []string) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			first, _ = strconv.Atoi(n)
		} else if line != "" && line[0] != '#' {
			segments = append(segments, line)
		}
	}
	return first, segments
}

// watch plays as a player does: the playlist once a second, and each new segment once.
func watch(ctx context.Context, c *http.Client, list string, segments *atomic.Int64) error {
	next := -1
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		text, err := get(c, list)
		if err != nil {
			return err
		}
		first, all := listed(text)
		if next < 0 {
			next = first + len(all) - 1
		}
		for ; next < first+len(all); next++ {
			if next < first {
				return errors.New("the playlist went on without this viewer")
			}
			if _, err := get(c, resolve(list, all[next-first])); err != nil {
				return err
			}
			segments.Add(1)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// figure is a measurement of /metrics, the sum of all its label values that match.
func figure(b *testing.B, metrics, pattern string) float64 {
	b.Helper()
	text, err := get(http.DefaultClient, "http://"+metrics+"/metrics")
	if err != nil {
		b.Fatal(err)
	}
	sum, found := 0.0, false
	for _, m := range regexp.MustCompile(`(?m)^`+pattern+` (\S+)$`).FindAllSubmatch(text, -1) {
		v, _ := strconv.ParseFloat(string(m[len(m)-1]), 64)
		sum, found = sum+v, true
	}
	if !found {
		b.Fatalf("no measurement %s", pattern)
	}
	return sum
}

// launchMeasured starts a development server without its camera.
func launchMeasured(b *testing.B, data string) (p *process, metrics string) {
	b.Helper()
	metrics = freeAddress(b)
	return launch(b, filepath.Join(data, "data"), true, "--no-demo", "--metrics", metrics), metrics
}

// cutSegments counts the segments that were cut.
const cutSegments = `millrace_playback_cuts_total`

// BenchmarkViewers lets 500 viewers with sessions of their own watch one live stream of
// 1-second fragments: each segment must be cut once, and what a viewer costs is reported,
// without what the producer costs.
func BenchmarkViewers(b *testing.B) {
	const viewers, during = 500, 30 * time.Second
	for b.Loop() {
		data := b.TempDir()
		p, metrics := launchMeasured(b, data)
		c := p.client(b, filepath.Join(data, "data"))
		p.create(b, c, 1)
		camera := openPan(b, c, streamName(0), time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		go camera.run(ctx)
		for range 6 {
			<-camera.wrote
		}
		idle := p.used(b)
		for range 10 {
			<-camera.wrote
		}
		idle = p.used(b) - idle
		var lists []string
		for range viewers {
			u, err := p.hls(b, c, streamName(0))
			if err != nil {
				b.Fatal(err)
			}
			lists = append(lists, u)
		}
		transport := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: viewers}}
		var segments atomic.Int64
		var wg sync.WaitGroup
		watching, leave := context.WithCancel(ctx)
		cut, begun, self, start := figure(b, metrics, cutSegments), p.used(b), ownTime(b), time.Now()
		for i, u := range lists {
			wg.Go(func() {
				select {
				case <-time.After(time.Duration(i) * time.Second / viewers): // players do not come at once
				case <-watching.Done():
				}
				if err := watch(watching, transport, u, &segments); err != nil {
					b.Error(err)
				}
			})
		}
		time.Sleep(during)
		leave()
		wg.Wait()
		took := time.Since(start)
		used, generator := p.used(b)-begun-time.Duration(float64(idle)*took.Seconds()/10), ownTime(b)-self
		cuts := figure(b, metrics, cutSegments) - cut
		b.ReportMetric(float64(segments.Load())/took.Seconds(), "segments/s")
		b.ReportMetric(cuts, "cuts")
		b.ReportMetric(float64(used.Microseconds())/took.Seconds()/viewers, "cpu-µs/viewer/s")
		b.ReportMetric(used.Seconds()/took.Seconds(), "server-cpus")
		b.ReportMetric(generator.Seconds()/took.Seconds(), "viewers-cpus")
		if most := took.Seconds() + 6; cuts > most { // those that came meanwhile, and the list at the beginning
			b.Errorf("GOAL MISSED: %.0f segments were cut for %d viewers, at most %.0f came", cuts, viewers, most)
		}
		if least := int64(viewers * (during.Seconds() - 3)); segments.Load() < least {
			b.Errorf("GOAL MISSED: viewers had %d segments, at least %d are wanted", segments.Load(), least)
		}
		cancel()
		p.stop(b)
	}
}

// BenchmarkSegmentAvailable measures from the moment at which a producer handed over the last
// byte of a fragment to the moment at which a viewer has the whole segment, having found it
// in the playlist; the viewer asks again 2 ms after each answer.
func BenchmarkSegmentAvailable(b *testing.B) {
	const fragments, goal = 200, 50.0
	for b.Loop() {
		data := b.TempDir()
		p, _ := launchMeasured(b, data)
		c := p.client(b, filepath.Join(data, "data"))
		p.create(b, c, 1)
		camera := openPan(b, c, streamName(0), 480*time.Millisecond)
		ctx, cancel := context.WithCancel(context.Background())
		go camera.run(ctx)
		for range 4 {
			<-camera.wrote
		}
		list, err := p.hls(b, c, streamName(0))
		if err != nil {
			b.Fatal(err)
		}
		var took, listing []float64
		for next := -1; len(took) < fragments; {
			text, err := get(http.DefaultClient, list)
			if err != nil {
				b.Fatal(err)
			}
			found := time.Now()
			first, all := listed(text)
			if next < 0 {
				next = first + len(all)
			}
			if next == first+len(all) {
				time.Sleep(2 * time.Millisecond)
				continue
			}
			uri := all[next-first]
			if _, err := get(http.DefaultClient, resolve(list, uri)); err != nil {
				b.Fatal(err)
			}
			whole := time.Now()
			next++
			number := fragmentNumber.FindStringSubmatch(uri)[1]
			took, listing = append(took, camera.since(number, whole)), append(listing, camera.since(number, found))
		}
		b.ReportMetric(percentile(listing, 0.5), "listed-p50-ms")
		b.ReportMetric(percentile(took, 0.5), "p50-ms")
		b.ReportMetric(percentile(took, 0.99), "p99-ms")
		b.ReportMetric(slices.Max(took), "max-ms")
		if got := percentile(took, 0.99); got > goal {
			b.Errorf("GOAL MISSED: a segment can be had %.0f ms after the fragment's last byte at p99 (%.0f at p50), at most %v are wanted", got, percentile(took, 0.5), goal)
		}
		cancel()
		p.stop(b)
	}
}
