package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/demo"
	"github.com/millrace/millrace/internal/rtc"
	"github.com/millrace/millrace/signaling"
	"github.com/millrace/millrace/sigv4"
)

// webrtcCmd is "millrace webrtc".
type webrtcCmd struct {
	Master webrtcMasterCmd `cmd:"" help:"Send pictures and sound to the viewers of a channel."`
	Viewer webrtcViewerCmd `cmd:"" help:"Watch the master of a channel and record it."`
	URL    webrtcURLCmd    `cmd:"" name:"url" help:"Print a signed URL of a channel, for programs that cannot sign."`
}

// Help shows examples.
func (webrtcCmd) Help() string {
	return `WebRTC peers find each other through a signaling channel of the server; the media go between
them, or through the channel's relays. A channel has one master and any number of viewers.
Both commands stay until Ctrl-C, and join again when the connection to the server ends.

Examples:
  millrace webrtc master door
  millrace webrtc viewer door -o door.mkv`
}

// member is what master and viewer have in common.
type member struct {
	Channel   string `arg:"" help:"Name or ARN of the signaling channel."`
	RelayOnly bool   `help:"Have all media go through the relays of the channel."`
	Verbose   bool   `short:"v" help:"Say more about connections."`
}

// options say how the channel is joined; announce is called when it was, for the first time.
func (m *member) options(cl *client.Client, log *slog.Logger) signaling.Options {
	return signaling.Options{Channel: m.Channel, Endpoint: cl.Endpoint, Region: cl.Region, HTTP: cl.HTTP, UserAgent: cl.UserAgent, Logger: log,
		Credentials: func(context.Context) (sigv4.Credentials, error) { return cl.Credentials, nil }}
}

func (m *member) network(cl *client.Client) rtc.Network {
	return rtc.Network{Loopback: isLocal(cl.Endpoint), RelayOnly: m.RelayOnly}
}

// isLocal says whether an endpoint is on this machine.
func isLocal(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// log writes what happens, a line each, without the time: somebody is looking.
func (m *member) log(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if m.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}}))
}

// together runs the member of the channel and what uses it until either ends.
func (m *member) together(ctx context.Context, peer *signaling.Peer, use func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return peer.Run(ctx) })
	group.Go(func() error {
		if err := use(ctx); err != nil && !errors.Is(err, signaling.ErrEnded) {
			return err
		}
		return errOver // has the peer leave
	})
	if err := group.Wait(); !errors.Is(err, errOver) {
		return advise(err, "millrace channel create "+m.Channel+" makes the channel; capitals count")
	}
	return nil
}

type webrtcMasterCmd struct {
	member
	Video string  `default:"demo" placeholder:"FILE" help:"H.264 between start codes (Annex B), repeated; demo is the built-in clip, none no picture. Default ${default}."`
	Audio string  `placeholder:"FILE" help:"Ogg file of Opus, repeated."`
	Rate  float64 `default:"25" placeholder:"N" help:"Frames a second of the H.264 file. Default ${default}."`

	connection
}

// Help is the end of the help text.
func (*webrtcMasterCmd) Help() string {
	return `Each viewer begins at a key frame. The file must have no B-frames, which browsers do not take,
and a key frame every second or two: a viewer that lost something waits for the next one.

Examples:
  millrace webrtc master door
  millrace webrtc master door --video door.h264 --rate 30 --audio door.opus

Files like these are made by
  ffmpeg -i FILE -an -c:v libx264 -profile:v baseline -g 30 -r 30 -f h264 door.h264
  ffmpeg -i FILE -vn -c:a libopus door.opus`
}

// Run sends until it is interrupted.
func (c *webrtcMasterCmd) Run(ctx context.Context, std stdio) error {
	if c.Rate < 1 || c.Rate > 240 {
		return &usageError{"webrtc", "--rate is 1 to 240"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	options := rtc.MasterOptions{Network: c.network(cl), Logger: c.log(std.err)}
	files, err := c.sources(&options)
	defer func() {
		for _, f := range files {
			_ = f.Close() // it was only read
		}
	}()
	if err != nil {
		return err
	}
	where := c.options(cl, options.Logger)
	where.Connected = once(func() { fmt.Fprintf(std.err, "waiting for viewers in %s\n", c.Channel) })
	peer, err := signaling.NewMaster(where)
	if err != nil {
		return err
	}
	options.Signaling = peer
	master, err := rtc.NewMaster(options)
	if err != nil {
		return &usageError{"webrtc", err.Error() + ": --video or --audio"}
	}
	err = c.together(ctx, peer, master.Run)
	if errors.Is(err, signaling.ErrReplaced) {
		return fmt.Errorf("another master took over %s: a channel has one", c.Channel)
	}
	return err
}

// once makes a function do something the first time only.
func once(f func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			f()
		}
	}
}

// sources opens what is sent.
func (c *webrtcMasterCmd) sources(o *rtc.MasterOptions) (files []*os.File, err error) {
	open := func(name string) (*os.File, error) {
		f, err := os.Open(name)
		if err == nil {
			files = append(files, f)
		}
		return f, err
	}
	switch c.Video {
	case "none":
	case "demo":
		o.Video, err = rtc.Matroska(demo.Clip(), demo.FrameRate)
	default:
		var f *os.File
		if f, err = open(c.Video); err == nil {
			o.Video, err = rtc.H264(f, c.Rate)
		}
	}
	if err == nil && c.Audio != "" {
		var f *os.File
		if f, err = open(c.Audio); err == nil {
			o.Sound, err = rtc.Opus(f)
		}
	}
	if err != nil && !strings.Contains(err.Error(), "no such file") {
		err = fmt.Errorf("%w\n  millrace webrtc master --help shows how to make files of H.264 and Opus", err)
	}
	return files, err
}
