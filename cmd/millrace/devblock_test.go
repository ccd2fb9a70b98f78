package main

import (
	"strings"
	"testing"
)

// The block is pasted: it names nothing that is not there.
func TestTheDevelopmentBlock(t *testing.T) {
	text := func(b devBlock) string {
		var w strings.Builder
		b.print(&w)
		return w.String()
	}
	full := text(devBlock{program: "millrace", https: "https://127.0.0.1:8443", http: "http://127.0.0.1:8080", region: "us-east-1", ca: "/d/ca.pem", data: "/d", demo: true})
	for _, want := range []string{"AWS_ENDPOINT_URL=https://127.0.0.1:8443 AWS_CA_BUNDLE=/d/ca.pem\n", "KVSSINK_CA_CERT_PATH=/d/ca.pem AWS_KVS_CACERT_PATH=/d/ca.pem\n",
		"CA file     /d/ca.pem", "millrace get demo"} {
		if !strings.Contains(full, want) {
			t.Errorf("%q is not in:\n%s", want, full)
		}
	}
	plain := text(devBlock{program: "millrace", http: "http://127.0.0.1:8080", region: "us-east-1", data: "/d"})
	if strings.Contains(plain, "ca.pem") || strings.Contains(plain, "CA_BUNDLE") || strings.Contains(plain, "demo") ||
		!strings.Contains(plain, "AWS_ENDPOINT_URL=http://127.0.0.1:8080\n") {
		t.Errorf("without TLS and demo stream:\n%s", plain)
	}
}
