package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/api/watch"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/demo"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rtc"
	"github.com/millrace/millrace/internal/server/datadir"
	"github.com/millrace/millrace/internal/sessions"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/signaling"
	"github.com/millrace/millrace/sigv4"
)

// cameraRetention is how many hours the demo stream keeps what the camera films.
const cameraRetention = 24

// runCamera feeds the demo stream until ctx ends. It goes through the same ingest as
// every producer; when a session ends it begins another, also on a stream that was
// deleted and made again.
func (s *Server) runCamera(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.film(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("demo camera", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *Server) film(ctx context.Context) error {
	stream, err := s.catalog.ByName(ctx, config.DevAccount, config.DevStream)
	if kvs.KindOf(err) == kvs.NotFound {
		stream, err = s.catalog.Create(ctx, catalog.NewStream{Account: config.DevAccount, Name: config.DevStream,
			MediaType: demo.MediaType, Retention: cameraRetention, Tier: kvs.Hot})
	}
	if err != nil {
		return err
	}
	entry, err := s.catalog.Open(ctx, stream.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	var filming sync.WaitGroup
	filming.Go(func() { _ = w.CloseWithError(demo.Film(ctx, w, s.config.Now())) })
	defer filming.Wait()
	defer cancel()
	defer func() { _ = r.Close() }()
	session := s.sessions.Open(sessions.About{Stream: entry.Stream(), Operation: "PutMedia", Client: "built in", UserAgent: "demo camera"})
	defer session.Close()
	return s.ingest.Run(ctx, ingest.Request{Stream: entry, Watcher: session}, pipe{r}, noAcks{}).End
}

// pipe is the camera's body.
type pipe struct{ *io.PipeReader }

// Interrupt makes Read return.
func (p pipe) Interrupt() { _ = p.Close() }

// noAcks drops the camera's acknowledgements: it keeps nothing to send again.
type noAcks struct{}

// WriteAck does nothing.
func (noAcks) WriteAck([]byte) error { return nil }

// moved is called when the clock was set: what is expired now goes at once, so that
// whoever set it need not wait.
func (s *Server) moved(ctx context.Context) error {
	s.log.InfoContext(ctx, "the clock was set", "now", s.config.Now(), "speed", s.config.Emulate.Clock.Speed())
	return s.archive.Expire(ctx)
}

// resetting is how many streams are deleted at a time: each deletion waits for a sync
// that it shares with the others.
const resetting = 64

// reset deletes all channels and streams of the account, takes back what was set for its limits, and
// begins the clock and the sequence of faults again. It returns how many streams there
// were.
func (s *Server) reset(ctx context.Context, a kvs.AccountID) (int, error) {
	s.config.Emulate.Faults.Restart()
	if err := s.resetChannels(ctx, a); err != nil { // first: a stream stays while one stores to it
		return 0, err
	}
	deleted := 0
	for {
		page, _, err := s.catalog.List(ctx, a, catalog.ListQuery{Max: 1000})
		if err != nil {
			return deleted, err
		}
		if len(page) == 0 {
			break
		}
		var g errgroup.Group
		g.SetLimit(resetting)
		for _, st := range page {
			g.Go(func() error {
				if err := s.release(ctx, st); err != nil {
					return err
				}
				err := s.catalog.Delete(ctx, st.ID, "")
				if err == nil {
					s.deleted(st.ID)
				}
				if kvs.KindOf(err) == kvs.NotFound { // somebody else was faster
					err = nil
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return deleted, err
		}
		deleted += len(page)
	}
	s.config.Emulate.Clock.Restart()
	return deleted, errors.Join(s.moved(ctx), s.book.Reset(ctx, quota.Target{Account: a}, ""))
}

// resetChannels deletes all signaling channels of the account.
func (s *Server) resetChannels(ctx context.Context, a kvs.AccountID) error {
	for {
		page, _, err := s.channels.List(ctx, a, channels.Query{Max: 1000})
		if err != nil || len(page) == 0 {
			return err
		}
		var g errgroup.Group
		g.SetLimit(resetting)
		for _, ch := range page {
			g.Go(func() error {
				err := s.channels.Delete(ctx, ch.ID, "")
				if err == nil {
					meeting{s.hub, s.turn}.Deleted(ch.ID)
				}
				if kvs.KindOf(err) == kvs.NotFound { // somebody else was faster
					err = nil
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// release removes the holds of a stream.
func (s *Server) release(ctx context.Context, st kvs.Stream) error {
	if !st.Held {
		return nil
	}
	all, err := s.catalog.Holds(ctx, st.ID)
	for _, h := range all {
		err = errors.Join(err, s.catalog.RemoveHold(ctx, st.ID, h.ID))
	}
	return err
}

// Empty removes what a development server keeps in a data directory: streams, media,
// limits and keys. The CA stays, so that clients need not be told another one. It
// refuses a directory that another kind of server had, or that is in use now.
func Empty(root string) error {
	d := &datadir.Dir{Root: root}
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if !d.ForDev() {
		return fmt.Errorf("%s is not a directory that only servers with --dev had, so it is not emptied: remove it yourself, or give another --data", root)
	}
	f, err := datadir.Lock(d.Path(datadir.LockFile))
	if err != nil {
		return err
	}
	// Mark and format stay: what is half emptied is emptied by the next try.
	for _, e := range entries {
		if n := e.Name(); n != datadir.LockFile && n != datadir.DevMark && n != "format" && n != "ca.pem" && n != "ca.key" {
			err = errors.Join(err, os.RemoveAll(d.Path(n)))
		}
	}
	return errors.Join(err, f.Close())
}

// watchHandler serves the page of a development server that plays its streams. It calls
// the operations as everybody does, with the key that everybody knows.
func (s *Server) watchHandler() http.Handler {
	cl := &client.Client{
		Endpoint: "http://localhost", Region: s.settings.Load().Regions[0], UserAgent: "demo page", Now: s.config.Real,
		Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret},
		HTTP:        &http.Client{Transport: inside{s.front}},
	}
	if cl.Region == "any" {
		cl.Region = "us-east-1"
	}
	return watch.Handler(watch.Options{Stream: config.DevStream,
		Session: func(ctx context.Context, stream string) (string, error) { return livePath(ctx, cl, stream) },
		Streams: func(ctx context.Context) ([]string, error) { return names(ctx, cl) },
	})
}

// watchSeconds is how long a session of the page lives: as long as one can.
const watchSeconds = 43200

// livePath begins a session and returns its URL without the host, for the page is where
// it was loaded from.
func livePath(ctx context.Context, cl *client.Client, stream string) (string, error) {
	in := wire.GetHLSStreamingSessionURLInput{StreamName: &stream, PlaybackMode: new(wire.HLSPlaybackModeLive),
		DiscontinuityMode:   new(wire.HLSDiscontinuityModeOnDiscontinuity),
		HLSFragmentSelector: &wire.HLSFragmentSelector{FragmentSelectorType: new(wire.HLSFragmentSelectorTypeProducerTimestamp)},
		Expires:             new(int64(watchSeconds))}
	var out wire.GetHLSStreamingSessionURLOutput
	if err := cl.Call(ctx, wire.GetHLSStreamingSessionURL, &in, &out); err != nil {
		return "", err
	}
	u, err := url.Parse(wire.Value(out.HLSStreamingSessionURL))
	if err != nil {
		return "", err
	}
	return u.RequestURI(), nil
}

// names are those of the first streams there are.
func names(ctx context.Context, cl *client.Client) (all []string, err error) {
	var out wire.ListStreamsOutput
	if err := cl.Call(ctx, wire.ListStreams, &wire.ListStreamsInput{MaxResults: new(int64(100))}, &out); err != nil {
		return nil, err
	}
	for _, info := range out.StreamInfoList {
		all = append(all, wire.Value(info.StreamName))
	}
	return all, nil
}

// inside sends requests to a handler without a connection.
type inside struct{ h http.Handler }

// RoundTrip lets the handler answer.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	a := &answer{status: http.StatusOK, header: http.Header{}}
	r = r.Clone(r.Context())
	if r.URL.Scheme == "https" {
		r.TLS = new(tls.ConnectionState) // what is answered is for a client that came so
	}
	r.RequestURI, r.Host = r.URL.RequestURI(), r.URL.Host
	i.h.ServeHTTP(a, r)
	for name, values := range a.header { // some have names that are not canonical
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body), Request: r,
		Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(a.body.Len())}, nil
}

// answer keeps what a handler writes.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// runDemoMaster sends the demo clip to the viewers of the demo channel until ctx ends. It
// joins as everybody does, with the key that everybody knows, over the loopback interface: so
// the demo shows what others will get, down to the signature. It gives way to another master
// and comes back when that one has gone.
func (s *Server) runDemoMaster(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.demoMaster(ctx); err != nil && ctx.Err() == nil {
			s.log.Info("the demo master has left its channel", "reason", err)
		}
		s.awaitNoMaster(ctx)
	}
	return nil
}

// awaitNoMaster waits a second, and then until the demo channel has no master.
func (s *Server) awaitNoMaster(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if all := s.hub.Presence(config.DevAccount, config.DevChannel); len(all) == 0 || all[0].Master == nil {
			return
		}
	}
}

func (s *Server) demoMaster(ctx context.Context) error {
	_, err := s.channels.ByName(ctx, config.DevAccount, config.DevChannel)
	if kvs.KindOf(err) == kvs.NotFound {
		_, err = s.channels.Create(ctx, channels.New{Account: config.DevAccount, Name: config.DevChannel})
	}
	if err != nil {
		return err
	}
	endpoint, ok := s.plainAddress()
	if !ok {
		return errors.New("there is no http listener to join it by")
	}
	peer, err := signaling.NewMaster(signaling.Options{Channel: config.DevChannel, Endpoint: endpoint, Region: s.devRegion(),
		HTTP: client.NewHTTP(nil), UserAgent: "demo master", Credentials: devCredentials})
	if err != nil {
		return err
	}
	clip, err := rtc.Matroska(demo.Clip(), demo.FrameRate)
	if err != nil {
		return err
	}
	master, err := rtc.NewMaster(rtc.MasterOptions{Signaling: peer, Video: clip, Network: rtc.Network{Loopback: true}, Logger: s.log.With("peer", "demo master")})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return peer.Run(ctx) })
	group.Go(func() error { return master.Run(ctx) })
	return group.Wait()
}

// plainAddress is the URL of the http listener.
func (s *Server) plainAddress() (string, bool) {
	for _, l := range s.listeners {
		if l.name == "http" {
			return "http://" + l.net.Addr().String(), true
		}
	}
	return "", false
}

// devRegion is one that calls may be signed for.
func (s *Server) devRegion() string {
	if region := s.settings.Load().Regions[0]; region != "any" {
		return region
	}
	return "us-east-1"
}

func devCredentials(context.Context) (sigv4.Credentials, error) {
	return sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}, nil
}

// callHandler serves the page of a development server that shows its channels.
func (s *Server) callHandler() http.Handler {
	plain := &http.Client{Transport: inside{s.front}}
	return watch.CallHandler(watch.CallOptions{Channel: config.DevChannel,
		Invite: func(ctx context.Context, server, channel string) (watch.Invitation, error) {
			viewer, err := signaling.NewViewer(signaling.Options{Channel: channel, Endpoint: server, Region: s.devRegion(),
				HTTP: plain, UserAgent: "demo page", Credentials: devCredentials})
			if err != nil {
				return watch.Invitation{}, err
			}
			return invite(ctx, viewer)
		},
		Channels: func(ctx context.Context) (all []string, err error) {
			page, _, err := s.channels.List(ctx, config.DevAccount, channels.Query{Max: 100})
			for _, c := range page {
				all = append(all, c.Name)
			}
			return all, err
		},
	})
}

// invite asks for all that a browser needs.
func invite(ctx context.Context, viewer *signaling.Peer) (i watch.Invitation, err error) {
	i.ClientID, i.ICEServers = viewer.ClientID(), []watch.ICEServer{}
	if i.URL, err = viewer.URL(ctx); err != nil {
		return i, err
	}
	relays, err := viewer.ICEServers(ctx)
	for _, r := range relays {
		i.ICEServers = append(i.ICEServers, watch.ICEServer{URLs: r.URLs, Username: r.Username, Credential: r.Password})
	}
	return i, err
}
