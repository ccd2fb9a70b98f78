package video

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

const account kvs.AccountID = "111122223333"

// desk calls the handlers as the front does, and is the hub that they tell.
type desk struct {
	t        *testing.T
	streams  *catalog.Catalog
	channels *channels.Channels
	routes   map[string]api.Route

	mu   sync.Mutex
	told []string
	last map[kvs.ChannelID]kvs.Channel
}

func newDesk(t *testing.T) *desk {
	rows, err := db.Open(t.Context(), db.Options{Path: filepath.Join(t.TempDir(), "catalog.db"), Migrations: catalog.Migrations()})
	ok(t, err)
	t.Cleanup(func() { _ = rows.Close() })
	d := &desk{t: t, routes: map[string]api.Route{}, last: map[kvs.ChannelID]kvs.Channel{}}
	d.streams, err = catalog.Open(t.Context(), catalog.Options{DB: rows, Region: "eu-central-1",
		Now: func() time.Time { return kvs.Millis(1_735_442_939_457).Time() }})
	ok(t, err)
	d.channels = channels.Open(channels.Options{Catalog: d.streams})
	for _, r := range Routes(Options{Catalog: d.streams, Streams: d.streams, Channels: d.channels, Hub: d,
		Deleted: func(kvs.StreamID) {}, Kept: func(context.Context) error { return nil }}) {
		d.routes[r.Operation] = r
	}
	return d
}

func (d *desk) Changed(c kvs.Channel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprintf("%s lives %s, stores to %d", c.Name, c.TTL, c.Storage))
	d.last[c.ID] = c
}

func (d *desk) Deleted(id kvs.ChannelID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprintf("%d is gone", id))
	delete(d.last, id)
}

// call answers an operation: with the bytes that are written, or an error. name is the
// channel or, of an operation on streams, the stream that the front found.
func (d *desk) call(operation, name, body string) (string, error) {
	d.t.Helper()
	c := &api.Call{Principal: kvs.Principal{Account: account}, Input: wire.ByName(operation).Input()}
	ok(d.t, wire.Decode([]byte(body), c.Input))
	ok(d.t, c.Input.Check())
	var err error
	switch kind, name, _ := strings.Cut(name, " "); kind {
	case "channel":
		c.Channel, err = d.channels.ByName(d.t.Context(), account, name)
	case "stream":
		c.Stream, err = d.streams.ByName(d.t.Context(), account, name)
	}
	ok(d.t, err)
	out, err := d.routes[operation].Call(d.t.Context(), c)
	if err != nil {
		return "", err
	}
	b, err := wire.Encode(out)
	return string(b), err
}

// wants calls an operation and compares the answer, byte by byte.
func (d *desk) wants(operation, name, body, want string) {
	d.t.Helper()
	got, err := d.call(operation, name, body)
	if err != nil || got != want {
		d.t.Errorf("%s %s: %v\n%s\nwant\n%s", operation, body, err, got, want)
	}
}

// refuses calls an operation that must fail.
func (d *desk) refuses(operation, name, body string, kind kvs.Kind, says string) {
	d.t.Helper()
	got, err := d.call(operation, name, body)
	if kvs.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), says) {
		d.t.Errorf("%s %s: %s, %v (kind %d); want kind %d and %q", operation, body, got, err, kvs.KindOf(err), kind, says)
	}
}

