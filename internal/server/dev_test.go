package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// devPlant is a development server without a camera whose clock was set.
func devPlant(t *testing.T, at string) *plant {
	t.Helper()
	set, err := clock.Parse(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newPlant(t, func(c *config.Config) {
		c.ForDev()
		c.HTTP, c.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
		c.Emulate = config.Emulate{Clock: set, NoDemo: true}
	})
}

// With its own clock a server dates streams and fragments by it, takes the signatures of
// callers that know the real time only, and forgets what expires when it is moved.
func TestTheServersOwnClock(t *testing.T) {
	p := devPlant(t, "2030-01-01@0")
	p.create("garden", 1)
	var info wire.DescribeStreamOutput
	p.ask("DescribeStream", &wire.DescribeStreamInput{StreamName: new("garden")}, &info)
	if got := info.StreamInfo.CreationTime; got == nil || got.Time().UTC().Format(time.DateOnly) != "2030-01-01" {
		t.Errorf("created at %v", got)
	}
	p.send("garden", documentOf(), clusterOf(0), endOfFragment, clusterOf(1))
	for _, text := range p.list("garden") {
		n, ok := kvs.ParseFragmentNumber(text)
		if got := n.Server.Time().UTC().Format(time.DateOnly); !ok || got != "2030-01-01" {
			t.Errorf("a fragment of %s", got)
		}
	}
	set := func(to string) (out admin.ClockOutput) {
		t.Helper()
		if err := p.Admin(t.Context(), "SetClock", admin.ClockInput{To: to}, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := set("+59m"); out.Now.Format(time.RFC3339) != "2030-01-01T00:59:00Z" || out.Speed != 0 || len(p.list("garden")) != 2 {
		t.Errorf("%+v, %d fragments", out, len(p.list("garden")))
	}
	set("+2m")
	if n := len(p.list("garden")); n != 0 {
		t.Errorf("%d fragments outlived their retention", n)
	}
	if err := p.Admin(t.Context(), "SetClock", admin.ClockInput{To: "soon"}, nil); err == nil || !strings.Contains(err.Error(), "write a moment") {
		t.Errorf("got %v", err)
	}
}

// Reset leaves an empty account, the names are free at once, and the clock is that of the
// start.
func TestReset(t *testing.T) {
	p := devPlant(t, "2030-01-01@0")
	for range 2 {
		for _, name := range []string{"a", "b", "c"} {
			p.create(name, 1)
		}
		p.send("a", documentOf(), clusterOf(0))
		p.store("door", "b")
		if err := p.Admin(t.Context(), "SetClock", admin.ClockInput{To: "+30m@2"}, nil); err != nil {
			t.Fatal(err)
		}
		var out admin.ResetOutput
		if err := p.Admin(t.Context(), "Reset", nil, &out); err != nil || out.Streams != 3 {
			t.Fatalf("%d streams: %v", out.Streams, err)
		}
		var left wire.ListStreamsOutput
		if p.ask("ListStreams", &wire.ListStreamsInput{}, &left); len(left.StreamInfoList) != 0 {
			t.Errorf("%d streams are left", len(left.StreamInfoList))
		}
		var silent wire.ListSignalingChannelsOutput
		if p.ask("ListSignalingChannels", &wire.ListSignalingChannelsInput{}, &silent); len(silent.ChannelInfoList) != 0 {
			t.Errorf("%d channels are left", len(silent.ChannelInfoList))
		}
		var shows admin.ClockOutput
		if err := p.Admin(t.Context(), "DescribeClock", nil, &shows); err != nil || shows.Now.Format(time.RFC3339) != "2030-01-01T00:00:00Z" || shows.Speed != 0 {
			t.Errorf("the clock shows %+v, %v", shows, err)
		}
	}
}

// store makes a channel that stores to a stream.
func (p *plant) store(channel, stream string) {
	p.t.Helper()
	var ch wire.CreateSignalingChannelOutput
	p.ask("CreateSignalingChannel", &wire.CreateSignalingChannelInput{ChannelName: &channel}, &ch)
	var s wire.DescribeStreamOutput
	p.ask("DescribeStream", &wire.DescribeStreamInput{StreamName: &stream}, &s)
	p.ask("UpdateMediaStorageConfiguration", &wire.UpdateMediaStorageConfigurationInput{ChannelARN: ch.ChannelARN,
		MediaStorageConfiguration: &wire.MediaStorageConfiguration{Status: new(wire.MediaStorageConfigurationStatusEnabled), StreamARN: s.StreamInfo.StreamARN}}, nil)
}

// A server that is none for development keeps its streams and its time.
func TestOthersAreNotReset(t *testing.T) {
	p := newPlant(t, nil)
	p.create("garden", 1)
	for operation, in := range map[string]any{"Reset": nil, "SetClock": admin.ClockInput{To: "+1h"}, "DescribeClock": nil} {
		if err := p.Admin(t.Context(), operation, in, nil); err == nil || !strings.Contains(err.Error(), "--dev") {
			t.Errorf("%s: %v", operation, err)
		}
	}
	p.ask("DescribeStream", &wire.DescribeStreamInput{StreamName: new("garden")}, nil)
}

// What a server for others kept is not touched by one whose clock can be moved: all of it
// might expire.
func TestDevelopmentServersLeaveTheDataOfOthers(t *testing.T) {
	p := newPlant(t, nil)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	c := p.config
	c.ForDev()
	c.HTTP, c.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
	if s, err := New(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "leave --dev out, or give another --data") {
		t.Errorf("got %v, %v", s, err)
	}
	if wrong := Examine(c); len(wrong) != 1 || wrong[0].Setting != "data" {
		t.Errorf("config check finds %v", wrong)
	}
	c.Data = t.TempDir() // its own it has as often as it likes
	for range 2 {
		s, err := New(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.shut(); err != nil {
			t.Error(err)
		}
		if wrong := Examine(c); len(wrong) > 0 {
			t.Errorf("config check finds %v", wrong)
		}
	}
}

func TestEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := Empty(dir); err != nil {
		t.Errorf("a directory that is not there: %v", err)
	}
	run := func(dev, inUse bool) {
		t.Helper()
		p := newPlant(t, func(c *config.Config) {
			c.Data = dir
			if dev {
				c.ForDev()
				c.Emulate.NoDemo = true
			}
			c.HTTP, c.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
		})
		if inUse {
			if err := Empty(dir); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("a directory in use: %v", err)
			}
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	run(true, true)
	ca, _ := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err := Empty(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err == nil {
		t.Error("the streams are still there")
	}
	if again, err := os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil || string(again) != string(ca) {
		t.Error("the CA is another one")
	}
	run(true, false)
	run(false, false) // what this one had may be needed
	if err := Empty(dir); err == nil || !strings.Contains(err.Error(), "is not emptied") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err != nil {
		t.Error(err)
	}
}
