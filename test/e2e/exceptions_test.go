package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// never lists the modelled exceptions that this server does not throw, with the reason.
// A test fails when one is thrown after all, or when another cannot be provoked.
var never = map[string]string{
	"CreateStream DeviceStreamLimitExceededException":              "declared, not implemented by the original either (errors sheet, section 2)",
	"CreateStream InvalidDeviceException":                          "declared, not implemented by the original either (errors sheet, section 2)",
	"CreateStream TagsPerResourceExceededLimitException":           "the model bounds Tags to 50, so 51 are an InvalidArgumentException",
	"PutMedia ConnectionLimitExceededException":                    "the newest session wins over the oldest one (limits sheet, section 3)",
	"UpdateDataRetention ResourceInUseException":                   unfinished,
	"UpdateStream ResourceInUseException":                          unfinished,
	"UpdateStreamStorageConfiguration ResourceInUseException":      unfinished,
	"UpdateSignalingChannel ResourceInUseException":                unfinished,
	"DeleteSignalingChannel ResourceInUseException":                unfinished,
	"GetSignalingChannelEndpoint ResourceInUseException":           unfinished,
	"GetIceServerConfig SessionExpiredException":                   provedBelow,
	"CreateSignalingChannel TagsPerResourceExceededLimitException": "the model bounds Tags to 50, so 51 are an InvalidArgumentException",
	"GetClip ClientLimitExceededException":                         provedBelow,
	"GetHLSStreamingSessionURL ClientLimitExceededException":       provedBelow,
	"GetDASHStreamingSessionURL ClientLimitExceededException":      provedBelow,
}

const (
	unfinished  = "changes are complete before they are answered, so no stream or channel is ever in between (decisions sheet, row 9)"
	provedBelow = "thrown in internal/server's TestEveryLimit, which breaks every limit"
)

// provocation collects the exceptions that were thrown.
type provocation struct {
	*testing.T
	thrown map[string]answer
	asked  map[string]object
	number string // of a stored fragment of 100 kB
	arn    string // of the stream one
	door   string // ARN of the channel door
}

// expect makes a call that has to throw.
func (p *provocation) expect(who caller, operation, exception string, input object) {
	p.Helper()
	p.note(operation, exception, input, who.call(p, operation, input))
}

// note takes what came of a call that had to throw.
func (p *provocation) note(operation, exception string, input object, a answer) {
	p.Helper()
	switch {
	case a.Error == nil:
		p.Errorf("%s %v: no exception, want %s", operation, input, exception)
		return
	case a.Error.Name != exception || a.ErrorType != exception:
		p.Errorf("%s %v: %v with x-amzn-ErrorType %q, want %s", operation, input, a.Error, a.ErrorType, exception)
		return
	}
	p.modelled(operation, exception, a.Status)
	var body map[string]string
	x, _ := wire.ByName(operation).Exception(exception)
	if err := json.Unmarshal([]byte(a.Raw), &body); err != nil || body[x.MessageKey] != a.Error.Message || len(body) != 1 {
		p.Errorf("%s %s: body %s, message %q: want one member %s with that text", operation, exception, a.Raw, a.Error.Message, x.MessageKey)
	}
	key := operation + " " + exception
	if _, again := p.thrown[key]; !again {
		p.thrown[key], p.asked[key] = a, input
	}
}

// modelled checks that the model knows the exception, with this status.
func (p *provocation) modelled(operation, exception string, status int) {
	p.Helper()
	x, ok := wire.ByName(operation).Exception(exception)
	if isDenial(exception) {
		x.Status = http.StatusForbidden // decisions sheet, row 1
	}
	if !ok || x.Status != status {
		p.Errorf("%s %s with status %d; the model says %+v", operation, exception, status, x)
	}
}

// Every exception that the models give the served operations is provoked once, as far as
// it can be; the raw bodies are in testdata.
func TestEveryModelledException(t *testing.T) {
	p := &provocation{T: t, thrown: map[string]answer{}, asked: map[string]object{}}
	s := serve(t)
	p.wrongInput(s)
	p.wrongChannels(s)
	p.denied(s)
	p.unplayable(s)
	p.fill(s)
	s.stop(t)
	limited := s.again(t, "--profile", "aws")
	p.limits(limited)
	limited.stop(t)
	p.elsewhere(limited.again(t, "--endpoint", "https://video.example.com"))
	p.complete()
	var tr transcript
	for _, key := range slices.Sorted(maps.Keys(p.thrown)) {
		operation, exception, _ := strings.Cut(key, " ")
		tr.add(exception, operation, shorten(p.asked[key]), p.thrown[key])
	}
	tr.compare(t, "exceptions.txt")
}

