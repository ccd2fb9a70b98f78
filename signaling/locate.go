package signaling

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// ICEServer is a relay that a peer may use.
type ICEServer struct {
	URLs     []string // such as "turn:192.0.2.1:443?transport=udp"
	Username string
	Password string
	TTL      time.Duration // how long the credentials are good, counted from the answer
}

// early is how long before their end credentials of relays are no longer handed out.
const early = 30 * time.Second

// place is where a channel is.
type place struct {
	arn        string
	socket     string // where to connect: wss://...
	data       string // where GetIceServerConfig is called: https://...
	ice        []ICEServer
	iceAsked   bool
	iceExpires time.Time
}

// directory finds the place of a channel and remembers it until it is told to forget.
type directory struct {
	o    Options
	role string // a wire.ChannelRole value

	turn chan struct{} // holds one element; who has it may ask the server and change the rest

	mu    sync.Mutex // over the rest
	place *place
	skew  time.Duration // what the server's clock is ahead of ours
}

func newDirectory(o Options, role string) *directory {
	return &directory{o: o, role: role, turn: make(chan struct{}, 1)}
}

// caller makes a client with credentials of now.
func (d *directory) caller(ctx context.Context) (*client.Client, error) {
	c, err := d.o.Credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("signaling: credentials: %w", err)
	}
	return &client.Client{Endpoint: d.o.Endpoint, Region: d.o.Region, Credentials: c, HTTP: d.o.HTTP,
		UserAgent: d.o.UserAgent, Now: d.now}, nil
}

func (d *directory) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Add(d.skew)
}

// learn sets our clock by that of a server that refused a call: signatures of clocks that
// are wrong are refused.
func (d *directory) learn(err error) {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Date.IsZero() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if ahead := time.Until(refused.Date); ahead.Abs() > time.Minute {
		d.skew = ahead
	} else {
		d.skew = 0
	}
}

// forget has the next find ask the server.
func (d *directory) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.place = nil
}

// forgetICE has the next call of ice ask the server.
func (d *directory) forgetICE() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.place != nil {
		p := *d.place
		p.iceAsked = false
		d.place = &p
	}
}

func (d *directory) known() *place {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.place
}

func (d *directory) remember(p *place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.place = p
}

// alone runs f while nobody else asks the server.
func (d *directory) alone(ctx context.Context, f func() error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// find returns where the channel is.
func (d *directory) find(ctx context.Context) (found *place, err error) {
	err = d.alone(ctx, func() (err error) {
		found, err = d.ask(ctx)
		return err
	})
	return found, err
}

// ask is find for who is alone already.
func (d *directory) ask(ctx context.Context) (*place, error) {
	if p := d.known(); p != nil {
		return p, nil
	}
	cl, err := d.caller(ctx)
	if err != nil {
		return nil, err
	}
	p := &place{arn: d.o.Channel}
	if !strings.HasPrefix(p.arn, "arn:") {
		if p.arn, err = describe(ctx, cl, d.o.Channel); err != nil {
			d.learn(err)
			return nil, err
		}
	}
	if err := p.endpoints(ctx, cl, d.role); err != nil {
		d.learn(err)
		return nil, err
	}
	d.remember(p)
	return p, nil
}

func describe(ctx context.Context, cl *client.Client, name string) (arn string, err error) {
	var out wire.DescribeSignalingChannelOutput
	if err := cl.Call(ctx, wire.DescribeSignalingChannel, &wire.DescribeSignalingChannelInput{ChannelName: &name}, &out); err != nil {
		return "", err
	}
	if out.ChannelInfo == nil || wire.Value(out.ChannelInfo.ChannelARN) == "" {
		return "", errors.New("DescribeSignalingChannel: the answer has no ChannelARN")
	}
	return *out.ChannelInfo.ChannelARN, nil
}

// endpoints asks where the channel is reached.
func (p *place) endpoints(ctx context.Context, cl *client.Client, role string) error {
	in := &wire.GetSignalingChannelEndpointInput{ChannelARN: &p.arn,
		SingleMasterChannelEndpointConfiguration: &wire.SingleMasterChannelEndpointConfiguration{
			Protocols: []string{wire.ChannelProtocolWSS, wire.ChannelProtocolHTTPS}, Role: &role}}
	var out wire.GetSignalingChannelEndpointOutput
	if err := cl.Call(ctx, wire.GetSignalingChannelEndpoint, in, &out); err != nil {
		return err
	}
	for _, e := range out.ResourceEndpointList {
		switch wire.Value(e.Protocol) {
		case wire.ChannelProtocolWSS:
			p.socket = wire.Value(e.ResourceEndpoint)
		case wire.ChannelProtocolHTTPS:
			p.data = wire.Value(e.ResourceEndpoint)
		}
	}
	if p.socket == "" || p.data == "" {
		return errors.New("GetSignalingChannelEndpoint: the answer lacks an endpoint")
	}
	return nil
}

// ice returns the relays, from memory while their credentials are good.
func (d *directory) ice(ctx context.Context) (servers []ICEServer, err error) {
	err = d.alone(ctx, func() error {
		p, err := d.ask(ctx)
		if err != nil {
			return err
		}
		if p.iceAsked && time.Now().Before(p.iceExpires) {
			servers = p.ice
			return nil
		}
		fresh := *p
		if err := d.askICE(ctx, &fresh); err != nil {
			d.learn(err)
			return err
		}
		d.remember(&fresh)
		servers = fresh.ice
		return nil
	})
	return servers, err
}

// iceLife is how long the answer that there are no relays is believed.
const iceLife = 5 * time.Minute

func (d *directory) askICE(ctx context.Context, p *place) error {
	cl, err := d.caller(ctx)
	if err != nil {
		return err
	}
	in := &wire.GetIceServerConfigInput{ChannelARN: &p.arn, Service: new(wire.ServiceTURN)}
	if d.role == wire.ChannelRoleViewer {
		in.ClientId = &d.o.ClientID
	}
	var out wire.GetIceServerConfigOutput
	asked := time.Now()
	if err := cl.At(p.data).Call(ctx, wire.GetIceServerConfig, in, &out); err != nil {
		return err
	}
	life := iceLife
	p.ice, p.iceAsked = nil, true
	for _, s := range out.IceServerList {
		ttl := time.Duration(wire.Value(s.Ttl)) * time.Second
		p.ice = append(p.ice, ICEServer{URLs: s.Uris, Username: wire.Value(s.Username), Password: wire.Value(s.Password), TTL: ttl})
		life = min(life, ttl)
	}
	p.iceExpires = asked.Add(life - early)
	return nil
}
