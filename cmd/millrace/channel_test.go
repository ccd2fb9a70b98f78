package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const doorARN = "arn:aws:kinesisvideo:us-east-1:111122223333:channel/door/1735442939457"

// booth is a server with channels, which answers with prepared texts by the path.
type booth struct {
	answers map[string]string
	asked   []string
	fails   map[string]string // exceptions by the path
}

func newBooth() *booth {
	return &booth{fails: map[string]string{}, answers: map[string]string{
		"/createSignalingChannel": `{"ChannelARN":"` + doorARN + `"}`,
		"/describeSignalingChannel": `{"ChannelInfo":{"ChannelARN":"` + doorARN + `","ChannelName":"door","CreationTime":1735442939.457,"Version":"V1",
			"SingleMasterConfiguration":{"MessageTtlSeconds":60}}}`,
		"/describeStream": `{"StreamInfo":{"StreamARN":"arn:films","Status":"ACTIVE"}}`,
		"/listSignalingChannels": `{"ChannelInfoList":[
			{"ChannelARN":"` + doorARN + `","ChannelName":"door","CreationTime":1735442939.457,"Version":"V1","SingleMasterConfiguration":{"MessageTtlSeconds":60}},
			{"ChannelARN":"arn:yard","ChannelName":"yard","CreationTime":1735442939.457,"Version":"V2","SingleMasterConfiguration":{"MessageTtlSeconds":5}}]}`,
		"/describeMediaStorageConfiguration": `{"MediaStorageConfiguration":{"Status":"ENABLED","StreamARN":"arn:films"}}`,
		"/ListTagsForResource":               `{"Tags":{"b":"2","a":"1"}}`,
		"/millrace/ListPresence": `{"Channels":[{"ChannelName":"door","ChannelARN":"` + doorARN + `","Master":{"ClientId":"","Since":"2026-01-02T15:04:05Z","Client":"192.0.2.1:5000","UserAgent":"camera"},
			"Viewers":1,"ViewerList":[{"ClientId":"anna","Since":"2026-01-02T15:05:05Z","Client":"192.0.2.7:4000","UserAgent":""}],"Waiting":2,"WaitingBytes":300}],"NextToken":""}`,
	}}
}