// complete compares what was thrown with what the models have.
func (p *provocation) complete() {
	for i := range wire.Operations {
		op := &wire.Operations[i]
		if !op.Served {
			continue
		}
		for _, x := range op.Exceptions {
			key := op.Name + " " + x.Name
			_, thrown := p.thrown[key]
			if reason := never[key]; thrown && reason != "" {
				p.Errorf("%s was thrown, although %s", key, reason)
			} else if !thrown && reason == "" {
				p.Errorf("%s was not provoked", key)
			}
		}
	}
}

// shorten replaces long lists by their length: the transcript is for reading.
func shorten(in object) object {
	out := maps.Clone(in)
	for k, v := range in {
		if b, err := json.Marshal(v); err == nil && len(b) > 400 {
			out[k] = fmt.Sprintf("(%d bytes of JSON)", len(b))
		}
	}
	return out
}

// input is a call of operation on a stream that fits the model but for what the test
// changes.
func input(operation, stream, arn, version string) object {
	in := object{"StreamName": stream}
	switch operation {
	case "DeleteStream":
		return object{"StreamARN": arn, "CurrentVersion": version}
	case "UpdateStream":
		in["CurrentVersion"], in["DeviceName"] = version, "cam"
	case "UpdateDataRetention":
		in["CurrentVersion"], in["Operation"], in["DataRetentionChangeInHours"] = version, "INCREASE_DATA_RETENTION", 1
	case "UpdateStreamStorageConfiguration":
		in["CurrentVersion"], in["StreamStorageConfiguration"] = version, object{"DefaultStorageTier": "WARM"}
	case "TagStream":
		in["Tags"] = object{"a": "b"}
	case "UntagStream":
		in["TagKeyList"] = []string{"a"}
	case "TagResource":
		return object{"ResourceARN": arn, "Tags": []object{{"Key": "a", "Value": "b"}}}
	case "UntagResource":
		return object{"ResourceARN": arn, "TagKeyList": []string{"a"}}
	case "ListTagsForResource":
		return object{"ResourceARN": arn}
	case "GetDataEndpoint":
		in["APIName"] = "GET_MEDIA"
	case "GetMedia":
		in["StartSelector"] = object{"StartSelectorType": "NOW"}
	case "ListFragments":
		in["FragmentSelector"] = object{"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": object{"StartTimestamp": date(began), "EndTimestamp": date(began)}}
	case "GetMediaForFragmentList":
		in["Fragments"] = []string{"1"}
	case "GetClip":
		return playing(operation, stream)
	}
	if about := channelInput(operation, stream, arn, version); about != nil {
		return about
	}
	return in
}

// onStreams are the operations that name a stream in their input.
var onStreams = []string{"DescribeStream", "DeleteStream", "UpdateStream", "UpdateDataRetention", "DescribeStreamStorageConfiguration",
	"UpdateStreamStorageConfiguration", "TagStream", "UntagStream", "ListTagsForStream", "TagResource", "UntagResource",
	"ListTagsForResource", "GetDataEndpoint", "GetMedia", "ListFragments", "GetMediaForFragmentList",
	"GetHLSStreamingSessionURL", "GetDASHStreamingSessionURL", "GetClip"}

// wrongInput provokes what is wrong about one call alone.
func (p *provocation) wrongInput(s *server) {
	who := s.caller(p)
	var made struct{ StreamARN string }
	who.must(p, "CreateStream", object{"StreamName": "one", "DataRetentionInHours": 24}, &made)
	p.arn = made.StreamARN
	p.number = s.put(p, "one", cluster(0, 1, 100_000, 1))[0]
	nobody := strings.Replace(made.StreamARN, "/one/", "/nobody/", 1)
	for _, op := range onStreams {
		p.expect(who, op, "ResourceNotFoundException", input(op, "nobody", nobody, "v1"))
		bad := input(op, "not a name", "arn:aws:kinesisvideo:us-east-1:123456789012:stream/one", "v1")
		p.expect(who, op, "InvalidArgumentException", bad)
	}
	for _, op := range []string{"DeleteStream", "UpdateStream", "UpdateDataRetention", "UpdateStreamStorageConfiguration"} {
		p.expect(who, op, "VersionMismatchException", input(op, "one", made.StreamARN, "stale"))
	}
	for _, op := range []string{"TagStream", "UntagStream", "ListTagsForStream"} {
		in := input(op, "one", "", "")
		delete(in, "StreamName")
		in["StreamARN"] = "arn:aws:kinesisvideo:us-east-1:123456789012:stream/one"
		p.expect(who, op, "InvalidResourceFormatException", in)
	}
	p.expect(who, "CreateStream", "ResourceInUseException", object{"StreamName": "one"})
	p.expect(who, "CreateStream", "InvalidArgumentException", object{"StreamName": "two", "DataRetentionInHours": -1})
	p.expect(who, "ListStreams", "InvalidArgumentException", object{"NextToken": "Zm9yZ2Vk"})
	p.tags(who, made.StreamARN)
	p.put(s, "InvalidArgumentException", client.PutMediaRequest{StreamName: "not a name"})
	p.put(s, "ResourceNotFoundException", client.PutMediaRequest{StreamName: "nobody"})
}

