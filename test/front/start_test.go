package front

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var binary = flag.String("binary", "../../bin/millrace", "the program to measure")

// starts is how often each start is measured; the median counts.
const starts = 11

// BenchmarkStart measures the time from exec to the first answer of GET /healthz: of
// first starts, as make run makes them, and with a million stored fragments.
func BenchmarkStart(b *testing.B) {
	const goal = 300 * time.Millisecond
	for _, c := range []struct {
		name string
		data func(b *testing.B) string // "" = --dev without one
		dev  bool
	}{
		{"make-run", func(*testing.B) string { return "" }, true},
		{"first", func(b *testing.B) string { return filepath.Join(b.TempDir(), "data") }, false},
		{"million", millionFragments, false},
		{"million-dev", millionForDev, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				var took []time.Duration
				var cpu []time.Duration
				for range starts {
					p := launch(b, c.data(b), c.dev)
					took, cpu = append(took, p.ready), append(cpu, p.cpu)
					p.stop(b)
				}
				slices.Sort(took)
				slices.Sort(cpu)
				b.ReportMetric(ms(took[0]), "min-ms")
				b.ReportMetric(ms(took[starts/2]), "median-ms")
				b.ReportMetric(ms(took[starts-1]), "max-ms")
				b.ReportMetric(ms(cpu[starts/2]), "cpu-ms")
				if got := took[starts/2]; got > goal {
					b.Errorf("GOAL MISSED: ready after %v, at most %v are wanted", got, goal)
				}
			}
		})
	}
}

// BenchmarkIdleMemory measures the resident memory of a server that has nothing to do,
// five seconds after its start, and of one that listed fragments of a million.
func BenchmarkIdleMemory(b *testing.B) {
	const goal = 60.0 // MB
	check := func(b *testing.B, name string, p *process) {
		time.Sleep(5 * time.Second)
		got := p.resident(b)
		b.ReportMetric(got, name+"-MB")
		if got > goal {
			b.Errorf("GOAL MISSED: %s takes %.1f MB, at most %v are wanted", name, got, goal)
		}
		p.stop(b)
	}
	for b.Loop() {
		check(b, "dev", launch(b, "", true))
		check(b, "plain", launch(b, filepath.Join(b.TempDir(), "data"), false))
		p := launch(b, millionForDev(b), true)
		p.list(b)
		check(b, "listed-million", p)
	}
}

// BenchmarkSize measures the stripped binary.
func BenchmarkSize(b *testing.B) {
	const goal = 45.0 // MB
	for b.Loop() {
		out := filepath.Join(b.TempDir(), "millrace")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./cmd/millrace")
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, text)
		}
		info, err := os.Stat(out)
		if err != nil {
			b.Fatal(err)
		}
		got := float64(info.Size()) / 1e6
		b.ReportMetric(got, "stripped-MB")
		if got > goal {
			b.Errorf("GOAL MISSED: the binary has %.1f MB, at most %v are wanted", got, goal)
		}
	}
}

// process is a running server.
type process struct {
	command *exec.Cmd
	url     string
	https   string        // its address
	ready   time.Duration // from exec to the first answer
	cpu     time.Duration // used until then
}

// launch starts a server and waits for its first answer.
func launch(b *testing.B, data string, dev bool, more ...string) *process {
	b.Helper()
	addr, https := freeAddress(b), freeAddress(b)
	args := []string{"serve", "--http", addr, "--https", https}
	if data != "" {
		args = append(args, "--data", data)
	}
	if dev {
		args = append(args, "--dev")
	}
	args = append(args, more...)
	path, err := filepath.Abs(*binary)
	if err != nil {
		b.Fatal(err)
	}
	p := &process{command: exec.Command(path, args...), url: "http://" + addr, https: https}
	p.command.Env = []string{"HOME=" + b.TempDir(), "TMPDIR=" + b.TempDir()}
	var said strings.Builder
	p.command.Stdout, p.command.Stderr = &said, &said
	start := time.Now()
	if err := p.command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.command.Process.Kill() })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	for {
		resp, err := client.Get(p.url + "/healthz")
		if err == nil {
			p.ready = time.Since(start)
			_ = resp.Body.Close()
			break
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > time.Minute {
			b.Fatalf("%v\n%s", err, said.String())
		}
		time.Sleep(time.Millisecond)
	}
	p.cpu = p.used(b)
	return p
}

// freeAddress is an address that nobody listens on now.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (p *process) stop(b *testing.B) {
	b.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		b.Fatal(err)
	}
}

// used is the processor time so far. The clock of /proc ticks 100 times a second.
func (p *process) used(b *testing.B) time.Duration {
	b.Helper()
	text := p.read(b, "stat")
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the memory of the process in MB.
func (p *process) resident(b *testing.B) float64 {
	b.Helper()
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(p.read(b, "status"))
	if m == nil {
		b.Fatal("no VmRSS")
	}
	kb, _ := strconv.ParseFloat(m[1], 64)
	return kb * 1024 / 1e6
}

func (p *process) read(b *testing.B, file string) string {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.command.Process.Pid, file))
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
