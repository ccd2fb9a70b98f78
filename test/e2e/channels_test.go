package e2e

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// onChannels are the operations that name a channel in their input.
var onChannels = []string{"GetSignalingChannelEndpoint", "GetIceServerConfig", "SendAlexaOfferToMaster", "DescribeSignalingChannel", "UpdateSignalingChannel", "DeleteSignalingChannel",
	"DescribeMediaStorageConfiguration", "UpdateMediaStorageConfiguration", "TagResource", "UntagResource", "ListTagsForResource"}

// onChannel reports whether an operation names a channel, and nothing but a channel can be
// meant.
func onChannel(op *wire.Operation) bool {
	if op.Input == nil {
		return false
	}
	members := reflect.TypeOf(op.Input()).Elem()
	for _, name := range []string{"ChannelARN", "ChannelArn"} {
		if _, ok := members.FieldByName(name); ok {
			return true
		}
	}
	return false
}

// channelInput is [input] of the operations on channels; nil of others.
func channelInput(operation, channel, arn, version string) object {
	switch operation {
	case "CreateSignalingChannel", "DescribeSignalingChannel", "DescribeMediaStorageConfiguration":
		return object{"ChannelName": channel}
	case "ListSignalingChannels":
		return object{}
	case "UpdateSignalingChannel":
		return object{"ChannelARN": arn, "CurrentVersion": version, "SingleMasterConfiguration": object{"MessageTtlSeconds": 60}}
	case "DeleteSignalingChannel":
		return object{"ChannelARN": arn, "CurrentVersion": version}
	case "UpdateMediaStorageConfiguration":
		return object{"ChannelARN": arn, "MediaStorageConfiguration": object{"Status": "DISABLED"}}
	case "GetSignalingChannelEndpoint":
		return object{"ChannelARN": arn}
	case "GetIceServerConfig":
		return object{"ChannelARN": arn, "Service": "TURN"}
	case "SendAlexaOfferToMaster":
		return object{"ChannelARN": arn, "SenderClientId": "me", "MessagePayload": "e30="}
	case "JoinStorageSession":
		return object{"channelArn": arn}
	case "JoinStorageSessionAsViewer":
		return object{"channelArn": arn, "clientId": "me"}
	}
	return nil
}

// channels makes signaling channels and returns the last one.
func (s *server) channels(t *testing.T, names ...string) (last thing) {
	t.Helper()
	for _, name := range names {
		var made struct{ ChannelARN string }
		s.caller(t).must(t, "CreateSignalingChannel", object{"ChannelName": name}, &made)
		last = thing{name, made.ChannelARN}
	}
	return last
}

// channelARN is the ARN of a channel.
func (s *server) channelARN(t testing.TB, name string) string {
	t.Helper()
	var out struct{ ChannelInfo struct{ ChannelARN string } }
	s.caller(t).must(t, "DescribeSignalingChannel", object{"ChannelName": name}, &out)
	return out.ChannelInfo.ChannelARN
}

// storing is an input that makes a channel store to a stream.
func storing(channel, stream string) object {
	return object{"ChannelARN": channel, "MediaStorageConfiguration": object{"Status": "ENABLED", "StreamARN": stream}}
}

// wrongChannels provokes what is wrong about one call on a channel alone.
func (p *provocation) wrongChannels(s *server) {
	who := s.caller(p)
	const prefix = "arn:aws:kinesisvideo:us-east-1:"
	yard := s.channels(p.T, "yard").arn
	// The master's answer to an Alexa offer, which nobody gives, is waited for no longer.
	who.must(p, "CreateSignalingChannel", object{"ChannelName": "door", "SingleMasterConfiguration": object{"MessageTtlSeconds": 5}}, nil)
	p.door = s.channelARN(p, "door")
	for _, op := range onChannels {
		p.expect(who, op, "ResourceNotFoundException", input(op, "nobody", prefix+s.account+":channel/nobody/1735442939457", "v1"))
		p.expect(who, op, "InvalidArgumentException", input(op, "not a name", prefix+"123456789012:channel/one", "v1"))
	}
	const mapped = "DescribeMappedResourceConfiguration"
	p.expect(who, mapped, "ResourceNotFoundException", object{"StreamName": "nobody"})
	p.expect(who, mapped, "InvalidArgumentException", object{"StreamName": "one", "NextToken": "Zm9yZ2Vk"})
	for _, op := range []string{"UpdateSignalingChannel", "DeleteSignalingChannel"} {
		p.expect(who, op, "VersionMismatchException", input(op, "door", p.door, "stale"))
	}
	p.expect(who, "GetIceServerConfig", "InvalidClientException", object{"ChannelARN": p.door, "ClientId": "AWS_me"})
	const create, store = "CreateSignalingChannel", "UpdateMediaStorageConfiguration"
	p.expect(who, create, "ResourceInUseException", object{"ChannelName": "door"})
	p.expect(who, create, "InvalidArgumentException", object{"ChannelName": "many", "ChannelType": "FULL_MESH"})
	p.expect(who, "ListSignalingChannels", "InvalidArgumentException", object{"NextToken": "Zm9yZ2Vk"})
	who.must(p, "CreateStream", object{"StreamName": "brief"}, nil)
	p.expect(who, store, "NoDataRetentionException", storing(p.door, s.arn(p.T, "brief")))
	who.must(p, store, storing(p.door, p.arn), nil)
	p.expect(who, store, "ResourceInUseException", storing(yard, p.arn))
	p.expect(who, "DeleteStream", "ResourceInUseException", object{"StreamARN": p.arn})
	who.must(p, store, input(store, "door", p.door, ""), nil)
	p.tooManyTags(who)
}