// tags fills a stream up with tags; one more is refused.
func (p *provocation) tags(who caller, arn string) {
	many := object{}
	for i := range 51 {
		many[fmt.Sprintf("key-%02d", i)] = "v"
	}
	p.expect(who, "CreateStream", "InvalidArgumentException", object{"StreamName": "tagged", "Tags": maps.Clone(many)})
	delete(many, "key-50")
	who.must(p, "TagStream", object{"StreamName": "one", "Tags": many}, nil)
	p.expect(who, "TagStream", "TagsPerResourceExceededLimitException", object{"StreamName": "one", "Tags": object{"another": ""}})
	p.expect(who, "TagResource", "TagsPerResourceExceededLimitException", object{"ResourceARN": arn, "Tags": []object{{"Key": "another", "Value": ""}}})
}

// isDenial reports whether an exception says that the caller may not.
func isDenial(exception string) bool {
	return exception == "NotAuthorizedException" || exception == "AccessDeniedException"
}

// denied calls every operation as a user who has no rights.
func (p *provocation) denied(s *server) {
	nobody := s.withoutRights(p)
	who := nobody.caller(p)
	for i := range wire.Operations {
		op := &wire.Operations[i]
		j := slices.IndexFunc(op.Exceptions, func(x wire.Exception) bool { return isDenial(x.Name) })
		switch {
		case !op.Served || j < 0:
		case op.Name == "PutMedia":
			p.put(nobody, op.Exceptions[j].Name, client.PutMediaRequest{StreamName: "one"})
		default:
			arn := p.arn
			if onChannel(op) {
				arn = p.door
			}
			p.expect(who, op.Name, op.Exceptions[j].Name, input(op.Name, "one", arn, "v1"))
		}
	}
}

// withoutRights is the server as a user calls it who has no policies.
func (s *server) withoutRights(t testing.TB) *server {
	t.Helper()
	out := run(t, environment(), program(t), "user", "create", "nobody", "--key", "--data", s.data)
	key := regexp.MustCompile(`AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)`).FindStringSubmatch(out)
	if key == nil {
		t.Fatalf("no key in %s", out)
	}
	other := *s
	other.key, other.secret = key[1], key[2]
	return &other
}

// put makes a PutMedia call that has to be refused. No SDK has it.
func (p *provocation) put(s *server, exception string, r client.PutMediaRequest) {
	p.Helper()
	r.TimecodeType, r.ProducerStart, r.Body = client.Relative, began, strings.NewReader("")
	c, raw := recording(s.client(p))
	up, err := c.PutMedia(p.Context(), r)
	if err == nil {
		_ = up.Close()
		p.Errorf("PutMedia %+v is accepted, want %s", r, exception)
		return
	}
	p.refusedPut(exception, err, raw.last())
}

func (p *provocation) refusedPut(exception string, err error, raw string) {
	p.Helper()
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Exception != exception {
		p.Errorf("PutMedia: %v, want %s", err, exception)
		return
	}
	p.note("PutMedia", exception, object{}, answer{Status: refused.Status, Type: "application/json", ErrorType: refused.Exception, Raw: raw,
		Error: &failure{Name: refused.Exception, Message: refused.Message, Status: refused.Status, Fault: "client"}})
}

// recorder keeps the body of the last answer that refused something.
type recorder struct {
	http.RoundTripper
	body atomic.Value
}

// recording makes a client keep what it is refused with.
func recording(c *client.Client) (*client.Client, *recorder) {
	r := &recorder{RoundTripper: c.HTTP.Transport}
	c.HTTP.Transport = r
	return c, r
}

func (r *recorder) last() string { text, _ := r.body.Load().(string); return text }

// RoundTrip makes a call.
func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(q)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r.body.Store(string(b))
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp, err
}

// streamLimit is how many streams an account may have in the aws profile.
const streamLimit = 10_000

