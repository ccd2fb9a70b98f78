package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestParseAck holds lines of real logs (wire-media section 4.1) and what other
// servers may send.
func TestParseAck(t *testing.T) {
	for line, want := range map[string]Ack{
		`{"EventType":"BUFFERING","FragmentTimecode":1600994737365,"FragmentNumber":"91343852333201155253387957310212774485145176370"}`: {
			Type: Buffering, Timecode: 1600994737365, Number: "91343852333201155253387957310212774485145176370"},
		`{"EventType":"ERROR","FragmentTimecode":0,"FragmentNumber":"9134","ErrorCode":"FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS","ErrorId":4004}`: {
			Type: Failed, Number: "9134", ErrorID: 4004, ErrorCode: "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS"},
		`{"EventType":"ERROR","FragmentTimecode":-1,"FragmentNumber":"","ErrorCode":"INVALID_MKV_DATA","ErrorId":4006}`: {
			Type: Failed, Timecode: -1, ErrorID: 4006, ErrorCode: "INVALID_MKV_DATA"},
		`{"EventType":"IDLE"}`: {Type: Idle, Timecode: -1},
		`{"ErrorId":"5001","FragmentNumber":12,"FragmentTimecode":"7","EventType":"ERROR","More":[]}`: {
			Type: Failed, Timecode: 7, Number: "12", ErrorID: 5001},
		`{"EventType":"PERSISTED","FragmentTimecode":null,"FragmentNumber":null}`: {Type: Persisted, Timecode: -1},
	} {
		got, err := ParseAck([]byte(line))
		if err != nil || got.Type != want.Type || got.Timecode != want.Timecode || got.Number != want.Number ||
			got.ErrorID != want.ErrorID || got.ErrorCode != want.ErrorCode || string(got.Raw) != line {
			t.Errorf("%s\n%+v, %v", line, got, err)
		}
	}
	for _, line := range []string{
		"", "{}", "[]", "7", `{"EventType":""}`, `{"EventType":"IDLE"`, `{"EventType":7}`,
		`{"EventType":"ERROR","ErrorId":"x"}`, `{"EventType":"ERROR","FragmentTimecode":1.5}`,
		`{"EventType":"ERROR","FragmentNumber":{}}`, `{"EventType":"ERROR","FragmentTimecode":99999999999999999999}`,
	} {
		if a, err := ParseAck([]byte(line)); err == nil {
			t.Errorf("%s is %+v", line, a)
		}
	}
}

func TestAckReader(t *testing.T) {
	const stream = "{\"EventType\":\"BUFFERING\"}\n\r\n{\"EventType\":\"RECEIVED\"}\r\n{\"EventType\":\"PERSISTED\"}"
	acks := newAckReader(iotest.OneByteReader(strings.NewReader(stream)))
	var raw []string
	for {
		a, err := acks.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, string(a.Raw))
	}
	if got := strings.Join(raw, " "); got != `{"EventType":"BUFFERING"} {"EventType":"RECEIVED"} {"EventType":"PERSISTED"}` {
		t.Error(got)
	}
	for name, r := range map[string]io.Reader{
		"long":   strings.NewReader(`{"EventType":"` + strings.Repeat("X", maxAck) + "\"}\n"),
		"broken": iotest.ErrReader(io.ErrUnexpectedEOF),
		"text":   strings.NewReader("hello\n"),
	} {
		if a, err := newAckReader(r).next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// FuzzAcks: no bytes of a server make the reader panic or lose count of what it read.
func FuzzAcks(f *testing.F) {
	f.Add([]byte("{\"EventType\":\"BUFFERING\",\"FragmentTimecode\":1600994737365,\"FragmentNumber\":\"91343\"}\n{\"EventType\":\"IDLE\"}\n"))
	f.Add([]byte(`{"EventType":"ERROR","FragmentTimecode":-1,"FragmentNumber":"","ErrorCode":"INVALID_MKV_DATA","ErrorId":4006}`))
	f.Fuzz(func(t *testing.T, stream []byte) {
		acks, total := newAckReader(strings.NewReader(string(stream))), 0
		for {
			a, err := acks.next()
			if err != nil {
				return
			}
			if total += len(a.Raw); total > len(stream) || a.Type == "" {
				t.Fatalf("%+v", a)
			}
			if b, err := ParseAck(a.Raw); err != nil || b.Type != a.Type || b.Timecode != a.Timecode || b.Number != a.Number {
				t.Fatalf("%+v, then %+v, %v", a, b, err)
			}
		}
	})
}
