package e2e

import (
	"context"
	"crypto/sha256"
	bytesof "encoding/binary"
	"flag"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// The load of TestManyProducersAndLittleMemory. What is set here is a small form of it;
// make soak-memory runs the full one.
var (
	crowd         = flag.Int("crowd", 300, "producers at a time")
	fragmentBytes = flag.Int("fragment", 2_000_000, "bytes of each producer's fragment")
	memoryBudget  = flag.Int("budget", 128, "the server's memory budget in MiB")
)

// memoryAbove is what the process may have above its budget, in MiB: what does not grow, and 1/4
// MiB for each of 300 sessions.
const memoryAbove = 128 + 300/4

// Many producers send more at a time than the server has memory for; some streams keep
// nothing, some consumers stop reading. Nobody fails, the process stays within its bound,
// and every acknowledged fragment is there with all its bytes.
func TestManyProducersAndLittleMemory(t *testing.T) {
	config := filepath.Join(t.TempDir(), "millrace.yml")
	settings := fmt.Sprintf("account: %q\nmemory:\n  budget: %dMiB\n", account, *memoryBudget)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, config)
	c := s.client(t)
	begun := time.Now()
	var resent atomic.Int64
	sums := make([][sha256.Size]byte, *crowd)
	name := func(i int) string { return fmt.Sprintf("crowd-%03d", i) }
	kept := func(i int) bool { return i%10 != 9 }
	for i := range *crowd {
		hours := int64(0)
		if kept(i) {
			hours = 24
		}
		s.createKept(t, name(i), hours)
		if i%20 == 5 {
			s.stall(t, name(i))
		}
	}
	var all, ready sync.WaitGroup
	ready.Add(*crowd)
	for i := range *crowd {
		all.Go(func() {
			first := func() { ready.Done(); ready.Wait() } // all begin at the same time
			for n := range 20 {
				sum, err := burst(t.Context(), c, name(i), i, kept(i), first)
				first = func() {}
				if err == nil {
					sums[i] = sum
					return
				}
				t.Logf("producer %d, try %d: %v", i, n, err)
				resent.Add(1)
			}
			t.Errorf("producer %d did not get its fragment through", i)
		})
	}
	all.Wait()
	sent := time.Since(begun)
	for i, sum := range sums {
		if kept(i) {
			s.checkKept(t, c, name(i), sum)
		}
	}
	figures := s.memoryFigures(t, c)
	peak := s.peakMemory(t)
	megabytes := float64(*crowd) * float64(*fragmentBytes) / 1e6
	t.Logf("%d producers, %.0f MB in %.1f s (%.0f MB/s), %d sent again; peak of the process %d MiB with a budget of %d MiB, peak of the budget %.0f MiB; %.0f waits, %.0f s in all; evicted under pressure %.0f MiB",
		*crowd, megabytes, sent.Seconds(), megabytes/sent.Seconds(), resent.Load(), peak>>20, *memoryBudget,
		figures["millrace_memory_peak_bytes"]/(1<<20), figures["millrace_memory_waits_total"], figures["millrace_memory_wait_seconds_total"],
		figures[`millrace_live_evicted_bytes_total{reason="pressure"}`]/(1<<20))
	if figures["millrace_memory_peak_bytes"] > figures["millrace_memory_budget_bytes"] || figures["millrace_memory_waits_total"] == 0 || figures["millrace_memory_waiting"] != 0 {
		t.Errorf("the budget was exceeded, nobody had to wait, or somebody still does: %v", figures)
	}
	if above := peak>>20 - int64(*memoryBudget); above > memoryAbove {
		t.Errorf("the process had %d MiB above its budget, at most %d are allowed", above, memoryAbove)
	}
}

// createKept makes a stream with a retention.
func (s *server) createKept(t *testing.T, name string, hours int64) {
	t.Helper()
	in := &wire.CreateStreamInput{StreamName: &name, DataRetentionInHours: &hours}
	if err := s.client(t).Call(t.Context(), wire.ByName("CreateStream"), in, nil); err != nil {
		t.Fatal(err)
	}
}

// stall opens a consumer that never reads.
func (s *server) stall(t *testing.T, name string) {
	t.Helper()
	in := &wire.GetMediaInput{StreamName: &name, StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}}
	resp, err := s.client(t).Stream(t.Context(), wire.ByName("GetMedia"), in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
}

