package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/api/archived"
	"github.com/millrace/millrace/internal/api/clips"
	"github.com/millrace/millrace/internal/api/login"
	"github.com/millrace/millrace/internal/api/media"
	"github.com/millrace/millrace/internal/api/signaling"
	"github.com/millrace/millrace/internal/api/video"
	"github.com/millrace/millrace/internal/api/watch"
	"github.com/millrace/millrace/internal/certs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/sigv4"
)

// openFront puts the doors together.
func (s *Server) openFront(context.Context) error {
	tokenKey, err := s.data.Secret("token-key")
	if err != nil {
		return err
	}
	var routes []api.Route
	endpoint := video.Endpoint{Configured: s.config.Endpoint, Names: s.names}
	routes = append(routes, video.Routes(video.Options{
		Catalog: s.catalog, Deleted: s.deleted, Kept: s.keeper.Changed, Endpoint: endpoint, Channels: s.channels, Hub: meeting{s.hub, s.turn}, Streams: s.catalog,
	})...)
	channels := s.signalingOptions(endpoint)
	routes = append(routes, signaling.Routes(channels)...)
	routes = append(routes, s.sessionRoutes(endpoint)...)
	routes = append(routes, media.Routes(media.Options{
		Catalog: s.catalog, Ingest: s.ingest, Player: s.player, Metrics: s.metrics,
		Share:        api.Share{Limits: s.book, Sessions: quota.GetSessions, Bandwidth: quota.GetBandwidth, Fragments: quota.GetFragmentRate},
		WriteTimeout: s.config.GetMedia.WriteTimeout, Here: s.here, Closing: s.closing,
	})...)
	routes = append(routes, archived.Routes(archived.Options{
		Catalog: s.catalog, Archive: s.archive, Player: s.player, Metrics: s.metrics,
		Share: api.Share{Limits: s.book, Sessions: quota.PickSessions, Bandwidth: quota.PickBandwidth}, TokenKey: tokenKey,
		WriteTimeout: s.config.GetMedia.WriteTimeout, Closing: s.closing, Now: s.config.Now,
	})...)
	routes = append(routes, clips.Routes(clips.Options{
		Board: s.board, Archive: s.archive, Limits: s.book, Memory: s.clips, Metrics: s.metrics,
		WriteTimeout: s.config.GetMedia.WriteTimeout, Closing: s.closing, Now: s.config.Now,
	})...)
	routes = append(routes, admin.Routes(s.adminRoutes()...)...)
	var logins api.Logins
	if s.login != nil { // not a nil *login.Door in an interface
		logins = s.login
	}
	s.front = api.New(api.Options{
		Streams: s.catalog, Channels: s.channels, Region: s.config.Regions[0], Identifier: s.issuer, Authorizer: s.authority, Rules: s.rules, Proxies: s.proxies, Logins: logins,
		Queries: s.queries(tokenKey), Limits: s.book, Sessions: s.sessions, Metrics: s.metrics, Logger: s.log, Trusted: trusted, Refused: s.refused, Now: s.config.Real, Faults: s.config.Emulate.Faults,
	}, routes...)
	s.play = s.front.Bearer(s.playActions()...)
	s.addresses = channels.Addresses
	s.sockets = s.front.Sockets(s.addresses.Operation, signaling.Sockets(channels)...)
	return nil
}

// rules are the signatures the server takes.
func (s *Server) rules() sigv4.Rules {
	c := s.settings.Load()
	r := sigv4.Rules{Regions: c.Regions, Window: c.Clock, Now: c.Real}
	if slices.Contains(r.Regions, "any") {
		r.Regions = nil
	}
	return r
}

// proxies are the networks that say where calls come from.
func (s *Server) proxies() []netip.Prefix {
	c := s.settings.Load()
	if len(c.TrustedProxies) == 0 {
		return nil
	}
	return c.Proxies()
}

// names are the names of the certificate; without one any name the caller used is
// right.
func (s *Server) names() []string {
	if s.config.HTTPS == "" && s.config.Play == "" { // the relay may have one
		return nil
	}
	return s.certs.Names()
}

// here reports whether media calls may come to the given Host. With a configured
// endpoint the aws profile refuses others, as the original service does.
func (s *Server) here(host string) bool {
	if s.config.Endpoint == "" || s.settings.Load().Profile != quota.AWS {
		return true
	}
	u, err := url.Parse(s.config.Endpoint)
	if err != nil {
		return true
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return strings.EqualFold(strings.Trim(name, "[]"), u.Hostname())
}

// Handler serves what the http and https listeners do: the front, and what is not an
// operation beside it.
func (s *Server) Handler() http.Handler {
	measurements := s.metrics.Handler()
	if !s.config.Dev {
		measurements = s.front.Signed("millrace:GetMetrics", measurements)
	}
	var demo, call http.Handler
	if s.config.Dev {
		demo, call = s.watchHandler(), s.callHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.EscapedPath(); {
		case demo != nil && (path == watch.Path || strings.HasPrefix(path, watch.Path+"/")):
			demo.ServeHTTP(w, r)
		case call != nil && (path == watch.CallPath || strings.HasPrefix(path, watch.CallPath+"/")):
			call.ServeHTTP(w, r)
		case s.certs != nil && strings.HasPrefix(path, certs.ChallengePath):
			s.certs.ServeHTTP(w, r)
		case s.login != nil && strings.HasPrefix(path, login.Path):
			s.login.ServeHTTP(w, r)
		case isPlay(path):
			s.play.ServeHTTP(w, r)
		case path == "/healthz":
			healthz(w, r)
		case path == "/readyz":
			s.readyz(w, r)
		case path == "/metrics":
			measurements.ServeHTTP(w, r)
		case s.addresses.Wants(r):
			s.sockets.ServeHTTP(w, r)
		default:
			s.front.ServeHTTP(w, r)
		}
	})
}
