package signal

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

func TestDecode(t *testing.T) {
	got, err := Decode([]byte(`{"action":"ICE_CANDIDATE","messagePayload":"_w","recipientClientId":"anna","correlationId":"7"}`))
	if want := (Message{Candidate, "anna", "7", "/w==", 2}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", " \r\n\t "} {
		if _, err := Decode([]byte(text)); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is no JSON is refused, in whatever part of the message that nobody asked for.
func TestOnlyJSON(t *testing.T) {
	good := []string{`0`, `-0.5e+7`, `1E9`, `""`, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83d"`, `[]`, `[1, {"a":[]} ]`, `{}`, `true`, `false`, `null`}
	bad := []string{`01`, `.5`, `1.`, `1e`, `+1`, `-`, `"`, `"\x"`, `"\u12g4"`, `"\u12`, "\"\n\"", "\"\xff\"", `[1,]`, `[1 2]`, `{"a"}`, `{"a":1,}`, `{1:2}`, `tru`, `nul`, `NaN`, `'a'`, ``, `1}{`}
	for _, x := range good {
		if _, err := Decode([]byte(`{"x": ` + x + ` ,"action":"SDP_OFFER","messagePayload":"AAAA"}`)); err != nil || !json.Valid([]byte(x)) {
			t.Errorf("%s: %v", x, err)
		}
	}
	for _, x := range bad {
		m, err := Decode([]byte(`{"correlationId":"7","action":"SDP_OFFER","messagePayload":"AAAA","x":` + x + `}`))
		if kvs.KindOf(err) != kvs.InvalidArgument {
			t.Errorf("%s: %v", x, err)
		}
		if invalid := strings.Contains(x, "\xff"); !invalid && m.CorrelationID != "7" {
			t.Errorf("%s: the sender cannot be told", x)
		}
	}
	for _, text := range []string{`[]`, `"text"`, `{} {}`, "\ufeff{}", `{`, `null`} {
		if _, err := Decode([]byte(text)); kvs.KindOf(err) != kvs.InvalidArgument {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A text that is as bad as it can be costs no more than its length.
func TestDecodeIsLinear(t *testing.T) {
	deep := []byte(strings.Repeat(`{"a":`, MaxText/5))
	quotes := []byte(`{"messagePayload":"` + strings.Repeat(`\u0041`, 10_000) + `","action":"SDP_OFFER"}`)
	if n := testing.AllocsPerRun(10, func() { Decode(deep) }); n > 20 {
		t.Errorf("deep: %v allocations", n)
	}
	if n := testing.AllocsPerRun(10, func() { Decode(quotes) }); n > 20 {
		t.Errorf("escapes: %v allocations", n)
	}
	if _, err := Decode(make([]byte, MaxText+1)); kvs.KindOf(err) != kvs.InvalidArgument {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string][2]bool{"anna": {true, true}, "": {}, "A_b.c-9": {true, true}, "AWS_x": {true, false}, "aws_": {true, false},
		"aws": {true, true}, "a b": {}, "ä": {}, NotAnID: {}, strings.Repeat("a", 256): {true, true}, strings.Repeat("a", 257): {}} {
		if got := [2]bool{ValidID(id), ValidClientID(id)}; got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestAppend(t *testing.T) {
	for want, got := range map[string][]byte{
		`{"messagePayload":"e30=","messageType":"GO_AWAY"}`:                                          AppendControl(nil, GoAway),
		`{"messagePayload":"QQ==","messageType":"SDP_ANSWER"}`:                                       AppendDelivery(nil, Answer, "", "QQ=="),
		`{"messagePayload":"QQ==","messageType":"SDP_OFFER","senderClientId":"anna"}`:                AppendDelivery(nil, Offer, "anna", "QQ=="),
		`{"action":"SDP_OFFER","messagePayload":"QQ=="}`:                                             Append(nil, Message{Action: Offer, Payload: "QQ=="}),
		`{"action":"SDP_OFFER","messagePayload":"QQ==","recipientClientId":"a","correlationId":"b"}`: Append(nil, Message{Offer, "a", "b", "QQ==", 4}),
		`{"messagePayload":"e30=","messageType":"STATUS_RESPONSE","statusResponse":{"correlationId":"7","errorType":"E","statusCode":"400","description":"a \"b\" \\ \u000a ü","success":false}}`: AppendStatus(nil, Status{"7", "E", "400", "a \"b\" \\ \n ü"}),
	} {
		if string(got) != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	if n := DeliverySize(Offer, "anna", "QQ=="); n != len(AppendDelivery(nil, Offer, "anna", "QQ==")) {
		t.Error(n)
	}
	if n := DeliverySize(Answer, "", "QQ=="); n != len(AppendDelivery(nil, Answer, "", "QQ==")) {
		t.Error(n)
	}
	var long struct {
		StatusResponse struct{ Description string } `json:"statusResponse"`
	}
	text := AppendStatus(nil, Status{Description: strings.Repeat("ü", 1000)})
	if err := json.Unmarshal(text, &long); err != nil || long.StatusResponse.Description != strings.Repeat("ü", MaxDescription/2) {
		t.Error(err, len(long.StatusResponse.Description))
	}
}

// Whatever is accepted means the same when it is written and read again, can be delivered
// as JSON, and is what encoding/json reads, where that reads as we do.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"action":"SDP_OFFER","messagePayload":"e30=","recipientClientId":"anna","correlationId":"7"}`,
		`{"Action":"ICE_CANDIDATE","MessagePayload":"-_8","x":[{"y":null}],"RecipientClientId":null}`,
		`{"\u0061ction":"SDP_ANSWER","messagePayload":"AAA\n=","correlationId":"","correlationid":"a"}`,
		"\t{\n\t\"action\": \"SDP_OFFER\" ,\"messagePayload\":\"\\/w==\"}\n", `{"a":1e5,"b":-0.1,"c":"\ud83d\ude00"}`, `{"messagePayload":5}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Decode(text)
		if m.CorrelationID != "" && !ValidID(m.CorrelationID) {
			t.Fatal("an unusable correlation id")
		}
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatal("accepted, and no JSON")
		}
		if payload, err := base64.StdEncoding.Strict().DecodeString(m.Payload); err != nil || len(payload) == 0 {
			t.Fatal(err)
		}
		if m.Recipient != "" && !ValidID(m.Recipient) {
			m.Recipient = ""
		}
		again, err := Decode(Append(nil, m))
		m.Size = len(m.Payload)
		if err != nil || again != m {
			t.Fatalf("%+v, %+v, %v", m, again, err)
		}
		if !json.Valid(AppendDelivery(nil, m.Action, m.CorrelationID, m.Payload)) {
			t.Fatal("no JSON is delivered")
		}
	})
}
