package signal

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRecordedMessagesOfDevices decodes what programs on devices sent over the wire, and holds
// what the other side gets of it against what devices read.
func TestRecordedMessagesOfDevices(t *testing.T) {
	b, err := os.ReadFile("testdata/devices.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Client, Action, Recipient, Text string }
	if err := json.Unmarshal(b, &all); err != nil || len(all) < 4 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	for _, r := range all {
		m, err := Decode([]byte(r.Text))
		if err != nil {
			t.Errorf("%s: %v", r.Client, err)
			continue
		}
		if diff := cmp.Diff([]string{r.Action, r.Recipient}, []string{m.Action.String(), m.Recipient}); diff != "" {
			t.Errorf("%s:\n%s", r.Client, diff)
		}
		delivered := AppendDelivery(nil, m.Action, "anna", m.Payload)
		read(t, delivered)
		if !bytes.Contains([]byte(r.Text), []byte(m.Payload)) {
			t.Errorf("%s: the payload is not what was sent", r.Client)
		}
	}
}
