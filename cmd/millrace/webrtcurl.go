package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/signaling"
)

type webrtcURLCmd struct {
	Channel  string `arg:"" help:"Name or ARN of the signaling channel."`
	Role     string `default:"viewer" enum:"viewer,master" placeholder:"ROLE" help:"viewer or master. Default ${default}."`
	ClientID string `name:"client-id" placeholder:"NAME" help:"A viewer's name in the channel. Without it one is drawn."`
	Go2RTC   bool   `name:"go2rtc" help:"Print a source of go2rtc, with the ICE servers of the channel."`

	connection
}

// Help is the end of the help text.
func (*webrtcURLCmd) Help() string {
	return `For programs that take a signed URL in place of keys. It is good for five minutes, and whoever has
it is this member of the channel.

Examples:
  millrace webrtc url door --client-id hall

A camera of go2rtc, in go2rtc.yaml; the command runs whenever somebody wants to see it:
  streams:
    door: echo:millrace webrtc url door --client-id go2rtc --go2rtc`
}

// Run prints the URL.
func (c *webrtcURLCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	m := member{Channel: c.Channel}
	where := m.options(cl, m.log(std.err))
	where.ClientID = c.ClientID
	join := signaling.NewViewer
	if c.Role == "master" {
		join = signaling.NewMaster
	}
	peer, err := join(where)
	if err != nil {
		return err
	}
	url, err := peer.URL(ctx)
	if err == nil && c.Go2RTC {
		url, err = go2rtcSource(ctx, peer, url)
	}
	if err != nil {
		return advise(err, "millrace channel create "+c.Channel+" makes the channel; capitals count")
	}
	fmt.Fprintln(std.out, url)
	return nil
}

// go2rtcSource makes a source as go2rtc's kinesis format has it.
func go2rtcSource(ctx context.Context, peer *signaling.Peer, url string) (string, error) {
	servers, err := peer.ICEServers(ctx)
	if err != nil {
		return "", err
	}
	type server struct {
		URLs       []string `json:"urls"`
		Username   string   `json:"username,omitempty"`
		Credential string   `json:"credential,omitempty"`
	}
	source := "webrtc:" + url + "#format=kinesis#client_id=" + peer.ClientID()
	var all []server
	for _, s := range servers {
		all = append(all, server{s.URLs, s.Username, s.Password})
	}
	if len(all) == 0 {
		return source, nil
	}
	b, err := json.Marshal(all)
	return source + "#ice_servers=" + string(b), err
}
