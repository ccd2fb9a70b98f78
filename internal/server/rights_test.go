package server

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/permission"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// user makes a user with a policy, "" for none, and returns a client of it.
func (p *plant) user(name, policy string) *client.Client {
	p.t.Helper()
	u, err := p.directory.CreateUser(p.t.Context(), config.DevAccount, directory.User{Name: name})
	if err != nil {
		p.t.Fatal(err)
	}
	if policy != "" {
		p.grant(u, policy)
	}
	key, err := p.keys.Create(p.t.Context(), iam.NewKey{Account: config.DevAccount, User: u.ID})
	if err != nil {
		p.t.Fatal(err)
	}
	c := p.clientOf("https")
	c.Credentials = sigv4.Credentials{AccessKey: key.ID, Secret: key.Secret}
	return c
}

// grant gives a user the policy that it has besides others.
func (p *plant) grant(u directory.User, policy string) {
	p.t.Helper()
	if err := p.directory.PutInline(p.t.Context(), config.DevAccount, u.Owner(), "the-policy", policy); err != nil {
		p.t.Fatal(err)
	}
}

// allow is a policy of one statement.
func allow(actions, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[` + actions + `],"Resource":"` + resource + `"` + condition + `}}`
}

// Whatever the server routes stands in the table of permissions, and what stands there is
// routed or not served yet.
func TestEveryRouteHasAPermission(t *testing.T) {
	p := newPlant(t, nil)
	own := map[string]bool{"GetMetrics": true}
	for _, r := range p.adminRoutes() {
		own[r.Name] = true
		row, ok := permission.Of(kvs.Action("millrace:" + r.Name))
		if !ok || (row.Resource == permission.Any) != (r.Target == nil) {
			t.Errorf("%s: row %+v", r.Name, row)
		}
	}
	actions := map[string]bool{}
	for _, a := range p.playActions() {
		actions[a.Name] = true
		if _, ok := permission.Of(kvs.Action("kinesisvideo:" + a.Name)); !ok {
			t.Errorf("%s has no row", a.Name)
		}
	}
	for row := range permission.All() {
		service, _, _ := strings.Cut(string(row.Action), ":")
		switch {
		case service == "millrace" && !own[row.Operation]:
			t.Errorf("%s is in the table but not served", row.Action)
		case strings.HasPrefix(row.Operation, "GetHLSM") || strings.HasPrefix(row.Operation, "GetDASHManifest"):
			if !actions[row.Operation] {
				t.Errorf("%s is in the table but not served", row.Action)
			}
		}
	}
}

// A user without policies may do nothing, whether what it names is there or not.
func TestAUserWithoutRights(t *testing.T) {
	p := newPlant(t, nil)
	arn := p.create("yard", 24)
	nobody := p.user("nobody", "")
	refusal := func(name, arn *string) string {
		err := nobody.Call(t.Context(), wire.ByName("DescribeStream"), &wire.DescribeStreamInput{StreamName: name, StreamARN: arn}, nil)
		if err == nil {
			t.Fatal("it sees the stream")
		}
		return err.Error()
	}
	there, gone := refusal(new("yard"), nil), refusal(new("barn"), nil)
	if want := "User: arn:aws:iam::000000000000:user/nobody is not authorized to perform: kinesisvideo:DescribeStream on resource: yard because no identity-based policy allows the kinesisvideo:DescribeStream action"; !strings.Contains(there, want) {
		t.Errorf("got %s", there)
	}
	other := strings.Replace(arn, "/yard/", "/barn/", 1)
	if strings.ReplaceAll(there, "yard", "barn") != gone || strings.ReplaceAll(refusal(nil, &arn), arn, other) != refusal(nil, &other) {
		t.Errorf("what is there looks different: %s; %s", there, gone)
	}
	wantException(t, nobody.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil), "AccessDeniedException")
	wantException(t, nobody.Admin(t.Context(), "ListSessions", struct{}{}, nil), "NotAuthorizedException")
	if !strings.Contains(p.log.String(), "is not authorized to perform") {
		t.Error("the log says nothing")
	}
}

// A guest that may see history since a moment sees nothing older, whichever way it asks.
func TestHistorySinceAGrant(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	u := p.put("yard")
	var numbers []string
	var third kvs.FragmentNumber
	for i := 0; len(numbers) < 4; i++ {
		u.write(clusterOf(i), endOfFragment)
		number := u.until(client.Persisted).Number
		if at, _ := kvs.ParseFragmentNumber(number); len(numbers) == 2 {
			if second, _ := kvs.ParseFragmentNumber(numbers[1]); at.Server == second.Server {
				continue // in the same millisecond
			}
			third = at
		}
		numbers = append(numbers, number)
	}
	guest := p.user("guest", allow(`"kinesisvideo:Get*","kinesisvideo:List*"`, "arn:aws:kinesisvideo:*:*:stream/yard/*",
		`{"DateGreaterThanEquals":{"millrace:RangeStart":"`+third.Server.Time().Format("2006-01-02T15:04:05.000Z")+`"},"StringEquals":{"millrace:RangeClock":"SERVER_TIMESTAMP"}}`))
	made := third
	made.N, made.Random = 0, 0 // in front of everything, with a time that is allowed
	since, before, ever, now := third.Server, third.Server-1, kvs.Millis(0), kvs.MillisOf(time.Now())
	for _, c := range []struct {
		name      string
		operation string
		in        wire.Input
		may       bool
	}{
		{"fragments since", "GetMediaForFragmentList", &wire.GetMediaForFragmentListInput{StreamName: new("yard"), Fragments: numbers[2:]}, true},
		{"one before", "GetMediaForFragmentList", &wire.GetMediaForFragmentListInput{StreamName: new("yard"), Fragments: []string{numbers[3], numbers[1]}}, false},
		{"a list since", "ListFragments", listing(since, now, wire.FragmentSelectorTypeServerTimestamp), true},
		{"a list before", "ListFragments", listing(before, now, wire.FragmentSelectorTypeServerTimestamp), false},
		{"by the producer's clock", "ListFragments", listing(since, now, wire.FragmentSelectorTypeProducerTimestamp), false},
		{"live", "GetMedia", start(wire.StartSelectorTypeNow, nil, nil), true},
		{"from the first", "GetMedia", start(wire.StartSelectorTypeEarliest, nil, nil), false},
		{"from a time", "GetMedia", start(wire.StartSelectorTypeServerTimestamp, &since, nil), true},
		{"from an earlier time", "GetMedia", start(wire.StartSelectorTypeServerTimestamp, &ever, nil), false},
		{"after the third", "GetMedia", start(wire.StartSelectorTypeFragmentNumber, nil, &numbers[2]), true},
		{"after the first", "GetMedia", start(wire.StartSelectorTypeFragmentNumber, nil, &numbers[0]), false},
		{"after a number that was made up", "GetMedia", start(wire.StartSelectorTypeFragmentNumber, nil, new(made.String())), false},
		{"a clip", "GetClip", &wire.GetClipInput{StreamName: new("yard"), ClipFragmentSelector: &wire.ClipFragmentSelector{
			FragmentSelectorType: new(wire.ClipFragmentSelectorTypeServerTimestamp), TimestampRange: &wire.ClipTimestampRange{StartTimestamp: &before, EndTimestamp: &now}}}, false},
		{"a session", "GetHLSStreamingSessionURL", &wire.GetHLSStreamingSessionURLInput{StreamName: new("yard"), PlaybackMode: new(wire.HLSPlaybackModeOnDemand),
			HLSFragmentSelector: &wire.HLSFragmentSelector{FragmentSelectorType: new(wire.FragmentSelectorTypeServerTimestamp),
				TimestampRange: &wire.HLSTimestampRange{StartTimestamp: &before, EndTimestamp: &now}}}, false},
	} {
		resp, err := guest.Stream(t.Context(), wire.ByName(c.operation), c.in)
		if err == nil {
			_ = resp.Body.Close()
		}
		if c.may && err != nil || !c.may && (err == nil || !strings.Contains(err.Error(), "is not authorized")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// What a live session shows reaches as far back as its list is long.
	for most, may := range map[int64]bool{1: true, 2: true, 3: false, 5000: false} {
		for operation, in := range map[string]wire.Input{
			"GetHLSStreamingSessionURL":  &wire.GetHLSStreamingSessionURLInput{StreamName: new("yard"), MaxMediaPlaylistFragmentResults: &most},
			"GetDASHStreamingSessionURL": &wire.GetDASHStreamingSessionURLInput{StreamName: new("yard"), MaxManifestFragmentResults: &most},
		} {
			err := guest.Call(t.Context(), wire.ByName(operation), in, nil)
			if refused := err != nil && strings.Contains(err.Error(), "is not authorized"); refused == may {
				t.Errorf("%s of %d fragments: %v", operation, most, err)
			}
		}
	}
	// A token carries its own range.
	var out wire.ListFragmentsOutput
	all := listing(ever, now, wire.FragmentSelectorTypeServerTimestamp)
	all.MaxResults = new(int64(1))
	p.ask("ListFragments", all, &out)
	narrow := listing(since, now, wire.FragmentSelectorTypeServerTimestamp)
	narrow.NextToken = out.NextToken
	if err := guest.Call(t.Context(), wire.ByName("ListFragments"), narrow, nil); err == nil {
		t.Error("a token of somebody who may see more shows more")
	}
}

func listing(from, to kvs.Millis, clock string) *wire.ListFragmentsInput {
	return &wire.ListFragmentsInput{StreamName: new("yard"), FragmentSelector: &wire.FragmentSelector{FragmentSelectorType: &clock,
		TimestampRange: &wire.TimestampRange{StartTimestamp: &from, EndTimestamp: &to}}}
}

func start(kind string, at *kvs.Millis, after *string) *wire.GetMediaInput {
	return &wire.GetMediaInput{StreamName: new("yard"), StartSelector: &wire.StartSelector{StartSelectorType: &kind, StartTimestamp: at, AfterFragmentNumber: after}}
}

// The policy of a listener holds for everybody who comes that way, the root as well, and
// for players; another one comes with a reload.
func TestPoliciesOfListeners(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const everybody = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},`
	p := newPlant(t, func(c *config.Config) {
		c.Play = "127.0.0.1:0"
		c.Policies.HTTP = file("http.json", everybody+`{"Effect":"Deny","Principal":"*","Action":"kinesisvideo:CreateStream","Resource":"*"}]}`)
		c.Policies.Play = file("play.json", everybody+`{"Effect":"Deny","Principal":"*","Action":"kinesisvideo:GetHLSMediaPlaylist","Resource":"*"}]}`)
	})
	p.create("yard", 24)
	plain := p.clientOf("http")
	err := plain.Call(t.Context(), wire.ByName("CreateStream"), &wire.CreateStreamInput{StreamName: new("barn")}, nil)
	if wantException(t, err, "AccessDeniedException"); err != nil && !strings.Contains(err.Error(), "with an explicit deny in a VPC endpoint policy") {
		t.Error(err)
	}
	if err := plain.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil); err != nil {
		t.Error(err)
	}
	p.film("yard", premiere, mediatest.Bytes("gstreamer-h264"))
	master := p.hls("yard", yesterday)
	first := p.load("GET", master)
	lines := strings.Split(first.body, "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "getHLSMediaPlaylist") })
	if first.status != http.StatusOK || at < 0 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	media := master[:strings.LastIndex(master, "/")+1] + lines[at]
	if got := p.load("GET", media); got.status != http.StatusForbidden || !strings.Contains(got.body, "User: anonymous is not authorized to perform: kinesisvideo:GetHLSMediaPlaylist on resource: the stream of the session") {
		t.Errorf("%d %s", got.status, got.body)
	}
	next := p.config
	next.Policies.Play = ""
	file("http.json", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kinesisvideo:Create*","Resource":"*"}}`)
	if err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := p.load("GET", media); got.status != http.StatusOK {
		t.Errorf("after the reload: %d %s", got.status, got.body)
	}
	if err := plain.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil); err == nil {
		t.Error("the file changed, the policy did not")
	}
	file("http.json", `{"Statement":{"Effect":"Perhaps"}}`)
	if err := p.Reload(t.Context(), next); err == nil || !strings.Contains(err.Error(), "policies.http") {
		t.Errorf("a policy that is none: %v", err)
	}
	wrong := Examine(next)
	if !slices.ContainsFunc(wrong, func(m config.Mistake) bool { return m.Setting == "policies.http" && strings.Contains(m.Text, "line 1") }) {
		t.Errorf("the examination says %v", wrong)
	}
}
