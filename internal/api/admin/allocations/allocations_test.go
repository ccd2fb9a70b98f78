package allocations

import (
	"context"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay"
)

const account kvs.AccountID = "111122223333"

var began = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// lender is a relay that says what it was told to say.
type lender struct {
	rows  []relay.Allocation
	asked []relay.Query
	uses  []relay.Use
}

func (l *lender) Usage(q relay.Query, after kvs.ChannelID) (all []relay.Use) {
	l.asked = append(l.asked, q)
	for _, u := range l.uses {
		if u.Channel > after && len(all) < q.Most {
			all = append(all, u)
		}
	}
	return all
}

func (l *lender) Top(q relay.Query) (rows []relay.Allocation, more int) {
	l.asked = append(l.asked, q)
	n := min(q.Most, len(l.rows))
	return l.rows[:n], len(l.rows) - n
}

func channel(id kvs.ChannelID, name string) kvs.Channel {
	return kvs.Channel{ID: id, Account: account, Region: "us-east-1", Name: name, Created: 1_735_442_939_457}
}

// ask calls ListAllocations; named is the channel that the front found, none if its ID is 0.
func ask(t *testing.T, o Options, named kvs.Channel, body string) string {
	t.Helper()
	return call(t, Routes(o)[0], named, body)
}

func call(t *testing.T, r admin.Route, named kvs.Channel, body string) string {
	t.Helper()
	out, err := r.Call(t.Context(), &api.Call{Principal: kvs.Principal{Account: account}, Channel: named}, []byte(body))
	if err != nil {
		return err.Error()
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListing(t *testing.T) {
	row := relay.Allocation{Account: account, Channel: 7, Client: "anna", Transport: "tls", Source: netip.MustParseAddrPort("192.0.2.1:5000"), Relay: netip.MustParseAddrPort("203.0.113.7:50000"),
		Began: began, Expires: began.Add(10 * time.Minute), Peers: 2, Dropped: 3, RateOut: 1.005, RateIn: 2.5,
		Traffic: relay.Traffic{BytesOut: 10, PacketsOut: 1, BytesIn: 20, PacketsIn: 2, Minutes: 1}}
	master, gone := row, row
	master.Client, gone.Channel = "", 9
	l, looked := &lender{rows: []relay.Allocation{row, master, gone}}, 0
	o := Options{Relay: l, Relays: true, Now: func() time.Time { return began.Add(time.Minute) }, Channel: func(_ context.Context, id kvs.ChannelID) (kvs.Channel, error) {
		looked++
		if id == 9 {
			return kvs.Channel{}, kvs.Errorf(kvs.NotFound, "it is gone")
		}
		return channel(id, "door"), nil
	}}
	first := `{"ChannelName":"door","ChannelARN":"` + channel(7, "door").ARN().String() + `","ClientId":"anna","Transport":"tls","Source":"192.0.2.1:5000","RelayAddress":"203.0.113.7:50000",` +
		`"Since":"2026-01-02T15:04:05Z","Expires":"2026-01-02T15:14:05Z","Peers":2,"BytesOut":10,"BytesIn":20,"BytesPerSecondOut":1,"BytesPerSecondIn":2.5,` +
		`"PacketsOut":1,"PacketsIn":2,"PacketsDropped":3,"TurnConnectedMinutes":1}`
	second := strings.Replace(first, `"anna"`, `""`, 1)
	third := strings.Replace(strings.Replace(first, `"door"`, `"9"`, 1), channel(7, "door").ARN().String(), "", 1)
	if got, want := ask(t, o, kvs.Channel{}, ""), `{"Allocations":[`+first+","+second+","+third+`],"More":0,"Relay":true,"Now":"2026-01-02T15:05:05Z"}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if looked != 2 {
		t.Errorf("looked for two channels %d times", looked)
	}
	if got := ask(t, o, channel(7, "door"), `{"ChannelName":"door","Max":1}`); !strings.HasPrefix(got, `{"Allocations":[`+first+`],"More":2,`) {
		t.Errorf("%s", got)
	}
	ask(t, o, kvs.Channel{}, `{"Max":1000000}`)
	want := []relay.Query{{Account: account, Most: usual}, {Account: account, Channel: 7, Most: 1}, {Account: account, Most: most}}
	for i, q := range want {
		if l.asked[i] != q {
			t.Errorf("asked %+v, want %+v", l.asked[i], q)
		}
	}
}

// An answer is never wrong without a word: an error of the database is one.
func TestErrors(t *testing.T) {
	o := Options{Relay: &lender{rows: make([]relay.Allocation, 1)}, Now: time.Now, Channel: func(context.Context, kvs.ChannelID) (kvs.Channel, error) {
		return kvs.Channel{}, context.DeadlineExceeded
	}}
	o.Relay.(*lender).rows[0].Channel = 7
	if got := ask(t, o, kvs.Channel{}, ""); got != context.DeadlineExceeded.Error() {
		t.Error(got)
	}
	if got := ask(t, o, kvs.Channel{}, `{"Channel":"door"}`); got != `The body does not fit: there is no member "Channel".` {
		t.Error(got)
	}
}

// Pages go on behind the last channel of the page before.
func TestUsage(t *testing.T) {
	l := &lender{uses: []relay.Use{
		{Channel: 7, Live: 2, Traffic: relay.Traffic{BytesOut: 10, PacketsOut: 1, BytesIn: 20, PacketsIn: 2, Minutes: 3}},
		{Channel: 8, Traffic: relay.Traffic{Minutes: 4}}, {Channel: 9},
	}}
	o := Options{Relay: l, Started: began, Now: func() time.Time { return began.Add(time.Minute) }, Channel: func(_ context.Context, id kvs.ChannelID) (kvs.Channel, error) {
		return channel(id, "cam"+strconv.Itoa(int(id))), nil
	}}
	row := func(id kvs.ChannelID, rest string) string {
		ch := channel(id, "cam"+strconv.Itoa(int(id)))
		return `{"ChannelName":"` + ch.Name + `","ChannelARN":"` + ch.ARN().String() + `",` + rest + `}`
	}
	first, second := row(7, `"TurnConnectedMinutes":3,"Allocations":2,"BytesOut":10,"BytesIn":20,"PacketsOut":1,"PacketsIn":2`),
		row(8, `"TurnConnectedMinutes":4,"Allocations":0,"BytesOut":0,"BytesIn":0,"PacketsOut":0,"PacketsIn":0`)
	third := strings.Replace(row(9, second[strings.Index(second, `"Turn`):len(second)-1]), ":4,", ":0,", 1)
	const times = `"Since":"2026-01-02T15:04:05Z","Now":"2026-01-02T15:05:05Z"}`
	for body, want := range map[string]string{
		``:                          `{"Channels":[` + first + "," + second + "," + third + `],"NextToken":"",` + times,
		`{"Max":2}`:                 `{"Channels":[` + first + "," + second + `],"NextToken":"8",` + times,
		`{"Max":2,"NextToken":"8"}`: `{"Channels":[` + third + `],"NextToken":"",` + times,
		`{"Max":2,"NextToken":"9"}`: `{"Channels":[],"NextToken":"",` + times,
		`{"NextToken":"cam8"}`:      `NextToken is from no answer of this operation.`,
	} {
		if got := call(t, Routes(o)[1], kvs.Channel{}, body); got != want {
			t.Errorf("%s: %s\nwant %s", body, got, want)
		}
	}
}

var _ []admin.Route = Routes(Options{})
