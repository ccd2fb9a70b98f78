package signal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/devicetest"
)

// TestDevicesReadWhatIsSent holds everything that can be sent against what devices read.
func TestDevicesReadWhatIsSent(t *testing.T) {
	longest := strings.Repeat("QUJD", 18000/4)
	for _, sender := range []string{"", "a", strings.Repeat("v", MaxID)} {
		for _, action := range []Type{Offer, Answer, Candidate} {
			for _, payload := range []string{"e30=", "QQ==", longest} {
				read(t, AppendDelivery(nil, action, sender, payload))
			}
		}
	}
	for _, control := range []Type{GoAway, ReconnectICE} {
		read(t, AppendControl(nil, control))
	}
	for _, description := range []string{"", "no", strings.Repeat("ü", 2000), strings.Repeat(`"\`, 2000), strings.Repeat("\x01", 2000)} {
		read(t, AppendStatus(nil, Status{CorrelationID: strings.Repeat("c", MaxID), ErrorType: "ClientLimitExceededException", StatusCode: "400", Description: description}))
	}
}

func read(t *testing.T, message []byte) {
	t.Helper()
	if err := devicetest.Message(message); err != nil {
		t.Errorf("%v\n%.300s", err, message)
	}
}

// TestPayloadsOfAndroid takes what is written in the alphabet for URLs, and without padding, and
// gives what iOS and browsers decode.
func TestPayloadsOfAndroid(t *testing.T) {
	for sent, want := range map[string]string{
		"eyJhIjoi_-8ifQ==": "eyJhIjoi/+8ifQ==",
		"eyJhIjoi_-8ifQ":   "eyJhIjoi/+8ifQ==",
		"eyJh\nIjoi_-8ifQ": "eyJhIjoi/+8ifQ==",
	} {
		m, err := Decode(fmt.Appendf(nil, `{"action":"ICE_CANDIDATE","messagePayload":%q,"senderClientId":"phone","recipientClientId":"","correlationId":""}`, sent))
		if err != nil || m.Payload != want {
			t.Errorf("%q: got %q, %v; want %q", sent, m.Payload, err, want)
		}
		read(t, AppendDelivery(nil, m.Action, "phone", m.Payload))
	}
}
