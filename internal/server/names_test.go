package server

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/config"
)

// Clients verify the names by which they are told to come, so the certificate has each, once.
func TestTheCertificateHasTheNamesClientsAreTold(t *testing.T) {
	var c config.Config
	c.Endpoint = "https://kvs.example:8443"
	c.TLS.Names = []string{"video.example.com", "kvs.example"}
	c.Signaling.Domain = "kvs.example"
	c.Turn.Listen = []string{"192.0.2.7:3478"}
	names := certificateNames(&c)
	for _, want := range []string{"video.example.com", "kvs.example", "m-1.kvs.example", "v-1.kvs.example", "r-1.kvs.example", "192.0.2.7", "192-0-2-7.kvs.example"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in %q", want, names)
		}
	}
	all := len(names)
	slices.Sort(names)
	if len(slices.Compact(names)) != all {
		t.Errorf("a name twice: %q", names)
	}
}
