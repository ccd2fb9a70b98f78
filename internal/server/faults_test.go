package server

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/wire"
)

// faulty is a development server on which something goes wrong.
func faulty(t *testing.T, specs ...string) *plant {
	t.Helper()
	faults, err := fault.Parse(specs, 1)
	if err != nil {
		t.Fatal(err)
	}
	return newPlant(t, func(c *config.Config) {
		c.ForDev()
		c.HTTP, c.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
		c.Emulate = config.Emulate{Faults: faults, NoDemo: true}
	})
}

func (p *plant) wantLog(text string) {
	p.t.Helper()
	if !strings.Contains(p.log.String(), text) {
		p.t.Errorf("no %q in the log:\n%s", text, p.log.String())
	}
}

// answers are what the next n calls of ListStreams get.
func (p *plant) answers(n int) (names []string) {
	for range n {
		err := p.Call(p.t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil)
		e, refused := errors.AsType[*client.Error](err)
		switch {
		case err == nil:
			names = append(names, "ok")
		case refused:
			names = append(names, e.Exception)
		default:
			names = append(names, "broken")
		}
	}
	return names
}

func TestChosenAnswers(t *testing.T) {
	for spec, want := range map[string][]string{
		"ListStreams:status=500,every=2":                         {"ok", "InternalFailure", "ok", "InternalFailure"},
		"*:status=503,times=1":                                   {"ServiceUnavailableException", "ok"},
		"ListStreams:error=ClientLimitExceededException,after=1": {"ok", "ClientLimitExceededException"},
		"ListStreams:status=418,error=TeapotException,times=1":   {"TeapotException", "ok"},
		"ListStreams:cut=before,every=3":                         {"ok", "ok", "broken", "ok"},
		"ListStreams:cut=5B,times=1":                             {"broken", "ok"},
		"ListStreams:latency=1ms-2ms":                            {"ok"},
		"DescribeStream:status=500":                              {"ok"},
	} {
		t.Run(spec, func(t *testing.T) {
			p := faulty(t, spec)
			if got := p.answers(len(want)); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if err := p.Admin(t.Context(), "Reset", nil, nil); err != nil {
				t.Errorf("an operation of our own: %v", err)
			}
			if got := p.answers(len(want)); !slices.Equal(got, want) {
				t.Errorf("after a reset %v, before %v", got, want)
			}
			if !strings.HasPrefix(spec, "Describe") {
				p.wantLog("fault=")
			}
		})
	}
}

// An answer with media breaks off behind the bytes that were let through.
func TestMediaAreCut(t *testing.T) {
	p := faulty(t, "GetMedia:cut=4KB,times=1")
	p.create("garden", 1)
	p.send("garden", documentOf(), clusterOf(0), clusterOf(1), clusterOf(2))
	r, err := p.Stream(t.Context(), wire.ByName("GetMedia"), &wire.GetMediaInput{StreamName: new("garden"), StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if b, err := io.ReadAll(r.Body); len(b) != 4000 || err == nil {
		t.Errorf("%d bytes, then %v", len(b), err)
	}
	p.wantLog("cut=4000")
	if _, err := p.get("garden", "EARLIEST").next("CONTINUATION_TOKEN"); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// A producer whose acknowledgements break off connects again.
func TestAcknowledgementsAreCut(t *testing.T) {
	p := faulty(t, "PutMedia:cut=150B,times=1")
	p.create("garden", 1)
	u := p.put("garden")
	u.write(clusterOf(0), clusterOf(1), clusterOf(2))
	if acks, err := u.rest(); err == nil || len(acks) > 2 {
		t.Errorf("%d acknowledgements, then %v", len(acks), err)
	}
	p.wantLog("cut=150")
	if acks := p.send("garden", documentOf(), clusterOf(3)); acks[len(acks)-1].Type != "PERSISTED" {
		t.Errorf("the next session: %v", types(acks))
	}
}

// types are the types of acknowledgements, an ERROR by its code.
func types(acks []client.Ack) (list []string) {
	for _, a := range acks {
		name := a.Type
		if a.Type == client.Failed {
			name = a.ErrorCode
		}
		if a.Type != "BUFFERING" && a.Type != "IDLE" {
			list = append(list, name)
		}
	}
	return list
}

// A fragment that was chosen fails as a real one does: it is not stored, and why says so.
func TestChosenAcknowledgements(t *testing.T) {
	p := faulty(t, "PutMedia:ack=4009,every=2", "PutMedia:withhold=PERSISTED,every=2", "PutMedia:delay=RECEIVED/1ms-3ms", "PutMedia:end=4003,after=4")
	p.create("garden", 1)
	got := p.send("garden", documentOf(), clusterOf(0), clusterOf(1), clusterOf(2), clusterOf(3), clusterOf(4), clusterOf(5))
	slices.SortFunc(got, func(a, b client.Ack) int { return strings.Compare(a.Type, b.Type) })
	failed, ended, persisted := 0, 0, 0
	for _, name := range types(got) {
		switch name {
		case "FRAGMENT_METADATA_LIMIT_REACHED":
			failed++
		case "MAX_CONNECTION_DURATION_REACHED":
			ended++
		case "PERSISTED":
			persisted++
		}
	}
	if failed != 2 || ended != 1 || persisted == 0 || persisted > 2 {
		t.Errorf("%d failed, %d ended, %d persisted: %v", failed, ended, persisted, types(got))
	}
	if n := len(p.list("garden")); n != 3 { // of 0 to 4, 1 and 3 failed
		t.Errorf("%d fragments are stored", n)
	}
	p.wantLog("ack=4009:2")
	p.wantLog("withhold=PERSISTED")
}
