package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/mediatest"
)

// usage says what streams keep as list does, fragment by fragment, also after a restart,
// and only to their account.
func TestUsage(t *testing.T) {
	s := serve(t)
	file := temporary(t, "clip.mkv")
	if err := os.WriteFile(file, mediatest.Bytes("gstreamer-h264-aac"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, s.variables(), program(t), "put", "garden", file, "--create", "--start-time", began.Format("2006-01-02T15:04:05.999Z"))
	s.create(t, "empty")
	numbers := s.put(t, "empty", seconds(3, 0)...)
	s.create(t, "really-empty")

	check := func(s *server, live bool) {
		t.Helper()
		all := read[streamUsage](t, run(t, s.variables(), program(t), "usage", "--json"))
		if len(all) != 3 || all[0].StreamName != "empty" || all[1].StreamName != "garden" || all[2].Fragments != 0 || all[2].Oldest != nil {
			t.Fatalf("%+v", all)
		}
		listed := strings.Split(strings.TrimSpace(run(t, s.variables(), program(t), "list", "garden", "--json")), "\n")
		garden := all[1]
		first, last := garden.Oldest, garden.Newest
		if garden.Fragments != int64(len(listed)) || !strings.Contains(listed[0], first.FragmentNumber) || !strings.Contains(listed[len(listed)-1], last.FragmentNumber) {
			t.Errorf("%+v, %d fragments are listed", garden, len(listed))
		}
		if !first.ProducerTimestamp.Equal(began) || garden.Bytes < 10_000 || garden.RetentionHours == 0 {
			t.Errorf("%+v, began %v", garden, first.ProducerTimestamp)
		}
		if all[0].Fragments != 3 || all[0].Newest.FragmentNumber != numbers[2] {
			t.Errorf("%+v, want 3 fragments up to %s", all[0], numbers[2])
		}
		if (garden.BytesPerSecond > 0) != live {
			t.Errorf("%v bytes a second came in", garden.BytesPerSecond)
		}
		table := run(t, s.variables(), program(t), "usage")
		if !strings.Contains(table, "\n3 streams: ") || !strings.Contains(table, fmt.Sprintf("in %d fragments", len(listed)+3)) {
			t.Errorf("the sums are missing:\n%s", table)
		}
	}
	check(s, true)
	if _, stderr, err := try(t, s.variables(), nil, program(t), "usage", "nobody"); err == nil || !strings.Contains(stderr, "ResourceNotFoundException") {
		t.Errorf("%v %s", err, stderr)
	}
	s.stop(t)
	next := s.again(t)
	check(next, false)
	next.caller(t).must(t, "DeleteStream", object{"StreamARN": read[streamUsage](t, run(t, next.variables(), program(t), "usage", "garden", "--json"))[0].StreamARN}, nil)
	if left := read[streamUsage](t, run(t, next.variables(), program(t), "usage", "--json")); len(left) != 2 {
		t.Errorf("%+v", left)
	}
}
