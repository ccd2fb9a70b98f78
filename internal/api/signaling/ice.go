package signaling

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/signal"
	"github.com/millrace/millrace/internal/wire"
)

// iceServers answers GetIceServerConfig.
func (r room) iceServers(ctx context.Context, c *api.Call, in *wire.GetIceServerConfigInput) (any, error) {
	id := wire.Value(in.ClientId)
	if id != "" && !signal.ValidClientID(id) {
		return nil, kvs.Errorf(kvs.InvalidClient, "The client %s is none: a ClientId must not begin with AWS_.", id)
	}
	if err := r.checkAge(c.Channel, id); err != nil {
		return nil, err
	}
	out := &wire.GetIceServerConfigOutput{IceServerList: []wire.IceServer{}}
	var servers []wire.IceServer
	var err error
	if r.ICE != nil {
		servers, err = r.ICE(ctx, c.Channel, id)
	}
	if len(servers) == 0 && needsServer(c.Request) {
		servers = noServer()
	}
	if servers != nil {
		out.IceServerList = servers
	}
	return out, err
}

// checkAge refuses a viewer whose connection is older than the limit: its session may not
// ask for servers any more. Who is not connected has no session yet. A master is not known by
// its client id, so it is never refused.
func (r room) checkAge(ch kvs.Channel, id string) error {
	most := r.Limits.View(ch.Account, kvs.StreamID(ch.ID)).Duration(quota.IceSessionAge)
	if most == 0 || id == "" {
		return nil
	}
	for _, p := range r.Hub.Presence(ch.Account, ch.Name) {
		for _, v := range p.Viewers {
			if v.ClientID == id && r.Now().Sub(v.Since) > most {
				return kvs.Errorf(kvs.SessionExpired, "The client %s has been connected for more than %s; it must connect again to get ICE servers.", id, most)
			}
		}
	}
	return nil
}

// alexaOffer answers SendAlexaOfferToMaster: it waits for the master's answer.
func (r room) alexaOffer(ctx context.Context, c *api.Call, in *wire.SendAlexaOfferToMasterInput) (any, error) {
	ctx, cancel := api.Session(ctx, r.Closing)
	defer cancel()
	answer, err := r.Hub.Offer(ctx, c.Channel, *in.SenderClientId, *in.MessagePayload)
	if ctx.Err() != nil && r.Closing.Err() != nil {
		err = kvs.Errorf(kvs.Unavailable, "The server is stopping; try again in a moment.")
	}
	if err != nil {
		return nil, err
	}
	return &wire.SendAlexaOfferToMasterOutput{Answer: &answer}, nil
}
