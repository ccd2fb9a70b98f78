package front

import (
	"context"
	"errors"
	"flag"
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

// turnSoakWarm is how long programs call before the first figures. An allocation that its program
// left without a word lives for 13 minutes, as long as coturn's client asks for: before that
// there are more of them all the time, and what the server needed for the most it ever had at
// once it keeps in part.
var turnSoakWarm = flag.Duration("soak.turn-warm", 14*time.Minute, "how long programs of coturn's call before the first figures of BenchmarkTurnSoak")

// perGoroutine is what the runtime keeps of a goroutine that has ended, and what our maps keep
// of the place of an allocation: room for chance, which may bring more of both at once than
// there were in the warm-up.
const perGoroutine = 600

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
		warm := p.callThrough(b, data+"/data", "warm", metrics, *turnSoakWarm)
		before := turnSettled(b, metrics)
		start := time.Now()
		soak := p.callThrough(b, data+"/data", "soak", metrics, *soakFor)
		took := time.Since(start)
		after := turnSettled(b, metrics)
		b.Logf("before %+v, after %+v; the warm-up had %+v, the soak %+v", before, after, warm, soak)
		b.ReportMetric(float64(soak.programs), "programs")
		b.ReportMetric(float64(soak.hung), "hung")
		if soak.hung > 2+soak.programs/100 {
			b.Errorf("%d of %d programs hung", soak.hung, soak.programs)
		}
		b.ReportMetric(figure(b, metrics, `millrace_turn_begun_total\{transport="\w+"\}`), "allocations")
		b.ReportMetric(soak.allocations, "at-once")
		b.ReportMetric(figure(b, metrics, `millrace_turn_packets_total\{direction="\w+"\}`), "packets")
		b.ReportMetric(took.Minutes(), "minutes")
		for _, f := range []struct {
			name          string
			before, after float64
			room          float64
		}{
			{"goroutines", before.goroutines, after.goroutines, 0},
			{"descriptors", before.descriptors, after.descriptors, 0},
			{"heap", before.heap, after.heap, max(0, soak.goroutines-warm.goroutines) * perGoroutine},
		} {
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

// calls are how many programs called, how many of them hung, and what there was at once, at most.
type calls struct {
	programs, hung          int64
	allocations, goroutines float64
}

// census notes how many there are at once until the context ends.
func (c *calls) census(ctx context.Context, b *testing.B, metrics string) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.allocations = max(c.allocations, figure(b, metrics, `millrace_turn_allocations\{transport="\w+"\}`))
			c.goroutines = max(c.goroutines, figure(b, metrics, "go_goroutines"))
		case <-ctx.Done():
			return
		}
	}
}

// callThrough lets programs call through the relay for a time and deletes the channel.
func (p *process) callThrough(b *testing.B, data, channel, metrics string, span time.Duration) (all calls) {
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
	var programs, hung atomic.Int64
	var wg sync.WaitGroup
	end := func() { cancel(); wg.Wait() }
	defer end()
	for i := range turnCallers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				err := uclient(ctx, r, i, told.IceServerList[0])
				switch {
				case ctx.Err() != nil:
					return
				case errors.Is(err, errHung):
					b.Log(err)
					hung.Add(1)
				case err != nil:
					b.Error(err)
					return
				}
				programs.Add(1)
			}
		})
	}
	all.census(ctx, b, metrics)
	end()
	if err := c.Call(b.Context(), wire.ByName("DeleteSignalingChannel"), &wire.DeleteSignalingChannelInput{ChannelARN: made.ChannelARN}, nil); err != nil {
		b.Fatal(err)
	}
	all.programs, all.hung = programs.Load(), hung.Load()
	return all
}

// errHung is of a program in good form that did not come to its end: coturn's waits for ever for
// some answers, if the system lost the datagram.
var errHung = errors.New("turnutils_uclient hung")

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
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	u, err := url.Parse("turn://" + strings.TrimPrefix(ice.Uris[0], "turn:"))
	if err != nil {
		return err
	}
	args := append(strings.Fields(flags), "-y", "-u", *ice.Username, "-w", *ice.Password, "-p", u.Port(), "-L", net.IPv4(127, 0, 3, byte(i+1)).String(),
		"-m", "4", "-n", strconv.Itoa(50+r.IntN(500)), "-l", strconv.Itoa(50+r.IntN(1200)), "127.0.0.1")
	out, err := exec.CommandContext(limited, "turnutils_uclient", args...).CombinedOutput()
	switch {
	case form != "":
	case limited.Err() != nil:
		return fmt.Errorf("%w: %s", errHung, flags)
	case err != nil || !strings.Contains(string(out), "Total lost packets 0 ("):
		return fmt.Errorf("%s: %v\n%s", flags, err, out[max(0, len(out)-2000):])
	}
	return nil
}
