package signaling

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/signal"
)

// The parameters of a connection's URL. Clients write them in several cases (wire-webrtc
// sheet, section 3.2).
const (
	channelParameter = "X-Amz-ChannelARN"
	clientParameter  = "X-Amz-ClientId"
)

// has reports whether a request has a parameter, in any case.
func has(r *http.Request, name string) bool {
	value, err := parameter(r, name)
	return err != nil || value != ""
}

// parameter returns a parameter of the query, whatever its case; "" without it. One that is
// given twice is refused: nobody could say which was meant.
func parameter(r *http.Request, name string) (value string, err error) {
	found := false
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(key, name) {
			continue
		}
		if found {
			return "", kvs.Errorf(kvs.InvalidArgument, "The parameter %s is given twice.", name)
		}
		found = true
		if value, err = url.QueryUnescape(text); err != nil {
			return "", kvs.Errorf(kvs.InvalidArgument, "The parameter %s is not escaped correctly.", name)
		}
	}
	return value, nil
}

// masterTarget is the channel of a master. A client id is ignored: the official Python
// sample sends one.
func masterTarget(c *api.Call) (api.Target, error) {
	arn, err := parameter(c.Request, channelParameter)
	if err == nil && arn == "" {
		err = kvs.Errorf(kvs.InvalidArgument, "The parameter %s is missing: it names the channel.", channelParameter)
	}
	return api.Target{ARN: &arn, Kind: kvs.ChannelResource}, err
}

// viewerTarget is the channel of a viewer, which must have a client id.
func viewerTarget(c *api.Call) (api.Target, error) {
	t, err := masterTarget(c)
	if err != nil {
		return t, err
	}
	id, err := parameter(c.Request, clientParameter)
	if err == nil {
		err = checkClientID(id)
	}
	return t, err
}

// checkClientID says what is wrong with the name of a viewer.
func checkClientID(id string) error {
	switch {
	case id == "":
		return kvs.Errorf(kvs.InvalidArgument, "The parameter %s is missing: a viewer must have a name.", clientParameter)
	case !signal.ValidID(id):
		return kvs.Errorf(kvs.InvalidArgument, "%s must have 1 to 256 of the characters a-z, A-Z, 0-9, _, . and -.", clientParameter)
	case !signal.ValidClientID(id):
		return kvs.Errorf(kvs.InvalidArgument, "%s must not begin with AWS_.", clientParameter)
	}
	return nil
}

// opener seats callers and upgrades their connections.
func (r room) opener(role hub.Role) func(ctx context.Context, c *api.Call) (func(context.Context), error) {
	return func(_ context.Context, c *api.Call) (func(context.Context), error) {
		m := hub.Member{Channel: c.Channel, Role: role, Client: c.Request.RemoteAddr, UserAgent: c.Request.UserAgent(),
			AccessKey: c.Principal.AccessKey, RequestID: c.ID, Limits: r.limits(c.Channel), Unwarned: hangs(c.Request)}
		if role == hub.Viewer {
			m.ClientID, _ = parameter(c.Request, clientParameter) // it was checked with the target
		}
		seat, err := r.Hub.Reserve(m)
		if err != nil {
			if kvs.KindOf(err) == kvs.TooManyRequests {
				r.Limits.Breached(quota.Viewers)
			}
			return nil, err
		}
		conn, err := upgrade(c, seat.Heard)
		if err != nil {
			seat.Release()
			c.Answered(http.StatusInternalServerError) // nobody is left who could be told
			return nil, &kvs.Error{Kind: kvs.Internal, Message: "upgrade", Cause: err}
		}
		// Not that of the request: it ends with the upgrade.
		allowed, stop := c.Watch(context.Background())
		return func(context.Context) {
			defer stop()
			seat.Serve(allowed, conn)
		}, nil
	}
}

// limits are those of a connection to a channel, as they are when it begins.
func (r room) limits(ch kvs.Channel) hub.Limits {
	v := r.Limits.View(ch.Account, kvs.StreamID(ch.ID)) // no stream has its number
	return hub.Limits{
		Viewers:   v.Int(quota.Viewers),
		OfferRate: v.Rate(quota.OfferRate), AnswerRate: v.Rate(quota.AnswerRate), CandidateRate: v.Rate(quota.CandidateRate),
		OfferBytes: v.Bytes(quota.OfferBytes), AnswerBytes: v.Bytes(quota.AnswerBytes), CandidateBytes: v.Bytes(quota.CandidateBytes),
		Age: v.Duration(quota.SocketAge), Idle: v.Duration(quota.SocketIdle), GoAway: v.Duration(quota.SocketGoAway),
	}
}
