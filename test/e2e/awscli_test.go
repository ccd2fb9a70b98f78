package e2e

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// aws runs an aws command.
func (a awsCommand) aws(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, a.variables(), a.program, append([]string{"--endpoint-url", a.https, "--output", "json"}, args...)...)
}

// awsTo runs an aws command and decodes what it prints.
func (a awsCommand) awsTo(t *testing.T, out any, args ...string) {
	t.Helper()
	text := a.aws(t, args...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatalf("aws %s: %v in %s", strings.Join(args, " "), err, text)
	}
}

// awsCommand is an aws command that speaks to a server.
type awsCommand struct {
	*server
	program string
}

// Versions 1 and 2 of the command are different programs: whichever are there are tested,
// and the one in the path must be.
func TestTheAWSCommand(t *testing.T) {
	inPath, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal(err)
	}
	programs := []string{inPath}
	if other := "/usr/bin/aws"; other != inPath && exec.Command(other, "--version").Run() == nil {
		programs = append(programs, other)
	}
	for _, program := range programs {
		t.Run(strings.Trim(program, "/"), func(t *testing.T) { awsCommand{serve(t), program}.use(t) })
	}
}

func (a awsCommand) use(t *testing.T) {
	var made struct{ StreamARN string }
	a.awsTo(t, &made, "kinesisvideo", "create-stream", "--stream-name", "garden", "--data-retention-in-hours", "24", "--media-type", "video/h264")
	sent := seconds(4, 0)
	numbers := a.put(t, "garden", sent...)
	var d struct {
		StreamInfo struct {
			StreamARN, Status, MediaType string
			DataRetentionInHours         int
		}
	}
	a.awsTo(t, &d, "kinesisvideo", "describe-stream", "--stream-name", "garden")
	if i := d.StreamInfo; i.StreamARN != made.StreamARN || i.Status != "ACTIVE" || i.MediaType != "video/h264" || i.DataRetentionInHours != 24 {
		t.Errorf("describe-stream: %+v", i)
	}
	var list struct{ StreamInfoList []struct{ StreamName string } }
	a.awsTo(t, &list, "kinesisvideo", "list-streams")
	if len(list.StreamInfoList) != 1 || list.StreamInfoList[0].StreamName != "garden" {
		t.Errorf("list-streams: %+v", list)
	}
	a.aws(t, "kinesisvideo", "tag-stream", "--stream-name", "garden", "--tags", "place=north")
	var tags struct{ Tags map[string]string }
	a.awsTo(t, &tags, "kinesisvideo", "list-tags-for-stream", "--stream-arn", made.StreamARN)
	if len(tags.Tags) != 1 || tags.Tags["place"] != "north" {
		t.Errorf("list-tags-for-stream: %+v", tags)
	}
	a.awsMedia(t, sent, numbers)
	a.aws(t, "kinesisvideo", "delete-stream", "--stream-arn", made.StreamARN)
	_, stderr, err := try(t, a.variables(), nil, a.program, "--endpoint-url", a.https, "kinesisvideo", "describe-stream", "--stream-name", "garden")
	if err == nil || !strings.Contains(stderr, "(ResourceNotFoundException) when calling the DescribeStream operation") {
		t.Errorf("describe-stream of a deleted stream: %v, %s", err, stderr)
	}
}

// awsMedia reads the media of the stream in all three ways.
func (a awsCommand) awsMedia(t *testing.T, sent [][]byte, numbers []string) {
	t.Helper()
	var endpoint struct{ DataEndpoint string }
	a.awsTo(t, &endpoint, "kinesisvideo", "get-data-endpoint", "--stream-name", "garden", "--api-name", "GET_MEDIA")
	if endpoint.DataEndpoint != a.https {
		t.Errorf("get-data-endpoint: %+v, want %s", endpoint, a.https)
	}
	file := temporary(t, "out.mkv")
	a.aws(t, "kinesis-video-media", "get-media", "--stream-name", "garden", "--start-selector", "StartSelectorType=EARLIEST", file)
	sameClusters(t, fileChunks(t, file), sent)
	var list struct {
		Fragments []struct{ FragmentNumber string }
	}
	a.awsTo(t, &list, "kinesis-video-archived-media", "list-fragments", "--stream-name", "garden", "--page-size", "3",
		"--fragment-selector", "FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=2020-01-01T00:00:00Z,EndTimestamp=2100-01-01T00:00:00Z}")
	var got []string
	for _, f := range list.Fragments {
		got = append(got, f.FragmentNumber)
	}
	if !slices.Equal(got, numbers) {
		t.Errorf("list-fragments: %v, want %v", got, numbers)
	}
	a.aws(t, "kinesis-video-archived-media", "get-media-for-fragment-list", file, "--stream-name", "garden", "--fragments", numbers[2], numbers[1])
	sameClusters(t, fileChunks(t, file), [][]byte{sent[2], sent[1]})
}
