package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/config"
)

// Reload puts settings into force that may change while the server runs: regions but
// the first, limits, the certificate, wrapping keys, the level of the log, the distance of
// clocks, the host that clients of the relay are told and the peers it allows. The others that differ are named in a warning and wait for a restart. After an error nothing has
// changed; it says why.
func (s *Server) Reload(ctx context.Context, next config.Config) (err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	defer func() { s.reloadFailed.Store(err != nil) }()
	if err := next.Check(); err != nil {
		return err
	}
	old := s.settings.Load()
	force := *old
	var taken, waiting []config.Change
	for _, c := range config.Changes(old, &next) {
		if s.reloads(c.Setting, &next) {
			force.Take(c.Setting, &next)
			taken = append(taken, c)
		} else {
			waiting = append(waiting, c)
		}
	}
	if err := s.apply(&force); err != nil {
		return err
	}
	if err := s.keeper.Changed(ctx); err != nil {
		return err
	}
	for _, c := range taken {
		s.log.InfoContext(ctx, "setting changed", "setting", c.Setting, "from", c.From, "to", c.To)
	}
	for _, c := range waiting {
		s.log.WarnContext(ctx, "setting needs a restart", "setting", c.Setting, "from", c.From, "to", c.To)
	}
	s.log.InfoContext(ctx, "settings reloaded", "changed", len(taken), "waiting", len(waiting))
	return nil
}

// ReloadFailed tells the server that there were no settings to call Reload with, because
// they could not be read or are wrong: the metric of failed reloads shows it.
func (s *Server) ReloadFailed() { s.reloadFailed.Store(true) }

// reloads reports whether a setting can change while the server runs.
func (s *Server) reloads(setting string, next *config.Config) bool {
	switch section, _, _ := strings.Cut(setting, "."); {
	case setting == "regions":
		return next.Regions[0] == s.config.Regions[0] // it stands in the names of all streams
	case setting == "clock" || setting == "trusted_proxies" || section == "policies" || setting == "get_media.idle" || setting == "profile" || section == "limits":
		return true
	case section == "keys":
		return s.wrapping != nil
	case setting == "signaling.ice_servers":
		return true
	case setting == "turn.host" || setting == "turn.allow_peers":
		return s.turn != nil
	case setting == "log.level":
		return s.config.Log.Var != nil
	case setting == "tls.acme.http" || section == "tls" && s.certs == nil:
		return false
	case strings.HasPrefix(setting, "tls.acme."):
		return s.canProve(next)
	default:
		return section == "tls"
	}
}

// canProve reports whether the addresses that were bound at the start suffice for the
// proof that an authority asks for.
func (s *Server) canProve(next *config.Config) bool {
	return !slices.ContainsFunc(addresses(next), func(a address) bool {
		return a.name == "tls.acme.http" && s.bound[a.name] == nil
	})
}

// apply puts settings into force. What can fail comes first, so that sessions never see
// some of the settings that are refused.
func (s *Server) apply(c *config.Config) error {
	level, err := c.Log.ParseLevel()
	if err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	enforce, err := s.book.Prepare(c.Profile, limitSettings(c))
	if err != nil {
		return err
	}
	keys, err := readKeys(c)
	if err != nil {
		return err
	}
	policies, err := readPolicies(c) // also when no setting changed: the files may have
	if err != nil {
		return err
	}
	if s.certs != nil {
		// Also when no setting changed: the files may hold another certificate.
		if err := s.certs.Reload(s.certificates(c)); err != nil {
			return err
		}
	}
	if s.wrapping != nil { // also when no setting changed, as above
		if err := s.wrapping.Replace(keys); err != nil {
			return err
		}
		s.ring.Drop()
		s.tellMissingKeys(c)
	}
	if err := s.turn.Reload(&c.Turn); err != nil {
		return err
	}
	enforce()
	s.policies.Store(&policies)
	if v := s.config.Log.Var; v != nil {
		v.Set(level)
	}
	s.iceChanged(s.settings.Swap(c), c)
	return nil
}
