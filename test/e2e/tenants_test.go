package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// tenant makes an account on a server and returns the server as a key of the account sees it.
func (s *server) tenant(t *testing.T, name string) *server {
	t.Helper()
	var made struct{ Account, AccessKeyId, SecretAccessKey string }
	if err := s.client(t).Admin(t.Context(), "CreateAccount", object{"Name": name}, &made); err != nil {
		t.Fatal(err)
	}
	other := *s
	other.account, other.key, other.secret = made.Account, made.AccessKeyId, made.SecretAccessKey
	return &other
}

// question is a request as somebody signs it.
type question struct {
	title   string // what is tried
	method  string // POST
	path    string // with a query
	body    []byte
	header  map[string]string
	service string // kinesisvideo
	presign bool   // the signature is in the query
	bearer  bool   // the URL is the permission
}

// reply is what came of it, without what says nothing: request id, date, and what the
// caller said itself.
type reply struct {
	Status          int
	Type, Exception string
	Sealed          bool // the decision behind a denial
	Body            string
}

var asker = &http.Client{Timeout: patience}

// ask sends a question.
func (s *server) ask(t *testing.T, q question, said ...string) reply {
	t.Helper()
	method, base := q.method, s.http
	if method == "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, base+q.path, bytes.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	service := q.service
	if service == "" {
		service = "kinesisvideo"
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: s.key, Secret: s.secret}, Region: region, Service: service}
	switch {
	case q.bearer:
	case q.presign:
		err = signer.Presign(r, 5*time.Minute)
	case r.Header.Get("x-amzn-fragment-timecode-type") != "":
		err = signer.Sign(r, "")
	default:
		err = signer.Sign(r, sigv4.PayloadHash(q.body))
	}
	if err != nil {
		t.Fatal(err)
	}
	resp, err := asker.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", q.title, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	a := reply{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type"), Exception: resp.Header.Get("x-amzn-ErrorType"),
		Sealed: resp.Header.Get("x-millrace-authorization-message") != "", Body: string(body)}
	for _, text := range said {
		if text != "" {
			a.Body = strings.ReplaceAll(a.Body, text, "(as asked)")
		}
	}
	a.Body = requestID.ReplaceAllString(a.Body, "(id)")
	return a
}

// requestID is how IAM and STS say it in their bodies.
var requestID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// thing is a stream or channel as callers name it.
type thing struct{ name, arn string }

// said is what an answer may repeat of it.
func (x thing) said() []string {
	// Also with another account, where the caller's was filled in.
	return []string{x.arn, x.name}
}

// instead is a thing that never was, of the same shape.
func (x thing) instead() thing {
	name := strings.Repeat("n", len(x.name))
	arn := strings.Replace(x.arn, "/"+x.name+"/", "/"+name+"/", 1)
	return thing{name, arn[:len(arn)-3] + "000"}
}

// elsewhere is one in an account that never was.
func (x thing) elsewhere(account string) thing {
	y := x.instead()
	y.arn = strings.Replace(y.arn, account, "999988887777", 1)
	return y
}

// plainJSON is an input for a raw call; the SDK's dates are numbers there.
func plainJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return dateObject.ReplaceAll(b, []byte("$1"))
}

var dateObject = regexp.MustCompile(`\{"\$date":([0-9.e+]+)\}`)

// ways are all ways to name a thing to an operation of the models.
func ways(t *testing.T, op *wire.Operation, x thing) (all []question) {
	if op.Input == nil {
		return putting(x)
	}
	for _, way := range []string{"name", "ARN", "both"} {
		in := input(op.Name, x.name, x.arn, "v1")
		for _, name := range []string{"StreamName", "StreamARN", "ChannelName", "ChannelARN", "channelArn"} {
			delete(in, name)
		}
		named := false
		members := reflect.TypeOf(op.Input()).Elem()
		for i := range members.NumField() {
			name := members.Field(i).Name
			isName := slices.Contains([]string{"StreamName", "ChannelName"}, name)
			isARN := slices.Contains([]string{"StreamARN", "ChannelARN", "ResourceARN", "ChannelArn"}, name)
			switch {
			case isName && way != "ARN":
				in[name], named = x.name, true
			case isARN && way != "name":
				in[name], named = x.arn, true
			}
		}
		if named {
			all = append(all, question{title: op.Name + " by " + way, path: op.Path, body: plainJSON(t, in),
				header: map[string]string{"Content-Type": "application/json"}})
		}
	}
	return all
}

