package directory

import (
	"strings"
	"testing"
)

// TestEachBuiltInPolicyHasAnID: whoever adds one to package policy adds its id here.
func TestEachBuiltInPolicyHasAnID(t *testing.T) {
	names := map[string]string{}
	for i := range builtIns {
		b := &builtIns[i]
		if len(b.id) != 20 || !strings.HasPrefix(b.id, "ANPA") || names[b.id] != "" {
			t.Errorf("%s has the id %q, as has %q", b.name, b.id, names[b.id])
		}
		names[b.id] = b.name
	}
	if len(names) != len(builtInIDs) {
		t.Errorf("%d ids for %d policies", len(builtInIDs), len(names))
	}
}
