package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestGo2RTC lets go2rtc, a server for cameras, take a channel's master as one of its cameras.
// It asks our command for a signed address whenever somebody wants to see the camera, leaves
// the channel as soon as it has found the master, and hands out what the master sends.
func TestGo2RTC(t *testing.T) {
	s := serve(t)
	run(t, s.variables(), program(t), "channel", "create", "door")
	background(t, s.variables(), `waiting for viewers`, program(t), "webrtc", "master", "door")
	camera := s.go2rtc(t, "door")
	for range 2 { // a second time it has let go of the master and comes again
		pictured(t, camera, 60)
	}
}

// pictured takes so many pictures from go2rtc.
func pictured(t *testing.T, camera func(ctx context.Context) (io.ReadCloser, error), pictures int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var film io.ReadCloser
	eventually(t, "go2rtc shows the camera", func() (err error) { // it listens before it knows all kinds of sources
		film, err = camera(ctx)
		return err
	})
	defer film.Close()
	got, _, err := try(t, environment(), film, "ffprobe", "-v", "error", "-f", "mp4", "-read_intervals", "%+#"+strconv.Itoa(pictures),
		"-select_streams", "v", "-show_entries", "stream=codec_name,nb_read_frames", "-count_frames", "-of", "json", "-")
	if err != nil {
		t.Fatal(err)
	}
	var probed struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			Frames string `json:"nb_read_frames"`
		}
	}
	if err := json.Unmarshal([]byte(got), &probed); err != nil || len(probed.Streams) != 1 || probed.Streams[0].Codec != "h264" || probed.Streams[0].Frames != strconv.Itoa(pictures) {
		t.Fatalf("go2rtc gave %s, %v", got, err)
	}
}

// go2rtc starts go2rtc with a channel as its camera, and returns what asks it for the film.
func (s *server) go2rtc(t *testing.T, channel string) func(ctx context.Context) (io.ReadCloser, error) {
	t.Helper()
	dir := t.TempDir()
	socket, config := filepath.Join(dir, "s"), filepath.Join(dir, "go2rtc.yaml")
	settings := fmt.Sprintf(`
api: {listen: "", unix_listen: %q}
rtsp: {listen: ""}
webrtc: {listen: ""}
srtp: {listen: ""}
streams: {camera: "echo:%s webrtc url %s --client-id go2rtc --go2rtc"}
`, socket, program(t), channel)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, s.variables(), `\[api\] listen`, tool(t, "go2rtc", dir, "github.com/AlexxIT/go2rtc"), "-config", config)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	return func(ctx context.Context) (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://go2rtc/api/stream.mp4?src=camera&video=h264", nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			b, err := io.ReadAll(resp.Body)
			return nil, errors.Join(err, resp.Body.Close(), fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(b)))
		}
		return resp.Body, nil
	}
}