// putting are the ways to name a stream to PutMedia.
func putting(x thing) []question {
	q := func(way string, names map[string]string) question {
		h := map[string]string{"x-amzn-fragment-timecode-type": "ABSOLUTE", "x-amzn-producer-start-timestamp": "1700000000.000"}
		maps.Copy(h, names)
		return question{title: "PutMedia by " + way, path: "/putMedia", header: h, body: head()}
	}
	return []question{
		q("name", map[string]string{"x-amzn-stream-name": x.name}),
		q("ARN", map[string]string{"x-amzn-stream-arn": x.arn}),
		q("both", map[string]string{"x-amzn-stream-name": x.name, "x-amzn-stream-arn": x.arn}),
	}
}

// unnamed are the operations that name no stream or channel that must be there.
var unnamed = []string{"CreateStream", "CreateSignalingChannel", "ListStreams", "ListSignalingChannels", "ListEdgeAgentConfigurations"}

// equal fails unless two answers are the same and, for what there is, a refusal.
func equal(t *testing.T, title string, got, never reply) {
	t.Helper()
	if got != never {
		t.Errorf("%s: what belongs to another account is answered with\n%+v\nwhat never was with\n%+v", title, got, never)
	}
}

// always is the selector of all fragments that were ever stored.
func always() object {
	return object{"FragmentSelectorType": "SERVER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(time.Unix(0, 0)), "EndTimestamp": date(time.Now())}}
}

// neighbour is an account with streams and media that another one should learn nothing of.
type neighbour struct {
	*server
	hidden  thing // a stream that nobody else has the name of
	channel thing // likewise a signaling channel
	number  []string
}

func (s *server) settle(t *testing.T, hidden string) neighbour {
	t.Helper()
	n := neighbour{server: s, hidden: thing{name: hidden}, channel: s.channels(t, "door", hidden+"-door")}
	for _, name := range []string{"yard", "gate", hidden} { // yard and gate have both
		s.create(t, name)
	}
	n.hidden.arn = s.arn(t, hidden)
	_, acks := s.pipe(t, ffmpegPipe, "yard")
	n.number = persisted(acks)
	s.pipe(t, ffmpegPipe, hidden)
	return n
}

// Whatever an account asks about what belongs to another one, by name, ARN, fragment number,
// token or the parameters of a URL: the answer is that to what never was. Each of the two asks:
// the home account, whose root may everything, and its tenant.
func TestTwoAccounts(t *testing.T) {
	s := serve(t)
	home, tenant := s.settle(t, "cellar-of-home"), s.tenant(t, "tenant").settle(t, "attic-of-tenant")
	for name, pair := range map[string][2]neighbour{"the tenant asks": {tenant, home}, "the home account asks": {home, tenant}} {
		who, whose := pair[0], pair[1]
		t.Run(name, func(t *testing.T) {
			t.Run("operations", func(t *testing.T) { who.triesOperations(t, whose) })
			t.Run("websockets", func(t *testing.T) { who.triesWebsockets(t, whose) })
			t.Run("tokens", func(t *testing.T) { who.triesTokens(t, whose) })
			t.Run("numbers", func(t *testing.T) { who.triesNumbers(t, whose) })
			t.Run("playback", func(t *testing.T) { who.triesPlayback(t, whose) })
			t.Run("own operations", func(t *testing.T) { who.triesOwn(t, whose) })
			t.Run("entities", func(t *testing.T) { who.triesEntities(t, whose) })
		})
	}
}

// triesOperations asks every operation of the models about another account's stream or
// channel, those that serve both about either.
func (n neighbour) triesOperations(t *testing.T, whose neighbour) {
	asked := map[string]bool{}
	for i := range wire.Operations {
		op := &wire.Operations[i]
		switch {
		case slices.Contains(unnamed, op.Name):
			continue
		case onChannel(op):
			n.triesOperation(t, whose, op, whose.channel, asked)
		default:
			if strings.HasSuffix(op.Name, "Resource") {
				n.triesOperation(t, whose, op, whose.channel, asked)
			}
			n.triesOperation(t, whose, op, whose.hidden, asked)
		}
	}
	for i := range wire.Operations {
		if name := wire.Operations[i].Name; !asked[name] && !slices.Contains(unnamed, name) {
			t.Errorf("%s was not asked: which member names what it is about?", name)
		}
	}
	n.triesStorage(t, whose)
	n.triesNames(t, whose)
}

// triesOperation asks an operation about a thing of another account, in all ways.
func (n neighbour) triesOperation(t *testing.T, whose neighbour, op *wire.Operation, x thing, asked map[string]bool) {
	never, elsewhere := ways(t, op, x.instead()), ways(t, op, x.elsewhere(whose.account))
	for i, q := range ways(t, op, x) {
		asked[op.Name] = true
		got := n.ask(t, q, x.said()...)
		equal(t, q.title, got, n.ask(t, never[i], x.instead().said()...))
		equal(t, q.title+" of an account that never was", got, n.ask(t, elsewhere[i], x.elsewhere(whose.account).said()...))
		want := map[bool]int{true: http.StatusNotFound, false: http.StatusNotImplemented}[op.Served]
		if got.Status != want && q.title != "PutMedia by both" { // which nobody may
			t.Errorf("%s: %+v, want %d", q.title, got, want)
		}
	}
}

// triesNames asks the operations that name nothing that must be there.
func (n neighbour) triesNames(t *testing.T, whose neighbour) {
	x, never := whose.hidden, whose.hidden.instead()
	for _, op := range unnamed {
		o := wire.ByName(op)
		q := func(x thing) question {
			in := object{}
			switch op {
			case "CreateStream":
				in["StreamName"] = x.name
			case "CreateSignalingChannel":
				in["ChannelName"] = x.name
			case "ListStreams":
				in["StreamNameCondition"] = object{"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": x.name}
			case "ListSignalingChannels":
				in["ChannelNameCondition"] = object{"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": x.name}
			case "ListEdgeAgentConfigurations":
				in["HubDeviceArn"] = x.arn
			}
			return question{title: op, path: o.Path, body: plainJSON(t, in), header: map[string]string{"Content-Type": "application/json"}}
		}
		got, gone := n.ask(t, q(x), x.said()...), n.ask(t, q(never), never.said()...)
		if strings.HasPrefix(op, "Create") { // a name is free whoever else has it
			for _, made := range []thing{x, never} {
				if op == "CreateStream" {
					n.caller(t).must(t, "DeleteStream", object{"StreamARN": n.arn(t, made.name)}, nil)
				} else {
					n.caller(t).must(t, "DeleteSignalingChannel", object{"ChannelARN": n.channelARN(t, made.name)}, nil)
				}
			}
			got.Body, gone.Body = digits.ReplaceAllString(got.Body, "0"), digits.ReplaceAllString(gone.Body, "0")
		}
		equal(t, op, got, gone)
	}
}

var digits = regexp.MustCompile(`\d+`)

// triesWebsockets asks to connect to another account's channel, as master and as viewer, at
// every address that there is for it.
func (n neighbour) triesWebsockets(t *testing.T, whose neighbour) {
	for _, at := range []string{"/?", "/?X-Amz-ClientId=me&", "/channel/master?", "/channel/viewer?X-Amz-ClientId=me&", "/channel/viewer?"} {
		q := func(x thing) question {
			return question{title: "a websocket at " + at, method: http.MethodGet, path: at + "X-Amz-ChannelARN=" + url.QueryEscape(x.arn), presign: true,
				header: map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}}
		}
		for _, x := range []thing{whose.channel, whose.hidden} { // the ARN of a stream is no channel's
			got := n.ask(t, q(x), x.said()...)
			equal(t, at, got, n.ask(t, q(x.instead()), x.instead().said()...))
			equal(t, at+" of an account that never was", got, n.ask(t, q(x.elsewhere(whose.account)), x.elsewhere(whose.account).said()...))
			if want := map[bool]int{true: http.StatusBadRequest, false: http.StatusNotFound}[at == "/channel/viewer?"]; got.Status != want {
				t.Errorf("%s: %+v, want %d", at, got, want)
			}
		}
	}
}
