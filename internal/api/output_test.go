package api

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// shared is the share of a test's sessions.
func shared(t *testing.T, settings map[string]string) Share {
	t.Helper()
	b, err := quota.NewBook(t.Context(), quota.BookOptions{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	return Share{Limits: b, Sessions: quota.GetSessions, Bandwidth: quota.GetBandwidth, Fragments: quota.GetFragmentRate}
}

const getYard = `{"StreamName":"yard","StartSelector":{"StartSelectorType":"NOW"}}`

// Waiting for the bandwidth is not the consumer's fault: it takes nothing of the timeout,
// and what was written before has been sent.
func TestAnOutputThatIsHeldBack(t *testing.T) {
	share := shared(t, map[string]string{"GetMedia.bandwidth": "100KB/s"})
	h := newHouse(t, nil, JSON("GetMedia", func(ctx context.Context, c *Call, _ *wire.GetMediaInput) (any, error) {
		c.Stream = yard
		place, err := share.Take(c)
		if err != nil {
			return nil, err
		}
		defer place.Close()
		out := NewOutput(ctx, c, place, "video/webm", 50*time.Millisecond, metrics.New().PutBytes)
		defer out.End()
		for range 4 {
			if _, err := out.Write(bytes.Repeat([]byte("m"), 15_000)); err != nil {
				t.Error(err)
			}
		}
		return nil, nil
	}))
	start := time.Now()
	x := h.send(h.request("/getMedia", getYard, nil, nil))
	if took := time.Since(start); x.status != 200 || took < 450*time.Millisecond {
		t.Errorf("status %d, 60 KB at 100 KB/s took %v", x.status, took)
	}
}

// A session that waits ends with its context.
func TestAnOutputThatIsHeldBackEndsWithItsSession(t *testing.T) {
	share := shared(t, map[string]string{"GetMedia.bandwidth": "1B/s", "GetMedia.fragment-rate": "1/h"})
	ended := make(chan error, 2)
	h := newHouse(t, nil, JSON("GetMedia", func(ctx context.Context, c *Call, _ *wire.GetMediaInput) (any, error) {
		c.Stream = yard
		place, err := share.Take(c)
		if err != nil {
			return nil, err
		}
		defer place.Close()
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		out := NewOutput(ctx, c, place, "video/webm", time.Minute, metrics.New().PutBytes)
		_, err = out.Write(make([]byte, 10_000))
		ended <- err
		_ = out.Chunk(kvs.Fragment{})
		ended <- out.Chunk(kvs.Fragment{})
		return nil, err
	}))
	h.send(h.request("/getMedia", getYard, nil, nil))
	for _, what := range []string{"the bandwidth", "the next fragment"} {
		if err := <-ended; err == nil {
			t.Errorf("waiting for %s ended without an error", what)
		}
	}
}

func TestPlacesAreLimited(t *testing.T) {
	share := shared(t, map[string]string{"GetMedia.sessions": "1"})
	c := &Call{Stream: yard}
	first, err := share.Take(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := share.Take(c); kvs.KindOf(err) != kvs.TooManyConnections {
		t.Errorf("got %v", err)
	}
	first.Close()
	if _, err := share.Take(c); err != nil {
		t.Error(err)
	}
}
