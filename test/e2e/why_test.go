package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/mkv"
)

// finding is what why and lint say in the same words.
type finding struct {
	Count       int64
	First, Last struct {
		Scope, ErrorCode, Case, Why, Fix, Limit string
		ErrorId, Frame                          int
		Offset, ClusterOffset, FragmentTimecode int64
		TrackNumber                             uint64
	}
}

// findings reads objects, one a line, in the order of the media.
func findings(t *testing.T, text string) (all []finding) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var f finding
		if err := d.Decode(&f); err == io.EOF {
			slices.SortFunc(all, func(a, b finding) int { return int(a.First.Offset - b.First.Offset) })
			return all
		} else if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, f)
	}
}

// A file with four faults: what lint says before it is sent, why says afterwards, whoever
// sent it, also when the server was restarted since.
func TestWhyAndLintAgree(t *testing.T) {
	s := serve(t)
	strange := mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 7, Time: 999}, []byte("frame"))
	media := slices.Concat(head(), cluster(0, 10, 400, 1), cluster(1000, 10, 400, 2), strange, cluster(2000, 10, 400, 3), cluster(500, 10, 400, 4),
		cluster(3000, 10, 400, 5), strange, cluster(4000, 10, 400, 6), []byte{0, 0, 0})
	file := temporary(t, "broken.mkv")
	if err := os.WriteFile(file, media, 0o600); err != nil {
		t.Fatal(err)
	}

	out, _, err := try(t, environment(), nil, program(t), "lint", "--json", file)
	var report struct {
		Refused  int
		Refusals json.RawMessage
	}
	if jerr := json.Unmarshal([]byte(out), &report); err == nil || jerr != nil || report.Refused != 4 {
		t.Fatalf("lint: %v, %v: %s", err, jerr, out)
	}
	var said []json.RawMessage
	if err := json.Unmarshal(report.Refusals, &said); err != nil {
		t.Fatal(err)
	}
	want := findings(t, string(bytes.Join(byLine(said), []byte("\n"))))
	if len(want) != 3 || want[0].Count != 2 || want[0].First.ErrorId != 4010 || want[1].First.ErrorId != 4004 || want[2].First.ErrorId != 4006 || want[2].First.Offset != int64(len(media)-3) {
		t.Fatalf("lint says %+v", want)
	}

	// Our own client.
	s.createKept(t, "raw", 24)
	session := s.open(t, "raw")
	go func() {
		_, err := io.Copy(session, bytes.NewReader(media))
		_ = session.CloseWithError(err)
	}()
	acks := slices.DeleteFunc(session.rest(t), func(a client.Ack) bool { return a.Type != client.Failed })
	if len(acks) != 4 {
		t.Errorf("acknowledged\n%s", lines(acks))
	}
	// The producer, which stops at the first of them, points to why.
	if _, stderr, err := try(t, s.variables(), nil, program(t), "put", "sent", file, "--raw", "--create"); err == nil || !strings.Contains(stderr, "millrace why sent") {
		t.Errorf("put: %v, %s", err, stderr)
	}

	why := func(s *server, args ...string) string {
		return run(t, s.variables(), program(t), append([]string{"why"}, args...)...)
	}
	compare := func(s *server) {
		t.Helper()
		if got := findings(t, why(s, "raw", "--json")); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("why says\n%+v\nlint says\n%+v", got, want)
		}
		if text := why(s, "raw"); !strings.Contains(text, "4010 TRACK_NUMBER_MISMATCH, undeclared-track: 2 times") || !strings.Contains(text, acks[0].Number) || !strings.Contains(text, "  fix ") {
			t.Errorf("why says\n%s", text)
		}
	}
	compare(s)
	if text := why(s); !strings.Contains(text, "raw  4 refusals") || !strings.Contains(text, "sent  ") {
		t.Errorf("why says\n%s", text)
	}
	if got := findings(t, why(s, "sent", "--json")); len(got) == 0 || got[0].First.Case != "undeclared-track" || got[0].First.Offset != want[0].First.Offset {
		t.Errorf("of what put sent: %+v", got)
	}

	s.stop(t)
	s = s.again(t)
	compare(s)
	s.createKept(t, "good", 24)
	s.put(t, "good", cluster(0, 10, 400, 1))
	if text := why(s, "good"); !strings.HasPrefix(text, "good: nothing was refused. The newest fragment, ") {
		t.Errorf("why says %s", text)
	}
}

func byLine(objects []json.RawMessage) (all [][]byte) {
	for _, o := range objects {
		all = append(all, o)
	}
	return all
}
