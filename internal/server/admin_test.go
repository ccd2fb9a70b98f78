package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/sessions"
	"github.com/millrace/millrace/sigv4"
)

// neighbour is a client of another account on the same server.
func (p *plant) neighbour() *client.Client {
	p.t.Helper()
	const key, secret = "AKIANEIGHBOURNEIGHBO", "the-secret-of-the-neighbour"
	if err := p.keys.EnsureKey(p.t.Context(), "999988887777", key, secret); err != nil {
		p.t.Fatal(err)
	}
	c := p.clientOf("https")
	c.Credentials = sigv4.Credentials{AccessKey: key, Secret: secret}
	return c
}

// Usage comes in pages that leave nothing out, and an account sees its own streams only.
func TestUsageOfAnAccount(t *testing.T) {
	p := newPlant(t, nil)
	for i := range 5 {
		p.create(fmt.Sprintf("yard-%d", i), 24)
	}
	var names []string
	pages := 0
	for in := (admin.UsageInput{Max: 2}); ; {
		var out admin.UsageOutput
		if err := p.Admin(t.Context(), "ListUsage", in, &out); err != nil {
			t.Fatal(err)
		}
		pages++
		for _, s := range out.Streams {
			names = append(names, s.StreamName)
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "yard-0 yard-1 yard-2 yard-3 yard-4" || pages != 3 {
		t.Errorf("%s on %d pages", got, pages)
	}
	other := p.neighbour()
	var out admin.UsageOutput
	if err := other.Admin(t.Context(), "ListUsage", nil, &out); err != nil || len(out.Streams) != 0 {
		t.Errorf("another account sees %+v, %v", out, err)
	}
	err := other.Admin(t.Context(), "ListUsage", map[string]string{"StreamName": "yard-0"}, nil)
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Exception != "ResourceNotFoundException" || refused.Status != 404 {
		t.Errorf("another account asks for a stream: %v", err)
	}
	if err = p.Admin(t.Context(), "ListUsage", map[string]string{"NextToken": "none"}, nil); err == nil || !strings.Contains(err.Error(), "InvalidArgumentException") {
		t.Errorf("a token that was never given: %v", err)
	}
}

// The log says who made which stream and who changed which limit, by name and with the
// request's id.
func TestTheLogNamesWhatWasChanged(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	for _, in := range []struct{ operation, body string }{
		{"SetLimit", `{"StreamName":"yard","Name":"fragment.bytes","Value":"100kB"}`},
		{"ResetLimit", `{"StreamName":"yard"}`},
	} {
		if err := p.Admin(t.Context(), in.operation, json.RawMessage(in.body), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"operation=CreateStream .*stream=yard", "operation=SetLimit .*stream=yard limit=fragment.bytes value=100kB", "operation=ResetLimit .*stream=yard limit=all"} {
		line := regexp.MustCompile("msg=request id=\\S+ " + want)
		if !line.MatchString(p.log.String()) {
			t.Errorf("no line %s in\n%s", line, p.log.String())
		}
	}
}

// An account sees its own sessions, those of one stream when it names one, and as many
// as it asks for.
func TestSessionsOfAnAccount(t *testing.T) {
	p := newPlant(t, nil)
	for _, name := range []string{"yard", "barn"} {
		p.create(name, 24)
		stream, err := p.catalog.ByName(t.Context(), "000000000000", name)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			defer p.sessions.Open(sessions.About{Stream: stream, Operation: "GetMedia"}).Close()
		}
	}
	for _, c := range []struct {
		who         *client.Client
		in          string
		shown, more int
	}{{p.Client, ``, 4, 0}, {p.Client, "yard", 2, 0}, {p.Client, "3", 3, 1}, {p.neighbour(), ``, 0, 0}} {
		in := admin.SessionsInput{}
		switch c.in {
		case "3":
			in.Max = 3
		case "yard":
			in.StreamName = &c.in
		}
		var out admin.SessionsOutput
		if err := c.who.Admin(t.Context(), "ListSessions", in, &out); err != nil || len(out.Sessions) != c.shown || out.More != c.more {
			t.Errorf("%q: %d and %d more, want %d and %d (%v)", c.in, len(out.Sessions), out.More, c.shown, c.more, err)
		}
	}
}

// Limits hold whoever has a key for a device: only the root key changes them, for its
// account and for a stream, and every key shows them.
func TestOnlyTheRootKeyChangesLimits(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	with := func(id, secret string) *client.Client {
		c := p.clientOf("https")
		c.Credentials = sigv4.Credentials{AccessKey: id, Secret: secret}
		return c
	}
	made, err := p.keys.Create(t.Context(), iam.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	root, device := with(p.RootKey().ID, p.RootKey().Secret), with(made.ID, made.Secret)
	yard := "yard"
	for _, on := range []admin.AnyStream{{}, {StreamName: &yard}} {
		set := admin.SetLimitInput{AnyStream: on, Name: "PutMedia.sessions", Value: "7"}
		for operation, in := range map[string]any{"SetLimit": set, "ResetLimit": admin.ResetLimitInput{AnyStream: on}} {
			err := device.Admin(t.Context(), operation, in, nil)
			refused, ok := errors.AsType[*client.Error](err)
			if !ok || refused.Status != 403 || refused.Exception != "NotAuthorizedException" || !strings.Contains(refused.Message, "root key") {
				t.Errorf("%s with the key of a device: %v", operation, err)
			}
			if err := root.Admin(t.Context(), operation, in, nil); err != nil {
				t.Errorf("%s with the root key: %v", operation, err)
			}
		}
		if err := device.Admin(t.Context(), "ListLimits", admin.LimitsInput{AnyStream: on}, nil); err != nil {
			t.Errorf("ListLimits with the key of a device: %v", err)
		}
	}
}

// What one account sets holds for nobody else, and what is wrong is said.
func TestLimitsOfAnAccount(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	other := p.neighbour()
	var set admin.Limit
	if err := p.Admin(t.Context(), "SetLimit", admin.SetLimitInput{Name: "PutMedia.sessions", Value: "7"}, &set); err != nil || set.Value != "7" || set.From != "account" || set.Profile != "none" {
		t.Errorf("%+v %v", set, err)
	}
	value := func(c *client.Client) string {
		var out admin.LimitsOutput
		if err := c.Admin(t.Context(), "ListLimits", nil, &out); err != nil {
			t.Fatal(err)
		}
		for _, l := range out.Limits {
			if l.Name == "PutMedia.sessions" {
				return l.Value + " from " + l.From
			}
		}
		return ""
	}
	if mine, theirs := value(p.Client), value(other); mine != "7 from account" || theirs != "none from profile" {
		t.Errorf("mine is %s, theirs %s", mine, theirs)
	}
	yard := "yard"
	for _, c := range []struct {
		who  *client.Client
		in   admin.SetLimitInput
		says string
	}{
		{p.Client, admin.SetLimitInput{Name: "PutMedia.sesions", Value: "7"}, "did you mean PutMedia.sessions?"},
		{p.Client, admin.SetLimitInput{Name: "PutMedia.sessions", Value: "many"}, "a whole number such as 5"},
		{p.Client, admin.SetLimitInput{Name: "connections.unsigned", Value: "5"}, ""},
		{other, admin.SetLimitInput{AnyStream: admin.AnyStream{StreamName: &yard}, Name: "PutMedia.sessions", Value: "1"}, "ResourceNotFoundException"},
	} {
		if err := c.who.Admin(t.Context(), "SetLimit", c.in, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %s", c.in, err, c.says)
		}
	}
	if err := p.Admin(t.Context(), "ResetLimit", admin.ResetLimitInput{}, nil); err != nil || value(p.Client) != "none from profile" {
		t.Errorf("after the reset: %s %v", value(p.Client), err)
	}
	if err := p.Admin(t.Context(), "ResetLimit", admin.ResetLimitInput{Name: "nothing"}, nil); err == nil {
		t.Error("a limit that is none was reset")
	}
}
