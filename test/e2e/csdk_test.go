//go:build devices

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The tests of this file run the samples of the C SDK for WebRTC, which dial port 443 and check
// names: "make device-tests" runs them in a network of their own (namespace).

var cSamples = flag.String("c-samples", "", "folder with kvsWebrtcClientMaster, kvsWebrtcClientViewer, and the sample frames beside them")

// domain is where the names of this test lead to the server.
const domain = "kvs.test"

// cSample is a running sample program.
type cSample struct {
	*exec.Cmd
	out  *output
	gone chan struct{}
}

// sample starts one of the samples in a folder of its own: it keeps a cache where it stands.
func (s *server) sample(t *testing.T, name string, args ...string) *cSample {
	t.Helper()
	home, err := filepath.Abs(*cSamples)
	if err != nil || *cSamples == "" {
		t.Fatalf("-c-samples names no folder: %v", err)
	}
	dir := t.TempDir()
	for _, frames := range []string{"h264SampleFrames", "opusSampleFrames"} {
		if err := os.Symlink(filepath.Join(home, frames), filepath.Join(dir, frames)); err != nil {
			t.Fatal(err)
		}
	}
	p := &cSample{Cmd: exec.Command("stdbuf", append([]string{"-oL", filepath.Join(home, name)}, args...)...), out: newOutput(), gone: make(chan struct{})}
	p.Dir, p.Stdout, p.Stderr = dir, p.out, p.out
	p.Env = append(s.variables(), "CONTROL_PLANE_URI=https://"+domain, "AWS_KVS_CACERT_PATH="+s.ca(), "AWS_KVS_LOG_LEVEL=1", "DEBUG_LOG_SDP=TRUE")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait()
		p.out.close()
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("%s ended with:\n%s", name, p.out.tail(40))
		}
	})
	return p
}

// end ends a sample as its user would.
func (p *cSample) end() {
	_ = p.Process.Signal(syscall.SIGINT)
	<-p.gone
}

// street starts a server on port 443 under the names that the namespace knows.
func street(t *testing.T) *server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yml")
	text := fmt.Sprintf("account: %q\nendpoint: https://%s\nsignaling: {domain: %s}\ntls: {names: [%s]}\n", account, domain, domain, domain)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveWith(t, config, "--https", "127.0.0.1:443")
}

// TestCSampleMaster begins with a channel that is not there: the sample makes it, connects, and
// sends its film to a viewer of ours, which records it.
func TestCSampleMaster(t *testing.T) {
	s := street(t)
	master := s.sample(t, "kvsWebrtcClientMaster", "door")
	master.out.wait(t, `Connection established`)
	film := temporary(t, "film.mkv")
	viewer := exec.CommandContext(t.Context(), program(t), "webrtc", "viewer", "door", "-o", film, "--duration", "4s")
	viewer.Env = s.variables()
	if out, err := viewer.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	frames := run(t, environment(), "ffprobe", "-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", film)
	t.Logf("recorded: %s", frames)
	if !strings.HasPrefix(frames, "h264,") {
		t.Fatalf("recorded %q", frames)
	}
}

// TestCSampleViewer lets the sample see our master.
func TestCSampleViewer(t *testing.T) {
	s := street(t)
	run(t, s.variables(), program(t), "channel", "create", "door")
	background(t, s.variables(), `waiting for viewers`, program(t), "webrtc", "master", "door")
	viewer := s.sample(t, "kvsWebrtcClientViewer", "door")
	viewer.out.wait(t, `Connection established`)
	viewer.out.wait(t, `[Ff]rame received`)
}

// TestCSamples lets the samples find each other, stops the server under them, which says so
// with a GO_AWAY, and lets them find each other again when it is back.
func TestCSamples(t *testing.T) {
	s := street(t)
	master := s.sample(t, "kvsWebrtcClientMaster", "door")
	master.out.wait(t, `Connection established`)
	viewer := s.sample(t, "kvsWebrtcClientViewer", "door")
	viewer.out.wait(t, `[Ff]rame received`)
	viewer.end()

	s.stop(t)
	s = s.again(t)
	eventually(t, "the master is back", func() error {
		if n := strings.Count(master.out.text(), "Connection established"); n < 2 {
			return fmt.Errorf("it connected %d times", n)
		}
		return nil
	})
	s.sample(t, "kvsWebrtcClientViewer", "door").out.wait(t, `[Ff]rame received`)
}
