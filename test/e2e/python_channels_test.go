package e2e

import (
	"encoding/json"
	"testing"
)

// Every operation on signaling channels of the control plane, as a script calls them.
func TestBoto3Channels(t *testing.T) {
	s := serve(t)
	out := run(t, s.variables(), python(t), "boto_channels.py", s.https, s.ca())
	var seen map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for name, want := range map[string]string{
		"created":   `[true, "ACTIVE", "SINGLE_MASTER", {"MessageTtlSeconds": 60}, true]`,
		"updated":   `[120, true]`,
		"tags":      `{"c": "d"}`,
		"endpoints": `[true, true]`,
		"ice":       `[[], ["InvalidClientException", 400]]`,
		"pages":     `[["attic", "door"], ["yard"]]`,
		"stored":    `[true, true]`,
		"refused": `[["ResourceInUseException", 400], ["ResourceNotFoundException", 404], ["VersionMismatchException", 400], ` +
			`["ResourceInUseException", 400], ["TagsPerResourceExceededLimitException", 400], ["ResourceInUseException", 400]]`,
		"gone": `[["ResourceNotFoundException", 404], ["ResourceNotFoundException", 404]]`,
	} {
		if got := string(seen[name]); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
}
