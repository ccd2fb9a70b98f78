package wire

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/millrace/millrace/internal/wire/model"
)

// FuzzDecode reads the same bytes into every input and output: no panic, and what was
// read is written and read again without change.
func FuzzDecode(f *testing.F) {
	facts, err := model.Load()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range facts.Services {
		for _, op := range s.Operations {
			if op.Input != nil {
				f.Add(marshal(f, sample(f, op.Input)))
			}
			if op.Output != nil {
				f.Add(marshal(f, sample(f, op.Output)))
			}
		}
	}
	f.Add([]byte(` { "a\"b" : [ "]" , {} ] , "StreamName":"\ud83d\ude00\u0000","MaxResults":1e2,"Tags":[{"Key":null}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for i := range Operations {
			if op := &Operations[i]; op.Input != nil {
				roundTrip(t, body, op.Input(), op.Input())
				if op.Output != nil {
					roundTrip(t, body, op.Output(), op.Output())
				}
			}
		}
	})
}

func roundTrip(t *testing.T, body []byte, first, second Shape) {
	if Decode(body, first) != nil {
		return
	}
	if in, ok := first.(Input); ok {
		if err := in.Check(); err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
	}
	once := encode(t, first)
	if err := Decode(once, second); err != nil {
		t.Fatalf("%T: cannot read %s: %v", first, once, err)
	}
	if twice := encode(t, second); !bytes.Equal(once, twice) {
		t.Errorf("%T changed:\n%s\n%s", first, once, twice)
	}
}

func encode(t *testing.T, s Shape) []byte {
	b, err := Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatalf("%T: not JSON: %s", s, b)
	}
	return b
}
