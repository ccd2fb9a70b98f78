package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// teller answers operations of our own with prepared texts, one after the other for the
// same operation, the last one for ever.
type teller struct {
	answers map[string][]string
	asked   []string // bodies
}

func (p *teller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	json.NewDecoder(r.Body).Decode(&body)
	operation := strings.TrimPrefix(r.URL.Path, "/millrace/")
	p.asked = append(p.asked, operation+string(body))
	left := p.answers[operation]
	if len(left) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if len(left) > 1 {
		p.answers[operation] = left[1:]
	}
	fmt.Fprint(w, left[0])
}

const (
	edge   = `{"FragmentNumber":"1","ServerTimestamp":"2026-01-02T15:04:05Z","ProducerTimestamp":"2026-01-02T15:04:05.5Z"}`
	offset = `{"FragmentNumber":"1","ServerTimestamp":"2026-01-02T15:04:05Z","ProducerTimestamp":"1970-01-01T00:00:00Z"}`
)

// Usage goes through all pages and ends with the sums.
func TestUsageSumsUp(t *testing.T) {
	p := &teller{answers: map[string][]string{"ListUsage": {
		`{"Streams":[{"StreamName":"barn","RetentionHours":48,"Bytes":2000000,"Fragments":10,"Oldest":` + edge + `,"Newest":` + offset + `,"BytesPerSecond":1500,"FragmentsPerSecond":0.5}],"NextToken":"more"}`,
		`{"Streams":[{"StreamName":"yard","RetentionHours":0,"Oldest":null}],"NextToken":""}`,
	}}}
	code, out, errs := command(t, p, nil, "usage")
	for _, want := range []string{
		"barn    2 d        2.0 MB  10         2026-01-02T15:04:05Z  2026-01-02T15:04:05Z (1970-01-01T00:00:00Z)  1.5 kB/s  0.50\n",
		"yard    none       0.0 kB  0          -       -       0.0 kB/s  0.00\n",
		"\nIn brackets: the time by the producer's clock",
		"\n2 streams: 2.0 MB stored in 10 fragments, 1.5 kB/s coming in, 0.50 fragments/s.\n",
	} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("code %d %s, %q is not in\n%s", code, errs, want, out)
		}
	}
	if _, out, _ := command(t, &teller{answers: map[string][]string{"ListUsage": {`{"Streams":[{"StreamName":"barn","Oldest":` + edge + `,"Newest":` + edge + `}]}`}}}, nil, "usage"); strings.Contains(out, "brackets") {
		t.Errorf("brackets that are not there are explained:\n%s", out)
	}
	if want := `ListUsage{"Max":1000} ListUsage{"Max":1000,"NextToken":"more"}`; strings.Join(p.asked, " ") != want {
		t.Errorf("asked %s", p.asked)
	}
	if _, out, _ = command(t, p, nil, "usage", "arn:aws:kinesisvideo:x", "--json"); strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, `{"StreamName":"yard"`) {
		t.Errorf("%s", out)
	}
	if last := p.asked[len(p.asked)-1]; !strings.Contains(last, `"StreamARN":"arn:aws:kinesisvideo:x"`) {
		t.Errorf("asked %s", last)
	}
}

const someLimits = `{"Profile":"aws","Limits":[
	{"Name":"PutMedia.sessions","Value":"3","From":"stream","Profile":"1","Served":true,"Differs":true,"Meaning":"sessions"},
	{"Name":"PutMedia.idle","Value":"30s","From":"profile","Profile":"30s","Served":true,"Meaning":"silence"},
	{"Name":"GetClip.bytes","Value":"none","From":"profile","Profile":"none","Served":false,"Meaning":"clips"}]}`

