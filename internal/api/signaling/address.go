package signaling

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// Paths of the WebSockets where no domain has names for them.
const (
	masterPath = "/channel/master"
	viewerPath = "/channel/viewer"
)

// node is the number of the one server there is, in its names.
const node = "1"

// Addresses says where clients connect, and finds the way back from there (signaling page,
// section 2).
type Addresses struct {
	// Domain has the names m-1, v-1 and r-1 of this server below it; "" = roles have paths.
	Domain string
	// Base is the scheme, host and port at which the caller of r reaches this server.
	Base func(r *http.Request) string
}

// Names are those that a certificate of this server should have.
func (a Addresses) Names() []string {
	if a.Domain == "" {
		return nil
	}
	return []string{"m-" + node + "." + a.Domain, "v-" + node + "." + a.Domain, "r-" + node + "." + a.Domain}
}

// endpoint is where the caller of r finds a protocol in a role.
func (a Addresses) endpoint(r *http.Request, protocol, role string) (string, error) {
	u, err := url.Parse(a.Base(r))
	if err != nil {
		return "", err
	}
	socket := protocol == wire.ChannelProtocolWSS
	if socket { // ws or wss
		u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	}
	if a.Domain == "" {
		switch {
		case socket && role == wire.ChannelRoleMaster:
			u.Path = masterPath
		case socket:
			u.Path = viewerPath
		}
		return u.String(), nil
	}
	label := "r-"
	switch {
	case socket && role == wire.ChannelRoleMaster:
		label = "m-"
	case socket:
		label = "v-"
	}
	host := label + node + "." + a.Domain
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	u.Host = host
	return u.String(), nil
}

// named returns the operation that a host name of the domain stands for, "" if it is none.
func (a Addresses) named(host string) string {
	if a.Domain == "" {
		return ""
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	label, domain, _ := strings.Cut(strings.ToLower(host), ".")
	switch {
	case !strings.EqualFold(domain, a.Domain):
	case strings.HasPrefix(label, "m-"):
		return asMaster
	case strings.HasPrefix(label, "v-"):
		return asViewer
	}
	return ""
}

// pathed returns the operation that a path stands for, "" if it is none. Some clients put a
// slash between the endpoint and the query.
func pathed(path string) string {
	switch strings.TrimSuffix(path, "/") {
	case masterPath:
		return asMaster
	case viewerPath:
		return asViewer
	}
	return ""
}

// Wants reports whether a request is about a WebSocket: by its name, its path, or, for
// clients that keep neither, by what it says of itself.
func (a Addresses) Wants(r *http.Request) bool {
	switch {
	case pathed(r.URL.Path) != "":
		return true
	case api.IsUpgrade(r):
		return a.named(r.Host) != "" || has(r, channelParameter)
	}
	return a.named(r.Host) != "" && r.Method == http.MethodGet && r.URL.Path == "/"
}

// Operation is what a request wants to do: connect as master or as viewer.
func (a Addresses) Operation(r *http.Request) string {
	if op := a.named(r.Host); op != "" {
		return op
	}
	if op := pathed(r.URL.Path); op != "" {
		return op
	}
	if has(r, clientParameter) {
		return asViewer
	}
	return asMaster
}

// endpoints answers GetSignalingChannelEndpoint. Who says nothing of a role gets the
// viewer's: nobody becomes master by leaving something out.
func (r room) endpoints(_ context.Context, c *api.Call, in *wire.GetSignalingChannelEndpointInput) (any, error) {
	protocols, role := []string{wire.ChannelProtocolWSS, wire.ChannelProtocolHTTPS}, wire.ChannelRoleViewer
	if wish := in.SingleMasterChannelEndpointConfiguration; wish != nil {
		if len(wish.Protocols) > 0 {
			protocols = wish.Protocols
		}
		if wish.Role != nil {
			role = *wish.Role
		}
	}
	out := &wire.GetSignalingChannelEndpointOutput{}
	for i, protocol := range protocols {
		if slices.Contains(protocols[:i], protocol) {
			continue
		}
		if protocol == wire.ChannelProtocolWebRTC && c.Channel.Storage == 0 {
			return nil, kvs.Errorf(kvs.InvalidArgument, "The channel %s stores to no stream, so it has no endpoint for WEBRTC; UpdateMediaStorageConfiguration gives it one.", c.Channel.Name)
		}
		at, err := r.Addresses.endpoint(c.Request, protocol, role)
		if err != nil {
			return nil, err
		}
		out.ResourceEndpointList = append(out.ResourceEndpointList, wire.ResourceEndpointListItem{Protocol: &protocol, ResourceEndpoint: &at})
	}
	return out, nil
}
