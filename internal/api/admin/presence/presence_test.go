package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
)

const account kvs.AccountID = "111122223333"

// since is when everybody came.
var since = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// guests is a hub that says what it was told to say.
type guests struct {
	present []hub.Presence
	events  []hub.Event
	asked   string
}

func (g *guests) Presence(a kvs.AccountID, channel string) (all []hub.Presence) {
	g.asked = string(a) + " " + channel
	for _, p := range g.present {
		if channel == "" || p.Channel.Name == channel {
			all = append(all, p)
		}
	}
	return all
}

func (g *guests) Events(ctx context.Context, a kvs.AccountID, channel string, after uint64) ([]hub.Event, uint64, error) {
	g.asked = fmt.Sprint(a, " ", channel, " ", after)
	if after > 0 && g.events == nil {
		<-ctx.Done()
		return nil, after, ctx.Err()
	}
	return g.events, 9, nil
}

func channel(name string) kvs.Channel {
	return kvs.Channel{ID: 7, Account: account, Region: "us-east-1", Name: name, Created: 1_735_442_939_457}
}

// ask calls an operation; name is the channel that the front found, "" if none was named.
func ask(t *testing.T, o Options, operation, name, body string) string {
	t.Helper()
	for _, r := range Routes(o) {
		if r.Name != operation {
			continue
		}
		c := &api.Call{Principal: kvs.Principal{Account: account}}
		if name != "" {
			c.Channel = channel(name)
		}
		out, err := r.Call(t.Context(), c, []byte(body))
		if err != nil {
			return err.Error()
		}
		b, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	t.Fatalf("there is no %s", operation)
	return ""
}

func TestListing(t *testing.T) {
	viewer := func(id string) hub.Attendance {
		return hub.Attendance{ClientID: id, Since: since, Address: "192.0.2.7:4000", UserAgent: "browser"}
	}
	g := &guests{present: []hub.Presence{
		{Channel: channel("attic"), Waiting: 2, Bytes: 300},
		{Channel: channel("door"), Master: &hub.Attendance{Since: since, Address: "192.0.2.1:5000", UserAgent: "camera"}, Viewers: []hub.Attendance{viewer("anna"), viewer("bernd")}},
		{Channel: channel("yard"), Viewers: []hub.Attendance{viewer("carl")}},
	}}
	o := Options{Hub: g, Now: func() time.Time { return since.Add(time.Minute) }, Closing: t.Context()}
	arn := func(name string) string { return channel(name).ARN().String() }
	attic := `{"ChannelName":"attic","ChannelARN":"` + arn("attic") + `","Master":null,"Viewers":0,"Waiting":2,"WaitingBytes":300}`
	master := `{"ClientId":"","Since":"2026-01-02T15:04:05Z","Client":"192.0.2.1:5000","UserAgent":"camera"}`
	door := `{"ChannelName":"door","ChannelARN":"` + arn("door") + `","Master":` + master + `,"Viewers":2,"Waiting":0,"WaitingBytes":0}`
	yard := `{"ChannelName":"yard","ChannelARN":"` + arn("yard") + `","Master":null,"Viewers":1,"Waiting":0,"WaitingBytes":0}`
	list := func(next string, channels ...string) string {
		return `{"Channels":[` + strings.Join(channels, ",") + `],"NextToken":"` + next + `","Now":"2026-01-02T15:05:05Z"}`
	}
	named := strings.Replace(door, `"Waiting"`, `"ViewerList":[{"ClientId":"anna","Since":"2026-01-02T15:04:05Z","Client":"192.0.2.7:4000","UserAgent":"browser"},`+
		`{"ClientId":"bernd","Since":"2026-01-02T15:04:05Z","Client":"192.0.2.7:4000","UserAgent":"browser"}],"Waiting"`, 1)
	for _, c := range []struct{ name, channel, body, want string }{
		{"all", "", ``, list("", attic, door, yard)},
		{"first page", "", `{"Max":2}`, list("door", attic, door)},
		{"second page", "", `{"Max":2,"NextToken":"door"}`, list("", yard)},
		{"behind a channel that is gone", "", `{"NextToken":"cellar"}`, list("", door, yard)},
		{"behind the end", "", `{"NextToken":"z"}`, list("")},
		{"one", "door", `{"ChannelName":"door"}`, list("", named)},
		{"one where nobody is", "cellar", `{"ChannelName":"cellar"}`, list("")},
		{"a misspelt member", "", `{"Channel":"door"}`, `The body does not fit: there is no member "Channel".`},
	} {
		if got := ask(t, o, "ListPresence", c.channel, c.body); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestWatching(t *testing.T) {
	g := &guests{}
	o := Options{Hub: g, Now: time.Now, Closing: t.Context()}
	if got := ask(t, o, "WatchPresence", "", ""); got != `{"Events":[],"Next":9}` || g.asked != "111122223333  0" {
		t.Errorf("to begin with: %s, asked %s", got, g.asked)
	}
	g.events = []hub.Event{
		{Number: 8, Time: since, Channel: "door", ARN: "arn:door", Role: hub.Viewer, ClientID: "anna", Address: "192.0.2.7:4000"},
		{Number: 9, Time: since, Channel: "door", ARN: "arn:door", Role: hub.Master, Address: "192.0.2.1:5000", Reason: hub.Lost},
	}
	const want = `{"Events":[{"Number":8,"Time":"2026-01-02T15:04:05Z","ChannelName":"door","ChannelARN":"arn:door","Role":"viewer","ClientId":"anna","Client":"192.0.2.7:4000","Event":"came","Reason":""},` +
		`{"Number":9,"Time":"2026-01-02T15:04:05Z","ChannelName":"door","ChannelARN":"arn:door","Role":"master","ClientId":"","Client":"192.0.2.1:5000","Event":"went","Reason":"lost"}],"Next":9}`
	if got := ask(t, o, "WatchPresence", "door", `{"ChannelName":"door","After":7}`); got != want || g.asked != "111122223333 door 7" {
		t.Errorf("%s, asked %s", got, g.asked)
	}
}

// A server that stops lets nobody wait.
func TestNobodyWaitsForAServerThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing, stop := context.WithCancel(t.Context())
		answer := make(chan string)
		go func() {
			answer <- ask(t, Options{Hub: &guests{}, Now: time.Now, Closing: closing}, "WatchPresence", "", `{"After":7}`)
		}()
		synctest.Wait()
		select {
		case got := <-answer:
			t.Fatalf("answered at once: %s", got)
		default:
		}
		stop()
		if got := <-answer; got != `{"Events":[],"Next":7}` {
			t.Errorf("%s", got)
		}
	})
}

var _ Hub = (*hub.Hub)(nil)

var _ []admin.Route = Routes(Options{})