// fill makes streams up to the limit of an account while no limit holds.
func (p *provocation) fill(s *server) {
	c, create := s.client(p), wire.ByName("CreateStream")
	c.HTTP.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	start := time.Now()
	err := parallel(64, streamLimit-7, func(i int) error { // there are some already
		name := fmt.Sprintf("stream-%05d", i)
		return c.Call(p.Context(), create, &wire.CreateStreamInput{StreamName: &name}, nil)
	})
	if err != nil {
		p.Fatal(err)
	}
	p.Logf("%d streams made in %v", streamLimit, time.Since(start).Round(time.Millisecond))
}

// limits provokes what only the aws profile refuses.
func (p *provocation) limits(s *server) {
	who := s.caller(p)
	p.expect(who, "CreateStream", "AccountStreamLimitExceededException", object{"StreamName": "one-too-many"})
	var out struct{ StreamInfo streamInfo }
	who.must(p, "DescribeStream", object{"StreamName": "one"}, &out)
	arn := out.StreamInfo.StreamARN
	p.flood(who, "CreateStream", object{"StreamName": "one"}, 100)
	p.flood(who, "ListStreams", object{"MaxResults": 1}, 100)
	for _, op := range onStreams {
		if !slices.Contains(append([]string{"ListFragments", "GetMediaForFragmentList", "GetMedia"}, onMedia...), op) {
			p.flood(who, op, input(op, "one", arn, "stale"), 12) // a stale version changes nothing
		}
	}
	list := input("ListFragments", "one", arn, "")
	list["MaxResults"] = 1000 // of 10,000 quota points a second
	p.flood(who, "ListFragments", list, 30)
	p.limitsOfChannels(s)
	p.floodPut(s)
	p.connections(s)
}

// flood calls until a request is one too many.
func (p *provocation) flood(who caller, operation string, in object, atOnce int) {
	p.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		var waits []func() answer
		for range atOnce {
			waits = append(waits, who.begin(p, operation, in))
		}
		var refused *answer
		for _, wait := range waits {
			if a := wait(); a.Error != nil && a.Error.Name == "ClientLimitExceededException" {
				refused = &a
			}
		}
		if refused != nil {
			p.note(operation, "ClientLimitExceededException", in, *refused)
			return
		}
	}
	p.Errorf("%s: no number of calls is too many", operation)
}

// floodPut opens sessions until one is too many.
func (p *provocation) floodPut(s *server) {
	c, raw := recording(s.client(p))
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		refused := make(chan error, 12)
		err := parallel(cap(refused), cap(refused), func(int) error {
			up, err := c.PutMedia(p.Context(), client.PutMediaRequest{StreamName: "one", Body: strings.NewReader("")})
			if err != nil {
				refused <- err
				return nil
			}
			return up.Close()
		})
		if err != nil {
			p.Fatal(err)
		}
		if len(refused) > 0 {
			p.refusedPut("ClientLimitExceededException", <-refused, raw.last())
			return
		}
	}
	p.Error("PutMedia: no number of calls is too many")
}

// connections holds open as many answers of one stream as there may be.
func (p *provocation) connections(s *server) {
	who, c, one := s.caller(p), s.client(p), "one"
	now := wire.StartSelectorTypeNow
	for range 3 {
		defer p.hold(c, "GetMedia", &wire.GetMediaInput{StreamName: &one, StartSelector: &wire.StartSelector{StartSelectorType: &now}}).Close()
	}
	p.expect(who, "GetMedia", "ConnectionLimitExceededException", input("GetMedia", one, "", ""))
	p.flood(who, "GetMedia", input("GetMedia", one, "", ""), 12)
	// More than sockets hold, so that the answers stay open while nobody reads; all of them
	// together cost a second's quota points.
	many := slices.Repeat([]string{p.number}, 100)
	for range 5 {
		defer p.hold(c, "GetMediaForFragmentList", &wire.GetMediaForFragmentListInput{StreamName: &one, Fragments: many}).Close()
	}
	in := input("GetMediaForFragmentList", one, "", "")
	p.expect(who, "GetMediaForFragmentList", "ClientLimitExceededException", in)
}

// hold makes a call whose answer stays open until it is closed.
func (p *provocation) hold(c *client.Client, operation string, in wire.Input) io.Closer {
	p.Helper()
	resp, err := c.Stream(p.Context(), wire.ByName(operation), in)
	if err != nil {
		p.Fatal(err)
	}
	return resp.Body
}

// elsewhere makes media calls at an endpoint that is not the configured one.
func (p *provocation) elsewhere(s *server) {
	p.expect(s.caller(p), "GetMedia", "InvalidEndpointException", input("GetMedia", "one", "", ""))
	p.put(s, "InvalidEndpointException", client.PutMediaRequest{StreamName: "one"})
}
