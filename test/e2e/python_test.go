package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// python finds an interpreter that has boto3.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import boto3").Run() == nil {
			return name
		}
	}
	t.Fatal("no python3 has boto3; .ci/run says which packages are needed")
	return ""
}

func TestBoto3(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	sent := seconds(5, 0)
	numbers := s.put(t, "garden", sent...)
	file := temporary(t, "media.mkv")
	out := run(t, s.variables(), python(t), "boto.py", s.https, s.ca(), file, "garden")
	var seen struct {
		Media struct {
			Numbers []string
			Times   []float64
			Type    string
		}
		ARN, Tags, Updated, Streams, Refused json.RawMessage
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if !slices.Equal(seen.Media.Numbers, numbers) || seen.Media.Type != "video/webm" {
		t.Errorf("fragments %v of type %s, want %v", seen.Media.Numbers, seen.Media.Type, numbers)
	}
	for i, at := range seen.Media.Times {
		if want := began.Add(time.Duration(i) * time.Second); time.UnixMilli(int64(at*1000+0.5)).Compare(want) != 0 {
			t.Errorf("fragment %d has producer time %f, want %v", i, at, want)
		}
	}
	sameClusters(t, fileChunks(t, file), sent)
	slices.Reverse(sent)
	sameClusters(t, fileChunks(t, file+".list"), sent)
	for name, c := range map[string]struct {
		got  json.RawMessage
		want string
	}{
		"create and describe": {seen.ARN, `[true, "ACTIVE", 2, true]`},
		"tags":                {seen.Tags, `[{"c": "d", "e": "f"}, {"c": "d", "e": "f"}]`},
		"update":              {seen.Updated, `["video/h264", 5]`},
		"list":                {seen.Streams, `["boto", "garden"]`},
		"refused": {seen.Refused, `[["ResourceInUseException", 400, "The stream boto already exists."], ` +
			`["ResourceNotFoundException", 404, "The requested stream is not found or not active."], ` +
			`["VersionMismatchException", 400, "The stream has another version than stale. Read the current version with DescribeStream and try again."], ` +
			`["ResourceNotFoundException", 404, "The requested stream is not found or not active."]]`},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: %s\nwant %s", name, c.got, c.want)
		}
	}
}

// fileChunks are the chunks in a file.
func fileChunks(t *testing.T, name string) []*chunk {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return all(t, f)
}