// burst sends one fragment and waits until it is durable, or received where nothing is
// kept. It returns the digest of its cluster; ready is called when the session is open.
func burst(ctx context.Context, c *client.Client, name string, seed int, kept bool, ready func()) (sum [sha256.Size]byte, err error) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	digest := sha256.New()
	up, err := c.PutMedia(ctx, client.PutMediaRequest{StreamName: name, Body: r})
	ready()
	if err != nil {
		return sum, err
	}
	defer func() { _ = up.Close() }()
	go func() { _ = w.CloseWithError(fragmentOf(w, digest, seed, *fragmentBytes)) }()
	want := client.Received
	if kept {
		want = client.Persisted
	}
	for {
		a, err := up.Next()
		switch {
		case err != nil:
			return sum, fmt.Errorf("the session ended before the fragment was %s: %w", want, err)
		case a.Type == client.Failed:
			return sum, fmt.Errorf("%s", a.Raw)
		case a.Type == want:
			return [sha256.Size]byte(digest.Sum(nil)), nil
		}
	}
}

// fragmentOf writes a document with one fragment of about size bytes, and its cluster to
// the digest as well.
func fragmentOf(w io.Writer, digest hash.Hash, seed, size int) error {
	b := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	b = mkv.AppendInfo(b, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "crowd"})
	b = mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	if _, err := w.Write(b); err != nil {
		return err
	}
	w = io.MultiWriter(w, digest)
	if _, err := w.Write(mkv.AppendClusterUnknown(nil, uint64(began.UnixMilli()))); err != nil {
		return err
	}
	const frames = 100
	payload, x := make([]byte, (size-2000)/frames), uint64(seed)*2654435761+1
	for n := range frames {
		for i := 0; i+8 <= len(payload); i += 8 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			bytesof.LittleEndian.PutUint64(payload[i:], x)
		}
		b = mkv.AppendSimpleBlock(b[:0], mkv.BlockHeader{Track: 1, Time: int16(40 * n), Key: n == 0}, payload)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// checkKept reads the one fragment of a stream and compares its cluster.
func (s *server) checkKept(t *testing.T, c *client.Client, name string, want [sha256.Size]byte) {
	t.Helper()
	var list wire.ListFragmentsOutput
	selector := &wire.FragmentSelector{FragmentSelectorType: new("PRODUCER_TIMESTAMP"),
		TimestampRange: &wire.TimestampRange{StartTimestamp: new(kvs.Millis(0)), EndTimestamp: new(kvs.MillisOf(began.Add(time.Hour)))}}
	if err := c.Call(t.Context(), wire.ByName("ListFragments"), &wire.ListFragmentsInput{StreamName: &name, FragmentSelector: selector}, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Fragments) == 0 {
		t.Errorf("%s: the acknowledged fragment is not listed", name)
		return
	}
	resp, err := c.Stream(t.Context(), wire.ByName("GetMediaForFragmentList"),
		&wire.GetMediaForFragmentListInput{StreamName: &name, Fragments: []string{*list.Fragments[0].FragmentNumber}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	digest := sha256.New()
	for r := mkv.NewReader(resp.Body, mkv.Options{MaxFrame: 1 << 30}); ; {
		it, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.InCluster {
			digest.Write(it.Raw)
		}
	}
	if got := digest.Sum(nil); !slices.Equal(got, want[:]) {
		t.Errorf("%s: the fragment is not what was sent", name)
	}
}

var figure = regexp.MustCompile(`(?m)^(millrace_(?:memory|live|reload|turn).*) (\S+)$`)

// memoryFigures are the measurements of memory and the relay, and whether a reload failed.
func (s *server) memoryFigures(t *testing.T, c *client.Client) map[string]float64 {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.https+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: s.key, Secret: s.secret}, Region: region, Service: "kinesisvideo"}
	if err := signer.Sign(r, ""); err != nil {
		t.Fatal(err)
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	for _, m := range figure.FindAllStringSubmatch(string(readAll(t, resp.Body)), -1) {
		all[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	return all
}

// peakMemory is the most memory that the process ever had, in bytes.
func (s *server) peakMemory(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no peak in\n%s", b)
	}
	kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10
}