func (p *booth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.asked = append(p.asked, r.URL.Path+" "+string(body))
	if exception := p.fails[r.URL.Path]; exception != "" {
		w.Header().Set("x-amzn-ErrorType", exception)
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"Message":"no"}`)
		return
	}
	answer := p.answers[r.URL.Path]
	if answer == "" {
		answer = "{}"
	}
	fmt.Fprint(w, answer)
}

func (p *booth) last() string { return p.asked[len(p.asked)-1] }

func TestChangingChannels(t *testing.T) {
	p := newBooth()
	for _, c := range []struct{ args, says, asked string }{
		{"channel create door", "Channel door is made: " + doorARN, `/createSignalingChannel {"ChannelName":"door","SingleMasterConfiguration":{"MessageTtlSeconds":60}}`},
		{"channel create door --ttl 5s --tag b=2 --tag a=1", "Channel door is made: " + doorARN,
			`/createSignalingChannel {"ChannelName":"door","SingleMasterConfiguration":{"MessageTtlSeconds":5},"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"}]}`},
		{"channel create door --store films", "Channel door is made: " + doorARN,
			`/updateMediaStorageConfiguration {"ChannelARN":"` + doorARN + `","MediaStorageConfiguration":{"Status":"ENABLED","StreamARN":"arn:films"}}`},
		{"channel update door --ttl 2m", "Channel door is changed.",
			`/updateSignalingChannel {"ChannelARN":"` + doorARN + `","CurrentVersion":"V1","SingleMasterConfiguration":{"MessageTtlSeconds":120}}`},
		{"channel update door --no-store", "Channel door is changed.",
			`/updateMediaStorageConfiguration {"ChannelARN":"` + doorARN + `","MediaStorageConfiguration":{"Status":"DISABLED"}}`},
		{"channel tag door a=1 b=", "Channel door has got 2 tags.", `/TagResource {"ResourceARN":"` + doorARN + `","Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":""}]}`},
		{"channel untag door a b", "Channel door has no tag a, b any more.", `/UntagResource {"ResourceARN":"` + doorARN + `","TagKeyList":["a","b"]}`},
		{"channel delete " + doorARN, "Channel door is deleted. Who was on it is not any more, and what waited in it is gone.", `/deleteSignalingChannel {"ChannelARN":"` + doorARN + `"}`},
	} {
		code, out, errs := command(t, p, nil, strings.Fields(c.args)...)
		if code != exitOK || out != c.says+"\n" || p.last() != c.asked {
			t.Errorf("%s: code %d, %s%s, asked %s", c.args, code, out, errs, p.last())
		}
	}
}

func TestMistakesAboutChannels(t *testing.T) {
	p := newBooth()
	for args, want := range map[string]string{
		"channel create door --ttl 4s":             "from 5s to 120s",
		"channel update door --ttl 5500ms":         "in whole seconds",
		"channel update door":                      "nothing to change",
		"channel tag door a":                       `"a" is no KEY=VALUE`,
		"channel update door --store s --no-store": "--store",
		"channel":                               "create",
		"channel describe":                      "expected",
		"channel update door --ttl 60":          "--ttl",
		"channel create door --tag":             "--tag",
		"channel create door --ttl 60s --store": "--store",
		"channel untag door":                    "expected",
		"channel watch door yard":               "yard",
		"channel list a b":                      "b",
		"channel delete":                        "expected",
		"channel tag":                           "expected",
	} {
		if code, out, errs := command(t, p, nil, strings.Fields(args)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %s%s", args, code, out, errs)
		}
	}
	p.fails["/describeSignalingChannel"] = "ResourceNotFoundException"
	code, _, errs := command(t, p, nil, "channel", "delete", "dor")
	if code != exitFailed || !strings.Contains(errs, "dor: ") || !strings.Contains(errs, "millrace channel list names the channels there are") {
		t.Errorf("%d %s", code, errs)
	}
	p = newBooth()
	p.fails["/updateMediaStorageConfiguration"] = "NoDataRetentionException"
	if code, _, errs := command(t, p, nil, "channel", "create", "door", "--store", "films"); code != exitFailed || !strings.Contains(errs, "the channel door is made, but does not store to films") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestListingChannels(t *testing.T) {
	p := newBooth()
	code, out, errs := command(t, p, nil, "channel", "list", "do")
	want := "CHANNEL  MASTER                      VIEWERS  WAITING  MESSAGES LIVE\n" +
		"door     since 2026-01-02T15:04:05Z  1        2        60 s\n" +
		"yard     -                           0        0        5 s\n"
	if code != exitOK || out != want || !strings.Contains(p.last(), `"ComparisonValue":"do"`) {
		t.Errorf("%d %s%s, asked %s", code, out, errs, p.last())
	}
	_, out, _ = command(t, p, nil, "channel", "list", "--json")
	if lines := strings.SplitN(out, "\n", 2); lines[0] != `{"ChannelName":"door","ChannelARN":"`+doorARN+`","Version":"V1","CreationTime":"2024-12-29T03:28:59.457Z","MessageTtlSeconds":60,`+
		`"Master":{"ClientId":"","Since":"2026-01-02T15:04:05Z","Client":"192.0.2.1:5000","UserAgent":"camera"},"Viewers":1,"Waiting":2,"WaitingBytes":300}` {
		t.Errorf("%s", out)
	}
	p.fails["/millrace/ListPresence"] = "NotAuthorizedException"
	if code, out, errs := command(t, p, nil, "channel", "describe", "door"); code != exitOK || !strings.Contains(out, doorARN) || strings.Contains(out, "Master") || !strings.Contains(errs, "may not know") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if code, out, errs := command(t, p, nil, "channel", "list"); code != exitOK || !strings.Contains(out, "door     -") || !strings.Contains(errs, "may not know who is on the channels") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	p.answers["/listSignalingChannels"] = `{"ChannelInfoList":[]}`
	for args, want := range map[string]string{"channel list": "There are no channels.", "channel list x": "No channel has a name that begins with x."} {
		if _, out, _ := command(t, p, nil, strings.Fields(args)...); !strings.HasPrefix(out, want) {
			t.Errorf("%s: %s", args, out)
		}
	}
}

func TestDescribingAChannel(t *testing.T) {
	p := newBooth()
	code, out, errs := command(t, p, nil, "channel", "describe", "door")
	want := "Channel        door\n" +
		"ARN            " + doorARN + "\n" +
		"Made           2024-12-29T03:28:59Z\n" +
		"Version        V1\n" +
		"Messages live  60 s\n" +
		"Stores to      arn:films\n" +
		"Tags           a=1, b=2\n" +
		"Master         since 2026-01-02T15:04:05Z, from 192.0.2.1:5000, \"camera\"\n" +
		"Viewers        1\n" +
		"  anna         since 2026-01-02T15:05:05Z, from 192.0.2.7:4000\n" +
		"Waiting        2 messages\n"
	if code != exitOK || out != want {
		t.Errorf("%d %s%s", code, out, errs)
	}
	_, out, _ = command(t, p, nil, "channel", "describe", "door", "--json")
	for _, want := range []string{`"ViewerList":[{"ClientId":"anna"`, `"Stream":"arn:films","Tags":{"a":"1","b":"2"}}`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
	p.answers["/millrace/ListPresence"] = `{"Channels":[]}`
	if _, out, _ := command(t, p, nil, "channel", "describe", "door"); !strings.Contains(out, "Master         none\nViewers        0\n") {
		t.Errorf("%s", out)
	}
}

// watched is a server whose answers to WatchPresence come one after the other; the command is
// interrupted when there are none left.
type watched struct {
	*booth
	answers   []string
	interrupt func()
}

func (p *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/millrace/WatchPresence" {
		p.booth.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	p.asked = append(p.asked, string(body))
	if len(p.answers) == 0 {
		p.interrupt()
		<-r.Context().Done()
		return
	}
	fmt.Fprint(w, p.answers[0])
	p.answers = p.answers[1:]
}

func TestWatchingAChannel(t *testing.T) {
	answers := []string{`{"Events":[],"Next":7}`,
		`{"Events":[{"Number":8,"Time":"2026-01-02T15:04:05Z","ChannelName":"door","Role":"viewer","ClientId":"anna","Client":"192.0.2.7:4000","Event":"came"}],"Next":8}`,
		`{"Events":[],"Next":8}`,
		`{"Events":[{"Number":9,"Time":"2026-01-02T15:04:06Z","ChannelName":"door","Role":"master","Client":"192.0.2.1:5000","Event":"went","Reason":"lost"}],"Next":9}`}
	for args, want := range map[string]string{
		"channel watch door": "Now on door: 1 master and 1 viewer.\n" +
			"2026-01-02T15:04:05.000Z  door  viewer anna came  192.0.2.7:4000\n" +
			"2026-01-02T15:04:06.000Z  door  master went (lost)  192.0.2.1:5000\n",
		"channel watch --json": `{"Number":8,"Time":"2026-01-02T15:04:05Z","ChannelName":"door","ChannelARN":"","Role":"viewer","ClientId":"anna","Client":"192.0.2.7:4000","Event":"came","Reason":""}` + "\n" +
			`{"Number":9,"Time":"2026-01-02T15:04:06Z","ChannelName":"door","ChannelARN":"","Role":"master","ClientId":"","Client":"192.0.2.1:5000","Event":"went","Reason":"lost"}` + "\n",
	} {
		t.Run(args, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			p := &watched{booth: newBooth(), answers: answers, interrupt: interrupt}
			serving(t, p)
			var out, errs bytes.Buffer
			code := run(ctx, strings.Fields(args), stdio{out: &out, err: &errs})
			if code != exitOK || out.String() != want {
				t.Errorf("%d %s%s", code, out.String(), errs.String())
			}
			if last := p.last(); !strings.Contains(last, `"After":9`) || strings.Contains(args, "door") != strings.Contains(last, `"ChannelName":"door"`) {
				t.Errorf("asked %s", last)
			}
		})
	}
	p := newBooth()
	p.fails["/millrace/WatchPresence"] = "NotAuthorizedException"
	if code, _, errs := command(t, p, nil, "channel", "watch"); code != exitFailed || !strings.Contains(errs, "NotAuthorizedException") {
		t.Errorf("%d %s", code, errs)
	}
}
