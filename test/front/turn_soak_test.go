package front

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// turnCallers is how many programs of coturn's call at once in BenchmarkTurnSoak, each with
// four clients.
const turnCallers = 24

// turnSettings let any number of calls begin, all the time.
const turnSettings = `turn:
  listen: ["127.0.0.1:0"]
  advertise: [127.0.0.1]
limits: {relay.allocations: none, relay.credential-age: 2h}
`

// turnBatches is room for the sixteen batches of 270 kB that the relay keeps once it has needed
// them, which chance may bring after the warm-up.
const turnBatches = 16 * 270_000

// BenchmarkTurnSoak lets clients of coturn's call through the relay in every way, in good
// form and in bad, and compares what the server holds when their channel is deleted with
// what it held after a warm-up.
func BenchmarkTurnSoak(b *testing.B) {
	const goal = 0.02
	for b.Loop() {
		data := b.TempDir()
		settings := filepath.Join(data, "millrace.yml")
		if err := os.WriteFile(settings, []byte(turnSettings), 0o600); err != nil {
			b.Fatal(err)
		}
		metrics := freeAddress(b)
		p := launch(b, filepath.Join(data, "data"), true, "--no-demo", "--metrics", metrics, "--config", settings)
		p.callThrough(b, data+"/data", "warm", *soakWarm)
		before := turnSettled(b, metrics)
		start := time.Now()
		calls := p.callThrough(b, data+"/data", "soak", *soakFor)
		took := time.Since(start)
		after := turnSettled(b, metrics)
		b.Logf("before %+v, after %+v", before, after)
		b.ReportMetric(float64(calls), "programs")
		b.ReportMetric(figure(b, metrics, `millrace_turn_begun_total\{transport="\w+"\}`), "allocations")
		b.ReportMetric(figure(b, metrics, `millrace_turn_packets_total\{direction="\w+"\}`), "packets")
		b.ReportMetric(took.Minutes(), "minutes")
		for _, f := range []struct {
			name          string
			before, after float64
			room          float64
		}{{"goroutines", before.goroutines, after.goroutines, 0}, {"descriptors", before.descriptors, after.descriptors, 0}, {"heap", before.heap, after.heap, turnBatches}} {
			b.ReportMetric((f.after/f.before-1)*100, f.name+"-%")
			if f.after > f.before*(1+goal)+f.room {
				b.Errorf("GOAL MISSED: %s grew from %v to %v", f.name, f.before, f.after)
			}
		}
	}
}

// turnSettled are the figures of a server that relays nothing, when the garbage is gone.
func turnSettled(b *testing.B, metrics string) soaked {
	b.Helper()
	time.Sleep(soakSettle)
	begun, ended := figure(b, metrics, `millrace_turn_begun_total\{transport="\w+"\}`), figure(b, metrics, `millrace_turn_endings_total\{reason="\w+"\}`)
	if begun != ended {
		b.Errorf("%v allocations have begun, %v have ended", begun, ended)
	}
	return soaked{goroutines: figure(b, metrics, "go_goroutines"), descriptors: figure(b, metrics, "process_open_fds"), heap: figure(b, metrics, "go_gc_heap_live_bytes")}
}

// callThrough lets programs call through the relay for a time, deletes the channel, and
// returns how many there were.
func (p *process) callThrough(b *testing.B, data, channel string, span time.Duration) int64 {
	b.Helper()
	c := p.client(b, data)
	var made wire.CreateSignalingChannelOutput
	if err := c.Call(b.Context(), wire.ByName("CreateSignalingChannel"), &wire.CreateSignalingChannelInput{ChannelName: &channel}, &made); err != nil {
		b.Fatal(err)
	}
	var told wire.GetIceServerConfigOutput
	if err := c.Call(b.Context(), wire.ByName("GetIceServerConfig"), &wire.GetIceServerConfigInput{ChannelARN: made.ChannelARN}, &told); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), span)
	defer cancel()
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range turnCallers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				if err := uclient(ctx, r, i, told.IceServerList[0]); err != nil && ctx.Err() == nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if err := c.Call(b.Context(), wire.ByName("DeleteSignalingChannel"), &wire.DeleteSignalingChannelInput{ChannelARN: made.ChannelARN}, nil); err != nil {
		b.Fatal(err)
	}
	return n.Load()
}

// uclient is one run of coturn's client. Those in good form must lose nothing; others send
// nonsense, leave without a word, or are killed.
func uclient(ctx context.Context, r *rand.Rand, i int, ice wire.IceServer) error {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	form := one("", "", "", "", "-R", "-B", "-O", "killed")
	flags := strings.Join([]string{one("", "-t", "-t -S", "-S"), one("", "-c"), one("", "-s"), one("", "-G"), strings.Replace(form, "killed", "", 1)}, " ")
	limit := time.Duration(5+r.IntN(10)) * time.Second
	if form == "" {
		limit = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	u, err := url.Parse("turn://" + strings.TrimPrefix(ice.Uris[0], "turn:"))
	if err != nil {
		return err
	}
	args := append(strings.Fields(flags), "-y", "-u", *ice.Username, "-w", *ice.Password, "-p", u.Port(), "-L", net.IPv4(127, 0, 3, byte(i+1)).String(),
		"-m", "4", "-n", strconv.Itoa(50+r.IntN(500)), "-l", strconv.Itoa(50+r.IntN(1200)), "127.0.0.1")
	out, err := exec.CommandContext(ctx, "turnutils_uclient", args...).CombinedOutput()
	if form == "" && ctx.Err() == nil && (err != nil || !strings.Contains(string(out), "Total lost packets 0 (")) {
		return fmt.Errorf("%s: %w\n%s", flags, err, out[max(0, len(out)-2000):])
	}
	return nil
}
