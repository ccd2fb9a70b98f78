package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// miser is a server that acknowledges one fragment at most, and then neither reads nor
// answers until it is released.
type miser struct {
	plumbing
	accepts  bool // the call; else not even that
	called   context.CancelFunc
	released chan struct{}
}

func (m *miser) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/putMedia" {
		m.plumbing.ServeHTTP(w, r)
		return
	}
	c := http.NewResponseController(w)
	_ = c.EnableFullDuplex()
	if m.accepts {
		w.WriteHeader(http.StatusOK)
		_ = c.Flush()
		items := mkv.NewReader(r.Body, mkv.Options{})
		for it, err := items.Next(); err == nil && it.Kind != mkv.ClusterTimecode; {
			it, err = items.Next()
		}
		fmt.Fprintln(w, `{"EventType":"PERSISTED","FragmentTimecode":0,"FragmentNumber":"91"}`)
		_ = c.Flush()
	} else {
		m.called()
	}
	<-m.released
}

// afterwards calls a function when something was written.
type afterwards struct{ call func() }

func (a afterwards) Write(p []byte) (int, error) { a.call(); return len(p), nil }

// A signal ends put in time, wherever the server holds it back.
func TestSignalWhileTheServerHoldsBack(t *testing.T) {
	const held = "did not take and acknowledge the rest in time"
	clip := mediatest.Bytes("gstreamer-h264")
	large := slices.Concat(clip, mkv.AppendClusterUnknown(nil, 100_000), mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, make([]byte, 48<<20)))
	for name, c := range map[string]struct {
		media   []byte
		accepts bool
		want    string
	}{
		"before it accepts the call":       {clip, false, held},
		"while media are sent":             {large, true, held + "; durable: 1 fragment of "},
		"before the last acknowledgements": {clip, true, held + "; durable: 1 fragment of "},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, signal := context.WithCancel(t.Context())
			defer signal()
			m := &miser{plumbing: plumbing{streams: map[string]int64{"garden": 24}}, accepts: c.accepts, called: signal, released: make(chan struct{})}
			serving(t, m)
			file := written(t, c.media)
			put := putCmd{Stream: "garden", File: file, Raw: true, Acks: true, patience: 100 * time.Millisecond}
			var errs bytes.Buffer
			ended := make(chan error, 1)
			go func() { ended <- put.Run(ctx, stdio{in: os.Stdin, out: afterwards{signal}, err: &errs}) }()
			select {
			case err := <-ended:
				close(m.released)
				if !errors.Is(err, errHeldBack) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			case <-time.After(2 * time.Minute):
				close(m.released)
				t.Errorf("put goes on: %v", <-ended)
			}
		})
	}
}