// tooManyTags fills a channel up with tags; one more is refused.
func (p *provocation) tooManyTags(who caller) {
	var many []object
	for i := range 51 {
		many = append(many, object{"Key": fmt.Sprintf("key-%02d", i), "Value": "v"})
	}
	p.expect(who, "CreateSignalingChannel", "InvalidArgumentException", object{"ChannelName": "tagged", "Tags": many})
	who.must(p, "TagResource", object{"ResourceARN": p.door, "Tags": many[:50]}, nil)
	p.expect(who, "TagResource", "TagsPerResourceExceededLimitException", object{"ResourceARN": p.door, "Tags": many[50:]})
}

// limitsOfChannels provokes what only the aws profile refuses.
func (p *provocation) limitsOfChannels(s *server) {
	who := s.caller(p)
	if err := s.client(p).Admin(p.Context(), "SetLimit", object{"Name": "account.channels", "Value": "2"}, nil); err != nil {
		p.Fatal(err)
	}
	p.expect(who, "CreateSignalingChannel", "AccountChannelLimitExceededException", object{"ChannelName": "one-too-many"})
	p.flood(who, "CreateSignalingChannel", object{"ChannelName": "door"}, 100)
	p.flood(who, "ListSignalingChannels", object{"MaxResults": 1}, 100)
	p.flood(who, "DescribeMappedResourceConfiguration", object{"StreamName": "one"}, 12)
	p.floodAlexa(who)
	for _, op := range onChannels {
		if op == "SendAlexaOfferToMaster" {
			continue
		}
		atOnce := 12
		if op == "GetSignalingChannelEndpoint" { // has no rate of its own for each channel
			atOnce = 350
		}
		p.flood(who, op, input(op, "door", p.door, "stale"), atOnce) // a stale version changes nothing
	}
}

// floodAlexa sends offers until one is too many. Each is of another sender: a newer one of the
// same takes the place of the older one, which fails with the same exception.
func (p *provocation) floodAlexa(who caller) {
	const op = "SendAlexaOfferToMaster"
	var waits []func() answer
	for i := range 30 {
		in := input(op, "door", p.door, "")
		in["SenderClientId"] = fmt.Sprint("caller-", i)
		waits = append(waits, who.begin(p, op, in))
	}
	for _, wait := range waits {
		if a := wait(); a.Error != nil && a.Error.Name == "ClientLimitExceededException" {
			p.note(op, "ClientLimitExceededException", input(op, "door", p.door, ""), a)
		}
	}
}

// triesStorage wants a channel of its own to store to another account's stream.
func (n neighbour) triesStorage(t *testing.T, whose neighbour) {
	door, op := n.channelARN(t, "door"), wire.ByName("UpdateMediaStorageConfiguration")
	q := func(x thing) question {
		return question{title: "storing to a stream", path: op.Path, body: plainJSON(t, storing(door, x.arn)), header: map[string]string{"Content-Type": "application/json"}}
	}
	x := whose.hidden
	got := n.ask(t, q(x), x.said()...)
	equal(t, "storing to a stream", got, n.ask(t, q(x.instead()), x.instead().said()...))
	equal(t, "storing to a stream of an account that never was", got, n.ask(t, q(x.elsewhere(whose.account)), x.elsewhere(whose.account).said()...))
	if got.Status != http.StatusNotFound {
		t.Errorf("%+v", got)
	}
}