func TestListingLimits(t *testing.T) {
	p := &teller{answers: map[string][]string{"ListLimits": {someLimits}}}
	for args, want := range map[string][]string{
		"limit list":                {"PutMedia.sessions  3*     stream   1            sessions\n", "PutMedia.idle", "* the original service"},
		"limit list yard --all":     {"GetClip.bytes"},
		"limit list yard --changed": {"PutMedia.sessions"},
		"limit list --json":         {`{"Name":"PutMedia.sessions","Value":"3",`, "}\n{"},
	} {
		code, out, errs := command(t, p, nil, strings.Fields(args)...)
		for _, w := range want {
			if code != exitOK || !strings.Contains(out, w) {
				t.Errorf("%s: code %d %s, %q is not in\n%s", args, code, errs, w, out)
			}
		}
		if strings.Contains(out, "GetClip") != strings.Contains(args, "--all") || strings.Contains(out, "idle") && strings.Contains(args, "--changed") {
			t.Errorf("%s lists too much or too little:\n%s", args, out)
		}
	}
	if code, _, errs := command(t, p, nil, "limit", "list", "yard", "--account"); code != exitUsage || !strings.Contains(errs, "not both") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestChangingLimits(t *testing.T) {
	p := &teller{answers: map[string][]string{
		"SetLimit":   {`{"Name":"PutMedia.sessions","Value":"3","From":"stream","Profile":"none"}`},
		"ResetLimit": {`{"Limits":[{"Name":"PutMedia.sessions","Value":"5","From":"account","Profile":"none"}]}`, `{"Limits":[{},{}]}`},
	}}
	for _, c := range []struct{ args, says, asked string }{
		{"limit set PutMedia.sessions 3 --stream yard", "PutMedia.sessions is 3 for the stream yard (profile: none).", `SetLimit{"StreamName":"yard","Name":"PutMedia.sessions","Value":"3"}`},
		{"limit reset PutMedia.sessions --stream yard", "PutMedia.sessions is 5 for the stream yard, from the account.", `ResetLimit{"StreamName":"yard","Name":"PutMedia.sessions"}`},
		{"limit reset", "Nothing is set for the account any more.", `ResetLimit{}`},
	} {
		code, out, errs := command(t, p, nil, strings.Fields(c.args)...)
		if code != exitOK || out != c.says+"\n" || p.asked[len(p.asked)-1] != c.asked {
			t.Errorf("%s: code %d, %s%s, asked %s", c.args, code, out, errs, p.asked)
		}
	}
	for _, args := range []string{"limit set PutMedia.sesions 3", "limit reset PutMedia.session"} {
		code, _, errs := command(t, p, nil, strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(errs, "did you mean PutMedia.sessions?") {
			t.Errorf("%s: code %d, %s", args, code, errs)
		}
	}
}

const someSessions = `{"Sessions":[
	{"StreamName":"yard","Operation":"PutMedia","Client":"192.0.2.1:5","UserAgent":"evil\u001b[2Jagent","AccessKey":"AKIA","Since":"2026-01-02T15:04:05Z",
	 "Bytes":4000000,"BytesPerSecond":500000,"Fragments":8,"Persisted":7,"Failed":1,"LastAck":"PERSISTED","DelaySeconds":0.0412,"IdleSeconds":0.02,"HeldSeconds":83.5},
	{"StreamName":"yard","Operation":"GetMedia","Client":"192.0.2.2:6","Since":"2026-01-02T15:04:05Z","BytesPerSecond":1000,"Fragments":3,"DelaySeconds":1.5}],
	"More":2,"Unlisted":1,"Now":"2026-01-02T15:05:05Z"}`

func TestTop(t *testing.T) {
	p := &teller{answers: map[string][]string{"ListSessions": {someSessions}}}
	code, out, errs := command(t, p, nil, "top", "-n", "2")
	for _, want := range []string{
		"2026-01-02T15:05:05.000Z  1 producer in 500.0 kB/s, 1 consumer out 1.0 kB/s, and 3 sessions not shown\n",
		"yard    PutMedia   500.0 kB/s  4.0 MB  8          persisted 7, 1 refused  41ms   20ms  1m24s  1m0s  192.0.2.1:5  AKIA  evil?[2Jagent\n",
		"GetMedia   1.0 kB/s    0.0 kB  3          -                       1.5s   0s",
	} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("code %d %s, %q is not in\n%s", code, errs, want, out)
		}
	}
	if p.asked[0] != `ListSessions{"Max":2}` {
		t.Errorf("asked %s", p.asked)
	}
	if _, out, _ = command(t, p, nil, "top", "yard", "--json"); strings.Count(out, "\n") != 2 {
		t.Errorf("%s", out)
	}
	if code, _, errs = command(t, p, nil, "top", "--interval", "1ms"); code != exitUsage || !strings.Contains(errs, "at least 100ms") {
		t.Errorf("%d %s", code, errs)
	}
}

// A page is cut to the terminal, and what was there before is wiped away.
func TestAPageFits(t *testing.T) {
	if got := fit("one\ntwo, longer\nthree\n", 5, 3); got != "one"+clearLine+"\ntwo, "+clearLine+"\n" {
		t.Errorf("%q", got)
	}
	if got := fit("one\ntwo, longer\n", 0, 0); got != "one"+clearLine+"\ntwo, longer"+clearLine+"\n" {
		t.Errorf("%q", got)
	}
}
