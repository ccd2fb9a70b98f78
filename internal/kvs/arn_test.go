package kvs

import (
	"strings"
	"testing"
)

func TestARNs(t *testing.T) {
	long := "arn:aws:kinesisvideo:us-east-1:111122223333:stream/" + strings.Repeat("a", 1024-51-2) + "/1"
	for text, want := range map[string]ARN{
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/1511852109126": {
			"aws", "us-west-2", "111122223333", StreamResource, "garden", "1511852109126"},
		"arn:aws-cn:kinesisvideo:cn-north-1:111122223333:channel/A_b.c-1/0": {
			"aws-cn", "cn-north-1", "111122223333", ChannelResource, "A_b.c-1", "0"},
		long: {"aws", "us-east-1", "111122223333", StreamResource, strings.Repeat("a", 1024-51-2), "1"},
	} {
		got, ok := ParseARN(text)
		if got != want || !ok {
			t.Errorf("%s is %+v, %v; want %+v", text, got, ok, want)
		}
		if got.String() != text {
			t.Errorf("%s is written %s", text, got)
		}
	}
}

func TestTextsThatAreNoARN(t *testing.T) {
	for _, text := range []string{
		"",
		"garden",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/12x",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream//12",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/a/b/12",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/a b/12",
		"arn:aws:kinesisvideo:us-west-2:111122223333:Stream/garden/12",
		"arn:aws:kinesisvideo:us-west-2::stream/garden/12",
		"arn:aws:kinesisvideo:US-WEST-2:111122223333:stream/garden/12",
		"arn:aws:kinesis:us-west-2:111122223333:stream/garden/12",
		"ARN:aws:kinesisvideo:us-west-2:111122223333:stream/garden/12",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/12\n",
		" arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/12",
		"arn:aws:kinesisvideo:us-west-2:111122223333:stream/" + strings.Repeat("a", 1024) + "/1",
	} {
		if got, ok := ParseARN(text); ok || got != (ARN{}) {
			t.Errorf("%q is %+v, %v", text, got, ok)
		}
	}
}

func TestOperationOfAnAction(t *testing.T) {
	for action, want := range map[Action]string{"kinesisvideo:PutMedia": "PutMedia", "PutMedia": "PutMedia", "": ""} {
		if got := action.Operation(); got != want {
			t.Errorf("%q: %q, want %q", action, got, want)
		}
	}
}

// FuzzParseARN: what is read as an ARN is written in the same way.
func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/1511852109126")
	f.Add("arn:aws-cn:kinesisvideo:cn-north-1:111122223333:channel/A_b.c-1/0")
	f.Add("arn:aws:kinesisvideo:us-west-2:1:stream//")
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := ParseARN(text)
		if !ok {
			if a != (ARN{}) {
				t.Fatalf("%q is refused and %+v", text, a)
			}
			return
		}
		if a.String() != text || len(text) > 1024 || a.Name == "" || strings.ContainsAny(a.Name+a.Code, "/:") {
			t.Fatalf("%q is %+v", text, a)
		}
	})
}
