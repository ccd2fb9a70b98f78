package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// refusedBy reads an answer of GetMedia to its end or to its first frame, and returns the
// id of the error in it, "" without one.
func refusedBy(t *testing.T, answer io.Reader) string {
	t.Helper()
	r := mkv.NewReader(answer, mkv.Options{})
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("neither a frame nor an error")
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind == mkv.Block {
			return ""
		}
		for _, tag := range it.Tags {
			for _, s := range tag.Simple {
				if s.Name == "AWS_KINESISVIDEO_ERROR_ID" {
					return s.Value
				}
			}
		}
	}
}

// A stream made with a key that does not exist takes and gives no media (tutorials sheet,
// E6), until its key file is in the settings; its name and its media are then as with
// any other key. The key file of the server is replaced, and everything is still there.
func TestWrappingKeys(t *testing.T) {
	dir := t.TempDir()
	config, key := filepath.Join(dir, "millrace.yml"), filepath.Join(dir, "cameras.key")
	settings(t, config)
	s := serveWith(t, config)
	who := s.caller(t)
	who.must(t, "CreateStream", object{"StreamName": "gate", "DataRetentionInHours": 24, "KmsKeyId": "alias/cameras"}, nil)
	var described struct{ StreamInfo struct{ KmsKeyId string } }
	who.must(t, "DescribeStream", object{"StreamName": "gate"}, &described)
	if described.StreamInfo.KmsKeyId != "alias/cameras" {
		t.Errorf("the key is %q", described.StreamInfo.KmsKeyId)
	}
	view := func(s *server) string {
		return refusedBy(t, s.caller(t).stream(t, "GetMedia", object{"StreamName": "gate", "StartSelector": object{"StartSelectorType": "EARLIEST"}}))
	}
	send := func() (string, error) {
		media := append(head(), bytes.Join(seconds(2, 0), nil)...)
		_, stderr, err := try(t, s.variables(), bytes.NewReader(media), program(t), "put", "gate", "-")
		return stderr, err
	}
	if stderr, err := send(); err == nil || !strings.Contains(stderr, "4506") || !strings.Contains(stderr, "KMS_KEY_NOT_FOUND") {
		t.Errorf("sent without its key: %v\n%s", err, stderr)
	}
	if id := view(s); id != "4506" {
		t.Errorf("viewed without its key: %q", id)
	}
	if why := run(t, s.variables(), program(t), "why", "gate"); !strings.Contains(why, "alias/cameras") || !strings.Contains(why, "keys.files") {
		t.Errorf("why says\n%s", why)
	}

	run(t, environment(), program(t), "key-file", "make", key)
	settings(t, config, "keys: {files: {alias/cameras: "+key+"}}")
	s.hangup(t)
	s.out.wait(t, `settings reloaded`)
	if stderr, err := send(); err != nil {
		t.Fatalf("sent with its key: %v\n%s", err, stderr)
	}
	if id := view(s); id != "" {
		t.Errorf("viewed with its key: %q", id)
	}
	s.create(t, "garden")
	want := s.put(t, "garden", seconds(3, 0)...)

	old := filepath.Join(dir, "old-key")
	if _, stderr, err := try(t, environment(), nil, program(t), "key-file", "rotate", "--old", old, "--data", s.data); err == nil || !strings.Contains(stderr, "in use") {
		t.Errorf("rotated while it serves: %v\n%s", err, stderr)
	}
	before, err := os.ReadFile(filepath.Join(s.data, "key-file"))
	if err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	run(t, environment(), program(t), "key-file", "rotate", "--old", old, "--data", s.data)
	if kept, err := os.ReadFile(old); err != nil || !bytes.Equal(kept, before) {
		t.Errorf("the copy of the old key file: %v", err)
	}
	s = s.again(t)
	if id := view(s); id != "" {
		t.Errorf("viewed with its key after the rotation: %q", id)
	}
	read := 0
	s.read(t, "garden", want, func(*chunk) error { read++; return nil })
	if read != len(want) {
		t.Errorf("%d of %d fragments can be read", read, len(want))
	}
	s.put(t, "garden", seconds(3, 3)...)
}
