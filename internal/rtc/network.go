package rtc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"github.com/millrace/millrace/signaling"
)

// Signaling is the member of a channel through which a peer finds others; a *signaling.Peer
// that runs.
type Signaling interface {
	Send(ctx context.Context, m signaling.Message) error
	Receive(ctx context.Context) (signaling.Message, error)
	ICEServers(ctx context.Context) ([]signaling.ICEServer, error)
}

// Network says how peers may reach each other.
type Network struct {
	// Loopback lets peers on this machine meet at its loopback addresses, for machines that
	// have no others.
	Loopback bool
	// RelayOnly has all media go through the relays of the channel.
	RelayOnly bool
}

// When a peer counts as gone: nothing was heard for so long.
const (
	iceSilent    = 5 * time.Second
	iceGone      = 10 * time.Second // after that
	iceKeepAlive = 2 * time.Second
	icePatience  = 10 * time.Second // for GetIceServerConfig
)

// api makes peer connections: all codecs that pion knows, packets that are lost are asked for
// again and sent again.
func (n Network) api(log *slog.Logger) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{LoggerFactory: pionLogs{log}}
	settings.SetIncludeLoopbackCandidate(n.Loopback)
	settings.SetICETimeouts(iceSilent, iceGone, iceKeepAlive)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)), nil
}

// connection makes a peer connection with the relays that the channel names now. Without
// their names it does what can be done without.
func (n Network) connection(ctx context.Context, s Signaling, log *slog.Logger) (*webrtc.PeerConnection, error) {
	api, err := n.api(log)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, icePatience)
	defer cancel()
	servers, err := s.ICEServers(limited)
	if err != nil {
		log.WarnContext(ctx, "no relays", "error", err)
	}
	config := webrtc.Configuration{}
	for _, server := range servers {
		config.ICEServers = append(config.ICEServers, webrtc.ICEServer{URLs: server.URLs, Username: server.Username, Credential: server.Password})
	}
	if n.RelayOnly {
		config.ICETransportPolicy = webrtc.ICETransportPolicyRelay
		if len(servers) == 0 {
			log.WarnContext(ctx, "the channel has no relays, and only relays may be used")
		}
	}
	return api.NewPeerConnection(config)
}

// pionLogs takes what pion has to say: its warnings are for those who look for a fault.
type pionLogs struct{ log *slog.Logger }

// NewLogger returns the logger of a part of pion.
func (p pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{p.log.With("pion", scope)}
}

type pionLog struct{ log *slog.Logger }

func (pionLog) Trace(string)          {}
func (pionLog) Tracef(string, ...any) {}
func (pionLog) Debug(string)          {}
func (pionLog) Debugf(string, ...any) {}
func (pionLog) Info(string)           {}
func (pionLog) Infof(string, ...any)  {}

func (l pionLog) Warn(text string)                 { l.log.Debug(text) }
func (l pionLog) Warnf(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l pionLog) Error(text string)                { l.log.Debug(text) }
func (l pionLog) Errorf(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...))
}
