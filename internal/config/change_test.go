package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	a, b := Default(), Default()
	a.TLS.Names, b.TLS.Names = nil, []string{}
	if got := Changes(&a, &b); got != nil {
		t.Errorf("nothing changed, but %v", got)
	}
	b.Log.Level = "warn"
	b.Regions = []string{"us-east-1", "eu-west-1"}
	b.TLS.ACME.MACKey = "secret"
	b.Memory.Budget = 1 << 30
	b.Clock = 0
	got := Changes(&a, &b)
	want := []Change{
		{"regions", "us-east-1", "us-east-1, eu-west-1"},
		{"tls.acme.mac_key", "", masked},
		{"log.level", "info", "warn"},
		{"memory.budget", "0", "1GiB"},
		{"clock", "5m", "0s"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, c := range want[:2] {
		a.Take(c.Setting, &b)
	}
	if d := cmp.Diff(want[2:], Changes(&a, &b)); d != "" {
		t.Error(d)
	}
}
