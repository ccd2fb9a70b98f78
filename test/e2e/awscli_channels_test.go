package e2e

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// channelInfo is a channel as the aws command prints it.
type channelInfo struct {
	ChannelName, ChannelARN, ChannelType, ChannelStatus, Version string
	CreationTime                                                 any // a date or, of older commands, a number
	SingleMasterConfiguration                                    struct{ MessageTtlSeconds int }
}

// refusal runs an aws command that must fail with an exception.
func (a awsCommand) refusal(t *testing.T, exception string, args ...string) {
	t.Helper()
	out, stderr, err := try(t, a.variables(), nil, a.program, append([]string{"--endpoint-url", a.https, "kinesisvideo"}, args...)...)
	if err == nil || !strings.Contains(stderr, "("+exception+")") {
		t.Errorf("aws kinesisvideo %s: %v, %s%s, want %s", strings.Join(args, " "), err, out, stderr, exception)
	}
}

// Every operation on signaling channels of the control plane, as somebody types them.
func TestAWSCLIChannels(t *testing.T) {
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal(err)
	}
	a := awsCommand{serve(t), program}
	var made struct{ ChannelARN string }
	a.awsTo(t, &made, "kinesisvideo", "create-signaling-channel", "--channel-name", "door", "--channel-type", "SINGLE_MASTER",
		"--single-master-configuration", "MessageTtlSeconds=30", "--tags", "Key=place,Value=north")
	a.aws(t, "kinesisvideo", "create-signaling-channel", "--channel-name", "yard")
	door := a.describeChannel(t, "--channel-name", "door")
	want := channelInfo{ChannelName: "door", ChannelARN: made.ChannelARN, ChannelType: "SINGLE_MASTER", ChannelStatus: "ACTIVE", Version: door.Version, CreationTime: door.CreationTime}
	want.SingleMasterConfiguration.MessageTtlSeconds = 30
	if door != want || door.Version == "" || door.CreationTime == nil {
		t.Errorf("describe-signaling-channel: %+v, want %+v", door, want)
	}
	if ttl := a.describeChannel(t, "--channel-name", "yard").SingleMasterConfiguration.MessageTtlSeconds; ttl != 60 {
		t.Errorf("messages of a channel of which nothing was said live %d s", ttl)
	}
	a.aws(t, "kinesisvideo", "update-signaling-channel", "--channel-arn", made.ChannelARN, "--current-version", door.Version,
		"--single-master-configuration", "MessageTtlSeconds=5")
	now := a.describeChannel(t, "--channel-arn", made.ChannelARN)
	if now.SingleMasterConfiguration.MessageTtlSeconds != 5 || now.Version == door.Version {
		t.Errorf("after the update: %+v", now)
	}
	var list struct{ ChannelInfoList []channelInfo }
	for prefix, want := range map[string][]string{"": {"door", "yard"}, "ya": {"yard"}, "x": nil} {
		args := []string{"kinesisvideo", "list-signaling-channels", "--page-size", "1"}
		if prefix != "" {
			args = append(args, "--channel-name-condition", "ComparisonOperator=BEGINS_WITH,ComparisonValue="+prefix)
		}
		a.awsTo(t, &list, args...)
		var got []string
		for _, c := range list.ChannelInfoList {
			got = append(got, c.ChannelName)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list-signaling-channels %q: %v, want %v", prefix, got, want)
		}
	}
	a.tagChannel(t, made.ChannelARN)
	a.joinChannel(t, made.ChannelARN)
	a.storeChannel(t, made.ChannelARN)
	a.refusal(t, "ResourceInUseException", "create-signaling-channel", "--channel-name", "door")
	a.refusal(t, "InvalidArgumentException", "create-signaling-channel", "--channel-name", "many", "--channel-type", "FULL_MESH")
	a.refusal(t, "VersionMismatchException", "delete-signaling-channel", "--channel-arn", made.ChannelARN, "--current-version", door.Version)
	a.refusal(t, "InvalidArgumentException", "describe-signaling-channel")
	a.aws(t, "kinesisvideo", "delete-signaling-channel", "--channel-arn", made.ChannelARN, "--current-version", now.Version)
	a.refusal(t, "ResourceNotFoundException", "describe-signaling-channel", "--channel-name", "door")
	a.refusal(t, "ResourceNotFoundException", "delete-signaling-channel", "--channel-arn", made.ChannelARN)
	var again struct{ ChannelARN string }
	a.awsTo(t, &again, "kinesisvideo", "create-signaling-channel", "--channel-name", "door")
	if again.ChannelARN <= made.ChannelARN {
		t.Errorf("made again as %s, before as %s", again.ChannelARN, made.ChannelARN)
	}
}

func (a awsCommand) describeChannel(t *testing.T, args ...string) channelInfo {
	t.Helper()
	var out struct{ ChannelInfo channelInfo }
	a.awsTo(t, &out, append([]string{"kinesisvideo", "describe-signaling-channel"}, args...)...)
	return out.ChannelInfo
}

