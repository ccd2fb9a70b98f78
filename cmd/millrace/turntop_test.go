package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTurnTop(t *testing.T) {
	const row = `{"ChannelName":"door","ClientId":"","Transport":"udp","Source":"192.0.2.1:5000","RelayAddress":"203.0.113.7:50000","Since":"2026-01-02T15:04:05Z",` +
		`"Peers":2,"BytesPerSecondOut":2048,"BytesPerSecondIn":10,"PacketsOut":7,"PacketsIn":8,"PacketsDropped":9}`
	answer, asked := "", ""
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.URL.Path + string(body)
		io.WriteString(w, answer)
	})
	for name, c := range map[string]struct {
		answer, args, asked string
		want                []string
	}{
		"table":       {`{"Allocations":[` + row + `],"More":3,"Relay":true,"Now":"2026-01-02T15:05:05Z"}`, "", `{"Max":20000}`, []string{"1 relay address out 2.0 kB/s, in 0.0 kB/s, and 3 not shown", "CHANNEL  CLIENT  VIA", "door     master  udp", "192.0.2.1:5000", "203.0.113.7:50000  1m0s  2", "2.0 kB/s", "7 / 8", "9"}},
		"one channel": {`{"Relay":true}`, "door -n 4 --once", `{"ChannelName":"door","Max":4}`, []string{"0 relay addresses"}},
		"no relay":    {`{"Allocations":[]}`, "", `{"Max":20000}`, []string{"turn.listen"}},
		"json":        {`{"Allocations":[` + row + `],"Relay":true}`, "--json", `{"Max":20000}`, []string{`"RelayAddress":"203.0.113.7:50000"`}},
	} {
		answer = c.answer
		code, out, errs := command(t, server, nil, append([]string{"turn", "top"}, strings.Fields(c.args)...)...)
		if code != 0 || errs != "" || asked != "/millrace/ListAllocations"+c.asked {
			t.Errorf("%s: %d, %s, asked %s", name, code, errs, asked)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, out)
			}
		}
	}
	if code, _, _ := command(t, server, nil, "turn", "top", "--interval=1ms"); code != exitUsage {
		t.Error("exit code", code)
	}
}

// The pages of an answer make one table.
func TestTurnUsage(t *testing.T) {
	asked := 0
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if want := []string{`{}`, `{"NextToken":"7"}`}[asked]; r.URL.Path != "/millrace/ListRelayUsage" || string(body) != want {
			t.Errorf("%s %s", r.URL.Path, body)
		}
		io.WriteString(w, []string{
			`{"Channels":[{"ChannelName":"door","TurnConnectedMinutes":3,"Allocations":1,"BytesOut":2048,"BytesIn":1024,"PacketsOut":1,"PacketsIn":2}],"NextToken":"7"}`,
			`{"Channels":[{"ChannelName":"yard","TurnConnectedMinutes":4,"BytesIn":1024}],"Since":"2026-01-02T15:04:05Z"}`,
		}[asked])
		asked++
	})
	code, out, errs := command(t, server, nil, "turn", "usage")
	for _, want := range []string{"door     3        2.0 kB  1.0 kB  1 / 2    1", "yard     4 ", "2 channels since 2026-01-02T15:04:05Z: 7 connected minutes, 2.0 kB out, 2.0 kB in."} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%d %s: %q is not in\n%s", code, errs, want, out)
		}
	}
	none := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"Since":"2026-01-02T15:04:05Z"}`) })
	if _, out, _ := command(t, none, nil, "turn", "usage", "door"); out != "Nothing was relayed since 2026-01-02T15:04:05Z.\n" {
		t.Error(out)
	}
}
