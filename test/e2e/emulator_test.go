package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What tests may do to a development server is refused by every other, and for every
// directory that others had.
func TestOnlyDevelopmentServersAreMovedFailedAndEmptied(t *testing.T) {
	for flag, value := range map[string]string{"--clock": "2030-01-01", "--fault": "GetMedia:cut=before", "--fault-seed": "7", "--reset": "", "--no-demo": ""} {
		args := []string{"serve", "--data", temporary(t, "data"), flag}
		if value != "" {
			args = append(args, value)
		}
		if _, stderr, err := try(t, environment(), nil, program(t), args...); err == nil || !strings.Contains(stderr, "only with --dev: "+flag) {
			t.Errorf("%s: %v %s", flag, err, stderr)
		}
	}
	for wrong, says := range map[string]string{"--clock=soon": "write a moment", "--fault=GetMdia:cut=1MB": "there is no operation", "--fault=GetMedia:rate=1": "say what goes wrong"} {
		if _, stderr, err := try(t, environment(), nil, program(t), "serve", "--dev", wrong); err == nil || !strings.Contains(stderr, says) {
			t.Errorf("%s: %v %s", wrong, err, stderr)
		}
	}
	s := serve(t)
	s.create(t, "garden")
	for _, command := range [][]string{{"reset"}, {"clock", "set", "+1h"}, {"clock", "show"}} {
		if _, stderr, err := try(t, s.variables(), nil, program(t), command...); err == nil || !strings.Contains(stderr, "--dev") {
			t.Errorf("%v: %v %s", command, err, stderr)
		}
	}
	s.caller(t).must(t, "DescribeStream", object{"StreamName": "garden"}, nil)
	s.stop(t)
	if _, stderr, err := try(t, environment(), nil, program(t), "serve", "--dev", "--data", s.data, "--reset"); err == nil || !strings.Contains(stderr, "is not emptied") {
		t.Errorf("somebody's data: %v %s", err, stderr)
	}
	for _, args := range [][]string{nil, {"--clock", "+48h"}} {
		args = append([]string{"serve", "--dev", "--no-demo", "--data", s.data, "--http", "127.0.0.1:0", "--https", ""}, args...)
		if _, stderr, err := try(t, environment(), nil, program(t), args...); err == nil || !strings.Contains(stderr, "leave --dev out") {
			t.Errorf("somebody's data with %v: %v %s", args, err, stderr)
		}
	}
	s = s.again(t)
	s.caller(t).must(t, "DescribeStream", object{"StreamName": "garden"}, nil)
}

// Faults may stand in a file; a call that was struck is marked in the log.
func TestFaultsFromAFile(t *testing.T) {
	file := temporary(t, "faults")
	if err := os.WriteFile(file, []byte("# all of them, once\n*:error=ClientLimitExceededException,times=1\n\nListStreams:status=503,after=1 # later\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "--dev", "--no-demo", "--fault-file", file, "--fault-seed", "9")
	s.start(t)
	for i, want := range []string{"ClientLimitExceededException", "ServiceUnavailableException", "ServiceUnavailableException"} {
		a := s.caller(t).call(t, "ListStreams", object{})
		if a.Error == nil || a.Error.Name != want {
			t.Errorf("call %d: %v, want %s", i, a.Error, want)
		}
	}
	s.out.wait(t, `operation=ListStreams status=503.*fault="answer=503"`)
}

// On a fast clock retention passes by itself, while the SDK signs by the real time. A
// reset start finds nothing, with the same CA.
func TestAFastClock(t *testing.T) {
	data := temporary(t, "data")
	start := func(more ...string) *server {
		t.Helper()
		s := newServer(t, append([]string{"--dev", "--no-demo", "--data", data}, more...)...)
		s.start(t)
		return s
	}
	s := start("--clock", "2030-01-01@1800")
	var list struct {
		StreamInfoList []struct{ StreamName string }
	}
	if s.caller(t).must(t, "ListStreams", object{}, &list); len(list.StreamInfoList) != 0 {
		t.Errorf("there are streams: %v", list)
	}
	s.caller(t).must(t, "CreateStream", object{"StreamName": "garden", "DataRetentionInHours": 1}, nil)
	s.put(t, "garden", seconds(3, 0)...)
	count := func() int {
		return len(strings.Fields(run(t, s.variables(), program(t), "list", "garden", "--json")))
	}
	eventually(t, "an hour of the server has passed", func() error { // 2 s
		if n := count(); n > 0 {
			return fmt.Errorf("%d words are listed", n)
		}
		return nil
	})
	shown := run(t, s.variables(), program(t), "clock", "show")
	if !strings.HasPrefix(shown, "2030-01-01T") || !strings.Contains(shown, "speed 1800") {
		t.Errorf("the clock shows %s", shown)
	}
	run(t, s.variables(), program(t), "clock", "set", "2040-01-01@1")
	if got := run(t, s.variables(), program(t), "reset"); !strings.Contains(got, "deleted 1 ") {
		t.Error(got)
	}
	if shown := run(t, s.variables(), program(t), "clock", "show"); !strings.HasPrefix(shown, "2030-01-01T") || !strings.Contains(shown, "speed 1800") {
		t.Errorf("behind a reset the clock shows %s", shown)
	}
	s.caller(t).must(t, "CreateStream", object{"StreamName": "garden", "DataRetentionInHours": 1}, nil)
	ca, err := os.ReadFile(s.ca())
	if err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	s = start("--reset")
	if a := s.caller(t).call(t, "DescribeStream", object{"StreamName": "garden"}); a.Error == nil {
		t.Error("the stream outlived --reset")
	}
	if again, err := os.ReadFile(filepath.Join(data, "ca.pem")); err != nil || string(again) != string(ca) {
		t.Errorf("another CA: %v", err)
	}
}
