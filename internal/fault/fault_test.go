package fault

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func plan(t *testing.T, seed uint64, specs ...string) *Plan {
	t.Helper()
	p, err := Parse(specs, seed)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// seen is what the first n calls of an operation meet.
func seen(p *Plan, operation string, n int) (list []string) {
	for range n {
		c := p.Call(operation)
		if c == nil {
			list = append(list, "-")
			continue
		}
		list = append(list, fmt.Sprintf("%d %s %v %d", c.Status, c.Error, c.Latency, c.Cut))
	}
	return list
}

// The same calls meet the same faults, whatever is called between them; another seed
// means other faults.
func TestTheSameSeedMeansTheSameFaults(t *testing.T) {
	specs := []string{"*:latency=10ms-90ms,rate=0.5", "GetDataEndpoint:status=500,rate=0.3", "GetMedia:cut=1MB,rate=0.5"}
	first := seen(plan(t, 7, specs...), "GetDataEndpoint", 50)
	p := plan(t, 7, specs...)
	for i, want := range first {
		seen(p, "GetMedia", i%3)
		if got := seen(p, "GetDataEndpoint", 1)[0]; got != want {
			t.Fatalf("call %d met %s, before it met %s", i, got, want)
		}
	}
	p.Restart()
	if again := seen(p, "GetDataEndpoint", 50); strings.Join(again, ",") != strings.Join(first, ",") {
		t.Error("after a restart the faults are others")
	}
	if other := seen(plan(t, 8, specs...), "GetDataEndpoint", 50); strings.Join(other, ",") == strings.Join(first, ",") {
		t.Error("another seed chose the same")
	}
	if got := seen(p, "ListStreams", 40); strings.Contains(strings.Join(got, ","), "500") || !strings.Contains(strings.Join(got, ","), "ms") {
		t.Errorf("ListStreams met %v", got)
	}
}

func TestWhichCallsAreMeant(t *testing.T) {
	for spec, want := range map[string]string{
		"GetMedia:cut=before":                 "xxxxxxxx",
		"GetMedia:cut=before,every=3":         "--x--x--",
		"GetMedia:cut=before,after=5":         "-----xxx",
		"GetMedia:cut=before,times=2":         "xx------",
		"GetMedia:cut=before,after=1,every=2": "--x-x-x-",
		"GetMedia:cut=before,rate=0":          "--------",
		"PutMedia:cut=before":                 "--------",
		"GetMedia:cut=1,after=2,times=1":      "--x-----",
		"*:status=503,every=4,times=1,rate=1": "---x----",
	} {
		p := plan(t, 1, spec)
		got := ""
		for range want {
			if p.Call("GetMedia") == nil {
				got += "-"
			} else {
				got += "x"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
	p, hits := plan(t, 3, "GetMedia:status=500,rate=0.25"), 0
	for range 4000 {
		if p.Call("GetMedia").Fails() {
			hits++
		}
	}
	if hits < 900 || hits > 1100 {
		t.Errorf("a rate of 0.25 struck %d of 4000 calls", hits)
	}
}

// Each session counts its own fragments; an acknowledgement type is a sequence of its own.
func TestSessions(t *testing.T) {
	p := plan(t, 1, "PutMedia:ack=4009,every=3", "PutMedia:end=4003,after=5", "PutMedia:withhold=PERSISTED,every=2", "PutMedia:delay=RECEIVED/1s-2s,times=1")
	for range 2 {
		c := p.Call("PutMedia")
		if !c.Session() || c.Fails() || c.Latency != 0 || c.Cut != -1 {
			t.Fatalf("%+v", c)
		}
		var codes []string
		for range 6 {
			fails, ends := c.Fragment()
			codes = append(codes, fmt.Sprint(fails, "/", ends))
		}
		if got := strings.Join(codes, " "); got != "0/0 0/0 4009/0 0/0 0/0 4009/4003" {
			t.Errorf("fragments: %s", got)
		}
		for i := range 4 {
			if lost, late := c.Ack("PERSISTED"); lost != (i%2 == 1) || late != 0 {
				t.Errorf("PERSISTED %d: lost %t, late %v", i, lost, late)
			}
			lost, late := c.Ack("RECEIVED")
			if lost || (late >= time.Second && late <= 2*time.Second) != (i == 0) {
				t.Errorf("RECEIVED %d: lost %t, late %v", i, lost, late)
			}
			if lost, late := c.Ack("IDLE"); lost || late != 0 {
				t.Error("IDLE is not a fragment's")
			}
		}
		if got := c.Summary(); got != "ack=4009:2 delay=RECEIVED end=4003 withhold=PERSISTED:2" {
			t.Errorf("summary %q", got)
		}
	}
}

func TestNothingBefalls(t *testing.T) {
	p, err := Parse(nil, 1)
	if p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	p.Restart()
	c := p.Call("GetMedia")
	fails, ends := c.Fragment()
	if lost, late := c.Ack("PERSISTED"); c != nil || c.Fails() || c.Session() || c.Summary() != "" || fails+ends != 0 || lost || late != 0 {
		t.Error("something befell a call without a plan")
	}
	if got := Lines("# all\nGetMedia:cut=before # now\n\n  *:latency=1s\n"); len(got) != 2 || got[0] != "GetMedia:cut=before" {
		t.Errorf("lines %q", got)
	}
}

func TestMistakes(t *testing.T) {
	for spec, says := range map[string]string{
		"":                             "write OPERATION:KEY=VALUE",
		"GetMedia":                     "write OPERATION:KEY=VALUE",
		"GetMdia:cut=1MB":              "there is no operation",
		"GetMedia:rate=0.5":            "say what goes wrong",
		"GetMedia:colour=blue":         `"colour" is not known`,
		"GetMedia:latency=fast":        "write a duration",
		"GetMedia:latency=2s-1s":       "write a duration",
		"GetMedia:latency=24h":         "at most 10m",
		"GetMedia:status=200":          "from 400 to 599",
		"GetMedia:error=a b":           "not the name of an exception",
		"GetMedia:cut=0":               "write before",
		"GetMedia:cut=9999999999GB":    "write before",
		"GetMedia:ack=4009":            "only PutMedia",
		"PutMedia:ack=4099":            "4000 to 4013",
		"PutMedia:ack=4507":            "4500 to 4506",
		"PutMedia:withhold=IDLE":       "BUFFERING, RECEIVED, PERSISTED",
		"PutMedia:delay=1s":            "BUFFERING, RECEIVED, PERSISTED",
		"PutMedia:delay=PERSISTED":     "write a duration",
		"PutMedia:ack=4009,status=500": "write two faults",
		"PutMedia:ack=4009,ack=4010":   "twice",
		"GetMedia:cut=1MB,rate=2":      "from 0 to 1",
		"GetMedia:cut=1MB,rate=NaN":    "from 0 to 1",
		"GetMedia:cut=1MB,every=0":     "from 1 to",
	} {
		if _, err := Parse([]string{spec}, 0); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want an error with %q", spec, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"*:latency=50ms-200ms", "PutMedia:ack=4009,rate=0.1", "GetMedia:cut=1MB,every=2,after=1,times=3", "PutMedia:delay=PERSISTED/2s", "GetDataEndpoint:error=ClientLimitExceededException"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		p, err := Parse([]string{spec}, 1)
		if err != nil {
			return
		}
		for range 20 {
			c := p.Call("PutMedia")
			c.Fragment()
			if _, late := c.Ack("PERSISTED"); late < 0 || late > longest || c != nil && (c.Latency < 0 || c.Latency > longest) {
				t.Errorf("%q waits %v", spec, late)
			}
		}
	})
}
