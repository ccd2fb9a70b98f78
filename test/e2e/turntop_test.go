package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// relayedClient is what millrace turn top prints, as far as it matters here.
type relayedClient struct {
	ChannelName, ClientId, Transport, Source, RelayAddress string
	Peers                                                  int
	BytesPerSecondOut, BytesPerSecondIn                    float64
	PacketsOut, PacketsIn, TurnConnectedMinutes            uint64
}

// TestTurnTop looks at clients of coturn while they send to each other.
func TestTurnTop(t *testing.T) {
	s, ice, port := relayed(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	caller := exec.CommandContext(ctx, "turnutils_uclient", "-c", "-y", "-t", "-u", *ice.Username, "-w", *ice.Password, "-p", port, "-m", "2", "-n", "100000", "-l", "170", "127.0.0.1")
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	var open []relayedClient
	eventually(t, "two clients send to each other", func() error {
		open = read[relayedClient](t, run(t, s.variables(), program(t), "turn", "top", "relayed", "--json"))
		if len(open) != 2 || open[0].PacketsIn == 0 || open[1].PacketsIn == 0 || open[1].BytesPerSecondOut == 0 {
			return fmt.Errorf("%+v", open)
		}
		return nil
	})
	for _, o := range open {
		if o.ChannelName != "relayed" || o.ClientId != "v7" || o.Transport != "tcp" || !strings.HasPrefix(o.Source, "127.0.0.1:") || !strings.HasPrefix(o.RelayAddress, "127.0.0.1:") ||
			o.Peers == 0 || o.PacketsOut == 0 || o.BytesPerSecondIn == 0 || o.TurnConnectedMinutes != 1 {
			t.Errorf("%+v", o)
		}
	}
	if table := run(t, s.variables(), program(t), "turn", "top", "--once"); !strings.Contains(table, "2 relay addresses out") || strings.Count(table, "relayed  v7      tcp") != 2 {
		t.Errorf("%s", table)
	}
	if usage := run(t, s.variables(), program(t), "turn", "usage"); !strings.Contains(usage, "relayed  2 ") || !strings.Contains(usage, "2 connected minutes") {
		t.Errorf("%s", usage)
	}
	stop()
	_ = caller.Wait() // it was killed
	eventually(t, "they are gone", func() error {
		if out := run(t, s.variables(), program(t), "turn", "top", "--json"); out != "" {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
}
