package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestDecodeNumbers(t *testing.T) {
	for text, want := range map[string]int64{
		"100": 100, "1e2": 100, "1E+2": 100, "100.0": 100, "1000e-1": 100, "0": 0, "-0": 0, "-3": -3, "0.0": 0,
	} {
		var in ListStreamsInput
		if err := Decode([]byte(`{"MaxResults": `+text+` }`), &in); err != nil || in.MaxResults == nil || *in.MaxResults != want {
			t.Errorf("%s: %v, %v", text, in.MaxResults, err)
		}
	}
	for text, want := range map[string]string{
		"1.5": "whole number", "1e400": "64 bits", "9223372036854775808": "64 bits", `"100"`: "a number", "true": "a number",
	} {
		err := Decode([]byte(`{"MaxResults":`+text+`}`), new(ListStreamsInput))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "MaxResults") {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestDecodeTimes(t *testing.T) {
	for text, want := range map[string]kvs.Millis{
		"1714979289":                      1714979289000,
		"1714979289.123":                  1714979289123,
		"1714979289.1229999":              1714979289123, // a double that missed by little
		"1.714979289123E9":                1714979289123,
		"1.714979289E+09":                 1714979289000,
		"0":                               0,
		"-1.5":                            -1500,
		`"2024-05-06T07:08:09Z"`:          1714979289000,
		`"2024-05-06T07:08:09.123Z"`:      1714979289123,
		`"2024-05-06T09:08:09.123+02:00"`: 1714979289123,
		`"2024-05-06T09:08:09+0200"`:      1714979289000,
		`"20240506T070809Z"`:              1714979289000,
		`"2024\u002d05-06T07:08:09Z"`:     1714979289000,
		"253402300799.999":                kvs.MaxMillis,
	} {
		var in StartSelector
		if err := Decode([]byte(`{"StartTimestamp":`+text+`}`), &in); err != nil || in.StartTimestamp == nil || *in.StartTimestamp != want {
			t.Errorf("%s: %v, %v; want %d", text, Value(in.StartTimestamp), err, want)
		}
	}
	for _, text := range []string{"1e400", "1714979289123", `"now"`, `""`, "{}", "false", `"\ud800"`} {
		if err := Decode([]byte(`{"StartTimestamp":`+text+`}`), new(StartSelector)); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

func TestDecodeLoose(t *testing.T) {
	for _, body := range []string{
		"", " \r\n\t", "{}", ` { } `, `{"Unknown":{"a":[1,{"b":"}"}]}}`, `{"StreamName":null}`,
		`{"streamname":"x"}`, `{"Nested":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		var in DescribeStreamInput
		if err := Decode([]byte(body), &in); err != nil || in.StreamName != nil {
			t.Errorf("%.50s: %v, %v", body, Value(in.StreamName), err)
		}
	}
	for body, want := range map[string]string{
		`{"StreamName":"a"}`:                              "a",
		"{ \"x\" : \"\\\"}\" ,\n\"StreamName\" : \"a\" }": "a",
		`{"Stream\u004eame":"\u0061\/\n\ud83d\ude00"}`:    "a/\n😀",
		`{"StreamName":"a","StreamName":"b"}`:             "b",
		"{\"StreamName\":\"\xff\"}":                       "\uFFFD",
	} {
		var in DescribeStreamInput
		if err := Decode([]byte(body), &in); err != nil || Value(in.StreamName) != want {
			t.Errorf("%s: %q, %v", body, Value(in.StreamName), err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for body, offset := range map[string]int64{
		"[]": 0, ` "x"`: 1, "null": 0, "{": 1, `{"a":1,}`: 8, "{}x": 3, `{"a" 1}`: 6, "<xml>": 1, "\ufeff{}": 1,
		`{"a":` + strings.Repeat("[", 20000): 10005,
	} {
		err := Decode([]byte(body), new(DescribeStreamInput))
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("%.30s: error %v is no SyntaxError", body, err)
		} else if e.Offset != offset {
			t.Errorf("%.30s: offset %d, want %d (%v)", body, e.Offset, offset, err)
		}
	}
}

func TestAppendDouble(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", 100: "100.0", 0.001: "0.001", 0.5: "0.5", 9999999: "9999999.0", 9999999.5: "9999999.5",
		1e7: "1.0E7", 1735442939.457: "1.735442939457E9", 1735442939: "1.735442939E9", 1.5e9: "1.5E9",
		-1735442939.457: "-1.735442939457E9", 0.0005: "5.0E-4", 1735442939.1: "1.7354429391E9",
	} {
		if got := string(appendDouble(nil, f)); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestEncodeStrings(t *testing.T) {
	const s = "<a href=\"/x\">&\\\b\x00\t\r\n é 😀 \u2028"
	got, err := Encode(&GetDataEndpointOutput{DataEndpoint: new(s)})
	want := `{"DataEndpoint":"<a href=\"/x\">&\\\u0008\u0000\t\r\n é 😀 ` + "\u2028" + `"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if got, _ := Encode(&GetDataEndpointOutput{DataEndpoint: new("a\xffb")}); !json.Valid(got) {
		t.Errorf("%q is not JSON", got)
	}
}

func TestEncodeAbsent(t *testing.T) {
	for want, v := range map[string]any{
		"{}":                        &CreateStreamInput{},
		`{"Tags":{"a":"1","b":""}}`: &CreateStreamInput{Tags: map[string]string{"b": "", "a": "1"}},
		`{"StreamARN":null}`:        &CreateStreamOutput{},
		`{"NextToken":null,"StreamInfoList":null}`:      &ListStreamsOutput{},
		`{"NextToken":null,"StreamInfoList":[]}`:        &ListStreamsOutput{StreamInfoList: []StreamInfo{}},
		`{"NextToken":"","Tags":{}}`:                    &ListTagsForStreamOutput{NextToken: new(""), Tags: map[string]string{}},
		`{"StartSelector":{"StartSelectorType":"NOW"}}`: &GetMediaInput{StartSelector: &StartSelector{StartSelectorType: new("NOW")}},
		`{"StreamInfo":null}`:                           &DescribeStreamOutput{},
		`{"TagKeyList":["a","b"]}`:                      &UntagStreamInput{TagKeyList: []string{"a", "b"}},
		`{"clientId":"c"}`:                              &JoinStorageSessionAsViewerInput{ClientId: new("c")},
		`{"IceServerList":[{"Password":null,"Ttl":300,"Uris":["turn:a:1"],"Username":null}]}`: &GetIceServerConfigOutput{
			IceServerList: []IceServer{{Ttl: new(int64(300)), Uris: []string{"turn:a:1"}}}},
	} {
		if got, err := Encode(v); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	if got, err := Encode(nil); err != nil || string(got) != "{}" {
		t.Errorf("nil: %s, %v", got, err)
	}
	if _, err := Encode(map[string]string{}); err == nil {
		t.Error("a map was written as a shape")
	}
}

// streamInfo is the stream of the recorded answer of wire-media section 9.4.
func streamInfo() StreamInfo {
	return StreamInfo{
		CreationTime:         new(kvs.Millis(1735442939457)),
		DataRetentionInHours: new(int64(24)),
		KmsKeyId:             new("arn:aws:kms:ap-southeast-2:111122223333:alias/aws/kinesisvideo"),
		Status:               new(StatusActive),
		StreamARN:            new("arn:aws:kinesisvideo:ap-southeast-2:111122223333:stream/demo_stream/1735442939457"),
		StreamName:           new("demo_stream"),
		Version:              new("FhH7KJXkTQSLfXV123cU"),
	}
}

// TestAnswers compares answers byte by byte with recorded ones (DescribeStream,
// GetDataEndpoint) and with the same form for the others.
func TestAnswers(t *testing.T) {
	info := streamInfo()
	for name, out := range map[string]Shape{
		"describe_stream":   &DescribeStreamOutput{StreamInfo: &info},
		"list_streams":      &ListStreamsOutput{StreamInfoList: []StreamInfo{info, {StreamName: new("bare")}}},
		"get_data_endpoint": &GetDataEndpointOutput{DataEndpoint: new("https://s-ca658586.kinesisvideo.ap-southeast-2.amazonaws.com")},
		"list_fragments": &ListFragmentsOutput{Fragments: []Fragment{{
			FragmentLengthInMilliseconds: new(int64(2000)), FragmentSizeInBytes: new(int64(508213)),
			FragmentNumber:    new("91343852333181481915235394203149336554319348843"),
			ProducerTimestamp: new(kvs.Millis(1711124585823)), ServerTimestamp: new(kvs.Millis(1711124586000)),
		}}},
	} {
		got, err := Encode(out)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(got, '\n'), want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestStreamInfoTokens: the C producers read at most 100 JSON tokens per answer and
// want the retention as a plain integer (wire-media section 1.1).
func TestStreamInfoTokens(t *testing.T) {
	info := streamInfo()
	body, err := Encode(&DescribeStreamOutput{StreamInfo: &info})
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for d := json.NewDecoder(bytes.NewReader(body)); d.More() || tokens == 0; tokens++ {
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
	}
	if tokens > 100 {
		t.Errorf("%d tokens", tokens)
	}
	if !bytes.Contains(body, []byte(`"DataRetentionInHours":24,`)) {
		t.Errorf("retention in %s", body)
	}
}
