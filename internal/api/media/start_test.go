package media

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

func TestStartTimestamps(t *testing.T) {
	const no = -1
	for _, c := range []struct {
		text string
		want kvs.Millis
	}{
		{"0", 0},
		{"1700000000", 1_700_000_000_000},
		{"1700000000.123", 1_700_000_000_123},
		{"1700000000.1234567", 1_700_000_000_123},
		{"1700000000.9996", 1_700_000_001_000},
		{"100.5", 100_500}, // the C producer means 5 ms; nobody can tell
		{"1700000000123", 1_700_000_000_123},
		{"1.700000000123E9", 1_700_000_000_123},
		{"1.7E+9", 1_700_000_000_000},
		{"17e8", 1_700_000_000_000},
		{"99999999999", 99_999_999_999_000},
		{"100000000000", 100_000_000_000}, // from here on milliseconds
		{"253402300799999", kvs.MaxMillis},
		{"253402300800000", no},
		{"2023-11-14T22:13:20Z", 1_700_000_000_000},
		{"2023-11-14T22:13:20.123Z", 1_700_000_000_123},
		{"2023-11-14T23:13:20.123+01:00", 1_700_000_000_123},
		{"2023-11-14T23:13:20+0100", 1_700_000_000_000},
		{"20231114T221320Z", 1_700_000_000_000},
		{"1969-12-31T23:59:59Z", no},
		{"-1", no},
		{"-0.001", no},
		{"NaN", no},
		{"Inf", no},
		{"+Inf", no},
		{"1e400", no},
		{"1e300", no},
		{"0x10", no},
		{"0x1p3", no},
		{"yesterday", no},
		{"1700000000,5", no},
		{" 1700000000", no},
		{"2023-11-14", no},
		{strings.Repeat("1", 65), no},
	} {
		got, ok := parseStart(c.text)
		if ok != (c.want >= 0) || ok && got != c.want {
			t.Errorf("%q: got %d, %v; want %d", c.text, got, ok, c.want)
		}
	}
}

func TestPutMediaHeaders(t *testing.T) {
	type pairs = map[string]string
	arn := kvs.Stream{Region: "us-east-1", Account: "111122223333", Name: "yard", Created: 5}.ARN().String()
	good := pairs{"x-amzn-stream-name": "yard", "x-amzn-fragment-timecode-type": "ABSOLUTE"}
	for _, c := range []struct {
		name   string
		change pairs
		says   string // "" = accepted
	}{
		{"by name", nil, ""},
		{"by ARN", pairs{"x-amzn-stream-name": "", "x-amzn-stream-arn": arn}, ""},
		{"neither", pairs{"x-amzn-stream-name": ""}, "One of the headers"},
		{"both", pairs{"x-amzn-stream-arn": arn}, "not both"},
		{"a bad name", pairs{"x-amzn-stream-name": "a b"}, "is not a stream name"},
		{"a long name", pairs{"x-amzn-stream-name": strings.Repeat("a", 257)}, "is not a stream name"},
		{"no timecode type", pairs{"x-amzn-fragment-timecode-type": ""}, "ABSOLUTE or RELATIVE"},
		{"another timecode type", pairs{"x-amzn-fragment-timecode-type": "absolute"}, "ABSOLUTE or RELATIVE"},
		{"relative", pairs{"x-amzn-fragment-timecode-type": "RELATIVE", "x-amzn-producer-start-timestamp": "0"}, ""},
		{"relative to nothing", pairs{"x-amzn-fragment-timecode-type": "RELATIVE"}, "is needed when the timecodes are RELATIVE"},
		{"a bad start", pairs{"x-amzn-producer-start-timestamp": "soon"}, "is not a time"},
		{"acknowledgements", pairs{"x-amzn-fragment-acknowledgment-required": "1"}, ""},
		{"no acknowledgements", pairs{"x-amzn-fragment-acknowledgment-required": "0"}, ""},
		{"perhaps", pairs{"x-amzn-fragment-acknowledgment-required": "yes"}, "must be 1 or 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			for _, p := range []pairs{good, c.change} {
				for k, v := range p {
					if h.Set(k, v); v == "" {
						h.Del(k)
					}
				}
			}
			_, err := putTarget(&api.Call{Request: &http.Request{Header: h}})
			if err == nil {
				_, err = putRequest(h)
			}
			if (err == nil) != (c.says == "") || err != nil && (kvs.KindOf(err) != kvs.InvalidArgument || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSelectors(t *testing.T) {
	number := kvs.FragmentNumber{N: 5, Server: 1_700_000_000_000, Random: 9}
	for _, c := range []struct {
		name string
		in   wire.StartSelector
		want kvs.Selector
		says string
	}{
		{"now", wire.StartSelector{StartSelectorType: new("NOW")}, kvs.Selector{}, ""},
		{"earliest", wire.StartSelector{StartSelectorType: new("EARLIEST")}, kvs.Selector{Type: kvs.StartEarliest}, ""},
		{"number", wire.StartSelector{StartSelectorType: new("FRAGMENT_NUMBER"), AfterFragmentNumber: new(number.String())},
			kvs.Selector{Type: kvs.StartAfter, Number: number}, ""},
		{"token", wire.StartSelector{StartSelectorType: new("CONTINUATION_TOKEN"), ContinuationToken: new(number.String())},
			kvs.Selector{Type: kvs.StartAfter, Number: number}, ""},
		{"server time", wire.StartSelector{StartSelectorType: new("SERVER_TIMESTAMP"), StartTimestamp: new(kvs.Millis(5))},
			kvs.Selector{Type: kvs.StartAt, Time: 5}, ""},
		{"producer time", wire.StartSelector{StartSelectorType: new("PRODUCER_TIMESTAMP"), StartTimestamp: new(kvs.Millis(5))},
			kvs.Selector{Type: kvs.StartAt, Clock: kvs.ProducerClock, Time: 5}, ""},
		{"no number", wire.StartSelector{StartSelectorType: new("FRAGMENT_NUMBER"), ContinuationToken: new("5")}, kvs.Selector{}, "AfterFragmentNumber is needed"},
		{"no token", wire.StartSelector{StartSelectorType: new("CONTINUATION_TOKEN")}, kvs.Selector{}, "ContinuationToken is needed"},
		{"a token that is none of ours", wire.StartSelector{StartSelectorType: new("CONTINUATION_TOKEN"), ContinuationToken: new("abc")}, kvs.Selector{}, "is not a fragment number"},
		{"no time", wire.StartSelector{StartSelectorType: new("SERVER_TIMESTAMP")}, kvs.Selector{}, "StartTimestamp is needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := selector(&c.in)
			if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