// joinChannel asks where to connect to a channel, and by which servers (tutorial H11).
func (a awsCommand) joinChannel(t *testing.T, arn string) {
	t.Helper()
	endpoints := func(configuration string) (all []string) {
		t.Helper()
		var out struct {
			ResourceEndpointList []struct{ Protocol, ResourceEndpoint string }
		}
		args := []string{"kinesisvideo", "get-signaling-channel-endpoint", "--channel-arn", arn}
		if configuration != "" {
			args = append(args, "--single-master-channel-endpoint-configuration", configuration)
		}
		a.awsTo(t, &out, args...)
		for _, e := range out.ResourceEndpointList {
			all = append(all, e.Protocol+" "+e.ResourceEndpoint)
		}
		return all
	}
	wss := "WSS " + strings.Replace(a.https, "https:", "wss:", 1) + "/channel/"
	for configuration, want := range map[string][]string{
		"Protocols=WSS,HTTPS,Role=MASTER": {wss + "master", "HTTPS " + a.https},
		"Protocols=HTTPS,Role=VIEWER":     {"HTTPS " + a.https},
		"":                                {wss + "viewer", "HTTPS " + a.https},
	} {
		if got := endpoints(configuration); !slices.Equal(got, want) {
			t.Errorf("get-signaling-channel-endpoint %s: %v, want %v", configuration, got, want)
		}
	}
	a.refusal(t, "InvalidArgumentException", "get-signaling-channel-endpoint", "--channel-arn", arn, "--single-master-channel-endpoint-configuration", "Protocols=WEBRTC,Role=MASTER")
	var ice struct{ IceServerList []json.RawMessage }
	a.awsTo(t, &ice, "kinesis-video-signaling", "get-ice-server-config", "--channel-arn", arn, "--service", "TURN", "--client-id", "me")
	if len(ice.IceServerList) != 0 { // none is configured
		t.Errorf("get-ice-server-config: %s", ice.IceServerList)
	}
}

// tagChannel tags a channel that has the tag place=north.
func (a awsCommand) tagChannel(t *testing.T, arn string) {
	t.Helper()
	a.aws(t, "kinesisvideo", "tag-resource", "--resource-arn", arn, "--tags", "Key=place,Value=south", "Key=floor,Value=1")
	a.aws(t, "kinesisvideo", "untag-resource", "--resource-arn", arn, "--tag-key-list", "floor", "nothing")
	var tags struct{ Tags map[string]string }
	a.awsTo(t, &tags, "kinesisvideo", "list-tags-for-resource", "--resource-arn", arn)
	if len(tags.Tags) != 1 || tags.Tags["place"] != "south" {
		t.Errorf("list-tags-for-resource: %+v", tags)
	}
}

// storeChannel makes a channel store to a stream and undoes it.
func (a awsCommand) storeChannel(t *testing.T, arn string) {
	t.Helper()
	var stream, brief struct{ StreamARN string }
	a.awsTo(t, &stream, "kinesisvideo", "create-stream", "--stream-name", "films", "--data-retention-in-hours", "1")
	a.awsTo(t, &brief, "kinesisvideo", "create-stream", "--stream-name", "brief")
	storage := func(status, streamARN string) {
		t.Helper()
		var out struct {
			MediaStorageConfiguration struct {
				Status    string
				StreamARN *string
			}
		}
		a.awsTo(t, &out, "kinesisvideo", "describe-media-storage-configuration", "--channel-name", "door")
		if c := out.MediaStorageConfiguration; c.Status != status || (c.StreamARN == nil) != (streamARN == "") || c.StreamARN != nil && *c.StreamARN != streamARN {
			t.Errorf("describe-media-storage-configuration: %+v, want %s %s", c, status, streamARN)
		}
	}
	mapped := func(want ...string) {
		t.Helper()
		var out struct{ MappedResourceConfigurationList []struct{ Type, ARN string } }
		a.awsTo(t, &out, "kinesisvideo", "describe-mapped-resource-configuration", "--stream-name", "films")
		var got []string
		for _, m := range out.MappedResourceConfigurationList {
			got = append(got, m.Type+" "+m.ARN)
		}
		if !slices.Equal(got, want) {
			t.Errorf("describe-mapped-resource-configuration: %v, want %v", got, want)
		}
	}
	update := func(configuration string) []string {
		return []string{"update-media-storage-configuration", "--channel-arn", arn, "--media-storage-configuration", configuration}
	}
	storage("DISABLED", "")
	mapped()
	a.refusal(t, "NoDataRetentionException", update("Status=ENABLED,StreamARN="+brief.StreamARN)...)
	a.refusal(t, "InvalidArgumentException", update("Status=ENABLED")...)
	a.aws(t, append([]string{"kinesisvideo"}, update("Status=ENABLED,StreamARN="+stream.StreamARN)...)...)
	storage("ENABLED", stream.StreamARN)
	mapped("channel " + arn)
	a.refusal(t, "ResourceInUseException", "delete-stream", "--stream-arn", stream.StreamARN)
	a.aws(t, append([]string{"kinesisvideo"}, update("Status=DISABLED")...)...)
	storage("DISABLED", "")
	mapped()
	a.aws(t, "kinesisvideo", "delete-stream", "--stream-arn", stream.StreamARN)
}