func (d *desk) version(name string) string {
	d.t.Helper()
	ch, err := d.channels.ByName(d.t.Context(), account, name)
	ok(d.t, err)
	return ch.Version
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Small clients read an answer by the place of its members (wire-webrtc section 2.4): these
// are the bytes.
func TestAnswersAboutChannels(t *testing.T) {
	d := newDesk(t)
	const arn = `"arn:aws:kinesisvideo:eu-central-1:111122223333:channel/door/1735442939457"`
	const film = `"arn:aws:kinesisvideo:eu-central-1:111122223333:stream/films/1735442939457"`
	d.wants("CreateSignalingChannel", "", `{"ChannelName":"door","ChannelType":"SINGLE_MASTER","SingleMasterConfiguration":{"MessageTtlSeconds":5},"Tags":[{"Key":"a","Value":"b"}]}`,
		`{"ChannelARN":`+arn+`}`)
	info := func(name, ttl string) string {
		return `{"ChannelARN":` + strings.Replace(arn, "door", name, 1) + `,"ChannelName":"` + name + `","ChannelStatus":"ACTIVE","ChannelType":"SINGLE_MASTER",` +
			`"CreationTime":1.735442939457E9,"SingleMasterConfiguration":{"MessageTtlSeconds":` + ttl + `},"Version":"` + d.version(name) + `"}`
	}
	d.wants("DescribeSignalingChannel", "channel door", `{"ChannelName":"door"}`, `{"ChannelInfo":`+info("door", "5")+`}`)
	d.wants("UpdateSignalingChannel", "channel door", `{"ChannelARN":`+arn+`,"CurrentVersion":"`+d.version("door")+`","SingleMasterConfiguration":{"MessageTtlSeconds":120}}`, `{}`)
	d.wants("CreateSignalingChannel", "", `{"ChannelName":"yard"}`, `{"ChannelARN":`+strings.Replace(arn, "door", "yard", 1)+`}`)
	d.wants("ListSignalingChannels", "", `{}`, `{"ChannelInfoList":[`+info("door", "120")+`,`+info("yard", "60")+`],"NextToken":null}`)
	d.wants("ListSignalingChannels", "", `{"ChannelNameCondition":{"ComparisonOperator":"BEGINS_WITH","ComparisonValue":"x"}}`, `{"ChannelInfoList":[],"NextToken":null}`)

	_, err := d.streams.Create(t.Context(), catalog.NewStream{Account: account, Name: "films", Retention: 1})
	ok(t, err)
	const off, on = `{"MediaStorageConfiguration":{"Status":"DISABLED","StreamARN":null}}`, `{"MediaStorageConfiguration":{"Status":"ENABLED","StreamARN":` + film + `}}`
	d.wants("DescribeMediaStorageConfiguration", "channel door", `{"ChannelARN":`+arn+`}`, off)
	d.wants("DescribeMappedResourceConfiguration", "stream films", `{"StreamName":"films"}`, `{"MappedResourceConfigurationList":[],"NextToken":null}`)
	d.wants("UpdateMediaStorageConfiguration", "channel door", `{"ChannelARN":`+arn+`,`+on[1:], `{}`)
	d.wants("DescribeMediaStorageConfiguration", "channel door", `{"ChannelName":"door"}`, on)
	d.wants("DescribeMappedResourceConfiguration", "stream films", `{"StreamARN":`+film+`,"MaxResults":1}`,
		`{"MappedResourceConfigurationList":[{"ARN":`+arn+`,"Type":"channel"}],"NextToken":null}`)
	d.wants("UpdateMediaStorageConfiguration", "channel door", `{"ChannelARN":`+arn+`,`+off[1:], `{}`)
	d.wants("DescribeMediaStorageConfiguration", "channel door", `{"ChannelName":"door"}`, off)

	d.wants("TagResource", "channel door", `{"ResourceARN":`+arn+`,"Tags":[{"Key":"a","Value":"c"},{"Key":"d","Value":""}]}`, `{}`)
	d.wants("UntagResource", "channel door", `{"ResourceARN":`+arn+`,"TagKeyList":["a","x"]}`, `{}`)
	d.wants("ListTagsForResource", "channel door", `{"ResourceARN":`+arn+`}`, `{"NextToken":null,"Tags":{"d":""}}`)
	d.wants("TagResource", "stream films", `{"ResourceARN":`+film+`,"Tags":[{"Key":"s","Value":""}]}`, `{}`)
	d.wants("ListTagsForResource", "stream films", `{"ResourceARN":`+film+`}`, `{"NextToken":null,"Tags":{"s":""}}`)
	d.wants("ListTagsForResource", "channel yard", `{"ResourceARN":`+arn+`}`, `{"NextToken":null,"Tags":{}}`)
	d.wants("DeleteSignalingChannel", "channel door", `{"ChannelARN":`+arn+`}`, `{}`)

	want := []string{"door lives 2m0s, stores to 0", "door lives 2m0s, stores to 3", "door lives 2m0s, stores to 0",
		"door lives 2m0s, stores to 0", "door lives 2m0s, stores to 0", "1 is gone"}
	if strings.Join(d.told, "\n") != strings.Join(want, "\n") {
		t.Errorf("the hub was told\n%s", strings.Join(d.told, "\n"))
	}
}

func TestRefusalsAboutChannels(t *testing.T) {
	d := newDesk(t)
	d.wants("CreateSignalingChannel", "", `{"ChannelName":"door"}`, `{"ChannelARN":"arn:aws:kinesisvideo:eu-central-1:111122223333:channel/door/1735442939457"}`)
	const arn, other = `"ChannelARN":"arn:aws:kinesisvideo:eu-central-1:111122223333:channel/door/1735442939457"`, `"arn:aws:kinesisvideo:eu-central-1:999999999999:stream/s/1"`
	stored := func(storage string) string { return `{` + arn + `,"MediaStorageConfiguration":` + storage + `}` }
	for _, c := range []struct {
		operation, name, body string
		kind                  kvs.Kind
		says                  string
	}{
		{"CreateSignalingChannel", "", `{"ChannelName":"door"}`, kvs.InUse, "The channel door already exists."},
		{"CreateSignalingChannel", "", `{"ChannelName":"many","ChannelType":"FULL_MESH"}`, kvs.InvalidArgument, "FULL_MESH; only channels of type SINGLE_MASTER"},
		{"UpdateSignalingChannel", "channel door", `{` + arn + `,"CurrentVersion":"stale","SingleMasterConfiguration":{"MessageTtlSeconds":60}}`, kvs.VersionMismatch, "another version than stale"},
		{"UpdateSignalingChannel", "channel door", `{` + arn + `,"CurrentVersion":"stale"}`, kvs.InvalidArgument, "SingleMasterConfiguration with MessageTtlSeconds must be given"},
		{"UpdateSignalingChannel", "channel door", `{` + arn + `,"CurrentVersion":"stale","SingleMasterConfiguration":{}}`, kvs.InvalidArgument, "MessageTtlSeconds must be given"},
		{"DeleteSignalingChannel", "channel door", `{` + arn + `,"CurrentVersion":"stale"}`, kvs.VersionMismatch, "another version than stale"},
		{"ListSignalingChannels", "", `{"NextToken":"Zm9yZ2Vk"}`, kvs.InvalidArgument, "NextToken"},
		{"UpdateMediaStorageConfiguration", "channel door", stored(`{"Status":"ENABLED"}`), kvs.InvalidArgument, "StreamARN must be given"},
		{"UpdateMediaStorageConfiguration", "channel door", stored(`{"Status":"ENABLED",` + strings.Replace(arn, "Channel", "Stream", 1) + `}`), kvs.InvalidArgument, "is not that of a stream"},
		{"UpdateMediaStorageConfiguration", "channel door", stored(`{"Status":"ENABLED","StreamARN":` + other + `}`), kvs.NotFound, "stream is not found"},
	} {
		d.refuses(c.operation, c.name, c.body, c.kind, c.says)
	}
	_, err := d.streams.Create(t.Context(), catalog.NewStream{Account: account, Name: "brief"})
	ok(t, err)
	d.refuses("UpdateMediaStorageConfiguration", "channel door", stored(`{"Status":"ENABLED","StreamARN":"arn:aws:kinesisvideo:eu-central-1:111122223333:stream/brief/1735442939457"}`), kvs.NoRetention, "keeps nothing")
	d.refuses("DescribeMappedResourceConfiguration", "stream brief", `{"StreamName":"brief","NextToken":"Zm9yZ2Vk"}`, kvs.InvalidArgument, "NextToken")
	if d.told != nil {
		t.Errorf("the hub was told %q", d.told)
	}
}

// However many change a channel at the same time, what the hub was told last is what holds.
func TestTheHubKnowsTheLatest(t *testing.T) {
	d := newDesk(t)
	const arn = "arn:aws:kinesisvideo:eu-central-1:111122223333:channel/door/1735442939457"
	ch, err := d.channels.Create(t.Context(), channels.New{Account: account, Name: "door"})
	ok(t, err)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 4 {
				body := fmt.Sprintf(`{"ChannelARN":"%s","CurrentVersion":"%s","SingleMasterConfiguration":{"MessageTtlSeconds":%d}}`, arn, d.version("door"), 10+i)
				_, err := d.call("UpdateSignalingChannel", "channel door", body)
				if err != nil && kvs.KindOf(err) != kvs.VersionMismatch {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	now, err := d.channels.ByID(t.Context(), ch.ID)
	ok(t, err)
	if told := d.last[ch.ID]; told.TTL != now.TTL || told.Version != now.Version {
		t.Errorf("the hub was told %+v, but it is %+v", told, now)
	}
}
